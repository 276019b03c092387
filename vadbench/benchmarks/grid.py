"""Run the cells of a benchmark, each once, even if several processes share the folder or a benchmark is restarted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from vadbench.base.device_failures import device_errors, release_memory
from vadbench.base.errors import (
    DeviceFailedError,
    MisfitError,
    RunError,
    StoppedError,
    StorageError,
    VadbenchError,
    one_line,
)
from vadbench.base.files import locked
from vadbench.base.types import Progress, silent
from vadbench.benchmarks.availability import in_words_of_bench
from vadbench.benchmarks.engines import Engine, LastResult, LostTask
from vadbench.benchmarks.parser import assignments, protocol_changes
from vadbench.benchmarks.schema import Cell
from vadbench.benchmarks.site import Site
from vadbench.benchmarks.staleness import inputs_here, settings_of, today
from vadbench.benchmarks.state import CellState, CellStatus, finished, training_of, usable
from vadbench.plugins.registry import Registry
from vadbench.records.folders import Outcome, read_record, read_records

if TYPE_CHECKING:
    from vadbench.harness.experiment import Experiment
    from vadbench.harness.request import Request

CLAIMS = ".cells"
"""Folder under ``--out`` with a lock for each cell."""


@dataclass(frozen=True)
class CellTask:
    """Cell to run; with ``wait``, wait for a cell that another process is running."""

    cell: Cell
    wait: bool = False


@dataclass(frozen=True)
class CellOutcome:
    """Result of a task: the folder of the finished run, or the reason why there is none.

    ``impossible`` means that the method cannot run on the data set, which is no failure, and ``stopped`` that it
    stopped the run, which is still to do.
    """

    status: Literal["done", "failed", "impossible", "stopped", "busy", "storage"]
    folder: Path | None = None
    reused: bool = False
    reason: str = ""


_UNDONE: Mapping[str, CellStatus] = {"impossible": "impossible", "stopped": "to do"}
"""States of cells that were not done and did not fail, by the result of their task."""


class Watch(Protocol):
    """Observer of a running benchmark."""

    def started(self, cell: Cell) -> None:
        """Handle the start of a cell by a worker."""

    def ended(self, state: CellState) -> None:
        """Handle a cell that is done, has failed, was stopped or turned out to be impossible."""


def run_cells(
    states: Sequence[CellState], site: Site, engine: Engine, watch: Watch, progress: Progress
) -> list[CellState]:
    """Run the cells that are to do; a failed cell is recorded and the others continue.

    Args:
        states: states of all cells, from :func:`vadbench.benchmarks.state.look`.
        site: machine and folders to use.
        engine: runs the tasks.
        watch: notified when a cell starts and ends.
        progress: called with the stages of a run that is in this process.

    Returns:
        The states afterwards, in the same order.

    Raises:
        StorageError: results can no longer be written.
    """
    now = {state.cell: state for state in states}
    work = partial(run_cell, site) if progress is silent else partial(run_cell, site, progress=progress)
    busy: list[Cell] = []

    def end(cell: Cell, state: CellState) -> None:
        now[cell] = state
        watch.ended(state)

    def ended(task: CellTask, result: CellOutcome | LostTask) -> None:
        if isinstance(result, LostTask) and result.engine:
            now[task.cell] = CellState(task.cell, "to do", result.reason)
        elif isinstance(result, LostTask):
            end(task.cell, CellState(task.cell, "failed", result.reason))
        elif result.status == "storage":
            raise StorageError(result.reason)
        elif result.status == "busy":
            busy.append(task.cell)
        elif result.folder is None:
            end(task.cell, CellState(task.cell, _UNDONE.get(result.status, "failed"), result.reason))
        else:
            outcome = Outcome(result.folder, read_record(result.folder), result.reused)
            end(task.cell, CellState(task.cell, "done", outcome=outcome))

    to_do = [state.cell for state in states if state.state == "to do"]
    failed_before = {state.cell for state in states if state.reason}
    for trains in (True, False):
        ready = []
        for cell in (c for c in to_do if (c.training == c) is trains):
            training = now.get(cell.training)
            if not trains and (training is None or training.state != "done"):
                reason = f"not trained on {cell.trained_on}" + (f": {training.reason}" if training else "")
                undone = training.state if training is not None and training.state in _UNDONE.values() else "failed"
                end(cell, CellState(cell, undone, reason))
            else:
                ready.append(cell)
        # What failed before comes last: where it breaks the GPU again, the others have had their turn.
        first, last = ([CellTask(c) for c in ready if (c in failed_before) is before] for before in (False, True))
        engine.run_all([*_groups(first), *_groups(last)], work, lambda task: watch.started(task.cell), ended)
        # Another process runs these: once their locks are free, they are done or it gave up.
        waiting, busy[:] = [CellTask(c, wait=True) for c in busy], []
        engine.run_all(_groups(waiting), work, lambda task: watch.started(task.cell), ended)
    return [now[state.cell] for state in states]


def run_cell(site: Site, task: CellTask, progress: Progress = silent) -> CellOutcome | LastResult[CellOutcome]:
    """Run a cell unless it is done by now or another process is running it.

    Returns:
        What became of it: as a last result where the GPU failed, so that this process can run no other cell.
    """
    try:
        outcome = _run_cell(site, task, progress)
    except DeviceFailedError as error:
        reason = one_line(error)
        return LastResult(CellOutcome("failed", reason=reason), reason)
    release_memory()
    return outcome


def _run_cell(site: Site, task: CellTask, progress: Progress) -> CellOutcome:
    cell = task.cell
    try:
        with ExitStack() as held:
            try:
                held.enter_context(locked(site.out / CLAIMS / cell.id, cell.label, task.wait, progress))
            except RunError:
                return CellOutcome("busy")
            with device_errors("run fewer jobs at a time"):
                return _run(site, cell, progress)
    except DeviceFailedError:
        raise
    except StorageError as error:
        return CellOutcome("storage", reason=str(error))
    except StoppedError as error:
        return CellOutcome("stopped", reason=in_words_of_bench(one_line(error), cell.dataset))
    except MisfitError as error:
        return CellOutcome("impossible", reason=in_words_of_bench(one_line(error), cell.dataset))
    except VadbenchError as error:
        return CellOutcome("failed", reason=in_words_of_bench(one_line(error), cell.dataset))
    except Exception as error:
        return CellOutcome(
            "failed", reason=f"{type(error).__name__}: {error} (vadbench run -m {cell.method} --debug shows where)"
        )


def _groups(tasks: Sequence[CellTask]) -> list[list[CellTask]]:
    groups: dict[Cell, list[CellTask]] = {}
    for task in tasks:
        groups.setdefault(task.cell.group, []).append(task)
    return list(groups.values())


def _run(site: Site, cell: Cell, progress: Progress) -> CellOutcome:
    from vadbench.harness.run import run

    registry = _registry(site.plugins)
    runs = usable(site, read_records(site.out, cell.trained_on, cell.method)[0])
    now = partial(today, registry=registry, inputs=partial(inputs_here, site, registry))
    training, runs_of_cell = training_of(cell, runs, now)
    if there := finished(cell, now(cell), runs_of_cell):
        return CellOutcome("done", there.folder, reused=True)
    if cell.training == cell:
        experiment = _experiment(site, cell.group, progress)  # type: ignore[arg-type]  # a function has a hash
        outcome = run(experiment, cell.seed, progress, label=cell.name or None)
    else:
        from vadbench.harness.experiment import open_experiment

        if training is None:
            raise RunError(f"no finished training of '{cell.training.label}' under {site.out}; run it first")
        request = _request(site, cell, registry, training.folder)
        experiment = open_experiment(request, registry, progress)
        outcome = run(experiment, cell.seed, progress, label=cell.name or None)
    return CellOutcome("done", outcome.folder, outcome.reused)


@lru_cache(maxsize=1)
def _registry(plugins: tuple[Path, ...]) -> Registry:
    return Registry(files=plugins)


# The seeds of one experiment run in a row and share it: opening it reads the CLIP and checks the features.
@lru_cache(maxsize=1)
def _experiment(site: Site, group: Cell, progress: Progress) -> Experiment:
    from vadbench.harness.experiment import open_experiment

    registry = _registry(site.plugins)
    return open_experiment(_request(site, group, registry), registry, progress)


def _request(site: Site, cell: Cell, registry: Registry, training: Path | None = None) -> Request:
    """Return the equivalent ``vadbench run``: a training, or the evaluation of one on another data set."""
    from vadbench.clip import SMALL
    from vadbench.harness.request import Request

    rules = protocol_changes(cell.settings)
    # Features of a data set are given to the methods that read some.
    wanted = settings_of(cell, registry).needs().streams
    return Request(
        method=None if training else cell.method,
        dataset=cell.dataset,
        assignments=() if training else assignments(cell.settings),
        protocol_name=cell.protocol,
        crop=rules.get("crop"),
        subset=rules.get("subset"),
        # The weights to evaluate were selected when they were trained.
        selection=None if training else rules.get("selection"),
        post=rules.get("post"),
        partition=rules.get("partition"),
        truth=rules.get("truth"),
        data_root=dict(site.data_roots).get(cell.dataset),
        features=dict(site.features).get(cell.dataset) if wanted else None,
        streams=site.streams_of(cell.dataset, wanted),
        features_layout=dict(site.layouts).get(cell.dataset) if wanted else None,
        allow_incomplete=site.allow_incomplete,
        # The default of a benchmark names no CLIP: features may then be of any encoder, as in a run.
        clip_model=None if (cell.clip, cell.clip_weights) == (SMALL, "") else cell.clip or None,
        clip_weights=cell.clip_weights or None,
        device=site.device,
        out=site.out,
        trained=str(training) if training else None,
    )
