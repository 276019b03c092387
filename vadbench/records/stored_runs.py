"""Every run under a folder, finished or not: its state, its size, and its deletion."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from vadbench.base.errors import RunError
from vadbench.base.files import LOCK, in_use, locked, set_aside, stored_bytes
from vadbench.base.locations import ARTIFACTS, BEGUN, STAGES, TRAINING_LOG
from vadbench.records.folders import DELETED, EVALUATIONS, read_record, run_folders, training_folder
from vadbench.records.record import CHECKPOINT_INFO, RESULT, RunRecord
from vadbench.records.titles import changed_rules

RunState = Literal["finished", "failed", "interrupted", "running", "weights", "damaged"]

_SIGNS = (RESULT, CHECKPOINT_INFO, STAGES, TRAINING_LOG, BEGUN)
"""What shows that a folder is that of a run; one that holds its lock and nothing else is one too."""


@dataclass(frozen=True)
class StoredRun:
    """A training with its first evaluation, or a further evaluation of it.

    Args:
        folder: of the run.
        record: its record; ``None`` where there is none, or none that can be read.
        problem: why the record cannot be read; empty otherwise.
        begun: what the training wrote down when it began, where there is no record.
    """

    folder: Path
    record: RunRecord | None
    problem: str = ""
    begun: RunRecord | None = None

    @property
    def known(self) -> RunRecord | None:
        """The record, or what is known of a training without one."""
        return self.record or self.begun

    @property
    def is_evaluation(self) -> bool:
        """Whether it is an evaluation beside the first of its training."""
        return training_folder(self.folder) != self.folder

    @property
    def key(self) -> str:
        """The key of the training, for a further evaluation followed by its own: ``1f0c.../7ab2...``."""
        training = training_folder(self.folder)
        return f"{training.name}/{self.folder.name}" if self.is_evaluation else training.name

    @property
    def dataset(self) -> str:
        """The data set that it was tested on."""
        return self.known.dataset if self.known else self.trained_on

    @property
    def trained_on(self) -> str:
        return self.record.trained_on if self.record else training_folder(self.folder).parent.parent.name

    @property
    def method(self) -> str:
        return training_folder(self.folder).parent.name

    @property
    def label(self) -> str:
        return self.known.label if self.known else ""

    @property
    def settings(self) -> str:
        """The settings and rules that are not the defaults, as far as they are known."""
        if self.known is None:
            return ""
        return " ".join([self.known.settings, *changed_rules(self.known.protocol, self.known.changed)]).strip()

    @property
    def seed(self) -> int | None:
        return self.known.seed if self.known else None

    @property
    def protocol(self) -> str:
        return str(self.known.protocol.get("name", "")) if self.known else ""

    @property
    def made(self) -> str:
        """The date and time in ISO 8601, of the beginning without a record; empty where it is not known."""
        return self.known.created if self.known else ""

    @property
    def made_at(self) -> datetime | None:
        """When it was made; ``None`` where that is not known."""
        try:
            found = datetime.fromisoformat(self.made)
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def error(self) -> str:
        """Why it is not finished, as far as it is known."""
        return self.problem or (self.record and self.record.error) or ""

    def value(self, metric: str) -> float | None:
        """Return the value of a metric, ``None`` where it is not defined."""
        found = self.record.metrics.get(metric) if self.record else None
        return None if found is None else found.value

    @cached_property
    def state(self) -> RunState:
        """``interrupted`` goes on when it is run again, ``weights`` are imported ones that were never evaluated."""
        if self.problem:
            return "damaged"
        if self.record is not None and self.record.status in ("finished", "failed"):
            return "finished" if self.record.status == "finished" else "failed"
        if in_use(training_folder(self.folder)):
            return "running"
        trained = (self.folder / CHECKPOINT_INFO).is_file() and not (self.folder / STAGES).is_dir()
        return "weights" if self.record is None and trained else "interrupted"

    @cached_property
    def bytes(self) -> int:
        """Size of its files, without those of further evaluations."""
        beside = 0 if self.is_evaluation else stored_bytes(self.folder / EVALUATIONS)
        return stored_bytes(self.folder) - beside


def stored_runs(out: Path) -> Iterator[StoredRun]:
    """Yield the trainings under ``out`` in the order of their paths, each followed by its further evaluations.

    Raises:
        RunError: there is no such folder.
    """
    if not out.is_dir():
        raise RunError(
            f"no runs in {out}, which is no folder; make one with vadbench run, or name its folder with --out"
        )
    for folder in sorted(out.glob("*/*/*")):
        inside = folder.relative_to(out).parts
        if not folder.is_dir() or ARTIFACTS in inside or any(part.startswith(".") for part in inside):
            continue
        if _is_run(folder):
            yield _stored(folder)
            yield from (_stored(evaluation) for evaluation in run_folders(folder / EVALUATIONS, "*"))


def require_deletable(folder: Path, out: Path) -> Path:
    """Return the path of a run's folder without links.

    Args:
        folder: of the run.
        out: folder of run folders, which it must be in.

    Raises:
        RunError: it is a link, or lies elsewhere.
    """
    top, place = out.resolve(), folder.resolve()
    if folder.is_symlink():
        raise RunError(f"{folder} is a link; name the folder that it leads to, {place}")
    if top not in place.parents or not _is_run(place):
        raise RunError(f"{folder} is no run folder under {out}; name its folder of runs with --out")
    if (top / DELETED).is_symlink():
        raise RunError(f"{top / DELETED} is a link; remove it, and delete again")
    return place


def delete_run(folder: Path, out: Path) -> None:
    """Delete a run: a training with all its evaluations, or a further evaluation alone.

    Args:
        folder, out: as of :func:`require_deletable`, whose errors are raised.

    Raises:
        RunError: a process is using it.
        StorageError: it cannot be removed.
    """
    place, top = require_deletable(folder, out), out.resolve()
    training = training_folder(place)
    with locked(training, f"run {training.name}"):
        set_aside(place, top / DELETED)
    shutil.rmtree(top / DELETED, ignore_errors=True)
    # What is empty now goes too.
    for parent in place.parents:
        if parent == top:
            break
        with suppress(OSError):
            parent.rmdir()


def _is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run: a call that is killed as it begins leaves a lock alone."""
    return any((folder / part).exists() for part in _SIGNS) or [p.name for p in folder.iterdir()] == [LOCK]


def _stored(folder: Path) -> StoredRun:
    if not (folder / RESULT).is_file():
        begun = None
        with suppress(RunError):
            begun = read_record(folder, BEGUN)
        return StoredRun(folder, None, begun=begun)
    try:
        return StoredRun(folder, read_record(folder))
    except RunError as error:
        return StoredRun(folder, None, str(error))
