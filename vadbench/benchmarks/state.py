"""State of a benchmark's cells on this machine: done, to do, impossible or failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Literal

from vadbench.base.errors import UnknownNameError, VadbenchError
from vadbench.base.files import locked
from vadbench.base.needs import CLIP_STREAM, StreamFacts
from vadbench.benchmarks.availability import DataHere, clip_absence, data_here, in_words_of_bench, weights_digest
from vadbench.benchmarks.parser import protocol_changes
from vadbench.benchmarks.schema import Benchmark, Cell
from vadbench.benchmarks.site import Site
from vadbench.benchmarks.staleness import Today, inputs_here, today
from vadbench.harness.fitness import misfit
from vadbench.plugins.registry import Registry
from vadbench.records.folders import Outcome, relabel, training_folder
from vadbench.records.record import INCOMPLETE

if TYPE_CHECKING:
    pass

CellStatus = Literal["done", "to do", "impossible", "failed"]


@dataclass(frozen=True)
class CellState:
    """State of a cell.

    ``reason`` says why it failed or is impossible, or why an earlier attempt at a cell that is to do failed.
    ``outcome`` is set if it is done.
    """

    cell: Cell
    state: CellStatus
    reason: str = ""
    outcome: Outcome | None = None


def with_trainings(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells, each that is trained on another data set preceded by the cell that trains it."""
    asked = {cell: cell for cell in cells}
    return list(dict.fromkeys(asked.get(c, c) for cell in asked for c in (cell.training, cell)))


def labelled(states: Iterable[CellState]) -> list[CellState]:
    """Give the runs of cells that are done the names that their rows have by now, and return the states with them.

    Raises:
        RunError: another process is using such a run.
        StorageError: its record cannot be written.
    """
    found = []
    for state in states:
        run = state.outcome
        if run is not None and state.cell.name not in ("", run.record.label):
            training = training_folder(run.folder)
            with locked(training, f"run {training.name}"):
                record = relabel(run.folder, run.record, state.cell.name)
            state = replace(state, outcome=replace(run, record=record))
        found.append(state)
    return found


def chosen(benchmark: Benchmark, only: Sequence[str]) -> list[Cell]:
    """Return the cells of the named tables, methods and data sets; a cell must match every kind that is named.

    Args:
        benchmark: the benchmark, all of whose cells are returned if ``only`` is empty.
        only: names; a name of several kinds is taken as a table first, then as a method.

    Raises:
        UnknownNameError: the benchmark has nothing of this name.
    """
    everything = benchmark.cells()
    tables = {table.id for table in benchmark.tables}
    kinds: dict[str, set[str]] = {
        "tables": tables,
        "methods": {cell.method for cell in everything},
        "data sets": {cell.dataset for cell in everything},
    }
    wanted: dict[str, set[str]] = {}
    for name in only:
        kind = next((k for k, names in kinds.items() if name in names), None)
        if kind is None:
            raise UnknownNameError("table, method or data set of the benchmark", name, set.union(*kinds.values()))
        wanted.setdefault(kind, set()).add(name)
    kept = [t for t in benchmark.tables if t.id in wanted.get("tables", tables)]
    return [
        cell
        for cell in benchmark.model_copy(update={"tables": kept}).cells()
        if cell.method in wanted.get("methods", {cell.method})
        and cell.dataset in wanted.get("data sets", {cell.dataset})
    ]


def finished(cell: Cell, now: Today | None, runs: Iterable[Outcome]) -> Outcome | None:
    """Return the newest finished run of a cell, ``None`` without one.

    Args:
        cell: the requested cell.
        now: what a run would use now; ``None`` if that is unknown, which accepts any run.
        runs: the finished runs.
    """
    found = [r for r in _made(cell, now, runs) if r.record.status == "finished"]
    return max(found, key=lambda r: r.record.created, default=None)


def training_of(
    cell: Cell, runs: Sequence[Outcome], now: Callable[[Cell], Today | None]
) -> tuple[Outcome | None, Sequence[Outcome]]:
    """Return the finished training that a cell evaluates, and the runs that may be the cell's own.

    An evaluation only counts with its training: if that is stale or absent, no run counts.

    Args:
        cell: the requested cell; one that trains has no other training, and any of the runs may be its own.
        runs: the finished runs.
        now: returns for a cell the ``now`` of :func:`finished`.
    """
    if cell.training == cell:
        return None, runs
    training = finished(cell.training, now(cell.training), runs)
    return training, [r for r in runs if training is not None and r.record.key == training.record.key]


