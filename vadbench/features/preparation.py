"""Preparation of videos for an encoder: which frames rows are made of, and batches of them, resized and cropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vadbench.data.media import Frame, lazy_frames
from vadbench.data.reference_frames import reference_frames
from vadbench.features.fingerprint import Pooling

_FRAMES_PER_WORKER = 2
_GROUP = 4
"""Frames prepared at once by the thread that decodes: a call for each costs half as much as the resize itself."""


@dataclass(frozen=True)
class Preparation:
    """How the frames of a video become batches.

    Args:
        preprocess: makes encoder input of uint8 ``(n, 3, height, width)``. It must be picklable where other processes
            are to prepare frames.
        stride: frames from one row to the next.
        pooling: which of a row's frames are wanted.
        batch_size: frames in a batch; fewer at the end of a video and before a frame of another size.
        upright: turn images as their camera notes that it was held.
        reference_only: pass over frames of video files that no other frame depends on
            (:mod:`vadbench.data.reference_frames`).
    """

    preprocess: Callable[[Tensor], Tensor]
    stride: int
    pooling: Pooling
    batch_size: int
    upright: bool = False
    reference_only: bool = False

    def read(self, path: Path, codec_threads: int | None = None) -> Iterator[Callable[[], Frame]]:
        """Return the frames of a video, each made when called; arguments as for :func:`lazy_frames`."""
        if self.reference_only and not path.is_dir():
            return reference_frames(path, codec_threads)
        return lazy_frames(path, upright=self.upright, codec_threads=codec_threads)

    def batches(
        self,
        frames: Iterable[Callable[[], Frame]],
        empty: Callable[[tuple[int, ...]], Tensor],
        pool: Executor | None = None,
        workers: int = 0,
    ) -> Iterator[Tensor]:
        """Yield batches ``(n, 3, height, width)`` of the frames that rows are made of, in order.

        Args:
            frames: of one video, all of them.
            empty: returns memory for a batch of a given shape, uint8.
            pool: prepares the frames; without one, this thread does.
            workers: threads of the pool.
        """
        chosen = _select(frames, self.stride, self.pooling)
        groups = self._grouped(chosen) if pool is None else self._in_order(pool, workers, chosen)
        batch, filled = torch.empty(0), 0
        for group in groups:
            if filled and group.shape[1:] != batch.shape[1:]:
                yield batch[:filled]
                filled = 0
            rest = group.numpy()
            while len(rest):
                if not filled:
                    batch = empty((self.batch_size, *group.shape[1:]))
                taken = rest[: self.batch_size - filled]
                # torch would start a pool of threads for the copy, in each thread that copies.
                np.copyto(batch[filled : filled + len(taken)].numpy(), taken)
                filled, rest = filled + len(taken), rest[len(taken) :]
                if filled == self.batch_size:
                    yield batch
                    filled = 0
        if filled:
            yield batch[:filled]

    def _grouped(self, frames: Iterable[Callable[[], Frame]]) -> Iterator[Tensor]:
        """Yield prepared frames in order, a few of one size at a time."""
        held: list[Frame] = []
        for read in frames:
            frame = read()
            if held and (len(held) == _GROUP or frame.shape != held[0].shape):
                yield self._prepared(held)
                held = []
            held.append(frame)
        if held:
            yield self._prepared(held)

    def _prepared(self, frames: Sequence[Frame]) -> Tensor:
        pixels = np.stack(frames) if len(frames) > 1 else frames[0][None]
        return self.preprocess(torch.from_numpy(pixels).permute(0, 3, 1, 2))

    def _in_order(self, pool: Executor, workers: int, frames: Iterable[Callable[[], Frame]]) -> Iterator[Tensor]:
        """Yield prepared frames in order; the pool works a few frames ahead."""
        waiting: deque[Future[Tensor]] = deque()
        for frame in frames:
            waiting.append(pool.submit(lambda read: self._prepared([read()]), frame))
            if len(waiting) > _FRAMES_PER_WORKER * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _select(frames: Iterable[Callable[[], Frame]], stride: int, pooling: Pooling) -> Iterator[Callable[[], Frame]]:
    """Yield the frames that rows are made of, in order."""
    held: deque[Callable[[], Frame]] = deque()
    for count, frame in enumerate(frames):
        place = count % stride
        if pooling == "middle":
            # The length of the last row shows only at its end: keep the frames that may turn out to be its middle.
            if place == 0 and held:
                yield held[0]
                held.clear()
            held.append(frame)
            if place % 2:
                held.popleft()
        elif pooling == "mean" or place == 0:
            yield frame
    if held:
        yield held[0]
