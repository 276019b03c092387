"""Finding the finished runs under a folder, telling which are seeds of one, and which may be ranked together."""

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
from vadbench.records.folders import read_records
from vadbench.records.keys import restored
from vadbench.records.record import INCOMPLETE, RESULT, RunRecord
from vadbench.scoring.protocol import Protocol

IMPORTED = "weights imported"
"""What the note on weights from the authors' own file begins with."""
_ORIGIN = "features come from"
_KEPT = (INCOMPLETE, IMPORTED, _ORIGIN, "text of ", "trained on ", "scores are the maximum")
"""Beginnings of the notes in a record that say something about its figures rather than about single videos."""

_WORDS = {
    "name": "protocol",
    "family": "features",
    "videos": "test videos",
    "abnormal": "abnormal test videos",
    "incomplete": "what is missing",
}


@dataclass(frozen=True)
class RankingGroup:
    """What figures must share to be ranked beside each other.

    Stride and pooling of the features are a method's own choice and no part of it; whatever else made them is the
    ``family``. ``videos`` and ``abnormal`` count the test split, ``incomplete`` says what it or the training split
    lacks.
    """

    dataset: str
    trained_on: str
    rules: Protocol
    family: str
    videos: int
    abnormal: int
    incomplete: tuple[str, ...]

    @property
    def apart(self) -> bool:
        """Whether such figures are never to stand beside others."""
        return bool(self.incomplete) or self.rules.selection == "best-on-test"

    def differences(self, other: RankingGroup) -> list[str]:
        """In which respects another kind differs, in words."""
        rules = [f for f in Protocol.model_fields if getattr(self.rules, f) != getattr(other.rules, f)]
        own = [f.name for f in dataclasses.fields(self) if f.name != "rules"]
        names = [*rules, *(n for n in own if getattr(self, n) != getattr(other, n))]
        return [_WORDS.get(name, name.replace("_", " ")) for name in names]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A finished evaluation: its folder, and what is on record there."""

    folder: Path
    record: RunRecord
    rules: Protocol
    fingerprint: Fingerprint

    @cached_property
    def kind(self) -> RankingGroup:
        """What it may be ranked with."""
        record = self.record
        test = record.data.get("test")
        return RankingGroup(
            dataset=record.dataset,
            trained_on=record.trained_on,
            rules=self.rules,
            family=self.fingerprint.family,
            videos=test.videos if test else 0,
            abnormal=test.abnormal if test else 0,
            incomplete=tuple(n for n in self.remarks if n.startswith(INCOMPLETE)),
        )

    @cached_property
    def experiment_key(self) -> str:
        """What it has in common with the other seeds of the same experiment, and with nothing else."""
        record = self.record
        # Imported weights, and records that are older than groups, are told apart by what they say.
        training = record.group or [
            *(record.method, record.method_version, record.trained_on),
            *(record.config, record.fingerprint, record.clip, self.imported),
            record.data["train"].manifest if "train" in record.data else "",
        ]
        return digest([record.edition, training, record.dataset, record.evaluation])

    @property
    def imported(self) -> str:
        """The note on weights that came from the authors' own file; empty for weights trained here."""
        return next((n for n in self.record.notes if n.startswith(IMPORTED)), "")

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What must be said wherever its figures are shown."""
        chosen = {"best-on-test": "the test set", "validation": "training videos held out"}.get(self.rules.selection)
        return (
            *([f"weights selected on {chosen} ({self.rules.selection})"] if chosen else []),
            *([] if self.fingerprint.known else ["features of unknown origin"]),
            # What the missing videos lack is a path on somebody's machine.
            *dict.fromkeys(n.partition(", the others lack")[0] for n in self.record.notes if self._is_kept(n)),
        )

    def _is_kept(self, note: str) -> bool:
        # Records of the first edition said whose features these are even where nobody knew.
        return note.startswith(_KEPT) and (self.fingerprint.known or not note.startswith(_ORIGIN))


def collect(out: Path) -> tuple[list[Evaluation], list[str]]:
    """The finished evaluations under a folder in the order of their paths, and what is wrong with others."""
    runs, notes = read_records(out)
    found = []
    for run in runs:
        try:
            if run.record.status == "finished":
                found.append(_evaluation(run.folder, run.record))
        except RunError as error:
            notes.append(str(error))
    return found, notes


def _evaluation(folder: Path, record: RunRecord) -> Evaluation:
    try:
        rules, fingerprint = restored(Protocol, record.protocol), Fingerprint.from_dict(record.fingerprint)
        evaluation = Evaluation(folder, record, rules, fingerprint)
        for name, found in record.metrics.items():
            if found.value is not None and not -ROUNDING <= found.value <= 1 + ROUNDING:
                raise ValueError(f"metric {plain(name)} must be a fraction, found {found.value}")
        # Found out now rather than in the midst of a table: a name that JSON cannot hold.
        _ = evaluation.experiment_key
        return evaluation
    except (ValueError, FeatureError) as error:
        reason = first_complaint(error) if isinstance(error, ValidationError) else error
        raise RunError(f"{folder / RESULT} is not a run record: {reason}; delete this file and run again") from error


def by_seed(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """Evaluations that differ in their seed alone, together and in the order of seeds; of one seed the newest.

    The groups come in the order of their first members.
    """
    groups: dict[str, dict[int, Evaluation]] = {}
    for evaluation in evaluations:
        group = groups.setdefault(evaluation.experiment_key, {})
        seed, known = evaluation.record.seed, group.get(evaluation.record.seed)
        if known is None or evaluation.record.created > known.record.created:
            group[seed] = evaluation
    return [[group[seed] for seed in sorted(group)] for group in groups.values()]


def remarks(runs: Sequence[Evaluation]) -> tuple[str, ...]:
    """What must be said of the mean over several runs."""
    digests = {run.record.code["method"].digest for run in runs if "method" in run.record.code}
    mixed = [f"seeds made with different files of {runs[0].record.method}"] if len(digests) > 1 else []
    return tuple(dict.fromkeys([*(r for run in runs for r in run.remarks), *mixed]))


def made(evaluations: Iterable[Evaluation]) -> str:
    """When, on what and with what the runs were made, in a sentence; empty without runs."""
    records = [e.record for e in evaluations]
    if not records:
        return ""
    days = sorted({r.created[:10] for r in records})
    where = sorted({_machine(r) for r in records})
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


def _machine(record: RunRecord) -> str:
    found = record.environment
    processor, threads = found.get("processor", "an unknown machine"), found.get("threads")
    used = f", {threads} of them used" if threads is not None and "threads" in str(processor) else ""
    device = "no GPU" if found.get("device") == "cpu" else found.get("device", "an unknown device")
    return f"{processor}{used}, {device}"
