"""Regions of frames instead of whole ones: cut out, encoded, and laid into the crops of a feature store.

A frame has at most :data:`REGIONS` regions, the most confident first; one without any counts as a region of itself
(Dong, ICPRAM 2024, object-centric variant). In the store the crops of a video are slots, as many as its fullest frame
has regions. A frame with fewer has its first region again in the slots left over, which changes no maximum over slots.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vadbench.base.files import storage_errors
from vadbench.base.types import Arithmetic
from vadbench.clip import Clip
from vadbench.features.decoding import Decoder
from vadbench.features.fingerprint import Pooling
from vadbench.features.shard import FeatureRows, write_all
from vadbench.features.store import StoreWriter

REGIONS = 20
"""Most regions of a frame (paper)."""
SLOTS = tuple(f"region-{number}" for number in range(1, REGIONS + 1))
"""Names of the crops of a store of regions; a video has the first few of them."""
FRAMES_AT_ONCE = 8
"""Frames decoded at a time: whole ones are large."""
LONGEST = 8
"""A region more than so many times as long as wide is cut down to its middle: CLIP sees no more than a square of it,
and one a pixel wide would be resized to gigabytes (our decision)."""

_COPIED_ROWS = 1024

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


@dataclass(frozen=True)
class RegionEncoder:
    """Encodes the regions of videos.

    Args:
        clip: encodes them, on the device it was loaded to.
        source: says where they are.
        stride: frames from one row to the next.
        pooling: which of a row's frames stands for it, not ``mean`` unless each row is a frame.
        arithmetic: of the encoder.
        batch_size: regions encoded at once.
        workers: threads that resize them.
    """

    clip: Clip
    source: RegionSource
    stride: int
    pooling: Pooling
    arithmetic: Arithmetic
    batch_size: int
    workers: int

    def write(self, writer: StoreWriter, name: str, batches: Iterator[Tensor], decoder: Decoder) -> int:
        """Write the rows of a video, slot after slot; :meth:`StoreWriter.finish` completes it.

        Args:
            writer: of the store.
            name: of the video.
            batches: its frames that give rows, uint8 ``(n, 3, height, width)``.
            decoder: where they come from; it knows the length of the video at its end.

        Returns:
            the number of slots.

        Raises:
            FeatureError: a region cannot be one of its frame.
            StorageError: the disk is full.
        """
        counts: list[int] = []
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(self.workers, "vadbench-regions"))
            with storage_errors(writer.folder):
                # Each region is encoded once. The file has no name: it is gone however the process ends.
                file = stack.enter_context(TemporaryFile(dir=writer.folder, buffering=0))
            for features in self._encoded(self._regions(name, batches, decoder, counts, pool)):
                with storage_errors(writer.folder):
                    write_all(file.fileno(), features.tobytes())
            self.source.end(name, decoder.frames)
            kept: FeatureRows = np.memmap(file, np.float32, mode="r").reshape(-1, self.clip.dim)
            number = np.array(counts)
            first, slots = np.cumsum(number) - number, max(counts)
            for slot in range(slots):
                places = first + np.where(slot < number, slot, 0)
                for start in range(0, len(places), _COPIED_ROWS):
                    writer.write_rows(name, kept[places[start : start + _COPIED_ROWS]])
        return slots

    def _regions(
        self, name: str, batches: Iterator[Tensor], decoder: Decoder, counts: list[int], pool: Executor
    ) -> Iterator[Tensor]:
        """Encoder input of all regions, and in ``counts`` how many each frame has."""
        for numbers, frames in numbered(batches, decoder, self.stride, self.pooling):
            pieces = []
            for frame, found in zip(frames, self.source.find(name, numbers, frames), strict=True):
                pieces += [cut(frame[None], corners) for corners in found] if len(found) else [frame[None]]
                counts.append(max(len(found), 1))
            yield from pool.map(self.clip.preprocess, pieces)

    def _encoded(self, regions: Iterator[Tensor]) -> Iterator[FeatureRows]:
        held: list[Tensor] = []
        for region in chain(regions, (None,)):
            if region is not None:
                held.append(region)
            if held and (region is None or len(held) == self.batch_size):
                yield self.clip.encode_images(torch.cat(held), self.arithmetic).cpu().numpy()
                held = []


def numbered(
    batches: Iterator[Tensor], decoder: Decoder, stride: int, pooling: Pooling
) -> Iterator[tuple[list[int], Tensor]]:
    """Batches of a video's frames, each with their numbers. One is held back: a decoder at its end knows the length."""
    row, held = 0, None
    for batch in chain(batches, (None,)):
        if held is not None:
            lengths = [stride] * len(held)
            if batch is None:
                lengths[-1] = decoder.frames - (row + len(held) - 1) * stride
            starts = range(row * stride, (row + len(held)) * stride, stride)
            yield [s + (n // 2 if pooling == "middle" else 0) for s, n in zip(starts, lengths, strict=True)], held
            row += len(held)
        held = batch
