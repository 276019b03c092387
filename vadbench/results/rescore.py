"""Compute the metrics of finished runs again from their saved scores, with the current code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import vadbench
from vadbench.base.errors import RunError
from vadbench.base.files import locked, remove_unfinished
from vadbench.metrics.definitions import MetricValue, coarse_remark
from vadbench.metrics.event_counts import event_threshold
from vadbench.metrics.measurement import measure
from vadbench.metrics.scenarios import by_scenario, of_scenarios
from vadbench.records.folders import read_record, run_folders, training_folder, write_record
from vadbench.records.record import RESULT, RunRecord
from vadbench.records.run_names import find_runs
from vadbench.records.scores import load_split

TOLERANCE = 1e-12
"""Tolerance for differences that only come from the order of additions."""


@dataclass(frozen=True)
class Rescored:
    """Result of measuring a run again.

    Args:
        folder: folder of the record.
        record: the record after measuring.
        changed: old and new value of every metric that changed, those of scenarios included; ``None`` if the metric is
            new or gone.
    """

    folder: Path
    record: RunRecord
    changed: dict[str, tuple[MetricValue | None, MetricValue | None]]


def evaluations(name: str, out: Path) -> list[Path]:
    """Return the folders of all records in a folder, given in full or relative to ``out``, or in the runs of a name.

    Raises:
        RunError: there are no records.
    """
    place = next((place for place in (Path(name), out / name) if place.is_dir()), None)
    places = [place] if place is not None else find_runs(name, out).found
    if not (found := [folder for place in places for folder in run_folders(place)]):
        raise RunError(f"no {RESULT} in {place}; expected a run folder, or a folder of runs")
    return found


def rescore(folder: Path) -> Rescored | None:
    """Measure a run's scores, and write the record again if a metric differs from it.

    Returns:
        ``None`` for a run that failed or was stopped, which has no scores to measure.

    Raises:
        RunError: the record or the scores are damaged, or another process is using the run.
        DataError: scores and ground truth contradict each other.
        StorageError: the record cannot be written.
    """
    record = read_record(folder)
    if record.status != "finished":
        return None
    split = load_split(folder)
    metrics, scenarios = measure(split), by_scenario(split)
    old = record.metrics | of_scenarios(record.scenarios)
    new = metrics | of_scenarios(scenarios)
    changed = {
        name: (old.get(name), new.get(name)) for name in {**old, **new} if not _same(old.get(name), new.get(name))
    }
    if not changed:
        return Rescored(folder, record, {})
    note = f"metrics computed again with vadbench {vadbench.__version__}"
    ours = [*filter(None, [event_threshold(split).remark, coarse_remark(metrics)]), note]
    notes = [*(n for n in record.notes if n not in ours), *ours]
    measured = {"metrics": metrics, "scenarios": scenarios, "notes": notes, "threshold": split.threshold}
    record = record.model_copy(update=measured)
    training = training_folder(folder)
    with locked(training, f"run {training.name}"):
        remove_unfinished(training)
        write_record(folder, record)
    return Rescored(folder, record, changed)


def _same(old: MetricValue | None, new: MetricValue | None) -> bool:
    if old is None or new is None:
        return old is new
    pairs = ((old.value, new.value), (old.low, new.low), (old.high, new.high))
    return old.reason == new.reason and all(
        x == y or (x is not None and y is not None and abs(x - y) <= TOLERANCE) for x, y in pairs
    )
