"""One pass down the scores for all resamples at once: what depends on the order of frames of different videos.

Average precision, the area by the trapezoid rule and operating points change only at scores of positive rows, the steps
of the pass, so the rows between two of them are added up per video before any resample is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.ranking import Ranking, ratio
from vadbench.scoring.rows import Ints, WeightedRows

STEPS = 32
"""Steps handled at a time; bounds memory to a few arrays of this many rows per resample."""
SMALL_PRODUCT = 2**18
"""Multiplications up to which OpenBLAS, NumPy's usual BLAS, starts no threads."""

_Array = NDArray[np.float64]


class Steps(NamedTuple):
    """Neighbouring steps of a sweep, from the highest score down; all but ``first`` and ``before`` are ``(steps,
    resamples)`` drawn frames.

    Args:
        first: number of steps above.
        before: ``(resamples,)`` positives above.
        gained: positives at each step.
        tied: negatives of the same score as the step.
        tp, fp: positives and negatives that score at least as much.
    """

    first: int
    before: _Array
    gained: _Array
    tied: _Array
    tp: _Array
    fp: _Array


class Sweep:
    """The steps of a ranking in resamples of its videos.

    Args:
        rows: of the split.
        draws: ``(resamples, videos)`` multiplicities.

    Attributes:
        step: ``(rows,)`` of the rows in descending order of score: the first step that is not above it.
        video, positives, negatives: ``(rows,)`` in the same order.
    """

    def __init__(self, rows: WeightedRows, draws: _Array) -> None:
        ranking = Ranking(rows.scores)
        self.video, self.positives, self.negatives = (a[ranking.order] for a in (rows.video, *rows[2:]))
        has_positives = np.diff(ranking.cumulative(rows.positives), prepend=0.0) > 0
        repeats = np.diff(ranking.ends, prepend=-1)
        steps_above: Ints = np.cumsum(has_positives) - has_positives
        self.step: Ints = np.repeat(steps_above, repeats)
        self._tied = np.where(np.repeat(has_positives, repeats), self.negatives, 0)
        self._total = int(has_positives.sum())
        self._by_video = np.ascontiguousarray(draws.T)

    def blocks(self) -> Iterator[Steps]:
        """Yield all steps in order."""
        resamples = self._by_video.shape[1]
        tp, fp = np.zeros(resamples), np.zeros(resamples)
        bounds = np.searchsorted(self.step, np.arange(0, self._total + STEPS, STEPS).clip(max=self._total))
        for low, high in pairwise(bounds):
            gained, passed, tied = (
                self._drawn(slice(low, high), frames) for frames in (self.positives, self.negatives, self._tied)
            )
            hits, false = np.cumsum(gained, axis=0) + tp, np.cumsum(passed, axis=0) + fp
            yield Steps(int(self.step[low]), tp, gained, tied, hits, false)
            tp, fp = hits[-1], false[-1]

    def _drawn(self, rows: slice, frames: Ints) -> _Array:
        """Return ``(steps, resamples)`` frames drawn at each step: each video's counts times its multiplicity."""
        step, video, frames = self.step[rows] - self.step[rows.start], self.video[rows], frames[rows]
        some = np.flatnonzero(frames)
        present, column = np.unique(video[some], return_inverse=True)
        shape = (int(step[-1]) + 1, len(present))
        counts = np.bincount(step[some] * len(present) + column, frames[some], shape[0] * shape[1]).reshape(shape)
        weights = self._by_video[present]
        product = np.empty((shape[0], weights.shape[1]))
        # In pieces: waiting for BLAS threads at each of many small products costs more than it saves, and on a busy
        # machine up to a hundred times more than the products themselves.
        width = max(1, SMALL_PRODUCT // max(1, counts.size))
        for start in range(0, weights.shape[1], width):
            piece = slice(start, start + width)
            np.matmul(counts, weights[:, piece], out=product[:, piece])
        return product


class StepSum:
    """Average precision: precision times gain in recall, summed over steps."""

    def __init__(self, resamples: int) -> None:
        self._area = np.zeros(resamples)
        self._tp = np.zeros(resamples)

    def add(self, block: Steps) -> None:
        """Count the next steps."""
        self._area += self._gain(block).sum(0)
        self._tp = block.tp[-1]

    @property
    def value(self) -> _Array:
        """``(resamples,)`` area, NaN where no positive is drawn."""
        return ratio(self._area, self._tp)

    def _gain(self, block: Steps) -> _Array:
        # Counts are whole numbers, so a sum below 1 is 0: nothing has been drawn yet and nothing is gained.
        return block.gained * block.tp / np.maximum(block.tp + block.fp, 1)


class Trapezoid(StepSum):
    """Area under the precision-recall curve by the trapezoid rule."""

    def _gain(self, block: Steps) -> _Array:
        above = block.tp - block.gained
        # What ties with the step is not above it. Where nothing is above, precision is 1.
        seen = above + block.fp - block.tied
        before = np.where(seen > 0, above / np.maximum(seen, 1), 1.0)
        return block.gained * (block.tp / np.maximum(block.tp + block.fp, 1) + before) / 2


def resampled_ap(rows: WeightedRows, draws: _Array) -> _Array:
    """Return ``(resamples,)`` average precision of each resample, NaN where it lacks positives.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    area = StepSum(len(draws))
    for block in Sweep(rows, draws).blocks():
        area.add(block)
    return area.value
