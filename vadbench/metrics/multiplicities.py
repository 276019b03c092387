"""How often videos are drawn, and the frames drawn with them: sums over videos for all resamples, in linear time.

A resample weights the frames of a video by how often the video was drawn. Numbers of frames by place (a step of a
ranking, say) and video are therefore a matrix to be multiplied with the multiplicities. Most of its entries are 0, as
few videos have a frame at any one place, so it is kept sparse: a product costs a multiplication for each row of scores
and resample, however many videos and places there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.scoring.rows import Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array

AT_ONCE = 64
"""Resamples handled at a time: the multiplicities of a video fill four cache lines, those of 29,000 videos 7 MB."""
WHOLE = 2**22
"""Number up to which four whole numbers can be added in float32 without rounding."""


class FramesByPlace(NamedTuple):
    """Frames of some kind, three arrays of one length: their place, ascending, their video and how many they are.

    Those of one place and video add up.
    """

    place: Ints
    video: Ints
    frames: Ints


class Multiplicities:
    """How often each video is drawn in each resample.

    Args:
        draws: ``(resamples, videos)``, whole numbers.

    Attributes:
        blocks: the resamples of each block, and their multiplicities ``(videos, resamples of the block)``.
        most: the largest multiplicity.
    """

    def __init__(self, draws: NDArray[np.float64]) -> None:
        self.draws = draws
        self.resamples, self.videos = draws.shape
        self.most = float(draws.max(initial=0))
        parts = [slice(start, start + AT_ONCE) for start in range(0, self.resamples, AT_ONCE)]
        self.blocks = [(part, np.ascontiguousarray(draws[part].T, dtype=np.float32)) for part in parts]

    def sums(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``(resamples,)`` sums of numbers ``(videos,)``, each counted as often as its video is drawn."""
        sums: NDArray[np.float64] = self.draws @ counts.astype(np.float64)
        return sums

    def matrices(self, kinds: Sequence[FramesByPlace], places: int, at_once: int) -> list[csr_array]:
        """Return numbers of frames by place and video, for so many places at once; those of the kinds are stacked.

        The product of such a matrix with a block of multiplicities is exact, and four numbers in it can be added
        without rounding, whatever their dtype.

        Args:
            kinds: frames of several kinds at the same places.
            places: how many there are.
            at_once: how many a matrix has at most.
        """
        from scipy.sparse import csr_array  # not with the module, which is imported where no number is computed

        largest = max(np.bincount(kind.place, kind.frames, 1).max() for kind in kinds) * self.most
        dtype = np.float32 if largest <= WHOLE else np.float64
        bounds = [np.searchsorted(kind.place, np.arange(places + 1)) for kind in kinds]
        found = []
        for first in range(0, places, at_once):
            end = min(first + at_once, places)
            # Straight into the arrays that are kept: pages for others, in their thousands, take longer than all else.
            parts = [slice(bound[first], bound[end]) for bound in bounds]
            of_kinds = list(zip(kinds, parts, strict=True))
            frames = np.concatenate([k.frames[part] for k, part in of_kinds], dtype=dtype, casting="unsafe")
            video = np.concatenate([k.video[part] for k, part in of_kinds], dtype=np.int32, casting="unsafe")
            sizes = np.concatenate([np.diff(bound[first : end + 1]) for bound in bounds])
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
