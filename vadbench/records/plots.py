"""Plots of runs, sized for a column of a paper: 3.3 inches wide, text of 8 points."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vadbench.base.errors import cut
from vadbench.base.files import replacing
from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.calibration import BINS, reliability
from vadbench.metrics.curves import pr_curve, roc_curve, thinned
from vadbench.metrics.definitions import MetricValue
from vadbench.records.record import PICTURES
from vadbench.scoring.alignment import row_frames
from vadbench.scoring.rows import ScoredRows
from vadbench.scoring.split import ScoredSplit

WIDTH = 3.3
"""Inches: the column of a paper in two columns."""
POINTS = 8
DOTS = 300
CURVE_POINTS = 2000
SHORT = 24
"""Letters of the longest labels that fit in two columns."""
COLORS = ("#1d5bb5", "#c2410c", "#047857", "#7c3aed", "#be185d", "#6b5900")
LINES = ("-", "--", ":")
SHADE = "#f6dcae"
GUIDE = {"color": "grey", "linewidth": 0.8, "linestyle": "--"}
_STYLE: Any = {
    "font.size": POINTS,
    "axes.titlesize": POINTS,
    "axes.labelsize": POINTS,
    "xtick.labelsize": POINTS,
    "ytick.labelsize": POINTS,
    "legend.fontsize": POINTS,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Names come from anywhere, and a dollar sign in one is no formula.
    "text.parse_math": False,
    "pdf.fonttype": 42,
    # Without it every drawing has other ids.
    "svg.hashsalt": "vadbench",
}
# Without dates and versions, so that the same runs give the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def save_pictures(split: ScoredSplit, metrics: Mapping[str, MetricValue], folder: Path, title: str) -> list[Path]:
    """Draw those of :data:`vadbench.records.record.PICTURES` that the data of a run allow.

    Args:
        split: scores and ground truth.
        metrics: of the split.
        folder: folder of the plots.
        title: label of the curves.
    """
    classes = [split.classes.names[i] for i in split.classes.abnormal]
    rows = {title: split.rows}
    drawn: tuple[tuple[Callable[..., Figure | None], tuple[Any, ...]], ...] = (
        (draw_roc, (rows,)),
        (draw_pr, (rows,)),
        (draw_per_class, ({title: metrics}, classes)),
        (draw_reliability, (rows,)),
    )
    paths = [save(folder / name, draw, *arguments) for name, (draw, arguments) in zip(PICTURES, drawn, strict=True)]
    return [path for path in paths if path is not None]


def save(path: Path, draw: Callable[..., Figure | None], *arguments: Any) -> Path | None:
    """Write the plot of one of the functions below.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        draw: draws it.
        arguments: of ``draw``.

    Returns:
        ``None`` where there is nothing to draw.

    Raises:
        StorageError: the file cannot be written.
    """
    with _style():
        figure = draw(*arguments)
        if figure is None:
            return None
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=DOTS, metadata=_METADATA[path.suffix])
    return path


def drawn(draw: Callable[..., Figure | None], *arguments: Any) -> Figure | None:
    """Return the plot of one of the functions below, ``None`` where there is nothing to draw."""
    with _style():
        return draw(*arguments)


def draw_roc(runs: Mapping[str, ScoredRows]) -> Figure | None:
    """Draw ROC curves of runs by their labels; ``None`` where frames are of one kind only."""
    figure, axes = new_figure(2.9, xlabel="false-positive rate", ylabel="true-positive rate")
    for i, (label, rows) in enumerate(runs.items()):
        points = roc_curve(rows.scores, rows.positives, rows.frames - rows.positives)
        if points is None:
            return None
        axes.plot(*thinned(points.x, points.y, CURVE_POINTS), label=label, **line_style(i))
    axes.plot([0, 1], [0, 1], label="chance", **GUIDE)
    return with_legend(figure, axes)


def draw_pr(runs: Mapping[str, ScoredRows]) -> Figure | None:
    """Draw precision over recall of runs by their labels; ``None`` where frames are of one kind only."""
    figure, axes = new_figure(2.9, xlabel="recall", ylabel="precision")
    prevalence = 0.0
    for i, (label, rows) in enumerate(runs.items()):
        prevalence = rows.prevalence or 0.0
        points = pr_curve(rows.scores, rows.positives, rows.frames - rows.positives)
        if points is None or prevalence == 1:
            return None
        # Step-wise, as average precision is defined: a straight line between points would overstate it.
        axes.step(*thinned(points.x, points.y, CURVE_POINTS), where="pre", label=label, **line_style(i))
    axes.axhline(prevalence, label="prevalence", **GUIDE)
    return with_legend(figure, axes)


def draw_per_class(runs: Mapping[str, Mapping[str, MetricValue]], classes: Sequence[str]) -> Figure | None:
    """Draw AUC and AP of each class with their intervals as bars.

    Args:
        runs: metrics of runs by their labels.
        classes: names of the abnormal classes; ``None`` is returned where no run has metrics of any.
    """
    shown = [name for name in classes if any(_of_class("AUC", name) in metrics for metrics in runs.values())]
    if not shown:
        return None
    height = 0.8 / len(runs)
    tall = max(1.2, 0.55 + len(shown) * (0.12 + 0.1 * len(runs)))
    figure, axes = new_figure(tall, columns=2, sharey=True)
    for i, (label, metrics) in enumerate(runs.items()):
        for part, metric in zip(axes, ("AUC", "AP"), strict=True):
            values = [metrics.get(_of_class(metric, name), MetricValue(value=None)) for name in shown]
            known = [(y, v.value, v.low, v.high) for y, v in enumerate(values) if v.value is not None]
            places = [y + (i + 0.5) * height - 0.4 for y, *_ in known]
            part.barh(
                places, [100 * v for _, v, _, _ in known], height * 0.9, color=COLORS[i % len(COLORS)], label=label
            )
            for place, (_, _, low, high) in zip(places, known, strict=True):
                if low is not None and high is not None:
                    part.plot([100 * low, 100 * high], [place, place], color="black", linewidth=0.7)
    for part, metric in zip(axes, ("AUC", "AP"), strict=True):
        part.set(xlim=(0, 100), xlabel=f"{metric} (%)")
    axes[0].axvline(50, **GUIDE)
    axes[0].set_yticks(range(len(shown)), shown)
    axes[0].invert_yaxis()
    if len(runs) > 1:
        legend_outside(figure, axes[0], "outside upper left")
    return figure


def draw_reliability(runs: Mapping[str, ScoredRows]) -> Figure | None:
    """Draw the share of anomalous frames over the score, in equal bins; ``None`` without scores between 0 and 1."""
    figure, axes = new_figure(2.9, xlabel="mean score", ylabel="share of anomalous frames")
    for i, (label, rows) in enumerate(runs.items()):
        found = reliability(rows)
        if found is not None:
            kept = found.frames > 0
            label = f"{label} (error {100 * found.error:.1f} %)"
            axes.plot(found.scores[kept], found.shares[kept], marker="o", markersize=2.5, label=label, **line_style(i))
    if not axes.lines:
        return None
    axes.plot([0, 1], [0, 1], label=f"perfect, {BINS} bins", **GUIDE)
    return with_legend(figure, axes)


def draw_video(runs: Mapping[str, ScoredSplit], index: int) -> Figure:
    """Draw scores over the frames of one video, its anomalous frames shaded.

    Args:
        runs: splits of the same videos by their labels.
        index: of the video.
    """
    figure, axes = new_figure(1.6, xlabel="frame", ylabel="score")
    lowest, highest = 0.0, 1.0
    for i, (label, split) in enumerate(runs.items()):
        scores, video = split.scores[index], split.videos[index]
        edges = np.append(0, np.cumsum(row_frames(len(scores.anomaly), split.stride, scores.frames)))
        axes.stairs(scores.anomaly, edges, baseline=None, label=label, **line_style(i))
        lowest, highest = min(lowest, float(scores.anomaly.min())), max(highest, float(scores.anomaly.max()))
        if i == 0:
            for start, end in video.runs:
                axes.axvspan(start, end, color=SHADE, linewidth=0, zorder=0)
            axes.set(xlim=(0, scores.frames), title=cut(video.name, 50))
    axes.set_ylim(lowest, highest + 0.02 * (highest - lowest))
    if len(runs) > 1:
        legend_outside(figure, axes)
    return figure


def _of_class(metric: str, name: str) -> str:
    return str(MetricKey(metric, of_class=name))


@contextmanager
def _style() -> Iterator[None]:
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the plot is still useful.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        yield


class Plot(Figure):
    """A figure that a notebook shows, which needs no setting for it."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        with _style():
            self.savefig(file, format="png", dpi=DOTS / 2, metadata=_METADATA[".png"])
        return file.getvalue()


