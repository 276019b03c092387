"""``vadbench leaderboard``: rank the finished runs, in groups of comparable runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note
from vadbench.cli.table import format_option, output_option, put, write

if TYPE_CHECKING:
    from vadbench.tables.formats import TableFormat


@click.command("leaderboard", short_help="Rank the finished runs that may be compared.")
@click.option("-d", "--dataset", help="Only this data set.")
@click.option(
    "--method", "-m", "methods", multiple=True, metavar="NAME[,NAME...]", help="Only this method; may be repeated."
)
@click.option("--metric", help="Rank by this metric, such as AP or AUC[Abuse].  [default: the data set's, AUC or AP]")
@click.option(
    "--columns", type=click.Choice(["cost"]), help="Columns to add: cost, what each method and its features take."
)
@click.option("--with-recorded", is_flag=True, help="Rank recorded scores (vadbench import-scores) beside runs.")
@click.option(
    "--supervision",
    "supervisions",
    multiple=True,
    metavar="KIND[,KIND...]",
    help="Only methods that learn from this: weak, one-class, training-free or oracle; may be repeated.",
)
@format_option
@options.out
@output_option
@options.plugin
@options.as_json
def command(
    dataset: str | None,
    methods: tuple[str, ...],
    metric: str | None,
    columns: str | None,
    with_recorded: bool,
    supervisions: tuple[str, ...],
    format_: TableFormat,
    out: Path,
    output: Path | None,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Rank the finished runs under --out, seeds of one experiment combined.

    There is a table for every group of runs that may be compared: the same data set, training data, rules of evaluation
    and encoder. Runs of different groups are never ranked against each other, and the heading says what a group has in
    common. Best is bold, second underlined; ≈ marks runs that the test videos cannot distinguish from the best. Runs
    are not marked if fewer than five test videos have anomalous frames, nor by FAR, which ranks nothing. Weakly
    supervised, one-class and training-free methods are ranked together, which a column tells apart; oracles, which are
    handed the ground truth, have tables of their own and no rank.

    \b
      vadbench leaderboard
      vadbench leaderboard -d ucfcrime --metric AP
      vadbench leaderboard --supervision one-class,training-free
      vadbench leaderboard --method vadclip,anomalyclip
      vadbench leaderboard --columns cost
      vadbench leaderboard --format md --output leaderboard.md
      vadbench leaderboard --format html --output leaderboard.html

    The HTML is a page that sorts, searches and filters; it also shows published figures, in separate tables, with the
    supervision that their papers state: some are of kinds that no method here is, and none is compared with a run.
    """
    from vadbench.plugins.registry import Registry
    from vadbench.tables.ranked_runs import rank

    supervision = _named(supervisions)
    with shown_progress() as progress:
        tables, problems = rank(
            out,
            Registry(files=plugin_files),
            dataset,
            metric,
            costs=columns == "cost",
            with_recorded=with_recorded,
            supervision=supervision,
            methods=_named(methods),
            progress=progress,
        )
    for problem in problems:
        note(f"note: {problem}")
    if format_ == "html" and not as_json:
        from vadbench.records.published import published_numbers
        from vadbench.report.board import leaderboard_page

        numbers = [n for n in published_numbers() if dataset in (None, n.dataset)]
        shown = [n for n in numbers if not supervision or n.supervision in supervision]
        put(leaderboard_page(tables, shown), output)
    else:
        write(tables, "json" if as_json else format_, output)


def _named(given: Sequence[str]) -> list[str]:
    """Return the names in values of an option, each of which may have several with commas between them."""
    return list(dict.fromkeys(name.strip() for text in given for name in text.split(",")))
