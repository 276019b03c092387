"""Memory through which a worker process hands over its batches: slots that are written and read in turn."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.training.views import Allocation, StackedViews, new_array

SLOTS = 2
"""Batches that a worker may be ahead of the process that reads them."""
_ALIGNED = 64
"""Arrays begin at multiples of so many bytes."""


@dataclass(frozen=True)
class FilledSlot:
    """Where the arrays of a batch lie.

    Args:
        size: bytes of all slots.
        arrays: first byte, shape and dtype by name.
    """

    size: int
    arrays: Mapping[str, tuple[int, tuple[int, ...], str]]


def shared_file() -> int | None:
    """Return the descriptor of a file in memory that is gone when nobody has it open; ``None`` where there are none."""
    return os.memfd_create("vadbench-batches") if hasattr(os, "memfd_create") else None


class SlotWriter:
    """The side that lays batches into the slots of a file. The first batch says how large they must be.

    Args:
        file: descriptor of the file; ``None``: every batch is given as it is.
    """

    def __init__(self, file: int | None) -> None:
        self._file = file
        self._map: mmap.mmap | None = None
        self._size = self._slot = self._place = 0
        self._arrays: dict[str, tuple[int, tuple[int, ...], str]] = {}

    def begin(self) -> None:
        """Begin a batch, of the slots before fewer than :data:`SLOTS` being unread."""
        self._place, self._arrays = self._slot * self._size, {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return memory for an array of the batch: in the slot, if it has room."""
        size = math.prod(shape) * dtype.itemsize
        if self._map is None or self._place + size > (self._slot + 1) * self._size:
            return new_array(name, shape, dtype)
        self._arrays[name] = (self._place, shape, dtype.str)
        found = _array(self._map, *self._arrays[name])
        self._place += _aligned(size)
        return found

    def given(self, views: StackedViews) -> FilledSlot | StackedViews:
        """Return what is told to the reader of a batch: where it lies, or itself where it is not in the slot."""
        if views.keys() == self._arrays.keys():
            self._slot = (self._slot + 1) % SLOTS
            return FilledSlot(SLOTS * self._size, self._arrays)
        if self._file is not None and self._map is None and views:
            self._size = sum(_aligned(array.nbytes) for array in views.values())
            os.ftruncate(self._file, SLOTS * self._size)
            self._map = mmap.mmap(self._file, SLOTS * self._size)
        return views


class SlotReader:
    """The side that takes batches out of the slots of a file.

    Args:
        file: its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._map: mmap.mmap | None = None

    def read(self, slot: FilledSlot, allocation: Allocation) -> StackedViews:
        """Return copies of the arrays of a slot, which may be filled again then.

        Args:
            slot: as :meth:`SlotWriter.given` returned it.
            allocation: gives the memory of the copies.
        """
        if self._map is None:
            self._map = mmap.mmap(self._file, slot.size, prot=mmap.PROT_READ)
        found = {}
        for name, (place, shape, dtype) in slot.arrays.items():
            found[name] = allocation(name, shape, np.dtype(dtype))
            found[name][...] = _array(self._map, place, shape, dtype)
        return found

    def close(self) -> None:
        """Give up the memory."""
        if self._map is not None:
            self._map.close()
        os.close(self._file)


def _array(memory: mmap.mmap, place: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return np.frombuffer(memory, dtype, math.prod(shape), place).reshape(shape)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
