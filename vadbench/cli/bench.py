"""``vadbench bench``: run the grid of a benchmark."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import ConfigError, TrackingError, UnknownNameError, last_line, listed
from vadbench.base.locations import SWITCH_VARIABLE, tracks
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table, printable
from vadbench.cli.run import parse_seeds

if TYPE_CHECKING:
    from vadbench.benchmarks.engines import Engine
    from vadbench.benchmarks.schema import Benchmark, Cell, Site
    from vadbench.benchmarks.state import CellState
    from vadbench.plugins.registry import Registry

WIDEST = 60


@click.command("bench", short_help="Run the grid of a benchmark.")
@click.argument("name", metavar="NAME|FILE.toml")
@click.option("--dry-run", is_flag=True, help="Show what is done, to do and impossible here, and run nothing.")
@click.option(
    "--only",
    multiple=True,
    metavar="TABLE|METHOD|DATASET",
    help="Run a part: a table by its id, a method or a data set. May be repeated: several of one kind add up, several"
    " kinds must all hold.",
)
@click.option("--seeds", callback=parse_seeds, help="Seeds: 0, 0-2 or 0,3,5.  [default: the benchmark's]")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Worker processes of the local engine; each has one GPU, or its share of the cores.",
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="What runs the cells."
)
@click.option("--address", help="Address of a Ray cluster, with --engine ray.  [default: one on this machine]")
@click.option(
    "--data-root",
    "data_roots",
    multiple=True,
    metavar="NAME=DIR",
    help="Folder of a data set's files; may be repeated.",
)
@click.option(
    "--features",
    multiple=True,
    metavar="NAME=DIR",
    help="Features of a data set to use instead of extracting them; may be repeated.",
)
@click.option(
    "--features-layout",
    "layouts",
    multiple=True,
    metavar="NAME=LAYOUT",
    help=f"How they lie there: {', '.join(options.LAYOUTS.choices)}; may be repeated.  [default: found out]",
)
@options.allow_incomplete
@options.device
@options.out
@options.plugin
@options.as_json
def command(
    name: str,
    dry_run: bool,
    only: tuple[str, ...],
    seeds: list[int],
    jobs: int,
    engine: str,
    address: str | None,
    data_roots: tuple[str, ...],
    features: tuple[str, ...],
    layouts: tuple[str, ...],
    allow_incomplete: bool,
    device: str,
    out: Path,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Run the grid of a benchmark: every method, data set and seed that its tables need, each once.

    \b
      vadbench bench quick --dry-run
      vadbench bench quick --only synthetic --only random --only zero-shot --seeds 0
      vadbench bench anomalyclip --only 2 --data-root ucfcrime=UCF-Crime --jobs 4
      vadbench bench anomalyclip --features ucfcrime=Image-Features --features-layout ucfcrime=anomalyclip
      vadbench bench my-benchmark.toml --engine ray --address ray://head:10001

    What is done is not done again: stopped or killed, the same command goes on from there, and two of them on one --out
    share the work. A cell that fails is recorded and the others go on. vadbench list benchmarks names those there are;
    vadbench table draws their tables from what is done. Results are logged to MLflow as those of vadbench run are.

    \b
    Exit status: 0 where all is done but what is impossible here (data or weights absent, said with what to do);
    1 where a cell failed; 2 where nothing could be begun.
    """
    from vadbench.benchmarks.parser import open_benchmark
    from vadbench.benchmarks.schema import Site
    from vadbench.benchmarks.state import edited_since, look, with_trainings
    from vadbench.plugins.registry import Registry
    from vadbench.records.folders import read_records

    _refuse_environment()
    tracks()  # a value that is neither on nor off is refused before anything is run
    chosen = _engine(engine, jobs, address, device)
    registry = Registry(files=plugin_files)
    benchmark = open_benchmark(name, registry, check_settings=True)
    site = Site(
        out.resolve(),
        device,
        _folders("--data-root", data_roots, registry),
        _folders("--features", features, registry),
        _layouts(layouts, features, registry),
        allow_incomplete,
        tuple(f.resolve() for f in plugin_files),
    )
    grid = benchmark.model_copy(update={"seeds": seeds or benchmark.seeds})
    cells = with_trainings(_chosen(grid, only))
    runs, problems = read_records(site.out)
    for problem in problems:
        note(f"note: {problem}")
    states = look(cells, site, registry, runs)
    for text in edited_since(states, registry):
        note(f"note: {text}")
    title = f"{benchmark.title}: {_counted(states)}"
    if dry_run:
        if as_json:
            print_json(_as_json(name, states))
        else:
            click.echo(f"{title}\n")
            _print_states(states)
            _print_reasons(states)
        return 0
    note(title)
    states, logged = _run(name, benchmark, states, site, chosen, jobs == 1 and engine == "local")
    if as_json:
        note(logged)
        print_json(_as_json(name, states))
    else:
        _print_states(states)
        _print_reasons(states)
        click.echo(f"\n{logged}")
    return int(any(s.state == "failed" for s in states))


