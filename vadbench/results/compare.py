"""Paired comparison of two methods from their run folders: both are measured in the same resamples of test videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from vadbench.base.errors import RunError, UnknownNameError, cut, listed
from vadbench.base.metric_keys import MetricKey
from vadbench.base.naming import flatten, same, written
from vadbench.base.text import plain
from vadbench.base.types import Progress, silent
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.carriers import carriers
from vadbench.metrics.comparison import ALPHA, Difference, paired_difference
from vadbench.metrics.definitions import COMPARED, canonical, definition
from vadbench.metrics.measurement import resampled
from vadbench.records.folders import find_folder, read_record, run_folders
from vadbench.records.keys import restored
from vadbench.records.record import CHECKPOINT_INFO, RESULT, RunRecord, seed_values
from vadbench.records.scores import load_split
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.split import ScoredSplit

RESAMPLES = 5000
"""Resamples; more than for an interval, as Holm multiplies the smallest p-value, 2 / 5001, by the number of metrics."""
SHOWN = 3
"""Maximum number of differences or videos that a message names."""
_ABSENT = "absent"


@dataclass(frozen=True)
class ComparedRuns:
    """One side of a comparison: the seeds of one method with one set of settings.

    Args:
        found: records with their folders, by seed.
        notes: the runs in the folder that were left out, each with the reason.
    """

    found: list[tuple[RunRecord, Path]]
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> RunRecord:
        return self.found[0][0]

    @property
    def label(self) -> str:
        """Description such as ``vadclip recipe.epochs=5 on synthetic, protocol native, seeds 0, 1, 2``."""
        first = self.first
        rules = dict(flatten({"protocol": first.protocol}))
        changes = "".join(f" {name}={written(rules[name])}" for name in first.changed if name in rules)
        trained = "" if first.trained_on == first.dataset else f" trained on {first.trained_on}"
        seeds = f"seed{'s' if len(self.found) > 1 else ''} {', '.join(str(r.seed) for r, _ in self.found)}"
        protocol = first.protocol.get("name")
        # The settings are from a record, whose source may not be trusted.
        return plain(f"{first.title}{changes}{trained} on {first.dataset}{first.marks}, protocol {protocol}, {seeds}")

    def value(self, metric: str) -> float | None:
        """Return the mean of a metric over seeds, ``None`` if it is undefined for any of them."""
        values = seed_values((record for record, _ in self.found), metric)
        return fmean(values) if values else None


def load_runs(name: str, out: Path) -> ComparedRuns:
    """Load the runs that a name on the command line refers to.

    Args:
        name: a run folder, the beginning of a key, several of either separated by commas, or a folder with the runs of
            one method on one data set, such as ``results/runs/synthetic/vadclip`` or ``synthetic/vadclip``.
        out: folder that contains the run folders.

    Raises:
        RunError: no run is found, or the runs differ in more than their seeds.
    """
    found: dict[Path, RunRecord] = {}
    notes: list[str] = []
    for part in [name] if Path(name).exists() else name.split(","):
        folders = _folders(part.strip(), out)
        for folder in folders:
            try:
                record = read_record(folder)
            except RunError as error:
                if len(folders) == 1:
                    raise
                notes.append(f"left out: {error}")
                continue
            if record.status == "finished":
                found[folder.resolve()] = record
            else:
                notes.append(f"left out: {folder} holds a {record.status} run; run it again")
    if not found:
        raise RunError(f"'{name}' has no finished run to compare: {'; '.join(notes)}")
    runs = sorted(((record, folder) for folder, record in found.items()), key=lambda r: r[0].seed)
    for (record, folder), (other, beside) in pairwise(runs):
        both = f"'{name}' holds runs that are not seeds of one: {folder.name} and {beside.name}"
        # A record may be older than a setting that changed no key.
        settings = [] if record.group and record.group == other.group else _differing(record.config, other.config)
        if differing := settings + _differing(_facts(record), _facts(other)):
            raise RunError(f"{both} differ in {_some(differing)}; name those to compare, with commas between")
        if record.seed == other.seed:
            raise RunError(f"{both} both have seed {record.seed}; name one of them")
    return ComparedRuns(runs, notes)


def compare(
    a: ComparedRuns, b: ComparedRuns, metrics: Sequence[str] | None = None, progress: Progress = silent
) -> dict[str, Difference]:
    """Compute how much higher each metric is for ``a`` than for ``b``, averaged over the seeds of each side.

    No interval and no p-value is computed if fewer than :data:`vadbench.metrics.carriers.FEWEST` test videos carry
    what a metric counts.

    Args:
        a, b: from :func:`load_runs`.
        metrics: keys of metrics, in the spelling of the first edition too; by default those of
            :data:`vadbench.metrics.definitions.COMPARED` that are defined on both sides.
        progress: called with the number of resampled runs.

    Raises:
        UnknownNameError: a metric that is not defined on both sides, or is not resampled.
        RunError: scores are damaged, or the two sides differ in their test videos or ground truth.
    """
    values = {m: (a.value(m), b.value(m)) for m in a.first.metrics}
    shared = {m: (x, y) for m, (x, y) in values.items() if x is not None and y is not None}
    keys = [m for m in COMPARED if m in shared] if metrics is None else list(dict.fromkeys(map(canonical, metrics)))
    for key in keys:
        if key not in shared:
            # Branches are not resampled and therefore not offered.
            known = [m for m in shared if MetricKey.parse(m).branch is None]
            raise UnknownNameError("metric of both sides", key, known)
        if MetricKey.parse(key).branch is not None:
            raise RunError(f"scores of branches are not compared, found {key}; leave it out")
    runs = [*a.found, *b.found]
    reference = load_split(runs[0][1])
    draws = draw_videos(len(reference.videos), RESAMPLES)
    samples: list[Mapping[str, NDArray[np.float64]]] = []
    same_classes = True
    for record, folder in runs:
        progress("resampling", len(samples), len(runs))
        split = matched(reference, load_split(folder), runs[0], (record, folder))
        same_classes = same_classes and _class_truth(split) == _class_truth(reference)
        samples.append(resampled(split, keys, draws))
        for key in keys:
            if key not in samples[-1]:
                raise UnknownNameError("metric that can be compared", key, samples[-1])
    progress("resampling", len(runs), len(runs))
    differences = {}
    for key in keys:
        x, y = shared[key]
        if not same_classes and (key.startswith("m") or MetricKey.parse(key).of_class is not None):
            differences[key] = Difference(x - y, reason="measured over other classes")
        else:
            stacked, carried = np.array([s[key] for s in samples]), carriers(reference.rows, key)
            differences[key] = paired_difference(stacked[: len(a.found)], stacked[len(a.found) :], x, y, carried)
    return differences


def contrasts(a: ComparedRuns, b: ComparedRuns) -> list[str]:
    """Return the differences between the two sides other than the method and its settings, one per line."""
    asked = ("stride", "pooling")  # settings of the method
    valued = a.first.values_tested and b.first.values_tested
    areas: dict[str, Callable[[RunRecord], Mapping[str, Any]]] = {
        "protocols": _rules,
        "features": lambda r: {k: v for k, v in r.fingerprint.items() if k not in asked},
        "values of features": lambda r: {"test videos": r.values_tested} if valued else {},
        "streams": lambda r: {name: stream.identity for name, stream in r.streams.items()},
        "CLIPs": lambda r: r.clip,
        "training data": lambda r: {"data set": r.trained_on, "videos": _manifest(r, "train")},
        "validation data": lambda r: {"videos": _manifest(r, "validation")},
    }
    found = {what: _differing(of(a.first), of(b.first)) for what, of in areas.items()}
    return [f"{what} differ: {_some(differing)}" for what, differing in found.items() if differing]


def verdict(key: str, difference: Difference, p: float | None) -> str:
    """Return a difference in words; no side is called better by a metric that ranks nothing.

    Args:
        key: key of the metric.
        difference: from :func:`compare`.
        p: its p-value, adjusted for the metrics that are shown with it.
    """
    if difference.reason is not None or p is None:
        return difference.reason or ""
    if difference.value == difference.low == difference.high == 0:
        return "identical"
    if p > ALPHA:
        return "not distinguishable"
    better = definition(key).better
    side = "A" if (difference.value > 0) == (better != "lower") else "B"
    return f"{side} is {'better' if better else 'higher'}"


def _folders(name: str, out: Path) -> list[Path]:
    """Return the folders with a record that a name refers to; several if it names a folder of runs."""
    place = find_folder(name, out)
    if found := [place] if (place / RESULT).is_file() else run_folders(place, "*"):
        return found
    if (place / CHECKPOINT_INFO).is_file():
        raise RunError(f"{place} holds weights that were not evaluated; run vadbench run --from {place} first")
    raise RunError(f"no runs in {place}: expected a run folder, or the folder of one method on one data set")


def _facts(record: RunRecord) -> dict[str, Any]:
    """Return what the seeds of one method share apart from its settings, which may have the same names."""
    return {
        "method": record.method,
        "version": record.method_version,
        "edition": record.edition,
        "data set": record.dataset,
        "trained on": record.trained_on,
        "protocol": _rules(record),
        "features": record.fingerprint,
        "streams": {name: stream.identity for name, stream in record.streams.items()},
        "clip": record.clip,
        "training videos": _manifest(record, "train"),
        "validation videos": _manifest(record, "validation"),
        "test videos": _manifest(record, "test"),
    }


def _rules(record: RunRecord) -> Mapping[str, Any]:
    """Return the protocol of a record with defaults for the fields that are newer than the record."""
    try:
        return restored(Protocol, record.protocol).model_dump(mode="json")
    except ValidationError:
        return record.protocol  # written by another program; compared as it is


def _manifest(record: RunRecord, split: str) -> str:
    return record.data[split].manifest if split in record.data else _ABSENT


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ, each with both values: ``crop (center, mean)``."""
    x, y = dict(flatten(a)), dict(flatten(b))
    return [
        f"{plain(name)} ({', '.join(_short(v if isinstance(v, str) else written(v)) or 'none' for v in pair)})"
        for name in {**x, **y}
        if not same(*(pair := (x.get(name, _ABSENT), y.get(name, _ABSENT))))
    ]


