"""The way of a batch's arrays to the device: nowhere on a CPU, and through page-locked memory to a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vadbench.training.views import new_array

_SLOTS = 2
"""Batches that have page-locked memory: one is copied to the GPU while the next is laid into the other."""


class Placement:
    """Brings arrays to a device, a batch at a time, in one thread.

    To a GPU they are copied in a stream of their own, beside the work on batches before.

    Args:
        device: where the batches go.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._gpu else None  # type: ignore[no-untyped-call]
        self._slots: Iterator[_Slot] = cycle([_Slot() for _ in range(_SLOTS)])
        self._slot = next(self._slots)

    def begin(self) -> None:
        """Begin a batch; waits until the memory of an earlier one is free again."""
        self._slot = next(self._slots)
        self._slot.free()

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the memory of a view of the batch that was begun."""
        return self._slot.array(f"view {name}", shape, dtype) if self._gpu else new_array(name, shape, dtype)

    def placed(self, name: str, array: NDArray[Any]) -> Tensor:
        """Return an array of the batch on the device, float16 as float32; best one of :meth:`array`."""
        if self._stream is None:
            return _usable(torch.from_numpy(array))
        with torch.cuda.stream(self._stream):
            return _usable(self._slot.pinned(name, array).to(self._device, non_blocking=True))

    def end(self) -> torch.cuda.Event | None:
        """End a batch, and return what says when its copies are done; ``None`` on a CPU."""
        if self._stream is None:
            return None
        self._slot.copied = self._stream.record_event()
        return self._slot.copied

    def wait(self, copied: torch.cuda.Event | None, tensors: Iterable[Tensor]) -> None:
        """Make the work that this thread gives the GPU from now on wait for copies; does not wait for them itself.

        Args:
            copied: what :meth:`end` returned.
            tensors: those that were copied.
        """
        if copied is None:
            return
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(copied)
        for tensor in tensors:
            # Their memory belongs to the stream of the copies, which must not use it again too early.
            tensor.record_stream(stream)


class _Slot:
    """Page-locked memory for the arrays of a batch, which is used again and again."""

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self._sources: list[Tensor] = []
        self.copied: torch.cuda.Event | None = None

    def free(self) -> None:
        """Wait until everything was copied."""
        if self.copied is not None and not self.copied.query():  # type: ignore[no-untyped-call]
            self.copied.synchronize()
        self._sources.clear()

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        size = math.prod(shape) * dtype.itemsize
        if name not in self._memory or len(self._memory[name]) < size:
            self._memory[name] = torch.empty(size, dtype=torch.uint8).pin_memory()
        return self._memory[name][:size].numpy().view(dtype).reshape(shape)

    def pinned(self, name: str, array: NDArray[Any]) -> Tensor:
        """Return an array as a tensor in page-locked memory: itself where it is there already."""
        found = torch.from_numpy(array)
        if not found.is_pinned():
            copy = self.array(name, array.shape, array.dtype)
            copy[...] = array
            found = torch.from_numpy(copy)
        self._sources.append(found)
        return found


def _usable(tensor: Tensor) -> Tensor:
    # Features may be stored in float16; weights are float32.
    return tensor.float() if tensor.dtype == torch.float16 else tensor
