"""A process that decodes and prepares videos: many of them feed one GPU where the threads of one process cannot.

It gets the paths of videos through a pipe, and puts batches into memory that both processes have, of which nothing is
left in any folder.
"""

from __future__ import annotations

import mmap
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

import numpy as np
import torch
from torch import Tensor

from vadbench.base.child_process import ChildProcess, pickled, send, served
from vadbench.base.errors import DecodingError, one_line
from vadbench.data.media import Frame
from vadbench.features.preparation import Preparation

_SLOTS = 2
"""Batches that a process may be ahead."""


class DecodingProcess:
    """A running process. Use it in a ``with`` block.

    Args:
        preparation: of the frames; must be picklable.
    """

    def __init__(self, preparation: Preparation) -> None:
        slots = [_shared_file() for _ in range(_SLOTS)]
        self._maps: list[mmap.mmap | None] = [None] * _SLOTS
        self._files = [os.fdopen(slot, "rb") for slot in slots]
        self._process = ChildProcess("vadbench.features.decoding_process", slots, {"OMP_NUM_THREADS": "1"})
        self._path: Path | None = None
        for what in (preparation, slots):
            self._tell(what)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()
        for file in self._files:
            file.close()

    def kill(self) -> None:
        """End the process; whoever waits for an answer of it gets an error."""
        self._process.kill()

    def batches(
        self, path: Path, empty: Callable[[tuple[int, ...]], Tensor], count: Callable[[int], None]
    ) -> Iterator[Tensor]:
        """Yield the batches of a video.

        Args:
            path: of the video.
            empty: returns memory for a batch of a given shape, uint8.
            count: called with the number of frames that were decoded since it was called before.

        Raises:
            MediaError: the video is damaged.
            DecodingError: the process ended.
        """
        self._path = path
        self._tell(path)
        while True:
            kind, frames, content = self._answer()
            count(frames)
            if kind == "failed":
                raise content
            if kind == "end":
                return
            slot, shape = content
            batch = empty(shape)
            np.copyto(batch.numpy(), self._shown(slot, shape))
            self._tell(slot)
            yield batch

    def _shown(self, slot: int, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return the batch in a slot, which has grown if the frames did."""
        shared = self._maps[slot]
        if shared is None or len(shared) < prod(shape):
            shared = self._maps[slot] = mmap.mmap(self._files[slot].fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(shared, np.uint8, prod(shape)).reshape(shape)

    def _tell(self, what: Any) -> None:
        try:
            self._process.tell(what)
        except EOFError:
            raise self._ended() from None

    def _answer(self) -> tuple[str, int, Any]:
        try:
            answer: tuple[str, int, Any] = self._process.answer()
        except EOFError:
            raise self._ended() from None
        return answer

    def _ended(self) -> DecodingError:
        end, where = self._process.end(), f"while it read {self._path}" if self._path else "before its first video"
        return DecodingError(
            f"a process that decodes videos {end} {where}; look at that video and at the memory that is free, or take"
            " fewer --jobs, and run the same command again; finished work is not lost"
        )


def serve() -> None:
    """Decode the videos that the process which started this one names, until it closes the pipe."""
    asked, answers = served()
    torch.set_num_threads(1)
    try:
        _Served(asked, answers).serve()
    except (EOFError, BrokenPipeError):
        return


class _Served:
    def __init__(self, asked: IO[bytes], answers: IO[bytes]) -> None:
        self._asked, self._answers = asked, answers
        self._preparation: Preparation = pickle.load(asked)
        self._slots: list[int] = pickle.load(asked)
        self._free = deque(range(len(self._slots)))
        self._taken, self._frames = 0, 0

    def serve(self) -> None:
        while True:
            told = pickle.load(self._asked)
            if isinstance(told, int):
                self._free.append(told)
                continue
            try:
                for batch in self._preparation.batches(self._counted(told), self._empty):
                    self._send("batch", (self._taken, tuple(batch.shape)))
                self._send("end", None)
            except (EOFError, BrokenPipeError):
                raise
            except Exception as error:
                self._send("failed", _picklable(error))

    def _counted(self, path: Path) -> Iterator[Callable[[], Frame]]:
        for frame in self._preparation.read(path, codec_threads=1):
            self._frames += 1
            yield frame

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        while not self._free:
            self._free.append(pickle.load(self._asked))
        self._taken = self._free.popleft()
        slot, size = self._slots[self._taken], prod(shape)
        if os.fstat(slot).st_size < size:
            os.ftruncate(slot, size)
        return torch.frombuffer(mmap.mmap(slot, 0), dtype=torch.uint8, count=size).view(shape)

    def _send(self, kind: str, content: object) -> None:
        send(self._answers, (kind, self._frames, content))
        self._frames = 0


def _picklable(error: Exception) -> Exception:
    """Return an exception that another process can raise: this one, or one that says the same."""
    return error if pickled(error) else RuntimeError(one_line(f"{type(error).__name__}: {error}"))


def _shared_file() -> int:
    """Return a descriptor of an empty file that has no name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("vadbench-batch")
    with TemporaryFile() as file:
        return os.dup(file.fileno())
