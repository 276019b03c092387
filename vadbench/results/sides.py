"""The sides of a comparison: runs that are the seeds of one experiment, and two splits of the same test videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from vadbench.base.errors import RunError, cut, listed
from vadbench.base.naming import flatten, same, written
from vadbench.base.text import plain
from vadbench.records.folders import find_folder, read_record, run_folders
from vadbench.records.keys import restored
from vadbench.records.record import CHECKPOINT_INFO, RESULT, RunRecord, seed_values
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.split import ScoredSplit

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
    return seeds_of_one(found, name, notes)


def seeds_of_one(found: Mapping[Path, RunRecord], name: str, notes: Sequence[str] = ()) -> ComparedRuns:
    """Return one side of a comparison.

    Args:
        found: records by their folders, at least one.
        name: of the side, for messages.
        notes: on runs that were left out.

    Raises:
        RunError: the runs differ in more than their seeds.
    """
    runs = sorted(((record, folder) for folder, record in found.items()), key=lambda r: r[0].seed)
    for (record, folder), (other, beside) in pairwise(runs):
        both = f"'{name}' holds runs that are not seeds of one: {folder.name} and {beside.name}"
        # A record may be older than a setting that changed no key.
        settings = [] if record.group and record.group == other.group else _differing(record.config, other.config)
        if differing := settings + _differing(_facts(record), _facts(other)):
            raise RunError(f"{both} differ in {_some(differing)}; name those to compare, with commas between")
        if record.seed == other.seed:
            raise RunError(f"{both} both have seed {record.seed}; name one of them")
    return ComparedRuns(runs, list(notes))


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
