"""Ranking of weighted rows, from which AUC, AP and all that is built from them come.

They come from one sort of weighted rows. Every distinct score is one threshold, so ties are exact: AUC is the
trapezoidal area under the ROC curve and AP the step sum over recall, as in scikit-learn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vadbench.base.errors import DataError
from vadbench.metrics.definitions import MetricValue
from vadbench.scoring.rows import Floats, Ints

Weights = NDArray[Any]
_LARGEST_WHOLE = 2**53
NO_FIXED_THRESHOLD = "the method's scores are not between 0 and 1, so a fixed threshold means nothing"
"""Reason why a metric with a fixed threshold is undefined."""
NO_PROBABILITIES = "the method gives no probabilities of these classes"
NO_CLASSES = "the data set annotates no classes"
"""Reasons why metrics of classes are undefined."""


class Curve(NamedTuple):
    """Points of a curve, one per distinct score in descending order; both axes between 0 and 1."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]


class Ranking:
    """Rows in descending order of score, equal scores grouped; made once, it serves every weighting of the rows.

    Attributes:
        order: ``(rows,)`` row indices.
        ends: ``(groups,)`` position in ``order`` of the last row of each group of equal scores.
    """

    def __init__(self, scores: Floats) -> None:
        self.order = _descending(scores)
        ranked = scores[self.order]
        self.ends: Ints = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)[: len(ranked)]
        self.thresholds: Floats = ranked[self.ends]

    def cumulative(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(groups,)`` weight of the rows that score at least as much as each group."""
        return np.cumsum(weights[self.order], dtype=np.float64)[self.ends]

    def auc(self, positives: Weights, negatives: Weights) -> float | None:
        """Return the area under the ROC curve; ``None`` where one kind has no weight."""
        if not (positives.any() and negatives.any()):
            return None
        concordant, pairs = self.pairs(positives, negatives)
        return concordant / pairs

    def pairs(self, positives: Weights, negatives: Weights) -> tuple[float, float]:
        """Return the number of pairs of a positive and a negative in right order, ties counting a half, and of all."""
        tp, fp = self.cumulative(positives), self.cumulative(negatives)
        if not len(tp):
            return 0.0, 0.0
        gained, passed = np.diff(tp, prepend=0.0), np.diff(fp, prepend=0.0)
        # Not a dot product: BLAS spreads it over threads that spin, which doubles the CPU seconds of a split.
        return float((gained * (fp[-1] - fp + passed / 2)).sum()), float(tp[-1] * fp[-1])

    def ap(self, positives: Weights, negatives: Weights) -> float | None:
        """Return average precision; ``None`` where positives have no weight."""
        if not positives.any():
            return None
        tp, fp = self.cumulative(positives), self.cumulative(negatives)
        gained = np.diff(tp, prepend=0.0)
        hit = gained > 0
        return float((gained[hit] * (tp[hit] / (tp[hit] + fp[hit]))).sum() / tp[-1])

    def trapezoid(self, positives: Weights, negatives: Weights) -> float | None:
        """Return the area under the precision-recall curve by the trapezoid rule; ``None`` as :meth:`ap`.

        Precision is 1 above the highest score.
        """
        if not positives.any():
            return None
        tp, fp = self.cumulative(positives), self.cumulative(negatives)
        gained = np.diff(tp, prepend=0.0)
        seen = tp + fp
        precision = np.divide(tp, seen, out=np.ones_like(tp), where=seen > 0)
        before = np.append(1.0, precision)[:-1]
        return float((gained * (precision + before) / 2).sum() / tp[-1])


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``part / whole``, NaN where ``whole`` is 0."""
    found = np.full(len(part), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _descending(scores: Floats) -> NDArray[np.int64]:
    """Return row indices by descending score, equal scores in any order.

    A float32 score and its row number fit one 64-bit integer, and sorting integers is about twice as fast as sorting
    indices by score.
    """
    if scores.dtype != np.float32:
        return np.argsort(-scores)
    bits = (-scores).view(np.int32)
    # The integers of negative floats run backwards; flipping all bits but the sign turns them round.
    keys = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64) << 32
    keys |= np.arange(len(scores))
    keys.sort()
    return keys & 0xFFFFFFFF


def ranked(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> tuple[Ranking, Weights, Weights]:
    """Rank rows from anywhere, and return their weights as arrays.

    Raises:
        DataError: scores or weights are not one number a row, a score is NaN, a whole number too large to be kept, or a
            weight negative or not finite.
    """
    found = {"scores": np.asarray(scores), "positives": np.asarray(positives), "negatives": np.asarray(negatives)}
    shapes = ", ".join(f"{name} {values.shape}" for name, values in found.items())
    if any(v.ndim != 1 for v in found.values()) or len({len(v) for v in found.values()}) > 1:
        raise DataError(f"scores, positives and negatives must be one value a row, found the shapes {shapes}")
    for name, values in found.items():
        if values.dtype.kind not in "biuf" and len(values):
            raise DataError(f"{name} must be real numbers, found {values.dtype}")
    ranks, weights = found["scores"], (found["positives"], found["negatives"])
    if ranks.dtype.kind != "f":
        # Whole numbers are not always ordered by what their negatives are: of unsigned ones these wrap around.
        ranks = ranks.astype(np.float64)
        if (np.abs(ranks) >= _LARGEST_WHOLE).any():
            raise DataError(f"whole scores must be below {_LARGEST_WHOLE}, where floats keep them apart")
    if np.isnan(ranks).any():
        raise DataError(f"scores must be numbers, found NaN in row {int(np.isnan(ranks).argmax())}")
    for name, values in zip(("positives", "negatives"), weights, strict=True):
        sound = np.isfinite(values) & (values >= 0)
        if not sound.all():
            raise DataError(f"{name} must be counts of frames from 0 on, found another in row {int((~sound).argmax())}")
    return Ranking(ranks), *weights


def roc_auc(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> float | None:
    """Return the area under the ROC curve of weighted rows, between 0 and 1; 0.5 is chance.

    Args:
        scores: ``(rows,)``.
        positives, negatives: ``(rows,)`` frames of each kind that share the score.

    Returns:
        ``None`` where there are only positives or only negatives.

    Raises:
        DataError: as :func:`ranked`.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], positives=[0, 0, 1, 1], negatives=[1, 1, 0, 0])
    0.75
    >>> roc_auc([0.7, 0.7], positives=[16, 4], negatives=[0, 12])  # one score for all is chance
    0.5
    """
    ranking, *weights = ranked(scores, positives, negatives)
    return ranking.auc(*weights)


def average_precision(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> float | None:
    """Return the average precision of weighted rows, without interpolation; chance is the share of positives.

    Args:
        scores: ``(rows,)``.
        positives, negatives: ``(rows,)`` frames of each kind that share the score.

    Returns:
        ``None`` where there are no positives; 1 where there are no negatives.

    Raises:
        DataError: as :func:`ranked`.

    >>> round(average_precision([0.1, 0.4, 0.35, 0.8], positives=[0, 0, 1, 1], negatives=[1, 1, 0, 0]), 4)
    0.8333
    >>> average_precision([0.7, 0.7], positives=[16, 4], negatives=[0, 60])  # one score for all is chance
    0.25
    """
    ranking, *weights = ranked(scores, positives, negatives)
    return ranking.ap(*weights)


def value_of(value: float | None, reason: str) -> MetricValue:
    """Return a stored metric without an interval; ``reason`` is stored only where the value is undefined, or NaN."""
    if value is None or np.isnan(value):
        return MetricValue(value=None, low=None, high=None, reason=reason)
    return MetricValue(value=value, low=None, high=None, reason=None)
