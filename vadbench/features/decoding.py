"""Decoding and preprocessing in a thread of their own, a few batches ahead of the encoder."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from vadbench.errors import DataError
from vadbench.features.fingerprint import Pooling
from vadbench.media import Frame, lazy_frames

_QUEUED_BATCHES = 2
_POLL_SECONDS = 0.1


class Decoder:
    """Decodes and preprocesses videos one after the other in a thread, a few batches ahead of the encoder.

    PyAV and torchvision release the interpreter lock, so decoding hides behind encoding.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocess: Callable[[Tensor], Tensor],
        stride: int,
        pooling: Pooling,
        batch_size: int,
    ) -> None:
        self._paths, self._preprocess = paths, preprocess
        self._stride, self._pooling, self._batch_size = stride, pooling, batch_size
        # Tagged with the video's number: a batch, or at the end of a video its frame count or what went wrong.
        self._queue: queue.Queue[tuple[int, Tensor | int | Exception]] = queue.Queue(_QUEUED_BATCHES)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vadbench-decoder", daemon=True)
        self.frames = 0
        """Frames of the video whose batches were read last."""

    def __enter__(self) -> Decoder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def batches(self, number: int) -> Iterator[Tensor]:
        """Preprocessed batches of one video; whatever is left of earlier ones is passed over.

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
        with suppress(_Stopped):
            for number, path in enumerate(self._paths):
                try:
                    self._put(number, self._decode(number, path))
                except Exception as error:  # for the reader to raise
                    self._put(number, error)

    def _decode(self, number: int, path: Path) -> int:
        frames = _select(lazy_frames(path), self._stride, self._pooling)
        batch: list[Tensor] = []
        while True:
            try:
                frame = next(frames)
            except StopIteration as end:
                if batch:
                    self._put(number, torch.cat(batch))
                count: int = end.value
                return count
            batch.append(self._preprocess(torch.from_numpy(frame).permute(2, 0, 1)[None]))
            if len(batch) == self._batch_size:
                self._put(number, torch.cat(batch))
                batch = []

    def _put(self, number: int, item: Tensor | int | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((number, item), timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue
        raise _Stopped


def _select(frames: Iterator[Callable[[], Frame]], stride: int, pooling: Pooling) -> Generator[Frame, None, int]:
    """The frames that a row needs, in order; returns how many there were in all."""
    count = 0
    held: deque[Callable[[], Frame]] = deque()
    for frame in frames:
        place = count % stride
        count += 1
        if pooling == "middle":
            # How long the last row is shows only at its end: keep what can still turn out to be a middle.
            if place == 0 and held:
                yield held[0]()
                held.clear()
            held.append(frame)
            if place % 2:
                held.popleft()
        elif pooling == "mean" or place == 0:
            yield frame()
    if held:
        yield held[0]()
    return count


class _Stopped(BaseException):
    """The reader has gone. Not an ``Exception``: no handler on the way may take it for a damaged video."""