def _short(value: Any) -> str:
    return cut(plain(str(value)), 40)


def _some(items: Iterable[str]) -> str:
    return listed(list(items), SHOWN)


def matched(
    reference: ScoredSplit, split: ScoredSplit, first: tuple[RunRecord, Path], other: tuple[RunRecord, Path]
) -> ScoredSplit:
    """Return ``split`` with its videos in the order of ``reference``.

    Raises:
        RunError: the two differ in their videos, in the length of a video or in its anomalous frames.
    """
    place = {s.name: i for i, s in enumerate(split.scores)}
    problems = list(_mismatches(reference, split, place))
    if problems:
        rules = _differing(first[0].protocol, other[0].protocol)
        under = f" (protocols differ: {_some(rules)})" if rules else ""
        raise RunError(
            f"{first[1]} and {other[1]} cannot be paired: {_some(problems)}{under}; evaluate both on the same test"
            " videos under one protocol"
        )
    order = [place[s.name] for s in reference.scores]
    return replace(split, given=[split.given[i] for i in order], videos=[split.videos[i] for i in order])


def _mismatches(reference: ScoredSplit, split: ScoredSplit, place: Mapping[str, int]) -> Iterator[str]:
    names = [s.name for s in reference.scores]
    for which, missing in (("second", set(names) - place.keys()), ("first", place.keys() - set(names))):
        if missing:
            yield f"the {which} lacks {len(missing)} of the videos, such as {min(missing)}"
    for scores, video in zip(reference.scores, reference.videos, strict=True):
        if scores.name not in place:
            continue
        other, beside = split.scores[place[scores.name]], split.videos[place[scores.name]]
        if scores.frames != other.frames:
            yield f"{scores.name} has {scores.frames} and {other.frames} frames"
        if video.runs != beside.runs:
            yield f"{scores.name} is anomalous in frames {_short(list(video.runs))} and {_short(list(beside.runs))}"


def _class_truth(split: ScoredSplit) -> tuple[Any, ...]:
    """Return the annotated classes, which must be the same for class metrics to be comparable."""
    return split.classes.names, split.classes.normal, {v.name: v.segments for v in split.videos}
