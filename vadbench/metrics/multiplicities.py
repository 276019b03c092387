"""How often videos are drawn, and the frames drawn with them: sums over videos for all resamples, in linear time.

A resample weights the frames of a video by how often the video was drawn. Numbers of frames by place (a step of a
ranking, say) and video are therefore a matrix to be multiplied with the multiplicities. Most of its entries are 0, as
few videos have a frame at any one place, so it is kept sparse: a product costs a multiplication for each row of scores
and resample, however many videos and places there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.scoring.rows import Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array

AT_ONCE = 64
"""Resamples handled at a time: the multiplicities of a video fill four cache lines, those of 29,000 videos 7 MB."""
KEPT = 2**22
"""Multiplicities up to which blocks are kept for the next sweep; others are computed again, which bounds memory."""
WHOLE = 2**22
"""Number up to which four whole numbers can be added in float32 without rounding."""


class FramesByPlace(NamedTuple):
    """Frames of some kind, three arrays of one length: their place, ascending, their video and how many they are.

    Those of one place and video add up.
    """

    place: Ints
    video: Ints
    frames: Ints

    def above(self, place: int, videos: int) -> NDArray[np.float64]:
        """Return ``(videos,)`` numbers of frames before a place."""
        rows = slice(np.searchsorted(self.place, place))
        return np.bincount(self.video[rows], self.frames[rows], videos).astype(np.float64)


class Multiplicities:
    """How often each video is drawn in each resample.

    Args:
        draws: ``(resamples, videos)``, whole numbers.

    Attributes:
        resamples, videos: how many there are.
        most: the largest multiplicity.
    """

    def __init__(self, draws: Floats) -> None:
        self._draws = draws
        self.resamples, self.videos = draws.shape
        self.most = float(draws.max(initial=0))

    def first(self, resamples: int) -> Multiplicities:
        """Return the multiplicities of the first ``resamples`` resamples."""
        return Multiplicities(self._draws[:resamples])

    @property
    def blocks(self) -> Iterable[tuple[slice, NDArray[np.float32]]]:
        """The resamples of each block, and their multiplicities ``(videos, resamples of the block)``."""
        return self._kept if self._draws.size <= KEPT else self._made()

    @cached_property
    def _kept(self) -> list[tuple[slice, NDArray[np.float32]]]:
        return list(self._made())

    def _made(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        for part in self._parts:
            yield part, np.ascontiguousarray(self._draws[part].T, dtype=np.float32)

    def sums(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """Return sums of numbers of videos, each counted as often as its video is drawn.

        Args:
            counts: ``(videos,)`` for sums ``(resamples,)``, or ``(videos, kinds)`` for ``(resamples, kinds)``.
        """
        columns = np.ascontiguousarray(np.atleast_2d(counts.T), dtype=np.float64)
        found = np.empty((self.resamples, len(columns)))
        for part in self._parts:
            # A block at a time, as a copy of all draws in float64 would take more memory than anything else.
            block = self._draws[part].astype(np.float64)
            for i, column in enumerate(columns):
                # Not by BLAS: its threads spin for 20 ms after each product, which doubles the CPU seconds of a split.
                found[part, i] = np.einsum("rv,v->r", block, column)
        return found.reshape(self.resamples, *counts.shape[1:])

    @property
    def _parts(self) -> list[slice]:
        return [slice(start, start + AT_ONCE) for start in range(0, self.resamples, AT_ONCE)]

    def matrices(self, kinds: Sequence[FramesByPlace], first: int, end: int, at_once: int) -> list[csr_array]:
        """Return numbers of frames by place and video, for so many places at once; those of the kinds are stacked.

        The product of such a matrix with a block of multiplicities is exact, and four numbers in it can be added
        without rounding, whatever their dtype.

        Args:
            kinds: frames of several kinds at the same places.
            first, end: the first place and one past the last.
            at_once: how many a matrix has at most.
        """
        from scipy.sparse import csr_array  # not with the module, which is imported where no number is computed

        largest = max(np.bincount(kind.place, kind.frames, 1).max() for kind in kinds) * self.most
        dtype = np.float32 if largest <= WHOLE else np.float64
        bounds = [np.searchsorted(kind.place, np.arange(first, end + 1)) for kind in kinds]
        found = []
        for start in range(0, end - first, at_once):
            stop = min(start + at_once, end - first)
            # Straight into the arrays that are kept: pages for others, in their thousands, take longer than all else.
            parts = [slice(bound[start], bound[stop]) for bound in bounds]
            of_kinds = list(zip(kinds, parts, strict=True))
            frames = np.concatenate([k.frames[part] for k, part in of_kinds], dtype=dtype, casting="unsafe")
            video = np.concatenate([k.video[part] for k, part in of_kinds], dtype=np.int32, casting="unsafe")
            sizes = np.concatenate([np.diff(bound[start : stop + 1]) for bound in bounds])
            starts = np.append(0, np.cumsum(sizes)).astype(np.int32)
            found.append(csr_array((frames, video, starts), shape=(len(sizes), self.videos)))
        return found


def cumulative(steps: NDArray[Any], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(steps, resamples)`` sums of whole numbers over all steps up to each.

    Args:
        steps: ``(steps, resamples)``.
        before: ``(resamples,)`` what is added to all sums.
    """
    sums = steps.astype(np.float64)
    sums[0] += before
    # Sums of 2, 4, 8 ... neighbours: NumPy goes down one column after the other, which takes five times as long.
    shift = 1
    while shift < len(sums):
        longer = np.empty_like(sums)
        longer[:shift] = sums[:shift]
        np.add(sums[shift:], sums[:-shift], out=longer[shift:])
        sums, shift = longer, 2 * shift
    return sums
