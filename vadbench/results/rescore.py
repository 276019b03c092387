"""Measuring finished runs again from the scores they kept, with today's code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import vadbench
from vadbench.base.errors import RunError
from vadbench.base.files import locked
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.measurement import measure
from vadbench.records.folders import EVALUATIONS, find_folder, read_record, run_folders, write_record
from vadbench.records.record import RESULT, RunRecord
from vadbench.records.scores import load_split

TOLERANCE = 1e-12
"""Differences that the order of additions may make."""


@dataclass(frozen=True)
class Rescored:
    """What measuring a run again gave.

    Args:
        folder: of the record.
        record: as it is now.
        changed: old and new of every metric that is not what it was; ``None`` where one side lacks it.
    """

    folder: Path
    record: RunRecord
    changed: dict[str, tuple[MetricValue | None, MetricValue | None]]


def evaluations(name: str, out: Path) -> list[Path]:
    """The folders of all records in a folder, given in full or under ``out``, or in the run whose key begins so.

    Raises:
        RunError: there is none.
    """
    place = find_folder(name, out)
    if not (found := run_folders(place)):
        raise RunError(f"no {RESULT} in {place}; expected a run folder, or a folder of runs")
    return found


def rescore(folder: Path) -> Rescored | None:
    """Measure a run's scores; where a metric is not what its record says, the record is written anew.

    Returns:
        ``None`` for a run that failed and has nothing to measure.

    Raises:
        RunError: the record or the scores are damaged, or another process works on the run.
        DataError: scores and ground truth contradict each other.
        StorageError: the record cannot be written.
    """
    record = read_record(folder)
    if record.status == "failed":
        return None
    metrics = measure(load_split(folder))
    changed = {
        name: (record.metrics.get(name), metrics.get(name))
        for name in {**record.metrics, **metrics}
        if not _same(record.metrics.get(name), metrics.get(name))
    }
    if not changed:
        return Rescored(folder, record, {})
    note = f"metrics computed again with vadbench {vadbench.__version__}"
    notes = [*(n for n in record.notes if n != note), note]
    record = record.model_copy(update={"metrics": metrics, "notes": notes})
    training = folder.parent.parent if folder.parent.name == EVALUATIONS else folder
    with locked(training, f"run {training.name}"):
        write_record(folder, record)
    return Rescored(folder, record, changed)


def _same(old: MetricValue | None, new: MetricValue | None) -> bool:
    if old is None or new is None:
        return old is new
    pairs = ((old.value, new.value), (old.low, new.low), (old.high, new.high))
    return old.reason == new.reason and all(
        x == y or (x is not None and y is not None and abs(x - y) <= TOLERANCE) for x, y in pairs
    )
