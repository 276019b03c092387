"""Run folders: their paths, how they are found, and what is read from them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, FiniteFloat, ValidationError

from vadbench.base.errors import RunError, first_complaint
from vadbench.base.files import LOCK, read_json, write_json
from vadbench.base.locations import ARTIFACTS
from vadbench.base.metric_keys import from_first_edition
from vadbench.records.record import CHECKPOINT, CHECKPOINT_INFO, FIRST_EDITION, RESULT, SCHEMA, SCORES, RunRecord

EVALUATIONS = "evaluations"
"""Folder of a training with its evaluations but the first."""
DELETED = ".deleted"
"""Folder under the results with what a deletion has taken away and not yet removed."""


@dataclass(frozen=True)
class Outcome:
    """A run's folder, its record, whether the record was there already, and a note on that."""

    folder: Path
    record: RunRecord
    reused: bool
    note: str = ""


class _Calibrated(BaseModel):
    """The part of ``checkpoint.json`` that an older record of a run lacks."""

    threshold: FiniteFloat | None = None


class RunFolder:
    """``<out>/<dataset>/<method>/<key>/``: one training and its evaluations.

    The first evaluation is in the folder itself, others in ``evaluations/<key>/``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    def evaluation(self, key: str) -> Path:
        """Return the folder of the evaluation called ``key``, existing or not."""
        further = self.path / EVALUATIONS / key
        if (further / RESULT).is_file():
            return further
        first = read_record(self.path) if (self.path / RESULT).is_file() else None
        if first is None or first.status != "finished" or first.evaluation == key:
            return self.path
        return further

    def discard(self, key: str | None = None) -> None:
        """Remove an evaluation, or with ``None`` everything but the folder and its lock.

        The records go first: a killed call leaves an unfinished run, never a record beside other weights.
        """
        if key is None:
            for record in [*self.path.glob(f"{EVALUATIONS}/*/{RESULT}"), self.path / RESULT]:
                record.unlink(missing_ok=True)
            for left in self.path.iterdir():
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                elif left.name != LOCK:
                    left.unlink()
        else:
            (self.evaluation(key) / RESULT).unlink(missing_ok=True)

    def finished(self, key: str) -> RunRecord | None:
        """Return the record of an evaluation that is there and finished."""
        folder = self.evaluation(key)
        if not (folder / RESULT).is_file():
            return None
        record = read_record(folder)
        return record if record.status == "finished" else None


def read_record(folder: Path, file: str = RESULT) -> RunRecord:
    """Return the record in a folder.

    Args:
        folder: of a run.
        file: its name there: :data:`vadbench.base.locations.BEGUN` is that of a training without a result.

    Raises:
        RunError: it is missing, damaged or of another vadbench.
    """
    path = folder / file
    content = read_json(path)
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema not in (SCHEMA, FIRST_EDITION):
        fix = "upgrade vadbench" if schema > SCHEMA else "delete this file and run again; the weights are kept"
        raise RunError(f"{path} has schema {schema}, this vadbench reads {FIRST_EDITION} and {SCHEMA}; {fix}")
    try:
        return RunRecord.model_validate(_translated(content) if schema == FIRST_EDITION else content)
    except ValidationError as error:
        raise RunError(
            f"{path} is not a run record: {first_complaint(error)}; delete this file and run again"
        ) from error


def _translated(content: dict[str, Any]) -> dict[str, Any]:
    """Return a record of the first edition as one of today; damaged parts are left for the validation to find."""
    metrics = content.get("metrics", {})
    if isinstance(metrics, dict):
        spelling = from_first_edition(metrics)
        metrics = {spelling[name]: value for name, value in metrics.items()}
    return content | {"schema_version": SCHEMA, "metrics": metrics}


def training_folder(evaluation: Path) -> Path:
    """Return the folder of the training whose evaluation is in a folder."""
    return evaluation.parent.parent if evaluation.parent.name == EVALUATIONS else evaluation


def trained_threshold(evaluation: Path) -> float | None:
    """Return the threshold that was measured after the training of an evaluation.

    ``None`` without one, or where nothing that can be read says it.
    """
    try:
        return _Calibrated.model_validate(read_json(training_folder(evaluation) / CHECKPOINT_INFO)).threshold
    except (RunError, ValidationError):
        return None


def write_record(folder: Path, record: RunRecord, file: str = RESULT) -> None:
    """Write ``result.json``, or a record of another name, atomically."""
    write_json(folder / file, record.model_dump(mode="json"))


def label_of(folder: Path) -> str:
    """Return the label of the run in a folder; empty where nothing that can be read gives it one."""
    try:
        return read_record(folder).label
    except RunError:
        return ""


def relabel(folder: Path, record: RunRecord, label: str) -> RunRecord:
    """Write the record of a run, whose training this process has locked, with another label, and return it.

    Raises:
        StorageError: it cannot be written.
    """
    if label != record.label:
        record = record.model_copy(update={"label": label})
        write_record(folder, record)
    return record


def run_folders(below: Path, *where: str, file: str = RESULT) -> list[Path]:
    """Return the folders that hold a record, in their order; MLflow's copies and what is being deleted are skipped.

    Args:
        below: folder that they are in.
        where: patterns of their paths below it; any depth by default.
        file: what they hold instead of a record.
    """
    found = {path.parent for pattern in where or ("**",) for path in below.glob(f"{pattern}/{file}")}
    return sorted(f for f in found if {ARTIFACTS, DELETED}.isdisjoint(f.relative_to(below).parts))


def read_records(out: Path, trained_on: str = "*", method: str = "*") -> tuple[list[Outcome], list[str]]:
    """Read the records of runs and evaluations under ``out``, and tell what is wrong with unusable ones.

    Args:
        out: folder of run folders.
        trained_on: the data set whose trainings are read; all by default.
        method: likewise.
    """
    runs: list[Outcome] = []
    problems: list[str] = []
    training = f"{trained_on}/{method}/*"
    for folder in run_folders(out, training, f"{training}/{EVALUATIONS}/*"):
        try:
            record = read_record(folder)
        except RunError as error:
            problems.append(str(error))
            continue
        runs.append(Outcome(folder, record, reused=True))
        if record.status == "finished" and not (folder / SCORES).is_file():
            problems.append(
                f"{folder} has no {SCORES}: its metrics are valid, but have no intervals and no comparison; delete its"
                f" {RESULT} and run again, the weights are kept"
            )
    return runs, problems
