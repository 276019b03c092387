"""``vadbench table``: print a paper's table with published and reproduced numbers side by side."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.errors import UnknownNameError
from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note, results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vadbench.tables.formats import TableFormat
    from vadbench.tables.table import Table

FORMATS = ("text", "md", "latex", "html", "csv", "json")
SUFFIX = ".toml"

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Text for a terminal, GitHub's Markdown, LaTeX with booktabs, HTML (a fragment; for leaderboards a page), csv"
    " (a line for every place, fractions, grouped by the columns table and group) or JSON.",
)
output_option = click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead of printing."
)


@click.command("table", short_help="Print a benchmark's tables, published and reproduced.")
@click.argument("name")
@format_option
@options.out
@output_option
@options.plugin
@options.as_json
def command(
    name: str, format_: TableFormat, out: Path, output: Path | None, plugin_files: tuple[Path, ...], as_json: bool
) -> None:
    """Print a table of a benchmark, or all of them, from the finished runs.

    NAME is a benchmark, alone or with a table's id. Published numbers are next to reproduced ones with the gap in
    points and, if the paper measured the number itself, a verdict: whether it is within the 95 % interval of the mean
    over seeds. Runs under other rules are shown and marked. Without any run only published numbers are shown, and the
    last line says what to run.

    \b
      vadbench table anomalyclip/2
      vadbench table quick/synthetic --format md
      vadbench table vadclip --format latex --output vadclip.tex
      vadbench table mine.toml/1
    """
    from vadbench.benchmarks.parser import open_benchmark
    from vadbench.plugins.registry import Registry
    from vadbench.tables.evaluations import collect
    from vadbench.tables.paper import paper_tables

    benchmark_name, table_id = split_name(name)
    benchmark = open_benchmark(benchmark_name, Registry(files=plugin_files))
    ids = [table.id for table in benchmark.tables]
    if table_id is not None and table_id not in ids:
        raise UnknownNameError(f"table of {benchmark_name}", table_id, ids)
    chosen = [table for table in benchmark.tables if table_id in (None, table.id)]
    evaluations, problems = collect(out)
    with shown_progress() as progress:
        tables, lost = paper_tables(benchmark, benchmark_name, chosen, evaluations, out, progress)
    for problem in (*problems, *lost):
        note(f"note: {problem}")
    write(tables, "json" if as_json else format_, output)


def split_name(name: str) -> tuple[str, str | None]:
    """Split a name into a benchmark, or the file of one, and a table's id, if given.

    >>> split_name("anomalyclip/D.16"), split_name("dir/mine.toml"), split_name("dir/mine.toml/1")
    (('anomalyclip', 'D.16'), ('dir/mine.toml', None), ('dir/mine.toml', '1'))
    """
    file, suffix, rest = name.partition(f"{SUFFIX}/")
    if suffix:
        return file + SUFFIX, rest or None
    if name.endswith(SUFFIX):
        return name, None
    benchmark, _, table = name.partition("/")
    return benchmark, table or None


def write(tables: Sequence[Table], format_: TableFormat, output: Path | None) -> None:
    """Print tables, styled if the output is a terminal, or write them to a file."""
    from vadbench.tables.formats import WIDTH, render

    terminal = output is None and sys.stdout.isatty()
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    put(render(tables, format_, width=width, styled=terminal), output)


def put(text: str, output: Path | None) -> None:
    """Print a text that ends with a line break, or write it to a file."""
    from vadbench.base.files import write_text

    if output is None:
        click.echo(text, nl=False, file=results())
    else:
        write_text(output, text)
        note(f"wrote {output}")
