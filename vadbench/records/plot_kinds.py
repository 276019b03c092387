"""The plots of whole splits by their names, for the command line and for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

from matplotlib.figure import Figure

from vadbench.metrics.blind import blind_metrics
from vadbench.metrics.definitions import PLACE, MetricValue
from vadbench.metrics.ranking import NO_CLASSES
from vadbench.records import place_plots, plots
from vadbench.scoring.split import ScoredSplit

PlotKind = Literal["roc", "pr", "place", "operating", "per-class", "reliability"]
PLOT_KINDS: tuple[PlotKind, ...] = get_args(PlotKind)


class PlotOfSplit(NamedTuple):
    """A function that draws, its arguments, and why there may be nothing to draw."""

    draw: Callable[..., Figure | None]
    arguments: tuple[Any, ...]
    lacking: str


def plot_of(
    kind: PlotKind, splits: Mapping[str, ScoredSplit], metrics: Mapping[str, Mapping[str, MetricValue]]
) -> PlotOfSplit:
    """Return how a plot is drawn.

    Args:
        kind: its name.
        splits: the runs in it by their labels, at least one, of the same test videos.
        metrics: of the same runs, by the same labels.
    """
    first = next(iter(splits.values()))
    one_kind = "the test frames are all normal or all anomalous"
    if kind == "place":
        lacking = "no run has the figures; vadbench rescore adds them where the test split has both kinds of frames"
        return PlotOfSplit(place_plots.draw_place, (metrics, blind_metrics(first, PLACE)), lacking)
    if kind == "per-class":
        names = [first.classes.names[i] for i in first.classes.abnormal]
        lacking = "no run has figures for single classes" if first.by_class else NO_CLASSES
        return PlotOfSplit(plots.draw_per_class, (metrics, names), lacking)
    rows = {label: split.rows for label, split in splits.items()}
    draws: dict[str, tuple[Callable[..., Figure | None], str]] = {
        "roc": (plots.draw_roc, one_kind),
        "pr": (plots.draw_pr, one_kind),
        "operating": (place_plots.draw_operating, one_kind),
        "reliability": (plots.draw_reliability, "the scores are not between 0 and 1"),
    }
    draw, lacking = draws[kind]
    return PlotOfSplit(draw, (rows,), lacking)
