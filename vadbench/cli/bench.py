"""``vadbench bench``: run the grid of a benchmark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import ConfigError, TrackingError, UnknownNameError, last_line
from vadbench.base.locations import SWITCH_VARIABLE, tracks
from vadbench.cli import options
from vadbench.cli.bench_display import as_plain, counted, display, print_reasons, print_states
from vadbench.cli.output import note, print_json

if TYPE_CHECKING:
    from vadbench.benchmarks.engines import Engine
    from vadbench.benchmarks.schema import Benchmark
    from vadbench.benchmarks.site import Site
    from vadbench.benchmarks.state import CellState
    from vadbench.plugins.registry import Registry


@click.command("bench", short_help="Run the grid of a benchmark.")
@click.argument("name", metavar="NAME|FILE.toml")
@click.option("--dry-run", is_flag=True, help="Show what is done, to do and impossible here, without running anything.")
@click.option(
    "--only",
    multiple=True,
    metavar="TABLE|METHOD|DATASET",
    help="Run a part: a table by its id, a method or a data set. May be repeated: several of one kind add up, several"
    " kinds must all hold.",
)
@click.option("--seeds", callback=options.parse_seeds, help="Seeds: 0, 0-2 or 0,3,5.  [default: the benchmark's]")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Worker processes of the local engine; each has one GPU, which several share where there are more jobs than"
    " GPUs, and its share of the cores.",
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Engine for the cells."
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
    metavar="NAME[.STREAM]=DIR",
    help="Features of a data set to use instead of extracting them, or those of one of its streams, as"
    " ucfcrime.audio=DIR; may be repeated.",
)
@click.option(
    "--features-layout",
    "layouts",
    multiple=True,
    metavar="NAME=LAYOUT",
    help=f"Layout of these files: {', '.join(options.LAYOUTS.choices)}; may be repeated.  [default: detected]",
)
@options.allow_incomplete
@options.device
@options.out
@options.no_mlflow
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
    no_mlflow: bool,
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

    Finished cells are not run again: after a stop, the same command continues from there, and two processes with one
    --out share the work. A cell that fails is recorded and the others continue. vadbench list benchmarks lists all
    benchmarks; vadbench table makes their tables from finished cells. Results are logged to MLflow as by vadbench run.

    \b
    Exit status: 0 if all cells are done except those impossible here (data or weights absent, with what to do);
    1 if a cell failed; 2 if no cell could be started.
    """
    from vadbench.benchmarks.parser import open_benchmark
    from vadbench.benchmarks.site import Site
    from vadbench.benchmarks.state import chosen, edited_since, labelled, look, with_trainings
    from vadbench.plugins.registry import Registry
    from vadbench.records.folders import read_records

    _refuse_environment()
    tracks()  # a value that is neither on nor off is refused before anything is run
    runner = _engine(engine, jobs, address, device)
    registry = Registry(files=plugin_files)
    benchmark = open_benchmark(name, registry, check_settings=True)
    streams = [text for text in features if _stream(text, registry)]
    features = tuple(text for text in features if text not in streams)
    site = Site(
        out.resolve(),
        device,
        _folders("--data-root", data_roots, registry),
        _folders("--features", features, registry),
        _layouts(layouts, features, registry),
        allow_incomplete,
        tuple(f.resolve() for f in plugin_files),
        _stream_folders(streams, registry),
    )
    grid = benchmark.model_copy(update={"seeds": seeds or benchmark.seeds})
    cells = with_trainings(chosen(grid, only))
    runs, problems = read_records(site.out)
    for problem in problems:
        note(f"note: {problem}")
    states = look(cells, site, registry, runs)
    for text in edited_since(states, registry):
        note(f"note: {text}")
    title = f"{benchmark.title}: {counted(states)}"
    if dry_run:
        if as_json:
            print_json(as_plain(name, states))
        else:
            click.echo(f"{title}\n")
            print_states(states)
            print_reasons(states)
        return 0
    note(title)
    if engine == "local" and (crowded := _crowding(jobs, device, states)):
        note(f"note: {crowded}")
    log = _Log(name, benchmark, site.out, "--no-mlflow" if no_mlflow else "")
    states, logged = _run(labelled(states), site, runner, log, jobs == 1 and engine == "local")
    if reasons := list(dict.fromkeys(last_line(s.reason) for s in states if s.state == "to do")):
        note(f"vadbench: {reasons[0]}: {counted(states)}; the same command does what is left")
    if as_json:
        note(logged)
        print_json(as_plain(name, states))
    else:
        print_states(states)
        print_reasons(states)
        click.echo(f"\n{logged}")
    return int(any(s.state in ("failed", "to do") for s in states))


