"""``vadbench new``: start a new method, data set or benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from vadbench.base.errors import ConfigError
from vadbench.cli import options
from vadbench.cli.output import print_json

if TYPE_CHECKING:
    from vadbench.scaffold import MethodKind, ScaffoldKind


@click.command("new", short_help="Start your own method, data set or benchmark.")
@click.argument("what", type=click.Choice(["method", "dataset", "benchmark"]))
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["trained", "training-free", "two-streams", "frames", "one-class", "two-stage"]),
    help="Kind of the method to start from.  [default: trained]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("."),
    show_default=True,
    help="Folder for the package's folder, or for the file.",
)
@options.as_json
def command(what: str, name: str, kind: str | None, out: Path, as_json: bool) -> None:
    """Write a small package with a working method or data set, or the file of a benchmark, as a start for your own.

    \b
      vadbench new method two-stage
      cd vadbench-two-stage
      python -m pip install -e '.[test]'
      vadbench run --method two-stage --dataset synthetic
    \b
      vadbench new method hearing --kind two-streams
    \b
      vadbench new dataset warehouse --out plugins
    \b
      vadbench new benchmark ablations
      vadbench bench ablations.toml --dry-run

    The package has tests, which run vadbench's checks, and is found by vadbench once it is installed. The method is a
    classifier after a convolution over time or, with --kind, another one (docs/kinds-of-methods.md); the data set is a
    folder of videos and a csv file of segments. CHANGE marks where to start. docs/adding-a-method.md and
    docs/adding-a-dataset.md continue from there. A benchmark is one TOML file, ablations.toml, which runs as it is and
    explains its entries (docs/benchmarks.md).

    With --json the report is an object with: folder and files.
    """
    from vadbench.plugins.registry import installed
    from vadbench.scaffold import write_benchmark, write_package

    if kind is not None and what != "method":
        raise ConfigError("--kind is of a method; leave it out")
    if what == "benchmark":
        path = write_benchmark(name, out, installed())
        if as_json:
            print_json({"folder": str(out), "files": [path.name]})
        else:
            click.echo(f"{path}\n\nnext: vadbench bench {path} --dry-run")
        return
    chosen = cast("MethodKind", kind or "trained")
    folder = write_package(cast("ScaffoldKind", what), name, out, installed(), chosen)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    if as_json:
        print_json({"folder": str(folder), "files": files})
        return
    click.echo(f"{folder}:")
    for file in files:
        click.echo(f"  {file}")
    install = f"\nnext: cd {folder} && python -m pip install -e '.[test]'"
    if what == "dataset":
        click.echo(f"{install} && python -m pytest")
        click.echo(
            f"which checks a small copy that it makes itself; on yours: vadbench check {what} {name} --data-root DIR"
        )
    else:
        click.echo(f"{install} && vadbench check {what} {name}")