def _run(
    name: str, benchmark: Benchmark, states: Sequence[CellState], site: Site, engine: Engine, in_process: bool
) -> tuple[list[CellState], str]:
    """Run what is to do; the states afterwards, and a sentence on what was logged."""
    from vadbench.base.files import make_folder
    from vadbench.base.types import silent
    from vadbench.benchmarks.grid import run_cells
    from vadbench.cli.bench_display import display

    make_folder(site.out)
    log = _Log(name, benchmark, site.out)
    log.add([s for s in states if s.state == "done"])
    with display(states) as shown:

        class Watch:
            started = staticmethod(shown.started)

            @staticmethod
            def ended(state: CellState) -> None:
                shown.ended(state)
                if state.state == "done":
                    log.add([state])

        states = run_cells(states, site, engine, Watch(), shown.progress if in_process else silent)
    return states, log.said


class _Log:
    """Logs cells to MLflow as they are done; this process alone does, so that workers need not reach it."""

    def __init__(self, name: str, benchmark: Benchmark, out: Path) -> None:
        self._of = (Path(name).stem, benchmark, out)
        self._away = not tracks()
        self.said = f"not logged to MLflow: {SWITCH_VARIABLE} is off" if self._away else "nothing to log"

    def add(self, states: Sequence[CellState]) -> None:
        """Log cells that are done; once MLflow cannot be reached, no more is tried."""
        from vadbench.tracking.mlflow import log_benchmark, log_runs

        done = [(s.cell, s.outcome) for s in states if s.outcome is not None]
        if self._away or not done:
            return
        try:
            for group in dict.fromkeys(cell.group for cell, _ in done):
                log_runs([outcome for cell, outcome in done if cell.group == group], self._of[2])
            self.said = f"logged to MLflow at {log_benchmark(*self._of, done)}"
        except TrackingError as error:
            self._away = True
            self.said = f"not logged ({error}); the same command logs what is done once MLflow is there"


def _engine(engine: str, jobs: int, address: str | None, device: str) -> Engine:
    if engine == "ray":
        from vadbench.benchmarks.engines.ray import RayEngine

        if jobs != 1:
            raise ConfigError("--jobs is for --engine local; a Ray cluster has its own size")
        return RayEngine(address, device)
    if address is not None:
        raise ConfigError("--address is that of a Ray cluster; add --engine ray")
    from vadbench.benchmarks.engines.local import LocalEngine

    return LocalEngine(jobs, device)


def _refuse_environment() -> None:
    from vadbench.base.config import ENVIRONMENT_PREFIX

    if layered := [n for n in sorted(os.environ) if n.startswith(ENVIRONMENT_PREFIX)]:
        raise ConfigError(f"a benchmark runs with the settings of its file; unset {', '.join(layered)}")


