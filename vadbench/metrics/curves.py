"""Curves of a ranking, thinned to the points that a plot can show."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vadbench.metrics.ranking import Curve, ranked

LOWEST_RATE = 0.001
"""False-positive rate at which the logarithmic axis of an operating curve begins."""


def thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most ``points`` of a curve's points, evenly along it, both ends among them.

    >>> x = np.linspace(0, 1, 1001)
    >>> [len(axis) for axis in thinned(x, x**2, 100)]
    [99, 99]
    """
    kept = _evenly(x, y, points)
    return x[kept], y[kept]


def _evenly(x: NDArray[np.float64], y: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Return the indices of at most ``points`` of a curve's points, evenly along it, both ends among them."""
    if len(x) <= points:
        return np.arange(len(x))
    way = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    places = np.searchsorted(way, np.linspace(0, way[-1], points - 1))
    return np.unique(np.append(places.clip(max=len(x) - 1), len(x) - 1))


def roc_curve(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> Curve | None:
    """Return false- (x) and true-positive rate (y) at every distinct score, from (0, 0) at infinity to (1, 1).

    >>> roc_curve([0.9, 0.5, 0.5], positives=[2, 1, 0], negatives=[0, 0, 4]).y.tolist()
    [0.0, 0.6666666666666666, 1.0]

    Returns:
        ``None`` where there are only positives or only negatives.

    Raises:
        DataError: as :func:`vadbench.metrics.ranking.ranked`.
    """
    ranking, *weights = ranked(scores, positives, negatives)
    tp, fp = map(ranking.cumulative, weights)
    if not (len(tp) and tp[-1] and fp[-1]):
        return None
    return Curve(
        np.append(0.0, fp / fp[-1]), np.append(0.0, tp / tp[-1]), np.append(np.inf, ranking.thresholds.astype(float))
    )


def recall_at(roc: Curve, rates: ArrayLike) -> NDArray[np.float64]:
    """Return the largest true-positive rate of a ROC curve's points at which the false-positive rate is at most each.

    >>> roc = roc_curve([0.9, 0.5, 0.1], positives=[2, 1, 0], negatives=[1, 0, 3])
    >>> recall_at(roc, [0.2, 0.25, 1]).tolist()
    [0.0, 1.0, 1.0]
    """
    return roc.y[np.searchsorted(roc.x, rates, side="right") - 1]


def operating_curve(roc: Curve, points: int, lowest: float = LOWEST_RATE) -> tuple[NDArray[np.float64], ...]:
    """Return the false-positive rates, from ``lowest`` to 1, from which on a recall is reached, and that recall.

    It is a step curve: between two of its points the recall is that of the left one. Its at most ``points`` points lie
    evenly along it on a logarithmic axis of false-positive rates.

    Args:
        roc: from :func:`roc_curve`.
        points: how many to return at most.
        lowest: where the axis begins.
    """
    rates = np.concatenate(([lowest], np.unique(roc.x[roc.x > lowest])))
    recalls = recall_at(roc, rates)
    kept = _evenly(np.log(rates) / -np.log(lowest), recalls, points)
    return rates[kept], recalls[kept]


def pr_curve(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> Curve | None:
    """Return recall (x) and precision (y) at every distinct score, from (0, 1) at infinity to recall 1.

    Returns:
        ``None`` where there are no positives.

    Raises:
        DataError: as :func:`vadbench.metrics.ranking.ranked`.
    """
    ranking, *weights = ranked(scores, positives, negatives)
    tp, fp = map(ranking.cumulative, weights)
    if not (len(tp) and tp[-1]):
        return None
    seen = tp + fp > 0  # rows that stand for no frame have no precision
    tp, fp, thresholds = tp[seen], fp[seen], ranking.thresholds[seen].astype(float)
    return Curve(np.append(0.0, tp / tp[-1]), np.append(1.0, tp / (tp + fp)), np.append(np.inf, thresholds))
