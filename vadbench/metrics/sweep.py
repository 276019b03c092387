"""One pass down the scores for all resamples at once: what depends on the order of frames of different videos.

Rows between two steps (:mod:`vadbench.metrics.descent`) are added up by video before any resample is looked at, and
resamples are handled in blocks, so the pass costs a multiplication for each row and resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.descent import Descent, descend
from vadbench.metrics.multiplicities import FramesByPlace, Multiplicities, cumulative
from vadbench.metrics.ranking import ratio
from vadbench.scoring.rows import Floats, WeightedRows

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
        descent: the rows of the split from the highest score down.
        drawn: how often its videos are drawn.
        apart: ``(videos,)`` the videos whose negatives are counted apart as well.

    Attributes:
        steps: how many there are.
    """

    def __init__(self, descent: Descent, drawn: Multiplicities, apart: NDArray[np.bool_] | None = None) -> None:
        self._drawn, self._apart = drawn, apart is not None
        video, positives, negatives, step, tied, self.steps = descent
        # Rows below the last step change nothing.
        passed = (negatives > 0) & (step < self.steps)
        parts = [passed] if apart is None else [passed & ~apart[video], passed & apart[video]]
        masks = [positives > 0, *(part & which for part in parts for which in (~tied, tied))]
        self._kinds = [
            FramesByPlace(step[m], video[m], (negatives if i else positives)[m]) for i, m in enumerate(masks)
        ]

    def count(self, counted: Sequence[Counted], window: slice = slice(None)) -> None:
        """Show steps in order, those of one block of resamples after the other, to what is to count them.

        Args:
            counted: what is to count them.
            window: the steps, all where it is not given; what is above them is added up before.
        """
        first, end, _ = window.indices(self.steps)
        matrices = self._drawn.matrices(self._kinds, first, end, STEPS)
        above = self.above(first) if first else np.zeros((3, self._drawn.resamples))
        for resamples, multiplicities in self._drawn.blocks:
            tp, fp, apart_fp = (sums[resamples] for sums in above)
            for matrix in matrices:
                gained, *lost = np.split(matrix @ multiplicities, len(self._kinds))
                passed, tied = reduce(np.add, lost[::2]), reduce(np.add, lost[1::2])
                *_, apart_passed, apart_tied = lost if self._apart else np.broadcast_to(0.0, (2, *gained.shape))
                tps, fps = cumulative(gained, tp), cumulative(passed + tied, fp)
                apart_fps = cumulative(apart_passed + apart_tied, apart_fp) if self._apart else apart_passed
                block = Steps(resamples, gained, tied, tps, fps, apart_tied, apart_fps)
                for each in counted:
                    each.add(block)
                tp, fp, apart_fp = tps[-1], fps[-1], apart_fps[-1]

    def above(self, step: int) -> tuple[_Array, _Array, _Array]:
        """Return ``(resamples,)`` positives, negatives and negatives of videos counted apart that are above a step."""
        tp, fp, apart_fp = self._drawn.sums(np.stack(self.by_video(step), 1)).T
        return tp, fp, apart_fp

    def by_video(self, step: int) -> tuple[_Array, _Array, _Array]:
        """Return ``(videos,)`` positives, negatives and negatives counted apart above a step, of each video."""
        positives, *negatives = (kind.above(step, self._drawn.videos) for kind in self._kinds)
        apart = negatives[2:] if self._apart else [np.zeros(self._drawn.videos)]
        return positives, reduce(np.add, negatives), reduce(np.add, apart)

    @cached_property
    def totals(self) -> tuple[_Array, _Array]:
        """``(steps,)`` positives and negatives that score at least as much as each step, videos drawn once."""
        positives, *negatives = (np.bincount(kind.place, kind.frames, self.steps) for kind in self._kinds)
        return np.cumsum(positives), np.cumsum(reduce(np.add, negatives))


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


def resampled_auc(rows: WeightedRows, draws: Floats) -> _Array:
    """Return ``(resamples,)`` AUC of each resample, NaN where it lacks positives or negatives.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    return resampled_pairs(rows, draws).value


def resampled_pairs(rows: WeightedRows, draws: Floats) -> Pairs:
    """Return the pairs of a positive and a negative frame of each resample.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    drawn = Multiplicities(draws)
    pairs = Pairs(drawn.sums(np.bincount(rows.video, rows.negatives, drawn.videos)))
    Sweep(descend(rows), drawn).count([pairs])
    return pairs


def resampled_ap(rows: WeightedRows, draws: Floats) -> _Array:
    """Return ``(resamples,)`` average precision of each resample, NaN where it lacks positives.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    area = StepSum(len(draws))
    Sweep(descend(rows), Multiplicities(draws)).count([area])
    return area.value
