"""Find the finished runs under a folder, group the seeds of one experiment, and decide which to rank together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from vadbench.base.errors import FeatureError, RunError, first_complaint
from vadbench.base.hashing import digest
from vadbench.base.text import plain
from vadbench.features.fingerprint import Fingerprint
from vadbench.metrics.comparison import ROUNDING
from vadbench.metrics.definitions import coarse_remark, value_range
from vadbench.records.folders import read_records
from vadbench.records.keys import restored
from vadbench.records.record import COMPUTED_BY_OTHERS, INCOMPLETE, RESULT, RunRecord, machine_words
from vadbench.scoring.protocol import Protocol

IMPORTED = "weights imported"
"""Beginning of the note on weights from the authors' file."""
_ORIGIN = "features come from"
RECORDED = "recorded"
"""Family of recorded scores, whose features are not known."""
ORACLE = "an oracle: it is handed the ground truth, so it is never ranked"
_KEPT = (INCOMPLETE, IMPORTED, COMPUTED_BY_OTHERS, _ORIGIN, "text of ", "trained on ", "scores are the maximum")
"""Beginnings of the notes in a record that are about its figures rather than about single videos."""

_WORDS = {
    "name": "protocol",
    "post": "post-processing",
    "truth": "the ground truth",
    "partition": "the division into splits",
    "family": "features",
    "videos": "test videos",
    "abnormal": "abnormal test videos",
    "incomplete": "what is missing",
    "oracle": "the use of the ground truth",
    "values": "the values of the features",
}


