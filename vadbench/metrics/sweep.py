"""One pass down the scores for all resamples at once: what depends on the order of frames of different videos.

AUC, average precision, the area by the trapezoid rule and operating points change only at scores of positive rows, the
steps of the pass. The rows between two of them are added up by video before any resample is looked at, and resamples
are handled in blocks, so the pass costs a multiplication for each row and resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.multiplicities import FramesByPlace, Multiplicities, cumulative
from vadbench.metrics.ranking import Ranking, compact, ratio
from vadbench.scoring.rows import Ints, WeightedRows

STEPS = 128
"""Steps handled at a time; bounds memory to a few arrays of 64 KB, which stay in the cache.

From 128 KB on the C library may fetch new pages from the system for each, which takes longer than all that is computed.
"""

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """Neighbouring steps of a sweep, from the highest score down, in some of the resamples.

    Args:
        resamples: which they are; all arrays are ``(steps, resamples)`` drawn frames.
        gained: positives at each step.
        tied: negatives of the same score as the step.
        tp, fp: positives and negatives that score at least as much.
        apart_tied, apart_fp: those of the negatives that are of videos counted apart; none without such videos.
    """

    resamples: slice
    gained: _Array
    tied: _Array
    tp: _Array
    fp: _Array
    apart_tied: _Array
    apart_fp: _Array

    @cached_property
    def precision(self) -> _Array:
        """Share of positives among frames that score at least as much."""
        # Counts are whole numbers, so a sum below 1 is 0: nothing has been drawn yet and nothing is gained.
        return self.tp / np.maximum(self.tp + self.fp, 1)


class Counted(Protocol):
    """What is found on the way of a sweep."""

    def add(self, block: Steps) -> None:
        """Count the next steps of some resamples."""


class Sweep:
    """The steps of a ranking in resamples of its videos.

    Args:
        rows: of the split.
        drawn: how often its videos are drawn.
        ranking: of the scores of the rows; made where it is not given.
        apart: ``(videos,)`` the videos whose negatives are counted apart as well.
    """

    def __init__(
        self,
        rows: WeightedRows,
        drawn: Multiplicities,
        ranking: Ranking | None = None,
        apart: NDArray[np.bool_] | None = None,
    ) -> None:
        self._drawn, self._apart = drawn, apart is not None
        ranking = Ranking(rows.scores) if ranking is None else ranking
        video, positives, negatives = (compact(column)[ranking.order] for column in (rows.video, *rows[2:]))
        # Groups of equal scores in which there are positives are the steps.
        group = np.unique(np.searchsorted(ranking.ends, np.flatnonzero(positives)))
        steps = len(group)
        begun, done = np.zeros((2, len(video) + 1), np.int8)
        begun[np.where(group > 0, ranking.ends[group - 1] + 1, 0)] = done[ranking.ends[group] + 1] = 1
        # Of each row the first step that is not above it; rows below the last one change nothing.
        step: Ints = np.cumsum(done[:-1], dtype=np.int32)
        tied = np.cumsum(begun[:-1], dtype=np.int32) > step
        passed = (negatives > 0) & (step < steps)
        parts = [passed] if apart is None else [passed & ~apart[video], passed & apart[video]]
        masks = [positives > 0, *(part & which for part in parts for which in (~tied, tied))]
        kinds = [FramesByPlace(step[m], video[m], (negatives if i else positives)[m]) for i, m in enumerate(masks)]
        self._matrices = drawn.matrices(kinds, steps, STEPS)

    def count(self, counted: Sequence[Counted]) -> None:
        """Show all steps in order, those of one block of resamples after the other, to what is to count them."""
        for resamples, multiplicities in self._drawn.blocks:
            tp, fp, apart_fp = np.zeros((3, multiplicities.shape[1]))
            for matrix in self._matrices:
                gained, *lost = np.split(matrix @ multiplicities, 5 if self._apart else 3)
                passed, tied = reduce(np.add, lost[::2]), reduce(np.add, lost[1::2])
                *_, apart_passed, apart_tied = lost if self._apart else np.broadcast_to(0.0, (2, *gained.shape))
                tps, fps = cumulative(gained, tp), cumulative(passed + tied, fp)
                apart_fps = cumulative(apart_passed + apart_tied, apart_fp) if self._apart else apart_passed
                block = Steps(resamples, gained, tied, tps, fps, apart_tied, apart_fps)
                for each in counted:
                    each.add(block)
                tp, fp, apart_fp = tps[-1], fps[-1], apart_fps[-1]


class StepSum:
    """Average precision: precision times gain in recall, summed over steps."""

    def __init__(self, resamples: int) -> None:
        self._area, self._tp = np.zeros((2, resamples))

    def add(self, block: Steps) -> None:
        """Count the next steps of some resamples."""
        self._area[block.resamples] += self._gain(block).sum(0)
        self._tp[block.resamples] = block.tp[-1]

    @property
    def value(self) -> _Array:
        """``(resamples,)`` area, NaN where no positive is drawn."""
        return ratio(self._area, self._tp)

    def _gain(self, block: Steps) -> _Array:
        return block.gained * block.precision


class Trapezoid(StepSum):
    """Area under the precision-recall curve by the trapezoid rule."""

    def _gain(self, block: Steps) -> _Array:
        above = block.tp - block.gained
        # What ties with the step is not above it. Where nothing is above, precision is 1.
        seen = above + block.fp - block.tied
        before = above / np.maximum(seen, 1)
        before[seen == 0] = 1.0
        return block.gained * (block.precision + before) / 2


class Pairs:
    """Pairs of a positive and a negative frame, and those of them in right order.

    Args:
        negatives: ``(resamples,)`` drawn negatives.
        together: whether the negatives of videos counted apart belong to them.

    Attributes:
        all: ``(resamples,)`` number of pairs.
        concordant: ``(resamples,)`` number of pairs in right order, ties counting a half.
    """

    def __init__(self, negatives: _Array, together: bool = True) -> None:
        self._negatives, self._together = negatives, together
        self.all, self.concordant = np.zeros((2, len(negatives)))

    def add(self, block: Steps) -> None:
        """Count the next steps of some resamples."""
        own = block.resamples
        passed, tied = block.fp, block.tied
        if not self._together:
            passed, tied = passed - block.apart_fp, tied - block.apart_tied
        self.concordant[own] += (block.gained * (self._negatives[own] - passed + tied / 2)).sum(0)
        self.all[own] = block.tp[-1] * self._negatives[own]

    @property
    def value(self) -> _Array:
        """``(resamples,)`` share of the pairs that are in right order, the AUC; NaN where there is none."""
        return ratio(self.concordant, self.all)


def resampled_auc(rows: WeightedRows, draws: _Array) -> _Array:
    """Return ``(resamples,)`` AUC of each resample, NaN where it lacks positives or negatives.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    return resampled_pairs(rows, draws).value


def resampled_pairs(rows: WeightedRows, draws: _Array) -> Pairs:
    """Return the pairs of a positive and a negative frame of each resample.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    drawn = Multiplicities(draws)
    pairs = Pairs(drawn.sums(np.bincount(rows.video, rows.negatives, drawn.videos)))
    Sweep(rows, drawn).count([pairs])
    return pairs


def resampled_ap(rows: WeightedRows, draws: _Array) -> _Array:
    """Return ``(resamples,)`` average precision of each resample, NaN where it lacks positives.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    area = StepSum(len(draws))
    Sweep(rows, Multiplicities(draws)).count([area])
    return area.value
