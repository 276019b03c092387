"""What a pretended device was asked for, and which line of the program asked for it."""

from __future__ import annotations

import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from vadbench.plugins.registry import installed
from vadbench.plugins.targets import scratch_files

Flavour = Literal["meta", "cuda"]
EventKind = Literal["h2d-pinned", "h2d-pageable", "d2h-pinned", "d2h", "sync"]
"""Copies to the device and from it, and reads of a value. The processor waits for the device at ``d2h`` and ``sync``,
and for the copy at ``h2d-pageable``."""
ELSEWHERE = "elsewhere"
"""The line of what no line of the program asked for."""


class DeviceMixError(RuntimeError):
    """Raised if an operation is given tensors of two devices, or a value of the device where the CPU's is needed."""


@dataclass
class World:
    """What the pretended device was asked for.

    Args:
        flavour: ``meta`` or ``cuda``, see :mod:`vadbench.testing.pretend`.
    """

    flavour: Flavour = "meta"
    kernels: int = 0
    kernels_of: Counter[str] = field(default_factory=Counter)
    """Kernels by operation."""
    lines: Counter[str] = field(default_factory=Counter)
    """Kernels by line of the program."""
    events: Counter[tuple[EventKind, str, str]] = field(default_factory=Counter)
    """Numbers of copies and waits by kind, operation and line of the program."""
    copied: Counter[EventKind] = field(default_factory=Counter)
    """Bytes copied, by kind."""
    live: int = 0
    """Bytes alive on the device."""
    peak: int = 0
    """Most bytes alive since the last :meth:`reset`."""
    dtypes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Numbers of kernels by operation, types of its floating-point inputs and of its outputs; in the flavour ``cuda``
    alone."""
    flops: float = 0
    """Floating-point operations of matrix products, convolutions and attention; a multiplication and an addition are
    two."""
    traffic: float = 0
    """Bytes that kernels read and write, each operand counted once."""
    lock: Any = field(default_factory=threading.RLock)

    def kernel(self, name: str, count: int = 1) -> None:
        """Count kernels of an operation."""
        line = calling_line()
        with self.lock:
            self.kernels += count
            self.kernels_of[name] += count
            self.lines[line] += count

    def event(self, kind: EventKind, name: str, size: int = 0) -> None:
        """Count a copy of ``size`` bytes, or a wait."""
        line = calling_line()
        with self.lock:
            self.events[kind, name, line] += 1
            self.copied[kind] += size

    def reset(self) -> None:
        """Forget what was counted; memory that is alive stays."""
        with self.lock:
            self.kernels, self.peak, self.flops, self.traffic = 0, self.live, 0, 0
            for counter in (self.kernels_of, self.events, self.lines, self.dtypes, self.copied):
                counter.clear()

    def count(self, *kinds: EventKind) -> int:
        """Return how many copies and waits of these kinds there were."""
        with self.lock:
            return sum(n for (kind, _, _), n in self.events.items() if kind in kinds)

    def waits(self) -> Counter[str]:
        """Return how often the processor waited for a value of the device, by line of the program."""
        with self.lock:
            found: Counter[str] = Counter()
            for (kind, _, line), n in self.events.items():
                if kind in ("d2h", "sync"):
                    found[line] += n
            return found


class DeviceMemory:
    """Memory of the device; gone with the last tensor that shows it."""

    __slots__ = ("_size", "_world")

    def __init__(self, world: World, size: int) -> None:
        self._world, self._size = world, size
        with world.lock:
            world.live += size
            world.peak = max(world.peak, world.live)

    def __del__(self) -> None:
        with self._world.lock:
            self._world.live -= self._size


_worlds: list[World] = []
"""The pretended device of this process, if there is one."""
_pinned: dict[int, int] = {}
"""End by start of the address ranges of page-locked memory."""


@contextmanager
def entered(world: World) -> Iterator[World]:
    """Make a world the one of this process in the block.

    Raises:
        RuntimeError: there is one already.
    """
    if _worlds:
        raise RuntimeError("a device is pretended already; leave the block before another is entered")
    _worlds.append(world)
    try:
        yield world
    finally:
        _worlds.remove(world)
        _pinned.clear()


def current() -> World | None:
    """Return what the pretended device of this process was asked for; ``None`` if none is pretended."""
    return _worlds[0] if _worlds else None


def pin(tensor: torch.Tensor) -> torch.Tensor:
    """Make the memory of a tensor of the CPU count as page-locked, as long as it lives, and return the tensor."""
    storage = tensor.untyped_storage()
    start = storage.data_ptr()
    pin_range(start, storage.nbytes())
    weakref.finalize(storage, _pinned.pop, start, None)
    return tensor


def pin_range(start: int, size: int) -> None:
    """Make a range of addresses count as page-locked."""
    _pinned[start] = start + size


def unpin_range(start: int) -> None:
    """Make the range that begins at an address count as page-locked no more."""
    _pinned.pop(start, None)


def is_pinned(tensor: torch.Tensor) -> bool:
    """Return True if the memory of a tensor of the CPU is page-locked."""
    storage = tensor.untyped_storage()
    start, end = storage.data_ptr(), storage.data_ptr() + storage.nbytes()
    return any(first <= start and end <= last for first, last in list(_pinned.items()))


def calling_line() -> str:
    """Return the innermost line of the program, as ``vadbench/clip/model.py:90``; plugins belong to the program."""
    frame = sys._getframe(1)
    while frame is not None:
        if name := program_file(frame.f_code.co_filename):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ELSEWHERE


@cache
def program_file(path: str) -> str:
    """Return the name of a file of vadbench or of a plugin, from its package on; empty for any other file."""
    file = Path(path)
    if file.is_relative_to(Path(__file__).parent):
        return ""
    if any(file == scratch.resolve() for scratch in scratch_files()):
        return file.name
    root = next((root for root in _packages() if file.is_relative_to(root)), None)
    return "" if root is None else file.relative_to(root.parent).as_posix()


@cache
def _packages() -> list[Path]:
    """Return the folders of vadbench's package and of the packages of installed plugins."""
    names = {plugin.module.partition(".")[0] for plugin in installed().plugins}
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]
    return [Path(file).parent if Path(file).name == "__init__.py" else Path(file) for file in files if file]
