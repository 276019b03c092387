"""The sides of a comparison: runs that are the seeds of one experiment, and two splits of the same test videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from vadbench.base.errors import RunError
from vadbench.base.text import plain
from vadbench.records.record import RunRecord, seed_values
from vadbench.records.run_facts import differences, differing, manifest, rules_of, short, some
from vadbench.records.run_names import find_runs
from vadbench.records.titles import changed_rules
from vadbench.scoring.split import ScoredSplit


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
        changes = "".join(f" {text}" for text in changed_rules(first.protocol, first.changed))
        trained = "" if first.trained_on == first.dataset else f" trained on {first.trained_on}"
        seeds = f"seed{'s' if len(self.found) > 1 else ''} {', '.join(str(r.seed) for r, _ in self.found)}"
        protocol = first.protocol.get("name")
        told = f"{first.title} ({first.settings})" if first.label and first.settings else first.title
        # The settings are from a record, whose source may not be trusted.
        return plain(f"{told}{changes}{trained} on {first.dataset}{first.marks}, protocol {protocol}, {seeds}")

    def value(self, metric: str) -> float | None:
        """Return the mean of a metric over seeds, ``None`` if it is undefined for any of them."""
        values = seed_values((record for record, _ in self.found), metric)
        return fmean(values) if values else None


def load_runs(name: str, out: Path) -> ComparedRuns:
    """Load the runs that a name on the command line refers to.

    Args:
        name: as for :func:`vadbench.records.run_names.find_runs`.
        out: folder that contains the run folders.

    Raises:
        RunError: no run is found, or the runs differ in more than their seeds.
    """
    named = find_runs(name, out, finished=True)
    return seeds_of_one({folder.resolve(): record for folder, record in named.found.items()}, name, named.notes)


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
        if apart := differences(record, other):
            raise RunError(f"{both} differ in {some(apart)}; name those to compare, with commas between")
        if record.seed == other.seed:
            raise RunError(f"{both} both have seed {record.seed}; name one of them")
    return ComparedRuns(runs, list(notes))


def contrasts(a: ComparedRuns, b: ComparedRuns) -> list[str]:
    """Return the differences between the two sides other than the method and its settings, one per line."""
    asked = ("stride", "pooling")  # settings of the method
    valued = a.first.values_tested and b.first.values_tested
    areas: dict[str, Callable[[RunRecord], Mapping[str, Any]]] = {
        "protocols": rules_of,
        "features": lambda r: {k: v for k, v in r.fingerprint.items() if k not in asked},
        "values of features": lambda r: {"test videos": r.values_tested} if valued else {},
        "streams": lambda r: {name: stream.identity for name, stream in r.streams.items()},
        "CLIPs": lambda r: r.clip,
        "training data": lambda r: {"data set": r.trained_on, "videos": manifest(r, "train")},
        "validation data": lambda r: {"videos": manifest(r, "validation")},
    }
    found = {what: differing(of(a.first), of(b.first)) for what, of in areas.items()}
    return [f"{what} differ: {some(differing)}" for what, differing in found.items() if differing]


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
        rules = differing(first[0].protocol, other[0].protocol)
        under = f" (protocols differ: {some(rules)})" if rules else ""
        raise RunError(
            f"{first[1]} and {other[1]} cannot be paired: {some(problems)}{under}; evaluate both on the same test"
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
            yield f"{scores.name} is anomalous in frames {short(list(video.runs))} and {short(list(beside.runs))}"
