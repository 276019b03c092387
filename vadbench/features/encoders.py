"""Encoders: the feature rows of a video from its decoded frames.

An encoder makes the features that a fingerprint describes, and the extraction needs to know no more of it. Images are
encoded in batches that hold a single video, so that its rows depend on no other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np
from torch import Tensor
from torch.nn.functional import cosine_similarity

from vadbench.base.errors import FeatureError
from vadbench.base.types import Arithmetic
from vadbench.clip import CROPS, Clip
from vadbench.features.decoding import WORKERS, Decoder
from vadbench.features.fingerprint import REFERENCE_ONLY, Fingerprint, Pooling
from vadbench.features.pooling import pool_rows
from vadbench.features.preparation import Preparation
from vadbench.features.shard import FeatureRows
from vadbench.features.waiting_rows import WaitingRows

BATCH = 256
"""Images encoded at once: another number could change the last bits of a row."""
_COMPARED = 8
"""Images encoded in fp32 as well, to say what another arithmetic costs."""


class EncodedVideo(ABC):
    """The rows of one video, made while its batches come. Use it in a ``with`` block.

    Rows are ``(n, dim)`` in float32, those of one crop before those of the next.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abstractmethod
    def add(self, batch: Tensor) -> Iterator[FeatureRows]:
        """Yield rows that are complete after another batch of the video, not always all of them.

        Raises:
            DataError: the video has no such regions.
            StorageError: the disk is full.
        """

    @abstractmethod
    def end(self, frames: int) -> Iterator[FeatureRows]:
        """Yield the rest of the rows of a video that has so many frames; errors as for :meth:`add`."""


