"""``vadbench report``: write a page about one or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.errors import DataError, PluginError, UnknownNameError
from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note

if TYPE_CHECKING:
    from vadbench.base.types import Progress
    from vadbench.report.page_runs import PageRun
    from vadbench.report.thumbnails import Strip

SCRIPTS = ("base.js", "charts.js", "curves.js", "viewer.js", "place.js", "report.js")


@click.command("report", short_help="Show runs as one HTML page: figures, curves, every video.")
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="File for the page.",
)
@click.option(
    "--thumbnails/--no-thumbnails", default=True, show_default=True, help="Thumbnails if videos are available."
)
@options.data_root
@options.out
@options.plugin
def command(
    runs: tuple[str, ...],
    output: Path,
    thumbnails: bool,
    data_root: Path | None,
    out: Path,
    plugin_files: tuple[Path, ...],
) -> None:
    """Write one HTML page that shows RUNS, on one data set, side by side.

    A run is a run folder, the beginning of its key, its label, or the folder of a method on a data set, which stands
    for its runs of default settings (vadbench compare --help). The page is a single file that needs neither network nor
    vadbench: it can be sent and archived. Only run folders are read; if the videos are found too, the page has a few
    thumbnails of each.

    \b
      vadbench report 1f0c
      vadbench report synthetic/vadclip synthetic/zero-shot --output compared.html
      vadbench report ucfcrime/vadclip --data-root /data/ucfcrime

    The page has the score of every frame of every video; in a split of more than 50,000 rows of scores, one per 16
    frames.
    """
    from vadbench.base.files import write_text
    from vadbench.report.content import report_data
    from vadbench.report.page import render_page
    from vadbench.report.page_runs import read_runs

    shown, notes = read_runs(runs, out)
    with shown_progress() as progress:
        strips, problems = _strips(shown, data_root, plugin_files, progress) if thumbnails else ({}, [])
        data = report_data(shown, strips, progress)
    for text in dict.fromkeys((*notes, *problems)):
        note(f"note: {text}")
    title = ", ".join(dict.fromkeys(run.record.method for run in shown)) + f" on {shown[0].record.dataset}"
    page = render_page(title, "report.html", SCRIPTS, data)
    write_text(output, page)
    note(f"wrote {output} ({len(page) / 1e6:.1f} MB)")


def _strips(
    shown: Sequence[PageRun], data_root: Path | None, plugin_files: tuple[Path, ...], progress: Progress
) -> tuple[dict[str, Strip], list[str]]:
    """Return thumbnails of available videos; a missing data set is an error only if its folder was given."""
    from vadbench.base.ground_truth import Truth, VideoTruth
    from vadbench.harness.rules import open_dataset
    from vadbench.plugins.registry import Registry
    from vadbench.report.thumbnails import make_strips

    name = shown[0].record.dataset
    try:
        dataset_class = Registry(files=plugin_files).dataset(name)
        rules = shown[0].split.rules
        # Some data sets do not know their test videos without another ground truth; that of the run is with its scores.
        videos = {v.name: VideoTruth(tuple((None, *run) for run in v.runs), v.frames) for v in shown[0].split.videos}
        truth = Truth(rules.truth, videos) if rules.truth else ""
        dataset = open_dataset(dataset_class, data_root, rules.partition, truth)
        strips, notes = make_strips(dataset, {s.name: s.frames for s in shown[0].split.scores}, progress)
    except (DataError, PluginError, UnknownNameError):
        if data_root is not None:
            raise
        return {}, []
    if data_root is not None and not strips and not notes:
        notes = [f"none of the test videos is under {data_root}: no thumbnails"]
    return strips, notes