def _run(
    states: Sequence[CellState], site: Site, engine: Engine, log: _Log, in_process: bool
) -> tuple[list[CellState], str]:
    """Run the cells that are to do, and return the states afterwards and a sentence on what was logged."""
    from vadbench.base.files import make_folder
    from vadbench.base.types import silent
    from vadbench.benchmarks.grid import run_cells

    make_folder(site.out)
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
    """Logger of finished cells to MLflow, in this process alone, so that workers need not reach MLflow."""

    def __init__(self, name: str, benchmark: Benchmark, out: Path, off: str) -> None:
        self._of = (Path(name).stem, benchmark, out)
        off = off or ("" if tracks() else f"{SWITCH_VARIABLE} is off")
        self._away = bool(off)
        self.said = f"not logged to MLflow: {off}" if off else "nothing to log"

    def add(self, states: Sequence[CellState]) -> None:
        """Log finished cells; once MLflow cannot be reached, stop trying."""
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
            self.said = f"not logged ({error}); the same command logs finished cells once MLflow is available"


def _engine(engine: str, jobs: int, address: str | None, device: str) -> Engine:
    if engine == "ray":
        from vadbench.benchmarks.engines.ray import RayEngine

        if jobs != 1:
            raise ConfigError("--jobs is for --engine local; a Ray cluster has its own size")
        return RayEngine(address, device)
    if address is not None:
        raise ConfigError("--address is the address of a Ray cluster; add --engine ray")
    from vadbench.benchmarks.engines.local import LocalEngine

    return LocalEngine(jobs, device)


def _crowding(jobs: int, device: str, states: Sequence[CellState]) -> str:
    from vadbench.benchmarks.engines.local import crowding

    return crowding(jobs, device, sum(s.state == "to do" for s in states))


def _refuse_environment() -> None:
    from vadbench.base.config import ENVIRONMENT_PREFIX

    if layered := [n for n in sorted(os.environ) if n.startswith(ENVIRONMENT_PREFIX)]:
        raise ConfigError(f"a benchmark runs with the settings of its file; unset {', '.join(layered)}")


def _folders(option: str, given: Sequence[str], registry: Registry) -> tuple[tuple[str, Path], ...]:
    """Return folders by the name of a data set."""
    found = {name: Path(folder).resolve() for name, folder in _by_dataset(option, "DIR", given, registry).items()}
    for name, folder in found.items():
        if not folder.is_dir():
            raise ConfigError(f"{option} {name}={folder}: no such folder; expected the folder of {name}")
    return tuple(sorted(found.items()))


def _stream(text: str, registry: Registry) -> str:
    """Return the name of the stream in ``--features NAME.STREAM=DIR``; empty where a data set alone is named."""
    name = text.partition("=")[0]
    return "" if name in registry.specs("dataset") else name.rpartition(".")[2] if "." in name else ""


def _stream_folders(given: Sequence[str], registry: Registry) -> tuple[tuple[str, str, Path], ...]:
    """Return folders of streams, each with the names of its data set and of itself."""
    found = []
    for text in given:
        name, _, folder = text.partition("=")
        dataset, _, stream = name.rpartition(".")
        ((_, place),) = _folders("--features", [f"{dataset}={folder}"], registry)
        found.append((dataset, stream, place))
    return tuple(sorted(found))


def _layouts(given: Sequence[str], features: Sequence[str], registry: Registry) -> tuple[tuple[str, Any], ...]:
    """Return layouts of given features by data set."""
    option = "--features-layout"
    found = _by_dataset(option, "LAYOUT", given, registry)
    for name, layout in found.items():
        if layout not in options.LAYOUTS.choices:
            raise UnknownNameError("layout of features", layout, options.LAYOUTS.choices)
        if not any(text.startswith(f"{name}=") for text in features):
            raise ConfigError(
                f"{option} {name}={layout} is the layout of the files in --features {name}=DIR; give both"
            )
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
