"""Curves of a ranking, thinned to the points that a plot can show."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vadbench.metrics.ranking import Curve, Ranking


def thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most ``points`` of a curve's points, evenly along it, both ends among them.

    >>> x = np.linspace(0, 1, 1001)
    >>> [len(axis) for axis in thinned(x, x**2, 100)]
    [99, 99]
    """
    if len(x) <= points:
        return x, y
    way = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    places = np.searchsorted(way, np.linspace(0, way[-1], points - 1))
    kept = np.unique(np.append(places.clip(max=len(x) - 1), len(x) - 1))
    return x[kept], y[kept]


def roc_curve(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> Curve | None:
    """Return false- (x) and true-positive rate (y) at every distinct score, from (0, 0) at infinity to (1, 1).

    >>> roc_curve([0.9, 0.5, 0.5], positives=[2, 1, 0], negatives=[0, 0, 4]).y.tolist()
    [0.0, 0.6666666666666666, 1.0]

    Returns:
        ``None`` where there are only positives or only negatives.
    """
    ranking = Ranking(np.asarray(scores))
    tp, fp = ranking.cumulative(np.asarray(positives)), ranking.cumulative(np.asarray(negatives))
    if not (len(tp) and tp[-1] and fp[-1]):
        return None
    return Curve(
        np.append(0.0, fp / fp[-1]), np.append(0.0, tp / tp[-1]), np.append(np.inf, ranking.thresholds.astype(float))
    )


def pr_curve(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> Curve | None:
    """Return recall (x) and precision (y) at every distinct score, from (0, 1) at infinity to recall 1.

    Returns:
        ``None`` where there are no positives.
    """
    ranking = Ranking(np.asarray(scores))
    tp, fp = ranking.cumulative(np.asarray(positives)), ranking.cumulative(np.asarray(negatives))
    if not (len(tp) and tp[-1]):
        return None
    seen = tp + fp > 0  # rows that stand for no frame have no precision
    tp, fp, thresholds = tp[seen], fp[seen], ranking.thresholds[seen].astype(float)
    return Curve(np.append(0.0, tp / tp[-1]), np.append(1.0, tp / (tp + fp)), np.append(np.inf, thresholds))
