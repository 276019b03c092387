"""What the cache holds, by kind and data set, and its removal."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from vadbench.base.errors import FeatureError, UnknownNameError
from vadbench.base.files import LOCK, set_aside, storage_errors
from vadbench.base.text import counted, spaced
from vadbench.features.fingerprint import FINGERPRINT_FILE, read_fingerprint

KINDS = {
    "features": "rows of encoders, which are extracted again where they are asked for",
    "data": "videos that a data set makes itself, which are made again",
    "methods": "what methods keep for later runs",
    "checks": "inputs of vadbench check and of controls",
    "notes": "lengths and digests of files that were read before",
}
"""The kinds of entries, and what is lost with them."""
_FOLDERS = {"features": "features", "data": "datasets", "methods": "methods", "checks": "checks"}
_DELETED = ".deleted"


@dataclass(frozen=True)
class CacheEntry:
    """A part of the cache that can be removed by itself.

    Args:
        kind: one of :data:`KINDS`.
        owner: the data set or the method that it belongs to; empty where it belongs to all.
        what: what it is, in words.
        path: its folder, or its file.
    """

    kind: str
    owner: str
    what: str
    path: Path

    @property
    def bytes(self) -> int:
        """Size of its files; links count as themselves."""
        return sum(status.st_size for _, status in self._files)

    @property
    def used(self) -> datetime | None:
        """When a file of it was last read or written, as far as the file system keeps that; ``None`` without files."""
        # Whoever lists the cache reads the fingerprints.
        times = [s.st_mtime if name == FINGERPRINT_FILE else max(s.st_atime, s.st_mtime) for name, s in self._files]
        return datetime.fromtimestamp(max(times), UTC) if times else None

    @cached_property
    def _files(self) -> list[tuple[str, os.stat_result]]:
        found = []
        for path in _files_of(self.path):
            with suppress(FileNotFoundError):  # it went meanwhile
                found.append((path.name, path.lstat()))
        return found


def cache_entries(cache: Path) -> list[CacheEntry]:
    """Return what is in the cache, in the order of kinds and names; links are no part of it."""
    found = []
    for kind, name in _FOLDERS.items():
        for owner in _folders(cache / name):
            if kind == "features":
                found += [CacheEntry(kind, owner.name, _described(path), path) for path in _folders(owner)]
            else:
                found.append(CacheEntry(kind, "" if kind == "checks" else owner.name, owner.name, owner))
    if (cache / "controls").is_dir() and not (cache / "controls").is_symlink():
        found.append(CacheEntry("checks", "", "controls", cache / "controls"))
    for folder in (cache, *_folders(cache / "features")):
        owner_name = "" if folder == cache else folder.name
        found += [CacheEntry("notes", owner_name, path.name, path) for path in sorted(folder.glob("*.jsonl"))]
    return found


def chosen_entries(
    entries: Sequence[CacheEntry], names: Sequence[str] = (), unused_since: datetime | None = None
) -> list[CacheEntry]:
    """Return the entries of these kinds, data sets or methods, or all; with a time those not used since.

    Raises:
        UnknownNameError: there is nothing of such a name.
    """
    known = {*KINDS, *(entry.owner for entry in entries if entry.owner)}
    for name in names:
        if name not in known:
            raise UnknownNameError("kind, data set or method of the cache", name, known)
    return [
        entry
        for entry in entries
        if (not names or not {entry.kind, entry.owner}.isdisjoint(names))
        and (unused_since is None or entry.used is None or entry.used < unused_since)
    ]


def remove_entry(entry: CacheEntry, cache: Path) -> bool:
    """Remove an entry unless a process is using it, and return whether it went.

    Raises:
        StorageError: it cannot be removed.
    """
    if any(path.is_symlink() for path in (entry.path, entry.path.parent)):
        return False
    locks = [path for path in _files_of(entry.path) if path.name.endswith(LOCK)]
    # Whoever makes a data set ready holds the lock of the folder around it.
    locks += [entry.path.parent / LOCK] if (entry.path.parent / LOCK).is_file() else []
    with ExitStack() as held, storage_errors(entry.path):
        try:
            for path in locks:
                held.enter_context(FileLock(path).acquire(timeout=0))
        except Timeout:
            return False
        if _opened(entry.path):
            return False
        set_aside(entry.path, cache / _DELETED)
    shutil.rmtree(cache / _DELETED, ignore_errors=True)
    return True


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir() and not folder.is_symlink():
        yield from sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and p.name[:1] != ".")


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [Path(top) / name for top, _, names in os.walk(path) for name in names]


def _described(folder: Path) -> str:
    """Return what features a folder has, in words."""
    if not (folder / FINGERPRINT_FILE).is_file():
        return folder.name
    try:
        made = read_fingerprint(folder)
    except FeatureError:
        return f"damaged {folder.name}"
    return f"{made.encoder}, {spaced(made.stride)}, {counted(len(made.crops), 'crop')}, {made.dtype} ({folder.name})"


def _opened(path: Path) -> bool:
    """Return whether a process has a file of it in its memory, or another one has it open, where the system tells."""
    place = re.compile(rf"{re.escape(str(path.resolve()))}(/|$)", re.MULTILINE)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if place.search((process / "maps").read_text(errors="replace")):
                return True
            # This process has the locks open.
            links = (process / "fd").iterdir() if process.name != str(os.getpid()) else ()
            if any(place.match(os.readlink(link)) for link in links):
                return True
    return False