def new_figure(height: float, columns: int = 1, sharey: bool = False, **labels: str) -> tuple[Figure, Any]:
    """Return a figure and its axes, both from 0 to 1 where there is one column.

    Args:
        height: in inches.
        columns: axes side by side.
        sharey: whether they share the vertical axis.
        labels: names of the axes.
    """
    figure = Plot(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, sharey=sharey)
    if columns == 1:
        axes.set(xlim=(0, 1), ylim=(0, 1.02), **labels)
    return figure, axes


def line_style(index: int) -> dict[str, Any]:
    """Return the colour and the dashes of a run by its number."""
    return {"color": COLORS[index % len(COLORS)], "linestyle": LINES[index // len(COLORS) % len(LINES)]}


def with_legend(figure: Figure, axes: Axes) -> Figure:
    """Add a legend where the curves leave room, or below them where it is long."""
    if len(axes.lines) > 3:
        legend_outside(figure, axes)
    else:
        axes.legend(loc="best")
    return figure


def legend_outside(
    figure: Figure, axes: Axes, place: Literal["outside lower left", "outside upper left"] = "outside lower left"
) -> None:
    """Add a legend at an edge of the figure, which grows by as much; in two columns where the labels are short."""
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, labels)) <= SHORT else 1
    figure.set_figheight(figure.get_figheight() + 0.17 * -(-len(labels) // columns))
    figure.legend(handles, labels, loc=place, ncols=columns)
