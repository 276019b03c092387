"""``vadbench plot``: draw plots of runs for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.errors import UnknownNameError
from vadbench.cli import options
from vadbench.cli.output import note

if TYPE_CHECKING:
    from vadbench.records.plot_kinds import PlotOfSplit
    from vadbench.report.page_runs import PageRun

KINDS = ("roc", "pr", "place", "operating", "per-class", "reliability", "video")


@click.command("plot", short_help="Draw runs as files for a paper: ROC, PR, place, classes, videos.")
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="What to draw; may be repeated.  [default: all]"
)
@click.option(
    "--video",
    "videos",
    multiple=True,
    metavar="NAME",
    help="Test video whose curve is drawn; may be repeated.  [default: those in which the first run finds the anomaly"
    " best, in between and worst]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["pdf", "svg", "png"]),
    default="pdf",
    show_default=True,
    help="File format; png has 300 dots per inch.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("plots"),
    show_default=True,
    help="Folder for the plots.",
)
@options.out
def command(
    runs: tuple[str, ...], kinds: tuple[str, ...], videos: tuple[str, ...], format_: str, output: Path, out: Path
) -> None:
    """Draw RUNS, on one data set, as plots 3.3 inches wide with text of 8 points.

    A run is a run folder, the beginning of its key, its label, or the folder of a method on a data set, which stands
    for its runs of default settings (vadbench compare --help). Several runs are drawn into one plot. Only run folders
    are read, and the same runs give the same files.

    \b
      vadbench plot 1f0c
      vadbench plot synthetic/vadclip synthetic/zero-shot --kind roc --kind pr --format svg
      vadbench plot 1f0c --kind video --video Abuse028_x264 --output figures
    """
    from vadbench.records.plots import save
    from vadbench.report.page_runs import read_runs

    shown, notes = read_runs(runs, out)
    for text in notes:
        note(f"note: {text}")
    # List all plots before drawing the first, so that an unknown video fails before any file is written.
    for name, (draw, arguments, lacking) in list(_pictures(shown, kinds or KINDS, videos)):
        path = save(output / f"{name}.{format_}", draw, *arguments)
        if path is not None:
            click.echo(path)
        else:
            note(f"no {name}: {lacking}")


def _pictures(
    shown: Sequence[PageRun], kinds: Sequence[str], videos: Sequence[str]
) -> Iterator[tuple[str, PlotOfSplit]]:
    """Yield the file name of each plot and how it is drawn."""
    from vadbench.records.plot_kinds import PLOT_KINDS, PlotOfSplit, plot_of
    from vadbench.records.plots import draw_video

    splits = {run.label: run.split for run in shown}
    metrics = {run.label: run.record.metrics for run in shown}
    for kind in (kind for kind in PLOT_KINDS if kind in kinds):
        yield kind, plot_of(kind, splits, metrics)
    if "video" in kinds or videos:
        chosen = _indices(shown[0], videos)
        names = [_file_name(shown[0].split.videos[i].name) for i in chosen]
        for i, name in zip(chosen, names, strict=True):
            # Names may differ only in characters that a file name cannot contain.
            file = f"video-{name}{f'-{i}' if names.count(name) > 1 else ''}"
            yield file, PlotOfSplit(draw_video, (splits, i), "")


def _indices(run: PageRun, names: Sequence[str]) -> list[int]:
    from vadbench.metrics.within import within

    known = {video.name: i for i, video in enumerate(run.split.videos)}
    for name in names:
        if name not in known:
            raise UnknownNameError("test video", name, known)
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    found = {i: auc for i, auc in enumerate(within(run.split.rows).aucs.tolist()) if not isnan(auc)}
    ordered = sorted(found, key=lambda i: -found[i])
    return list(dict.fromkeys([ordered[0], ordered[len(ordered) // 2], ordered[-1]])) if ordered else []


def _file_name(name: str) -> str:
    """Return a video's name as part of a file name: without folders, not hidden, not too long.

    >>> _file_name("../a b/c.mp4")
    '.._a_b_c.mp4'
    """
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:80]
