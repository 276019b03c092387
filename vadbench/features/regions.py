"""Regions of frames that are encoded instead of whole ones: where they are, and how they are cut out.

A frame has at most :data:`REGIONS` regions, the most confident first. A frame without any is encoded whole, as a single
region (Dong, ICPRAM 2024, object-centric variant). In the store the regions of a frame take the place of its crops: a
video has as many slots as its frame with the most regions. A frame with fewer regions repeats its first one in the
slots left over, which changes no maximum over slots.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

REGIONS = 20
"""Most regions of a frame (paper)."""
SLOTS = tuple(f"region-{number}" for number in range(1, REGIONS + 1))
"""Names of the crops of a store of regions; a video has the first few of them."""
LONGEST = 8
"""Largest ratio of the sides of a region; a longer one is cut down to its middle. CLIP sees only a square of it anyway,
and a region one pixel wide would be resized to gigabytes (our decision)."""

Corners = NDArray[np.float64]
"""``(regions, 4)``: left, top, right and bottom edges in pixels of the decoded frame; pixel 0 goes from 0 to 1."""


class RegionSource(ABC):
    """Finds the regions of frames.

    Attributes:
        label: its name in a fingerprint: the kind, and a digest of everything that the regions depend on.
        notes: remarks for the user who extracts.
    """

    label: str
    notes: Sequence[str] = ()

    @abstractmethod
    def begin(self, folder: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
        """Called before the first of the videos ``names``, which go into a shard of the store in ``folder``."""

    @abstractmethod
    def find(self, name: str, numbers: Sequence[int], frames: Tensor) -> list[Corners]:
        """Find the regions of some frames of a video, at most :data:`REGIONS` of each, none outside of its frame.

        Args:
            name: of the video.
            numbers: of the frames, from 0.
            frames: uint8 ``(n, 3, height, width)``.

        Raises:
            FeatureError: a region is outside of its frame.
        """

    @abstractmethod
    def end(self, name: str, frames: int) -> None:
        """Called when all frames of a video have been decoded, before it is finished in the store.

        Raises:
            FeatureError: a region is on a frame that the video does not have, or is outside of its frame.
        """


def cut(frame: Tensor, corners: NDArray[np.floating[Any]]) -> Tensor:
    """Return the pixels of a frame that a region touches.

    Args:
        frame: ``(..., height, width)``.
        corners: ``(4,)`` left, top, right and bottom. Some of it must be inside of the frame, the rest is left out.

    Returns:
        a view; only the middle of a region that is more than :data:`LONGEST` times as long as wide.
    """
    height, width = frame.shape[-2:]
    left, top = max(math.floor(corners[0]), 0), max(math.floor(corners[1]), 0)
    right, bottom = min(math.ceil(corners[2]), width), min(math.ceil(corners[3]), height)
    most = LONGEST * min(right - left, bottom - top)
    left, right = _middle(left, right, most)
    top, bottom = _middle(top, bottom, most)
    return frame[..., top:bottom, left:right]


def _middle(start: int, end: int, most: int) -> tuple[int, int]:
    start += max(end - start - most, 0) // 2
    return start, min(end, start + most)
