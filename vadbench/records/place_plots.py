"""Plots of whether a score finds the place of an anomaly, and of the false positives that finding it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vadbench.metrics.curves import LOWEST_RATE, operating_curve, recall_at, roc_curve
from vadbench.metrics.definitions import PLACE, MetricValue, definition
from vadbench.metrics.glossary import FALSE_POSITIVE_RATES
from vadbench.records.plots import COLORS, CURVE_POINTS, GUIDE, legend_outside, line_style, new_figure
from vadbench.scoring.rows import ScoredRows

MISSING = MetricValue(value=None)
LANE = 0.11
"""Inches between two lines of marks."""
BAND = "#f2f3f5"
_MARK: dict[str, Any] = {"linestyle": "none", "color": "#566069", "markersize": 4, "markeredgewidth": 0.8}
_BLIND: Sequence[tuple[int, dict[str, Any]]] = (
    (0, {"marker": "x"}),
    (0, {"marker": "D", "fillstyle": "none"}),
    (1, {"marker": "s", "fillstyle": "none", "markersize": 5}),
    (1, {"marker": "D"}),
)
"""The lanes and marks of blind scores: those that know which videos are abnormal are apart from the others."""


def draw_place(
    runs: Mapping[str, Mapping[str, MetricValue]], blind: Mapping[str, Mapping[str, MetricValue]]
) -> Figure | None:
    """Draw the AUC and its parts with their intervals, and below them those of scores that look at no frame.

    Args:
        runs: metrics of runs by their labels.
        blind: metrics of blind scores by their names.

    Returns:
        ``None`` where no run has the metrics.
    """
    if all(metrics.get(key, MISSING).value is None for metrics in runs.values() for key in PLACE[1:]):
        return None
    lanes = len(runs) + 2
    group = lanes + 1  # an empty lane between metrics
    figure, axes = new_figure(0.45 + LANE * group * len(PLACE))
    for i, (label, metrics) in enumerate(runs.items()):
        color = COLORS[i % len(COLORS)]
        for row, key in enumerate(PLACE):
            value, place = metrics.get(key, MISSING), row * group + i
            if value.low is not None and value.high is not None:
                axes.plot([100 * value.low, 100 * value.high], [place, place], color=color)
            if value.value is not None:
                axes.plot(100 * value.value, place, "o", color=color, markersize=3.5)
        axes.plot([], [], "o", color=color, markersize=3.5, label=label)
    for (lane, mark), (name, metrics) in zip(_BLIND, blind.items(), strict=True):
        values = [metrics.get(key, MISSING).value for key in PLACE]
        known = [(100 * v, row * group + len(runs) + lane) for row, v in enumerate(values) if v is not None]
        axes.plot([x for x, _ in known], [y for _, y in known], label=name, **_MARK | mark)
    for row in range(1, len(PLACE), 2):
        axes.axhspan(row * group - 1, (row + 1) * group - 1, color=BAND, linewidth=0, zorder=0)
    axes.axvline(50, label="chance", zorder=0.5, **GUIDE)
    axes.set(xlim=(0, 100), xticks=range(0, 101, 25), xlabel="percent", ylim=(len(PLACE) * group - 1, -1))
    axes.set_yticks([row * group + (lanes - 1) / 2 for row in range(len(PLACE))], [definition(k).title for k in PLACE])
    axes.tick_params(axis="y", length=0)
    legend_outside(figure, axes)
    return figure


def draw_operating(runs: Mapping[str, ScoredRows]) -> Figure | None:
    """Draw recall over the false-positive rate on a logarithmic axis; ``None`` where frames are of one kind only.

    The recalls at :data:`vadbench.metrics.glossary.FALSE_POSITIVE_RATES` are marked.

    Args:
        runs: scored rows of runs by their labels.
    """
    figure, axes = new_figure(2.9, xlabel="false-positive rate (%)", ylabel="recall (%)")
    for i, (label, rows) in enumerate(runs.items()):
        roc = roc_curve(rows.scores, rows.positives, rows.frames - rows.positives)
        if roc is None:
            return None
        rates, recalls = operating_curve(roc, CURVE_POINTS)
        # A recall holds until the next one is reached: a straight line between them would overstate it.
        axes.step(100 * rates, 100 * recalls, where="post", label=label, **line_style(i))
        marked = recall_at(roc, FALSE_POSITIVE_RATES)
        axes.plot(
            [100 * rate for rate in FALSE_POSITIVE_RATES], 100 * marked, "o", markersize=3.5, markerfacecolor="white",
            markeredgewidth=0.9, color=COLORS[i % len(COLORS)], zorder=3,
        )  # fmt: skip
        if len(runs) == 1:
            for rate, recall in zip(FALSE_POSITIVE_RATES, marked, strict=True):
                axes.annotate(
                    f"{100 * recall:.0f}", (100 * rate, 100 * recall), (-3, 4), textcoords="offset points", ha="right"
                )
    chance = np.geomspace(100 * LOWEST_RATE, 100)
    axes.plot(chance, chance, label="chance", **GUIDE)
    ticks = [100 * LOWEST_RATE, *(100 * rate for rate in FALSE_POSITIVE_RATES), 10, 100]
    axes.set(xscale="log", xlim=(100 * LOWEST_RATE, 100), ylim=(0, 102))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    legend_outside(figure, axes)
    return figure
