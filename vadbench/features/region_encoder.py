"""An encoder of regions of frames, which take the place of crops in the store (:mod:`vadbench.features.regions`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vadbench.base.errors import FeatureError
from vadbench.clip import Clip
from vadbench.features.decoding import WORKERS, Decoder
from vadbench.features.encoders import BATCH, EncodedVideo, Encoder
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.preparation import Preparation
from vadbench.features.regions import RegionSource, cut
from vadbench.features.shard import FeatureRows
from vadbench.features.waiting_rows import WaitingRows

_WHOLE_FRAMES = 8
"""Whole frames decoded at a time: they are large."""


class RegionEncoder(Encoder):
    """Encodes regions of frames, of one video after the other.

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
        # A source of regions may know one video at a time.
        return Decoder(paths, Preparation(_whole, stride, pooling, _WHOLE_FRAMES, self.upright), self.workers)

    def video(self, name: str) -> EncodedVideo:
        return _EncodedRegions(self, name)


class _EncodedRegions(EncodedVideo):
    def __init__(self, encoder: RegionEncoder, name: str) -> None:
        super().__init__()
        self._encoder, self._name = encoder, name
        self._pool = self._stack.enter_context(ThreadPoolExecutor(encoder.workers, "vadbench-regions"))
        # Each region is encoded once, however many slots it fills.
        self._encoded = self._stack.enter_context(WaitingRows(encoder.folder, encoder.clip.dim))
        self._counts: list[int] = []
        self._whole: Tensor | None = None
        self._regions: list[Tensor] = []

    def add(self, batch: Tensor) -> Iterator[FeatureRows]:
        # One batch is delayed: the frame that stands for the last row is known only when the decoder is at the end.
        before, self._whole = self._whole, batch
        if before is not None:
            self._take(before, [self._encoder.fingerprint.stride] * len(before))
        yield from ()

    def end(self, frames: int) -> Iterator[FeatureRows]:
        stride, whole = self._encoder.fingerprint.stride, self._whole
        assert whole is not None  # a video has a frame
        last = frames - (len(self._counts) + len(whole) - 1) * stride
        self._take(whole, [stride] * (len(whole) - 1) + [last])
        if self._regions:
            self._encode()
        self._encoder.source.end(self._name, frames)
        number = np.array(self._counts)
        first = np.cumsum(number) - number
        for slot in range(max(self._counts)):
            yield from self._encoded.pieces(first + np.where(slot < number, slot, 0))

    def _take(self, frames: Tensor, lengths: Iterable[int]) -> None:
        """Encode the regions of frames, each of which stands for a row of the given length."""
        stride, middle = self._encoder.fingerprint.stride, self._encoder.pooling == "middle"
        numbers = [
            row * stride + (length // 2 if middle else 0) for row, length in enumerate(lengths, len(self._counts))
        ]
        pieces: list[Tensor] = []
        for frame, found in zip(frames, self._encoder.source.find(self._name, numbers, frames), strict=True):
            pieces += [cut(frame[None], corners) for corners in found] if len(found) else [frame[None]]
            self._counts.append(max(len(found), 1))
        for region in self._pool.map(self._encoder.clip.framing.preprocess, pieces):
            self._regions.append(region)
            if len(self._regions) == self._encoder.batch_size:
                self._encode()

    def _encode(self) -> None:
        self._encoded.add(self._encoder.encode(torch.cat(self._regions), self._name).cpu().numpy())
        self._regions = []


def _whole(frame: Tensor) -> Tensor:
    return frame
