"""Encoders: the feature rows of a video from its decoded frames, of whole frames or of regions of them.

An encoder makes the features that a fingerprint describes, and the extraction needs to know no more of it. Images are
encoded in batches that hold a single video, so that its rows depend on no other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vadbench.base.errors import FeatureError
from vadbench.base.files import storage_errors
from vadbench.base.types import Arithmetic
from vadbench.clip import CROPS, Clip
from vadbench.features.decoding import WORKERS, Decoder
from vadbench.features.fingerprint import Fingerprint, Pooling
from vadbench.features.pooling import pool_rows
from vadbench.features.regions import RegionSource, cut
from vadbench.features.shard import FeatureRows, write_all

BATCH = 256
"""Images encoded at once: another number could change the last bits of a row."""

_WHOLE_FRAMES = 8
"""Whole frames decoded at a time: they are large."""
_COPIED_ROWS = 1024


class Encoder(ABC):
    """Makes the feature rows of videos, one video after the other.

    Args:
        clip: encodes images, on the device it was loaded to.
        fingerprint: of the features to make with this CLIP, from :func:`clip_fingerprint`.
        batch_size: images encoded at once. Another number can change the last bits of a row.
        workers: threads that prepare images, beside the one that decodes. Their number changes no value.
        upright: turn images of a folder as their camera notes that it was held.

    Raises:
        FeatureError: the fingerprint does not tell how its features are made.
    """

    def __init__(
        self,
        clip: Clip,
        fingerprint: Fingerprint,
        batch_size: int = BATCH,
        workers: int = WORKERS,
        upright: bool = False,
    ) -> None:
        pooling, arithmetic = fingerprint.pooling, fingerprint.arithmetic
        if pooling == "unknown" or arithmetic == "unknown":
            raise FeatureError("features of unknown making cannot be made again; train on features made by extract")
        self.clip, self.fingerprint, self.batch_size, self.workers = clip, fingerprint, batch_size, workers
        self.upright = upright
        self.pooling: Pooling = pooling
        self.arithmetic: Arithmetic = arithmetic

    def begin(self, folder: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
        """Called before the first of the videos ``names``, which go into a shard of the store in ``folder``."""
        self._folder = folder

    def _waiting(self) -> _WaitingRows:
        return _WaitingRows(self._folder, self.fingerprint.dim)

    @abstractmethod
    def decoder(self, paths: Sequence[Path]) -> Decoder:
        """Return a decoder of videos that prepares their frames for :meth:`rows`."""

    @abstractmethod
    def rows(self, name: str, batches: Iterator[Tensor], decoder: Decoder) -> Generator[FeatureRows]:
        """Return rows ``(n, dim)`` of a video in float32, those of one crop before those of the next.

        Args:
            name: of the video.
            batches: its frames, as :meth:`decoder` prepared them.
            decoder: where they come from; at their end it knows how many frames the video has.

        Raises:
            DataError: the video is damaged, or it has no such regions.
            StorageError: the disk is full.
        """


class FrameEncoder(Encoder):
    """Encodes whole frames, or crops of them; arguments and errors as for :class:`Encoder`."""

    @property
    def pinned(self) -> bool:
        """True if batches should be in pinned memory, from where a GPU copies faster."""
        return self.clip.device.type == "cuda"

    def prepare(self, frame: Tensor) -> Tensor:
        """Return encoder input of a frame ``(1, 3, height, width)``; a single crop is cut out here."""
        return self.clip.preprocess(frame) if self.fingerprint.crops == CROPS[:1] else self.clip.resize(frame)

    def decoder(self, paths: Sequence[Path]) -> Decoder:
        return Decoder(
            paths,
            self.prepare,
            self.fingerprint.stride,
            self.pooling,
            self.batch_size,
            self.workers,
            self.pinned,
            self.upright,
        )

    def rows(self, name: str, batches: Iterator[Tensor], decoder: Decoder) -> Generator[FeatureRows]:
        with ExitStack() as stack:
            # Rows come batch after batch and are stored crop after crop: those of all crops but the first wait.
            later = [stack.enter_context(self._waiting()) for _ in self.fingerprint.crops[1:]]
            for first, *others in self.crop_rows(batches):
                yield first
                for waiting, rows in zip(later, others, strict=True):
                    waiting.add(rows)
            for waiting in later:
                yield from waiting.pieces()

    def crop_rows(self, batches: Iterable[Tensor]) -> Iterator[list[FeatureRows]]:
        """Yield rows ``(n, dim)`` in float32 of each crop as they become complete, those that :func:`pool_rows` makes.

        Args:
            batches: prepared frames of one video, in order: those that its rows need.
        """
        clip, crops, stride = self.clip, self.fingerprint.crops, self.fingerprint.stride
        rests: list[FeatureRows] = [np.empty((0, clip.dim), np.float32) for _ in crops]
        for batch in batches:
            frames = batch.to(clip.device, non_blocking=True)
            rows = [clip.encode_images(clip.crop(frames, crop), self.arithmetic).cpu().numpy() for crop in crops]
            if self.pooling == "mean":
                rows = [np.concatenate(both) for both in zip(rests, rows, strict=True)]
                full = len(rows[0]) // stride * stride
                rests = [crop[full:].copy() for crop in rows]
                rows = [_means(crop[:full], stride) for crop in rows]
            if len(rows[0]):
                yield rows
        if len(rests[0]):
            yield [_means(crop, stride) for crop in rests]


class RegionEncoder(Encoder):
    """Encodes regions of frames, which take the place of crops in the store (:mod:`vadbench.features.regions`).

    Args:
        source: says where the regions are; its label is part of the fingerprint.
        clip, fingerprint, batch_size, workers, upright: as for :class:`Encoder`.

    Raises:
        FeatureError: as for :class:`Encoder`, or the fingerprint wants the mean of frames.
    """

    def __init__(
        self,
        source: RegionSource,
        clip: Clip,
        fingerprint: Fingerprint,
        batch_size: int = BATCH,
        workers: int = WORKERS,
        upright: bool = False,
    ) -> None:
        super().__init__(clip, fingerprint, batch_size, workers, upright)
        if self.pooling == "mean" and fingerprint.stride > 1:
            raise FeatureError(
                "regions differ from frame to frame and have no mean: expected the pooling first or middle, found mean;"
                " choose one with --pooling"
            )
        self.source = source

    def begin(self, folder: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
        super().begin(folder, shard, names)
        self.source.begin(folder, shard, names)

    def decoder(self, paths: Sequence[Path]) -> Decoder:
        stride, pooling = self.fingerprint.stride, self.pooling
        return Decoder(paths, _whole, stride, pooling, _WHOLE_FRAMES, self.workers, upright=self.upright)

    def rows(self, name: str, batches: Iterator[Tensor], decoder: Decoder) -> Generator[FeatureRows]:
        counts: list[int] = []
        with ThreadPoolExecutor(self.workers, "vadbench-regions") as pool, self._waiting() as encoded:
            # Each region is encoded once, however many slots it fills.
            for features in self._encoded(self._regions(name, batches, decoder, counts, pool)):
                encoded.add(features)
            self.source.end(name, decoder.frames)
            number = np.array(counts)
            first = np.cumsum(number) - number
            for slot in range(max(counts)):
                yield from encoded.pieces(first + np.where(slot < number, slot, 0))

    def _regions(
        self, name: str, batches: Iterator[Tensor], decoder: Decoder, counts: list[int], pool: Executor
    ) -> Iterator[Tensor]:
        """Yield encoder input of all regions; ``counts`` grows by the number of regions of each frame."""
        for numbers, frames in self._numbered(batches, decoder):
            pieces = []
            for frame, found in zip(frames, self.source.find(name, numbers, frames), strict=True):
                pieces += [cut(frame[None], corners) for corners in found] if len(found) else [frame[None]]
                counts.append(max(len(found), 1))
            yield from pool.map(self.clip.preprocess, pieces)

    def _numbered(self, batches: Iterator[Tensor], decoder: Decoder) -> Iterator[tuple[list[int], Tensor]]:
        """Yield batches of a video's frames, each with their numbers.

        One batch is delayed: the frame that stands for the last row is known only when the decoder is at the end.
        """
        stride, row, held = self.fingerprint.stride, 0, None
        for batch in chain(batches, (None,)):
            if held is not None:
                lengths = [stride] * len(held)
                if batch is None:
                    lengths[-1] = decoder.frames - (row + len(held) - 1) * stride
                starts = range(row * stride, (row + len(held)) * stride, stride)
                middle = self.pooling == "middle"
                yield [s + (n // 2 if middle else 0) for s, n in zip(starts, lengths, strict=True)], held
                row += len(held)
            held = batch

    def _encoded(self, regions: Iterator[Tensor]) -> Iterator[FeatureRows]:
        held: list[Tensor] = []
        for region in chain(regions, (None,)):
            if region is not None:
                held.append(region)
            if held and (region is None or len(held) == self.batch_size):
                yield self.clip.encode_images(torch.cat(held), self.arithmetic).cpu().numpy()
                held = []


class _WaitingRows:
    """Rows in float32 that wait on disk, in a file without a name: it is gone however the process ends."""

    def __init__(self, folder: Path, dim: int) -> None:
        self._folder, self._dim = folder, dim
        with storage_errors(folder):
            self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def __enter__(self) -> _WaitingRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: FeatureRows) -> None:
        with storage_errors(self._folder):
            write_all(self._file.fileno(), rows.tobytes())

    def pieces(self, places: NDArray[np.int64] | None = None) -> Iterator[FeatureRows]:
        """Yield the rows in ``places``, or all of them in order, a few at a time."""
        rows: FeatureRows = np.memmap(self._file, np.float32, mode="r").reshape(-1, self._dim)
        for start in range(0, len(rows if places is None else places), _COPIED_ROWS):
            piece = slice(start, start + _COPIED_ROWS)
            yield rows[piece if places is None else places[piece]]


def _whole(frame: Tensor) -> Tensor:
    return frame


def _means(frames: FeatureRows, stride: int) -> FeatureRows:
    return pool_rows(frames, len(frames), 1, stride, "mean") if len(frames) else frames
