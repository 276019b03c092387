"""AUC and average precision in resamples of many videos, to first order in how often each video is drawn.

With many videos a resample changes every sum over them by little, and an area by the sum of what each video changes.
That is one number for each video, found in one pass down the scores, and a product with the draws: no resample is
looked at row by row, so a split of 29,000 videos costs as much for each row as one of 290.

The AUC is the mean over positives of the share of negatives below each, its placement value (DeLong, DeLong and
Clarke-Pearson, 1988), and as well the mean over negatives of the share of positives above each. Both means are taken
over what is drawn, against what is placed in the whole split. The sum of precisions in an average precision grows in
proportion when all videos are drawn more often, so it is the sum over videos of its derivative times how often the
video is drawn; average precision is that sum by the positives drawn.

What is left out is of order 1/n for n videos, while an interval's width is of order 1/sqrt(n). :func:`many` says from
how many videos on this is enough, and :func:`near` checks it against a few exact resamples, as a few videos may decide
over an average precision (both our decision). docs/metrics.md shows that the ends of intervals are then less than a
tenth of the width from exact ones, and that they hold the truth as often.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.descent import Descent
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.ranking import ratio
from vadbench.scoring.rows import WeightedRows

ENOUGH = 300
"""Videos of equal weight, of positives and of negatives, from which on the first order is enough."""
CHECKED = 32
"""Resamples whose exact values are compared with those of the first order."""
FAR = 0.12
"""Standard deviations by which these may differ in the mean: where they did by more in simulations, some ends of
intervals were more than a tenth of a width apart."""
ROWS_AT_ONCE = 2**18
"""Rows weighted at a time; bounds memory."""

_Array = NDArray[np.float64]


def many(rows: WeightedRows, videos: int) -> bool:
    """Return whether a split has enough videos for the first order to be accurate.

    They are counted by Kish's effective sample size, the number of equally weighted videos whose mean would be as
    uncertain, which is smaller where some videos have many more frames than others. Positives and negatives must both
    reach :data:`ENOUGH`.

    Args:
        rows: of the split.
        videos: how many it has.
    """
    if videos < ENOUGH:
        return False
    weights = (np.bincount(rows.video, counts, videos) for counts in (rows.positives, rows.negatives))
    return all(w.sum() ** 2 >= ENOUGH * max((w**2).sum(), 1) for w in weights)


def near(found: _Array, exact: _Array) -> bool:
    """Return whether values to first order are close enough to exact ones.

    Args:
        found: ``(resamples,)`` values to first order.
        exact: exact values of the first of these resamples.
    """
    apart = np.sqrt(((found[: len(exact)] - exact) ** 2).mean())
    return bool(apart <= FAR * found.std() + 1e-12)


class FirstOrder:
    """Areas of a ranking in all resamples of its videos.

    Args:
        descent: the rows of the split from the highest score down; there must be positives and negatives.
        drawn: how often its videos are drawn.
    """

    def __init__(self, descent: Descent, drawn: Multiplicities) -> None:
        self._drawn, self._rows = drawn, descent
        video, positives, negatives, step, tied, steps = descent
        some = positives > 0
        self._gained: _Array = np.bincount(step[some], positives[some], steps).astype(np.float64)
        self._tied: _Array = np.bincount(step[tied], negatives[tied], steps).astype(np.float64)
        self._tp = np.cumsum(self._gained)
        self._fp = np.cumsum(np.bincount(step, negatives, steps + 1)[:steps], dtype=np.float64)
        self._negatives = float(negatives.sum(dtype=np.int64))
        of_videos = (np.bincount(video, counts, drawn.videos) for counts in (positives, negatives))
        self._drawn_positives, self._drawn_negatives = map(drawn.sums, of_videos)

    def areas(self, keys: Iterable[str]) -> dict[str, _Array]:
        """Return ``(resamples,)`` values by key: of ``AUC``, ``AP`` and ``AP/trapezoid``."""
        found = {"AUC": lambda: self.auc, "AP": lambda: self.ap, "AP/trapezoid": lambda: self.trapezoid}
        return {key: found[key]() for key in keys}

    @property
    def auc(self) -> _Array:
        """``(resamples,)`` area under the ROC curve."""
        nothing, positives = np.zeros(len(self._tp) + 1), self._tp[-1]
        below = self._negatives - self._fp + self._tied / 2
        placed = self._sums(below, nothing, nothing[1:])
        passed = self._sums(nothing[1:], np.append(0.0, self._tp), self._tp - self._gained / 2)
        of_positives = ratio(placed, self._negatives * self._drawn_positives)
        of_negatives = ratio(passed, positives * self._drawn_negatives)
        whole = (self._gained * below).sum() / (positives * self._negatives)
        return _share(of_positives + of_negatives - whole)

    @property
    def ap(self) -> _Array:
        """``(resamples,)`` average precision."""
        precision, more, less = self._precision(self._tp, self._fp)
        return self._mean_precision(precision + more[:-1], -less, -less[:-1])

    @property
    def trapezoid(self) -> _Array:
        """``(resamples,)`` area under the precision-recall curve by the trapezoid rule."""
        precision, more, less = self._precision(self._tp, self._fp)
        # Precision before a step is that of what scores more than it, and 1 before the first.
        above, passed = self._tp - self._gained, self._fp - self._tied
        before, more_before, less_before = self._precision(above, passed)
        before[above + passed == 0] = 1.0
        # What a row has at its own step does not come before that step.
        of_positives = (precision + before + more[:-1] + more_before[1:]) / 2
        return self._mean_precision(of_positives, -(less + less_before) / 2, -(less[:-1] + less_before[1:]) / 2)

    def _precision(self, tp: _Array, fp: _Array) -> tuple[_Array, _Array, _Array]:
        """Return the precision of each step, and what a positive and a negative change in all steps from each on.

        Args:
            tp, fp: ``(steps,)`` positives and negatives of which the precision is.

        Returns:
            ``(steps,)`` precision and ``(steps + 1,)`` growth of the sum of precisions by one more positive and its
            loss by one more negative, 0 behind the last step.
        """
        seen = np.maximum(tp + fp, 1)
        of_positive, of_negative = (self._gained * other / seen**2 for other in (fp, tp))
        return tp / seen, _from_each_on(of_positive), _from_each_on(of_negative)

    def _mean_precision(self, positives: _Array, between: _Array, tied: _Array) -> _Array:
        return _share(ratio(self._sums(positives, between, tied), self._drawn_positives))

    def _sums(self, positives: _Array, between: _Array, tied: _Array) -> _Array:
        """Return ``(resamples,)`` sums over the frames drawn.

        Args:
            positives: ``(steps,)`` what a positive of each step adds.
            between: ``(steps + 1,)`` what a negative above each step adds that is not above the step before.
            tied: ``(steps,)`` what a negative of the same score as the step adds.
        """
        video, inside, outside, step, same, steps = self._rows
        of_inside, of_outside = np.zeros((2, 2 * steps + 1))
        of_inside[1::2], of_outside[::2], of_outside[1::2] = positives, between, tied
        sums = np.zeros(self._drawn.videos)
        for first in range(0, len(video), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            place = 2 * step[part] + same[part]
            weights = inside[part] * of_inside[place] + outside[part] * of_outside[place]
            sums += np.bincount(video[part], weights, len(sums))
        return self._drawn.sums(sums)


def _share(values: _Array) -> _Array:
    """Return values between 0 and 1, which the first order may leave by a little."""
    shares: _Array = np.clip(values, 0.0, 1.0)
    return shares


def _from_each_on(values: _Array) -> _Array:
    """Return ``(steps + 1,)`` sums of ``(steps,)`` values from each on, 0 behind the last.

    >>> _from_each_on(np.array([1.0, 2.0])).tolist()
    [3.0, 2.0, 0.0]
    """
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)
