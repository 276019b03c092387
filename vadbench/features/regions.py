"""Regions of frames that are encoded instead of whole ones: where they are, and how they are cut out.

A frame has at most :data:`REGIONS` regions, the most confident first; one without any counts as a region of itself
(Dong, ICPRAM 2024, object-centric variant). In the store the crops of a video are slots, as many as its fullest frame
has regions. A frame with fewer has its first region again in the slots left over, which changes no maximum over slots.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

REGIONS = 20
"""Most regions of a frame (paper)."""
SLOTS = tuple(f"region-{number}" for number in range(1, REGIONS + 1))
"""Names of the crops of a store of regions; a video has the first few of them."""
LONGEST = 8
"""A region more than so many times as long as wide is cut down to its middle: CLIP sees no more than a square of it,
and one a pixel wide would be resized to gigabytes (our decision)."""

Corners = NDArray[np.float64]
"""``(regions, 4)``: left, top, right and bottom edges in pixels of the decoded frame; pixel 0 lies from 0 to 1."""


class RegionSource(ABC):
    """Says which regions a frame has.

    Attributes:
        label: what a fingerprint says of it: the kind, and a digest of all that decides on the regions.
        notes: what whoever extracts must know.
    """

    label: str
    notes: Sequence[str] = ()

    @abstractmethod
    def begin(self, folder: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
        """Called before the first of the videos ``names``, which go into a shard of the store in ``folder``."""

    @abstractmethod
    def find(self, name: str, numbers: Sequence[int], frames: Tensor) -> list[Corners]:
        """Regions of some frames of a video, at most :data:`REGIONS` of each, none outside of its frame.

        Args:
            name: of the video.
            numbers: of the frames, from 0.
            frames: uint8 ``(n, 3, height, width)``.

        Raises:
            FeatureError: a region cannot be one of this frame.
        """

    @abstractmethod
    def end(self, name: str, frames: int) -> None:
        """Called when all frames of a video have been decoded, before it is finished in the store.

        Raises:
            FeatureError: the regions cannot be those of a video of so many frames.
        """


def cut(frame: Tensor, corners: NDArray[np.floating[Any]]) -> Tensor:
    """The pixels of a frame that a region touches.

    Args:
        frame: ``(..., height, width)``.
        corners: ``(4,)`` left, top, right and bottom; what lies outside of the frame is left out, something must not.

    Returns:
        a view; of a region more than :data:`LONGEST` times as long as wide its middle.
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
