"""Decoding and preprocessing in threads of their own, a few batches ahead of the encoder.

One thread reads the videos in order; the codec spreads that over the cores by itself. Workers turn its frames into
encoder input. Threads do, because PyAV and torchvision release the interpreter lock, and they work on the frames of one
video, because videos are long and batches few; benchmarks/speed/README.md has the figures.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from vadbench.base.cores import usable_cores
from vadbench.base.errors import DataError
from vadbench.data.media import Frame, lazy_frames
from vadbench.features.fingerprint import Pooling

WORKERS = max(1, min(4, usable_cores() // 2))
"""Threads that preprocess by default: our decision, the encoder needs cores as well."""

_QUEUED_BATCHES = 2
_FRAMES_PER_WORKER = 2
_POLL_SECONDS = 0.1


class Decoder:
    """Decodes and preprocesses videos one after the other, a few batches ahead of the encoder.

    The number of workers changes neither the batches nor their order. About four batches are in memory.

    Args:
        paths: the videos.
        preprocess: makes encoder input of uint8 ``(1, 3, height, width)``; called in the workers.
        stride: frames from one row to the next.
        pooling: which of a row's frames are wanted.
        batch_size: frames in a batch; fewer at the end of a video and before a frame of another size.
        workers: threads that preprocess.
        pin: put batches into pinned memory, from where a GPU copies faster.
        upright: turn images as their camera notes that it was held.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocess: Callable[[Tensor], Tensor],
        stride: int,
        pooling: Pooling,
        batch_size: int,
        workers: int = WORKERS,
        pin: bool = False,
        upright: bool = False,
    ) -> None:
        self._paths, self._preprocess = paths, preprocess
        self._stride, self._pooling, self._batch_size = stride, pooling, batch_size
        self._workers, self._pin, self._upright = workers, pin, upright
        # Tagged with the video's number: a batch, or at the end of a video its frame count or what went wrong.
        self._queue: queue.Queue[tuple[int, Tensor | int | Exception]] = queue.Queue(_QUEUED_BATCHES)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vadbench-decoder", daemon=True)
        self.frames = 0
        """Frames of the video whose batches were read last."""
        self.decoded = 0
        """Frames of all videos decoded so far."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def batches(self, number: int) -> Iterator[Tensor]:
        """Yield preprocessed batches of one video; those left of earlier videos are skipped.

        Raises:
            MediaError: the video is damaged.
        """
        while True:
            owner, item = self._queue.get()
            if isinstance(item, Exception) and (owner == number or not isinstance(item, DataError)):
                raise item
            if owner != number or isinstance(item, Exception):
                continue
            if isinstance(item, int):
                self.frames = item
                return
            yield item

    def _run(self) -> None:
        with suppress(_Stopped), ThreadPoolExecutor(self._workers, "vadbench-decoder") as pool:
            for number, path in enumerate(self._paths):
                try:
                    self._put(number, self._decode(number, path, pool))
                except Exception as error:  # for the reader to raise
                    self._put(number, error)

    def _decode(self, number: int, path: Path, pool: Executor) -> int:
        before = self.decoded
        batch: list[Tensor] = []
        chosen = _select(self._count(path), self._stride, self._pooling)
        for frame in _in_order(pool, self._prepare, chosen, _FRAMES_PER_WORKER * self._workers):
            if batch and (len(batch) == self._batch_size or frame.shape != batch[0].shape):
                self._put(number, self._join(batch))
                batch = []
            batch.append(frame)
        if batch:
            self._put(number, self._join(batch))
        return self.decoded - before

    def read(self, path: Path) -> Iterator[Callable[[], Frame]]:
        """Return the frames of a video, each made when called, in the decoding thread; subclasses may override it."""
        return lazy_frames(path, upright=True) if self._upright else lazy_frames(path)

    def _count(self, path: Path) -> Iterator[Callable[[], Frame]]:
        for frame in self.read(path):
            self.decoded += 1
            yield frame

    def _prepare(self, frame: Callable[[], Frame]) -> Tensor:
        return self._preprocess(torch.from_numpy(frame()).permute(2, 0, 1)[None])

    def _join(self, batch: list[Tensor]) -> Tensor:
        joined = torch.cat(batch)
        return joined.pin_memory() if self._pin else joined

    def _put(self, number: int, item: Tensor | int | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((number, item), timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue
        raise _Stopped


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


def _in_order(
    pool: Executor, work: Callable[[Callable[[], Frame]], Tensor], frames: Iterable[Callable[[], Frame]], ahead: int
) -> Iterator[Tensor]:
    """Yield the results of ``work`` on every frame, done in the pool at most ``ahead`` frames early."""
    waiting: deque[Future[Tensor]] = deque()
    for frame in frames:
        waiting.append(pool.submit(work, frame))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Stopped(BaseException):
    """Signal that the reader has gone. No ``Exception``, so that no handler takes it for a damaged video."""
