"""The pictures of a run folder: ROC and precision-recall curves."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vadbench.files import replacing
from vadbench.metrics.ranking import pr_curve, roc_curve
from vadbench.metrics.rows import ScoredRows


def save_curves(rows: ScoredRows, folder: Path, title: str) -> list[Path]:
    """Draw ``roc.png`` and ``pr.png``; nothing where the split has frames of one kind only.

    Args:
        rows: scores and ground truth of a split.
        folder: where the pictures go.
        title: what stands above them.
    """
    negatives = rows.frames - rows.positives
    roc_points = roc_curve(rows.scores, rows.positives, negatives)
    pr_points = pr_curve(rows.scores, rows.positives, negatives)
    if roc_points is None or pr_points is None:
        return []
    prevalence = rows.positives.sum() / rows.frames.sum()
    roc = _figure(title, "false-positive rate", "true-positive rate")
    roc.axes[0].plot(roc_points.x, roc_points.y)
    roc.axes[0].plot([0, 1], [0, 1], "--", color="grey", linewidth=1, label="chance")
    pr = _figure(title, "recall", "precision")
    # Step-wise, as average precision is defined: a straight line between points would overstate it.
    pr.axes[0].step(pr_points.x, pr_points.y, where="pre")
    pr.axes[0].axhline(prevalence, linestyle="--", color="grey", linewidth=1, label="prevalence")
    paths = []
    for name, figure in (("roc.png", roc), ("pr.png", pr)):
        figure.axes[0].legend(loc="best", frameon=False)
        with replacing(folder / name) as temporary:
            figure.savefig(temporary, dpi=120, metadata={"Software": None})
        paths.append(folder / name)
    return paths


def _figure(title: str, x: str, y: str) -> Figure:
    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.02))
    return figure