def usable(site: Site, runs: Iterable[Outcome]) -> list[Outcome]:
    """Return the runs that may count as done; runs on incomplete data only if the site allows them."""
    return [r for r in runs if site.allow_incomplete or not any(note.startswith(INCOMPLETE) for note in r.record.notes)]


def look(cells: Sequence[Cell], site: Site, registry: Registry, runs: Sequence[Outcome]) -> list[CellState]:
    """Return the state of each cell, without running anything.

    No features are extracted, and a CLIP is only looked for if the data of a cell to do are available.

    Args:
        cells: cells of the benchmark, with the trainings they need.
        site: machine and folders to use.
        registry: the plugins.
        runs: the records under ``site.out``.
    """
    roots = dict(site.data_roots)
    known: dict[tuple[str, str], list[Outcome]] = {}
    for run in usable(site, runs):
        known.setdefault((run.record.trained_on, run.record.method), []).append(run)

    inputs = cache(partial(inputs_here, site, registry))

    @cache
    def now(group: Cell) -> tuple[Today | None, str]:
        try:
            return today(group, registry, inputs), ""
        except VadbenchError as error:
            return None, str(error)

    @cache
    def data(dataset: str, partition: str, truth: str) -> DataHere:
        return data_here(dataset, registry, roots.get(dataset), partition, truth, site.allow_incomplete)

    def data_of(cell: Cell) -> DataHere:
        rules = protocol_changes(cell.settings)
        return data(cell.dataset, rules.get("partition", ""), rules.get("truth", ""))

    @cache
    def unfit(group: Cell, trained: bool) -> str:
        facts, (here, _) = data_of(group).facts, now(group)
        if facts is None or here is None or here.config is None:
            return ""  # the reason is what is absent
        wanted, name = here.config.needs().streams, group.dataset
        given = {CLIP_STREAM, *site.streams_of(name, wanted), *(wanted[:1] if name in dict(site.features) else ())}
        facts = replace(facts, streams={stream: StreamFacts() for stream in sorted(given)})
        return in_words_of_bench(misfit(here.config, facts, trained), name)

    clip_absent = cache(clip_absence)

    def state(cell: Cell) -> CellState:
        here, broken = now(cell.group)
        of_method = known.get((cell.trained_on, cell.method), [])
        trained, runs_of_cell = training_of(cell, of_method, lambda training: now(training.group)[0])
        if run := finished(cell, here, runs_of_cell):
            return CellState(cell, "done", outcome=run)
        # Evaluating a training needs its weights, not the data that it was trained on.
        needed = [cell] if trained else [cell.training, cell]
        missing = (
            broken
            or ("" if trained else unfit(cell.training.group, False))
            or unfit(cell.group, cell.training != cell)
            or next(filter(None, (data_of(c).absent for c in needed)), "")
            or (clip_absent(cell.clip, cell.clip_weights) if here and here.reads_features else "")
        )
        if missing:
            return CellState(cell, "impossible", missing)
        failed = max(_made(cell, here, runs_of_cell), key=lambda r: r.record.created, default=None)
        reason = failed.record.error or "" if failed else ""
        return CellState(cell, "to do", in_words_of_bench(reason, cell.dataset))

    return [state(cell) for cell in cells]


def edited_since(states: Iterable[CellState], registry: Registry) -> list[str]:
    """Return a line for each method whose files changed since its finished cells were made, its version unchanged."""
    digests: dict[str, set[str]] = {}
    for state in states:
        if state.outcome is not None and (code := state.outcome.record.code.get("method")) is not None:
            digests.setdefault(state.cell.method, set()).add(code.digest)
    notes = []
    for method, found in digests.items():
        try:
            edited = found != {registry.provenance("method", method).digest}
        except VadbenchError:
            continue  # the reason is reported by the state of its cells
        if edited:
            notes.append(
                f"some finished cells of {method} were made before its files changed; vadbench run --again renews one"
            )
    return notes


def _made(cell: Cell, now: Today | None, runs: Iterable[Outcome]) -> list[Outcome]:
    return [
        r
        for r in runs
        if (now is None or now.made(r.record))
        and cell.matches(r.record)
        and (not r.record.clip or weights_digest(cell) in ("", r.record.clip.get("sha256")))
        # A benchmark is about training; imported weights of the authors do not count as a seed.
        and not any(n.startswith("weights imported") for n in r.record.notes)
    ]