@dataclass(frozen=True)
class RankingGroup:
    """Conditions that figures must share to be ranked together.

    Stride and pooling of the features are chosen by a method and not part of the conditions; everything else about the
    features is the ``family``, which is ``frames`` or ``none`` for methods without features. ``videos`` and
    ``abnormal`` count the test split, ``incomplete`` says what it or the training split lacks. An ``oracle`` is handed
    the ground truth. ``values`` names the test videos' features where their origin is unknown, as in
    :attr:`vadbench.records.record.RunRecord.values_tested`.
    """

    dataset: str
    trained_on: str
    rules: Protocol
    family: str
    videos: int
    abnormal: int
    incomplete: tuple[str, ...]
    oracle: bool = False
    values: str = ""

    @property
    def apart(self) -> bool:
        """``True`` if such figures must never be compared with others."""
        return bool(self.incomplete) or self.rules.selection == "best-on-test" or self.oracle

    def differences(self, other: RankingGroup) -> list[str]:
        """Return the conditions in which another group differs, in words."""
        rules = [f for f in Protocol.model_fields if getattr(self.rules, f) != getattr(other.rules, f)]
        own = [f.name for f in dataclasses.fields(self) if f.name != "rules"]
        names = [*rules, *(n for n in own if getattr(self, n) != getattr(other, n))]
        # Other videos or another annotation are another digest too.
        names = [n for n in names if n != "values"] or names
        return [_WORDS.get(name, name.replace("_", " ")) for name in names]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Finished evaluation: its folder and its record; without a fingerprint that of a method without features."""

    folder: Path
    record: RunRecord
    rules: Protocol
    fingerprint: Fingerprint | None

    @cached_property
    def kind(self) -> RankingGroup:
        """Group of evaluations that it may be ranked with."""
        record = self.record
        test = record.data.get("test")
        return RankingGroup(
            dataset=record.dataset,
            trained_on=record.trained_on,
            # What a method proposes by itself is its own affair; only what the user asked for makes other conditions.
            rules=self.rules.unprocessed if self.rules.post == self.record.method_post else self.rules,
            family=self._family,
            videos=test.videos if test else 0,
            abnormal=test.abnormal if test else 0,
            incomplete=tuple(n for n in self.remarks if n.startswith(INCOMPLETE)),
            oracle=record.supervision == "oracle",
            values=record.values_tested,
        )

    @property
    def _family(self) -> str:
        """Name of what may be ranked together by its features: those of one encoder, with the same streams beside."""
        first = self.fingerprint.family if self.fingerprint else self.record.reads
        beside = {name: stream.identity for name, stream in self.record.streams.items()}
        return digest([first, beside]) if beside else first

    @cached_property
    def experiment_key(self) -> str:
        """Key that is shared by the seeds of the same experiment only."""
        record = self.record
        # Imported weights, and records that are older than groups, are distinguished by their content.
        training = record.group or [
            *(record.method, record.method_version, record.trained_on),
            *(record.config, record.fingerprint, record.clip, self.imported),
            *([s.identity for s in record.streams.values()]),
            record.data["train"].manifest if "train" in record.data else "",
        ]
        return digest([record.edition, training, record.dataset, record.evaluation])

    @property
    def post(self) -> str:
        """Post-processing that its figures include, in words; empty for none."""
        whose = " (the method's own)" if self.rules.post == self.record.method_post else ""
        return self.rules.post + whose if self.rules.post else ""

    @property
    def imported(self) -> str:
        """Note on weights from the authors' file; empty for weights trained here."""
        return next((n for n in self.record.notes if n.startswith(IMPORTED)), "")

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Remarks that must accompany its figures."""
        held = "the validation split" if "validation" in self.record.data else "training videos held out"
        judge = f" by its {self.rules.judge}" if self.rules.judge else ""
        chosen = {"best-on-test": f"the test set{judge}", "validation": held}.get(self.rules.selection)
        return (
            *([f"weights selected on {chosen} ({self.rules.selection})"] if chosen else []),
            *([f"measured against the ground truth {self.rules.truth}"] if self.rules.truth else []),
            *([f"videos divided as in {self.rules.partition}"] if self.rules.partition else []),
            *([ORACLE] if self.record.supervision == "oracle" else []),
            *([f"scores are post-processed: {self.post}"] if self.post else []),
            *([f"a score depends {self.record.depends}"] if self.record.company == "split" else []),
            *([] if self._known_origin else ["features of unknown origin"]),
            *(f"stream {name} of unknown origin" for name, s in self.record.streams.items() if not s.known),
            *filter(None, [coarse_remark(self.record.metrics)]),
            # The rest of such a note has a path on the user's machine.
            *dict.fromkeys(n.partition(", the others lack")[0] for n in self.record.notes if self._is_kept(n)),
        )

    @property
    def _known_origin(self) -> bool:
        return self.fingerprint is None or self.fingerprint.known

    def _is_kept(self, note: str) -> bool:
        # Records of the first edition stated an origin even for features of unknown origin.
        return note.startswith(_KEPT) and (self._known_origin or not note.startswith(_ORIGIN))


def collect(out: Path) -> tuple[list[Evaluation], list[str]]:
    """Return the finished evaluations under a folder in the order of their paths, and what is wrong with others."""
    runs, notes = read_records(out)
    found = []
    for run in runs:
        try:
            if run.record.status == "finished":
                found.append(evaluation(run.folder, run.record))
        except RunError as error:
            notes.append(str(error))
    return found, notes


def evaluation(folder: Path, record: RunRecord) -> Evaluation:
    """Return a finished evaluation.

    Args:
        folder: its run folder.
        record: what the folder holds.

    Raises:
        RunError: the record contradicts itself.
    """
    try:
        rules = restored(Protocol, record.protocol)
        fingerprint = Fingerprint.from_dict(record.fingerprint) if record.reads == "features" else None
        found = Evaluation(folder, record, rules, fingerprint)
        for name, metric in record.metrics.items():
            low, high = value_range(name)
            if metric.value is not None and not low - ROUNDING <= metric.value <= high + ROUNDING:
                what = "a fraction" if high == 1 else f"a number from {low:g} on"
                raise ValueError(f"metric {plain(name)} must be {what}, found {metric.value}")
        # Fail early on names that JSON cannot encode.
        _ = found.experiment_key
        return found
    except (ValueError, FeatureError) as error:
        reason = first_complaint(error) if isinstance(error, ValidationError) else error
        raise RunError(f"{folder / RESULT} is not a run record: {reason}; delete this file and run again") from error


def by_seed(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """Group evaluations that differ only in their seed, in the order of seeds; the newest of each seed counts.

    The groups come in the order of their first members.
    """
    groups: dict[str, dict[int, Evaluation]] = {}
    for evaluation in evaluations:
        group = groups.setdefault(evaluation.experiment_key, {})
        seed, known = evaluation.record.seed, group.get(evaluation.record.seed)
        if known is None or evaluation.record.created > known.record.created:
            group[seed] = evaluation
    return [[group[seed] for seed in sorted(group)] for group in groups.values()]


def titled(runs: Sequence[Evaluation]) -> str:
    """Return the method of several seeds with the label that all of them have, or else with its changed settings."""
    first = runs[0].record
    return first.title if len({run.record.label for run in runs}) == 1 else f"{first.method} {first.settings}".rstrip()


def settings_note(runs: Sequence[Evaluation]) -> tuple[str, ...]:
    """Return a note with the changed settings of seeds that a table calls by their label."""
    settings = runs[0].record.settings
    return (f"settings: {settings}",) if settings and settings not in titled(runs) else ()


def remarks(runs: Sequence[Evaluation]) -> tuple[str, ...]:
    """Return the remarks that must accompany the mean over several runs."""
    digests = {run.record.code["method"].digest for run in runs if "method" in run.record.code}
    mixed = [f"seeds made with different files of {runs[0].record.method}"] if len(digests) > 1 else []
    return tuple(dict.fromkeys([*(r for run in runs for r in run.remarks), *mixed]))


def made(evaluations: Iterable[Evaluation]) -> str:
    """Return a sentence on the dates, machines and versions of the runs, empty without runs."""
    records = [e.record for e in evaluations]
    if not records:
        return ""
    days = sorted({r.created[:10] for r in records})
    where = sorted({machine_words(r) for r in records})
    packages = [r.environment.get("packages", {}) for r in records]
    versions = [
        f"{title} {' and '.join(found)}"
        for name, title in (("vadbench", "vadbench"), ("torch", "torch"), ("open_clip_torch", "open_clip"))
        if (found := sorted({str(p[name]) for p in packages if name in p}))
    ]
    commits = sorted({_short(str(r.environment.get("commit", "unknown"))) for r in records})
    period = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    runs = f"{len(records)} runs" if len(records) > 1 else "1 run"
    return f"{runs}, made {period} on {' and on '.join(where)}; {', '.join(versions)}, commit {' and '.join(commits)}"


def _short(commit: str) -> str:
    name, changes, _ = commit.partition("+changes")
    return name[:7] + changes
