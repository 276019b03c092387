"""Contexts that record access to networks, files and data sets."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from vadbench.dataset import Dataset

_Watch = Callable[[str, tuple[Any, ...]], None]
_watches: list[_Watch] = []
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHECKS_FOLDER = "vadbench-check-"
"""Beginning of the names of temporary folders in which the checks keep trainings and videos."""


@contextmanager
def without_network(tried: list[str]) -> Iterator[None]:
    """Refuse and record name look-ups and connections; sockets within the machine stay allowed."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            target = arguments[0]
        elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
            target = arguments[1][0]
        else:
            return
        name = target.decode(errors="replace") if isinstance(target, bytes) else str(target)
        tried.append(f"'{name}'")
        raise OSError(f"vadbench check allows no network, refused '{name}'")

    with _watching(refuse):
        yield


@contextmanager
def opened_below(folder: Path, seen: list[str]) -> Iterator[None]:
    """Record the files under a folder that are opened, except those that compiled libraries open."""
    root = os.path.realpath(folder) + os.sep

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.startswith(root):
                seen.append(f"the file {path}")

    with _watching(note):
        yield


@contextmanager
def written_files(seen: list[str]) -> Iterator[None]:
    """Record the files that are opened for writing, except those of the checks' own folders and of Python's imports."""
    own = os.path.join(os.path.realpath(tempfile.gettempdir()), CHECKS_FOLDER)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        _, mode, flags = arguments
        if set(mode or "") & set("wax+") or (isinstance(flags, int) and flags & _WRITING):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if not (path.startswith(own) or "__pycache__" in path or path == os.devnull):
                seen.append(path)

    with _watching(note):
        yield


@contextmanager
def without_datasets(seen: list[str]) -> Iterator[None]:
    """Record every data set that is made."""
    inner = Dataset.__init__

    def init(self: Dataset, root: Path) -> None:
        seen.append(f"the data set {type(self).__name__}")
        inner(self, root)

    Dataset.__init__ = init  # type: ignore[method-assign]
    try:
        yield
    finally:
        Dataset.__init__ = inner  # type: ignore[method-assign]


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    _install()
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.remove(watch)


@cache
def _install() -> None:
    """Install the audit hook, once, as hooks stay for the life of a process; it is idle outside these contexts."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if _watches:
            for watch in list(_watches):
                watch(event, arguments)

    sys.addaudithook(hook)