def _folders(option: str, given: Sequence[str], registry: Registry) -> tuple[tuple[str, Path], ...]:
    """Folders by the name of a data set."""
    found = {name: Path(folder).resolve() for name, folder in _by_dataset(option, "DIR", given, registry).items()}
    for name, folder in found.items():
        if not folder.is_dir():
            raise ConfigError(f"{option} {name}={folder}: no such folder; expected that of {name}")
    return tuple(sorted(found.items()))


def _layouts(given: Sequence[str], features: Sequence[str], registry: Registry) -> tuple[tuple[str, Any], ...]:
    """Layouts of given features by data set."""
    option = "--features-layout"
    found = _by_dataset(option, "LAYOUT", given, registry)
    for name, layout in found.items():
        if layout not in options.LAYOUTS.choices:
            raise UnknownNameError("layout of features", layout, options.LAYOUTS.choices)
        if not any(text.startswith(f"{name}=") for text in features):
            raise ConfigError(f"{option} {name}={layout} says how the files in --features {name}=DIR lie; give both")
    return tuple(sorted(found.items()))


def _by_dataset(option: str, what: str, given: Sequence[str], registry: Registry) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not value:
            raise ConfigError(f"{option} expects NAME={what} with the name of a data set, found '{text}'")
        registry.spec("dataset", name)
        found[name] = value
    return found


def _chosen(benchmark: Benchmark, only: Sequence[str]) -> list[Cell]:
    """The cells that ``--only`` leaves; a name of several kinds is first that of a table, then of a method."""
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


def _counted(states: Sequence[CellState]) -> str:
    counts = Counter(s.state for s in states)
    return f"{len(states)} runs, " + ", ".join(
        f"{counts[k]} {k}" for k in ("done", "to do", "failed", "impossible") if counts[k]
    )


def _print_states(states: Sequence[CellState]) -> None:
    """A line for the seeds of one experiment that stand alike."""
    from vadbench.base.naming import written

    lines: dict[tuple[Any, ...], list[str]] = {}
    for state in states:
        cell = state.cell
        changes = " ".join(f"{k}={written(v)}" for k, v in cell.settings)
        trained = "" if cell.trained_on == cell.dataset else f" (trained on {cell.trained_on})"
        key = (f"{cell.method} {changes}".strip(), cell.dataset + trained, cell.protocol, state.state)
        lines.setdefault(key, []).append(str(cell.seed))
    rows = [[m, d, p, ", ".join(seeds), state] for (m, d, p, state), seeds in lines.items()]
    print_table(rows, ["method", "data set", "protocol", "seeds", "state"], widest=WIDEST)


def _print_reasons(states: Sequence[CellState]) -> None:
    """What failed and what is impossible, each reason once."""
    for wanted, said in (("failed", "failed"), ("to do", "failed before"), ("impossible", "impossible here")):
        reasons: dict[str, list[Cell]] = {}
        for state in states:
            if state.state == wanted and state.reason:
                reasons.setdefault(last_line(state.reason), []).append(state.cell)
        for reason, cells in reasons.items():
            click.echo(printable(f"\n{said}: {listed([cell.label for cell in cells], 1)}: {reason}"))


def _as_json(name: str, states: Sequence[CellState]) -> Mapping[str, Any]:
    return {
        "benchmark": name,
        "counts": dict(Counter(s.state for s in states)),
        "cells": [
            {
                "id": s.cell.id,
                "label": s.cell.label,
                "method": s.cell.method,
                "settings": dict(s.cell.settings),
                "dataset": s.cell.dataset,
                "trained_on": s.cell.trained_on,
                "protocol": s.cell.protocol,
                "seed": s.cell.seed,
                "state": s.state,
                "reason": s.reason,
                "folder": str(s.outcome.folder) if s.outcome else None,
                "metrics": {k: v.value for k, v in s.outcome.record.metrics.items()} if s.outcome else {},
            }
            for s in states
        ],
    }
