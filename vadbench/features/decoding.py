"""Decoding and preparing in threads of their own, a few batches ahead of the encoder.

Several videos are decoded at once, each by a thread that prepares its frames as well: handing each frame to another
thread, and a codec of several threads, take more processor time for the same frames. Where videos are fewer than
threads, those of a video share it: one reads, over as many codec threads as the codec likes, and the others prepare.
PyAV and torchvision release the interpreter lock; ``benchmarks/speed/decoding.py`` measures what this takes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from vadbench.base.cores import usable_cores
from vadbench.base.errors import DataError
from vadbench.data.media import Frame
from vadbench.features.decoding_process import DecodingProcess
from vadbench.features.preparation import Preparation

WORKERS = max(1, min(4, usable_cores() // 2))
"""Threads that decode and prepare by default: our decision, the encoder needs cores as well."""

_VIDEOS_AHEAD = 64
"""Videos begun and not taken: a killed extraction loses the rows of so many."""
_POLL_SECONDS = 0.1

DecodedItem = tuple[int, Tensor | int | Exception]
"""Number of a video, and a batch of it, or at its end how many frames it has or what went wrong."""


class Decoder:
    """Decodes and prepares videos, a few batches ahead of the encoder.

    Neither the number of workers nor that of videos at once changes the batches of a video or their order. For each of
    these about three batches are in memory.

    Args:
        paths: the videos.
        preparation: of their frames.
        workers: threads that decode and prepare.
        pin: make batches in pinned memory, from where a GPU copies faster; torch uses it again.
        at_once: videos decoded at the same time, at most ``workers``.
        processes: whether each of these is decoded by a process of its own. Threads of this process wait for it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preparation: Preparation,
        workers: int = WORKERS,
        pin: bool = False,
        at_once: int = 1,
        processes: bool = False,
    ) -> None:
        self._preparation, self._pin, self._count = preparation, pin, len(paths)
        self._processes: list[DecodingProcess] | None = [] if processes else None
        self._workers = max(1, workers // at_once)
        self._waiting = iter(enumerate(paths))
        self._ahead = threading.Semaphore(_VIDEOS_AHEAD)
        self._queue: queue.Queue[DecodedItem] = queue.Queue(at_once + 1)
        self._stop, self._shared = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name="vadbench-decoder", daemon=True) for _ in range(at_once)
        ]
        self.frames = 0
        """Frames of the video whose batches were read last."""
        self.decoded = 0
        """Frames of all videos decoded so far."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with self._shared:
            for process in self._processes or ():
                process.kill()
        for thread in self._threads:
            thread.join()

    def items(self) -> Iterator[DecodedItem]:
        """Yield what is decoded of all videos as it comes: the batches of one in order, those of several in turns.

        :meth:`taken` must be called for each video that has ended, or no further ones begin.
        """
        ended = 0
        while ended < self._count:
            number, item = self._next_item()
            ended += not isinstance(item, Tensor)
            yield number, item

    def taken(self) -> None:
        """Let another video begin in place of one that has ended."""
        self._ahead.release()

    def batches(self, number: int) -> Iterator[Tensor]:
        """Yield the batches of one video where one is decoded at a time; those left of earlier videos are skipped.

        Raises:
            MediaError: the video is damaged.
        """
        while True:
            owner, item = self._next_item()
            if not isinstance(item, Tensor):
                self.taken()
            if isinstance(item, Exception) and (owner == number or not isinstance(item, DataError)):
                raise item
            if owner != number or isinstance(item, Exception):
                continue
            if isinstance(item, int):
                self.frames = item
                return
            yield item

    def _next_item(self) -> DecodedItem:
        # A signal that the system hands to another thread does not end this one's wait, and a stream may wait for long.
        while True:
            try:
                return self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue

    def read(self, path: Path) -> Iterator[Callable[[], Frame]]:
        """Return the frames of a video, each made when called, in the decoding thread; subclasses may override it."""
        return self._preparation.read(path, codec_threads=1 if self._workers == 1 else None)

    def _run(self) -> None:
        with suppress(_Stopped):
            try:
                with ExitStack() as stack:
                    self._decode_all(stack)
            except Exception as error:  # for the reader to raise
                self._put(0, error)

    def _decode_all(self, stack: ExitStack) -> None:
        pool, process = None, None
        if self._processes is not None:
            process = stack.enter_context(DecodingProcess(self._preparation))
            with self._shared:
                self._processes.append(process)
        elif self._workers > 1:
            pool = stack.enter_context(ThreadPoolExecutor(self._workers, "vadbench-decoder"))
        while (job := self._next()) is not None:
            number, path = job
            try:
                self._put(number, self._decode(number, path, pool, process))
            except DataError as error:  # for the reader, who may leave the video out
                self._put(number, error)

    def _next(self) -> tuple[int, Path] | None:
        while not self._stop.is_set():
            if self._ahead.acquire(timeout=_POLL_SECONDS):
                with self._shared:
                    return next(self._waiting, None)
        raise _Stopped

    def _decode(self, number: int, path: Path, pool: Executor | None, process: DecodingProcess | None) -> int:
        frames = 0

        def count(more: int) -> None:
            nonlocal frames
            frames += more
            with self._shared:
                self.decoded += more

        def counted() -> Iterator[Callable[[], Frame]]:
            for frame in self.read(path):
                count(1)
                yield frame

        if process is not None:
            batches = process.batches(path, self._empty, count)
        else:
            batches = self._preparation.batches(counted(), self._empty, pool, self._workers)
        for batch in batches:
            self._put(number, batch)
        return frames

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        if self._pin:
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        return torch.from_numpy(np.empty(shape, np.uint8))  # in large pages, which take less time to be had

    def _put(self, number: int, item: Tensor | int | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((number, item), timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue
        raise _Stopped


class _Stopped(BaseException):
    """Signal that the reader has gone. No ``Exception``, so that no handler takes it for a damaged video."""
