"""Ranking of weighted rows, from which AUC, AP and all that is built from them come.

They come from one sort of weighted rows. Every distinct score is one threshold, so ties are exact: AUC is the
trapezoidal area under the ROC curve and AP the step sum over recall, as in scikit-learn.
"""

from __future__ import annotations

from functools import cached_property
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


class Hits:
    """What is above every distinct score of a positive row, from the highest down: all that areas need of a ranking.

    Args:
        tp, fp: ``(scores,)`` weight of the positives and negatives that score at least as much.
        above: ``(scores,)`` weight of the negatives that score more.
        negatives: weight of all of them.
    """

    def __init__(
        self, tp: NDArray[np.float64], fp: NDArray[np.float64], above: NDArray[np.float64], negatives: float
    ) -> None:
        self._tp, self._fp, self._above = tp, fp, above
        self._gained = np.diff(tp, prepend=0.0)
        # Not a dot product: BLAS spreads it over threads that spin, which doubles the CPU seconds of a split.
        self.concordant = float((self._gained * (negatives - (fp + above) / 2)).sum())
        self.pairs = float(tp[-1]) * negatives if len(tp) else 0.0

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve; ``None`` where one kind has no weight."""
        return self.concordant / self.pairs if self.pairs else None

    @property
    def ap(self) -> float | None:
        """Average precision; ``None`` where positives have no weight."""
        if not len(self._tp):
            return None
        return float((self._gained * (self._tp / (self._tp + self._fp))).sum() / self._tp[-1])

    @property
    def trapezoid(self) -> float | None:
        """Area under the precision-recall curve by the trapezoid rule; ``None`` as for :attr:`ap`.

        Precision is 1 above the highest score.
        """
        if not len(self._tp):
            return None
        precision, higher = self._tp / (self._tp + self._fp), self._tp - self._gained
        seen = higher + self._above
        before = np.divide(higher, seen, out=np.ones_like(higher), where=seen > 0)
        return float((self._gained * (precision + before) / 2).sum() / self._tp[-1])


class Ranking:
    """Rows in descending order of score, equal scores grouped; made once, it serves every weighting of the rows.

    Attributes:
        order: ``(rows,)`` row indices.
        ends: ``(groups,)`` position in ``order`` of the last row of each group of equal scores.
    """

    def __init__(self, scores: Floats) -> None:
        self._scores = scores
        self.order, last = _descending(scores)
        self.ends: Ints = np.flatnonzero(last)

    @cached_property
    def thresholds(self) -> Floats:
        """``(groups,)`` scores."""
        return self._scores[self.order[self.ends]]

    def cumulative(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(groups,)`` weight of the rows that score at least as much as each group."""
        return self._sums(weights)[self.ends]

    def hits(self, positives: Weights, negatives: Weights) -> Hits:
        """Return what is above every distinct score of the rows with positives.

        Args:
            positives, negatives: ``(rows,)``, none of them negative.
        """
        place = np.flatnonzero((positives > 0)[self.order])
        group = np.searchsorted(self.ends, place)
        last = np.flatnonzero(np.diff(group, append=len(self.ends)))
        tp = np.cumsum(positives[self.order[place]], dtype=np.float64)[last]
        passed = np.append(self._sums(negatives), 0)  # the 0 is found at -1, before the first group
        ends = np.append(self.ends, -1)
        group = group[last]
        fp, above = (passed[ends[g]] for g in (group, group - 1))
        return Hits(tp, fp, above, float(passed[-2]) if len(passed) > 1 else 0.0)

    def _sums(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(rows,)`` sums of the weights of the rows down to each; those of whole numbers are exact."""
        return np.cumsum((weights if weights.dtype.kind == "f" else compact(weights))[self.order], dtype=np.float64)


def compact(counts: Weights) -> Weights:
    """Return whole numbers from 0 on in the smallest dtype, of which more fit the cache: they are read in any order."""
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``part / whole``, NaN where ``whole`` is 0."""
    found = np.full(len(part), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _descending(scores: Floats) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return row indices by descending score, equal scores in any order, and whether each is the last of its score.

    A float32 score and its row number fit one 64-bit integer, and sorting integers is about twice as fast as sorting
    indices by score.
    """
    ranked: NDArray[Any]
    if scores.dtype == np.float32:
        bits = (np.float32(0) - scores).view(np.int32)  # 0 for both zeros
        # The integers of negative floats run backwards; flipping all bits but the sign turns them round.
        bits ^= (bits >> 31) & 0x7FFFFFFF
        ranked = bits.astype(np.int64)
        ranked <<= 32
        ranked |= np.arange(len(scores), dtype=np.uint32)
        ranked.sort()
        order = ranked & 0xFFFFFFFF
        ranked >>= 32
    else:
        order = np.argsort(-scores)
        ranked = scores[order]
    last = np.ones(len(scores), dtype=bool)
    np.not_equal(ranked[1:], ranked[:-1], out=last[:-1])
    return order, last


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
    return ranking.hits(*weights).auc


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
    return ranking.hits(*weights).ap


def value_of(value: float | None, reason: str) -> MetricValue:
    """Return a stored metric without an interval; ``reason`` is stored only where the value is undefined, or NaN."""
    if value is None or np.isnan(value):
        return MetricValue(value=None, low=None, high=None, reason=reason)
    return MetricValue(value=value, low=None, high=None, reason=None)
