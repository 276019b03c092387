"""``vadbench plot``: draw plots of runs for a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import UnknownNameError
from vadbench.cli import options
from vadbench.cli.output import note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vadbench.report.content import PageRun

KINDS = ("roc", "pr", "place", "operating", "per-class", "reliability", "video")
LACKING = {
    "roc": "the test frames are all normal or all anomalous",
    "pr": "the test frames are all normal or all anomalous",
    "place": "no run has the figures; vadbench rescore adds them where the test split has both kinds of frames",
    "operating": "the test frames are all normal or all anomalous",
    "per-class": "no run has figures for single classes",
    "reliability": "the scores are not between 0 and 1",
}


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

    A run is a run folder, the beginning of its key, or the folder of all seeds of a method on a data set. Several runs
    are drawn into one plot. Only run folders are read, and the same runs give the same files.

    \b
      vadbench plot 1f0c
      vadbench plot synthetic/vadclip synthetic/zero-shot --kind roc --kind pr --format svg
      vadbench plot 1f0c --kind video --video Abuse028_x264 --output figures
    """
    from vadbench.metrics.ranking import NO_CLASSES
    from vadbench.records.plots import save
    from vadbench.report.content import read_runs

    shown, notes = read_runs(runs, out)
    for text in notes:
        note(f"note: {text}")
    # List all plots before drawing the first, so that an unknown video fails before any file is written.
    for kind, name, draw, arguments in list(_pictures(shown, kinds or KINDS, videos)):
        path = save(output / f"{name}.{format_}", draw, *arguments)
        if path is not None:
            click.echo(path)
        else:
            unclassed = kind == "per-class" and not shown[0].split.by_class
            note(f"no {name}: {NO_CLASSES if unclassed else LACKING[kind]}")


def _pictures(
    shown: Sequence[PageRun], kinds: Sequence[str], videos: Sequence[str]
) -> Iterator[tuple[str, str, Callable[..., Figure | None], tuple[Any, ...]]]:
    """Yield the kind and file name of each plot, the function that draws it, and its arguments."""
    from vadbench.metrics.blind import blind_metrics
    from vadbench.metrics.definitions import PLACE
    from vadbench.records import place_plots, plots

    rows = {run.label: run.split.rows for run in shown}
    classes = shown[0].split.classes
    metrics = {run.label: run.record.metrics for run in shown}
    draws: dict[str, tuple[Callable[..., Figure | None], tuple[Any, ...]]] = {
        "roc": (plots.draw_roc, (rows,)),
        "pr": (plots.draw_pr, (rows,)),
        "place": (place_plots.draw_place, (metrics, blind_metrics(shown[0].split, PLACE) if "place" in kinds else {})),
        "operating": (place_plots.draw_operating, (rows,)),
        "per-class": (plots.draw_per_class, (metrics, [classes.names[i] for i in classes.abnormal])),
        "reliability": (plots.draw_reliability, (rows,)),
    }
    for kind in (kind for kind in draws if kind in kinds):
        yield kind, kind, *draws[kind]
    if "video" in kinds or videos:
        splits = {run.label: run.split for run in shown}
        chosen = _indices(shown[0], videos)
        names = [_file_name(shown[0].split.videos[i].name) for i in chosen]
        for i, name in zip(chosen, names, strict=True):
            # Names may differ only in characters that a file name cannot contain.
            yield "video", f"video-{name}{f'-{i}' if names.count(name) > 1 else ''}", plots.draw_video, (splits, i)


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