class Encoder(ABC):
    """Makes the feature rows of videos.

    Args:
        clip: encodes images, on the device it was loaded to.
        fingerprint: of the features to make with this CLIP, from :func:`clip_fingerprint`.
        batch_size: images encoded at once. Another number can change the last bits of a row.
        workers: threads that decode videos and prepare images. Their number changes no value.
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
        self.cosine: float | None = None
        """Least cosine between features of the first few images of the first video and those in fp32; ``None`` before
        they are encoded, and for fp32."""
        self._compared: str | None = None

    def encode(self, images: Tensor, name: str | None) -> Tensor:
        """Return the features of prepared images of a video, ``(n, dim)`` in float32; a GPU may still be at work on
        them."""
        features = self.clip.encode_images(images, self.arithmetic)
        # Of videos that are decoded at once, any may be the first to come.
        if name is not None and name == self._compared and self.cosine is None and self.arithmetic != "fp32":
            exact = self.clip.encode_images(images[:_COMPARED])
            self.cosine = float(cosine_similarity(features[:_COMPARED].double(), exact.double(), dim=-1).min())
        return features

    def begin(self, folder: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
        """Called before the first of the videos ``names``, which go into a shard of the store in ``folder``."""
        self.folder, self._compared = folder, next(iter(names), None)

    @abstractmethod
    def decoder(self, paths: Sequence[Path]) -> Decoder:
        """Return a decoder of videos that prepares their frames for :meth:`video`."""

    @abstractmethod
    def video(self, name: str) -> EncodedVideo:
        """Return what makes the rows of a video from batches of :meth:`decoder`."""


class FrameEncoder(Encoder):
    """Encodes whole frames, or crops of them.

    Args:
        clip, fingerprint, batch_size, workers, upright: as for :class:`Encoder`.
        jobs: processes that decode videos and prepare their frames instead of threads. Their number changes no value.

    Raises:
        FeatureError: as for :class:`Encoder`, or the fingerprint wants the mean of frames that are passed over.
    """

    def __init__(
        self,
        clip: Clip,
        fingerprint: Fingerprint,
        batch_size: int = BATCH,
        workers: int = WORKERS,
        upright: bool = False,
        jobs: int = 0,
    ) -> None:
        super().__init__(clip, fingerprint, batch_size, workers, upright)
        self._jobs, self._reference_only = jobs, fingerprint.decoder == REFERENCE_ONLY
        if self._reference_only and self.pooling == "mean":
            raise FeatureError(
                "rows of every frame, and means of all frames, need those that --skip passes over: expected the pooling"
                " first or middle and a stride of at least 2, found mean; leave --skip out, or choose with --pooling"
            )

    @property
    def pinned(self) -> bool:
        """True if batches should be in pinned memory, from where a GPU copies faster."""
        return self.clip.device.type == "cuda"

    @property
    def preparation(self) -> Preparation:
        """How frames are prepared; a single crop is cut out before they are encoded."""
        framing = self.clip.framing
        preprocess = framing.preprocess if self.fingerprint.crops == CROPS[:1] else framing.resize
        return Preparation(
            preprocess, self.fingerprint.stride, self.pooling, self.batch_size, self.upright, self._reference_only
        )

    def decoder(self, paths: Sequence[Path]) -> Decoder:
        workers = self._jobs or self.workers
        at_once = max(1, min(workers, len(paths)))
        return Decoder(paths, self.preparation, workers, self.pinned, at_once, bool(self._jobs and paths))

    def video(self, name: str) -> EncodedVideo:
        return _EncodedFrames(self, name)

    def crop_rows(self, batches: Iterable[Tensor]) -> Iterator[list[FeatureRows]]:
        """Yield rows ``(n, dim)`` in float32 of each crop as they become complete, those that :func:`pool_rows` makes.

        Args:
            batches: prepared frames of one video, in order: those that its rows need.
        """
        pooled = PooledCrops(self)
        for batch in batches:
            if len((rows := pooled.add(self.launch(batch)))[0]):
                yield rows
        if len((rows := pooled.end())[0]):
            yield rows

    def launch(self, batch: Tensor, name: str | None = None) -> list[Tensor]:
        """Return the features of a batch of a video in each crop; a GPU may still be at work on them."""
        frames = batch.to(self.clip.device, non_blocking=True)
        return [self.encode(self.clip.crop(frames, crop), name) for crop in self.fingerprint.crops]


class PooledCrops:
    """Rows of one video in each crop, from the features of its prepared frames.

    Args:
        encoder: whose features they are.
    """

    def __init__(self, encoder: FrameEncoder) -> None:
        self._stride, self._mean = encoder.fingerprint.stride, encoder.pooling == "mean"
        self._rests: list[FeatureRows] = [
            np.empty((0, encoder.clip.dim), np.float32) for _ in encoder.fingerprint.crops
        ]

    def add(self, features: Sequence[Tensor]) -> list[FeatureRows]:
        """Return the rows that are complete after another batch, ``(n, dim)`` of each crop; waits for the GPU."""
        rows: list[FeatureRows] = [crop.cpu().numpy() for crop in features]
        if self._mean:
            rows = [np.concatenate(both) for both in zip(self._rests, rows, strict=True)]
            full = len(rows[0]) // self._stride * self._stride
            self._rests = [crop[full:].copy() for crop in rows]
            rows = [self._means(crop[:full]) for crop in rows]
        return rows

    def end(self) -> list[FeatureRows]:
        """Return the row of the last frames, of each crop, or none."""
        return [self._means(crop) for crop in self._rests]

    def _means(self, frames: FeatureRows) -> FeatureRows:
        return pool_rows(frames, len(frames), 1, self._stride, "mean") if len(frames) else frames


class _EncodedFrames(EncodedVideo):
    """Of whole frames. A batch is read when the next one has been launched, so that a GPU need not wait."""

    def __init__(self, encoder: FrameEncoder, name: str) -> None:
        super().__init__()
        self._encoder, self._name, self._pooled = encoder, name, PooledCrops(encoder)
        self._launched: list[Tensor] = []
        # Rows come batch after batch and are stored crop after crop: those of all crops but the first wait.
        waiting = [WaitingRows(encoder.folder, encoder.clip.dim) for _ in encoder.fingerprint.crops[1:]]
        self._later = [self._stack.enter_context(rows) for rows in waiting]

    def add(self, batch: Tensor) -> Iterator[FeatureRows]:
        before, self._launched = self._launched, self._encoder.launch(batch, self._name)
        if before:
            yield self._kept(self._pooled.add(before))

    def end(self, frames: int) -> Iterator[FeatureRows]:
        yield self._kept(self._pooled.add(self._launched))
        yield self._kept(self._pooled.end())
        for waiting in self._later:
            yield from waiting.pieces()

    def _kept(self, rows: list[FeatureRows]) -> FeatureRows:
        for waiting, crop in zip(self._later, rows[1:], strict=True):
            waiting.add(crop)
        return rows[0]
