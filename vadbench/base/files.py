"""Writing and reading the small files of a run: atomic, never half-written, with errors that say what to do."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from vadbench.base.errors import RunError, StorageError
from vadbench.base.types import Progress, silent

if TYPE_CHECKING:
    from torch import Tensor


LOCK = ".lock"
"""The file in a folder that a process locks while it works there."""
WAITING = "waiting for another process"
"""Beginning of the stage that :func:`locked` reports while it waits."""
_UNTOLD_SECONDS = 2.0
_UNFINISHED = re.compile(r"\.[^.]+\.[a-z0-9_]{8}|\..+(\.[^.]+)\.[a-z0-9_]{8}\1")
"""Names that :func:`replacing` gives: as many letters as ``tempfile`` draws, between a name and its suffix again."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write ``path`` into a :class:`StorageError`."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EACCES: "no permission to write there; choose another folder",
            errno.EPERM: "no permission to write there; choose another folder",
            errno.EROFS: "the file system is read-only; choose another folder",
            errno.ENOTDIR: "a file stands where a folder is needed; choose another folder",
            errno.EEXIST: "a file stands where a folder is needed; choose another folder",
        }
        reason = reasons.get(error.errno or 0, f"{error.strerror or error}; choose another folder")
        raise StorageError(
            f"cannot write {path}: {reason} and run the same command again; finished work is not lost"
        ) from error


def make_folder(path: Path) -> Path:
    """Create a folder and its parents.

    Raises:
        StorageError: it cannot be created.
    """
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes ``path`` when the block ends well.

    Raises:
        StorageError: the disk is full or may not be written; ``path`` is as it was before.
    """
    make_folder(path.parent)
    with storage_errors(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove_unfinished(folder: Path) -> None:
    """Remove what :func:`replacing` left in a folder and below when its process was killed.

    Only for a folder that this process has locked: another one may be writing there.
    """
    for path in folder.rglob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def set_aside(path: Path, trash: Path) -> None:
    """Rename a file or a folder into ``trash``, on the same disk, before it is removed: a killed call leaves no half.

    Remove ``trash`` when what was locked is free again: a network's file system keeps the name of an open lock. What an
    earlier call left there that was killed goes with it.

    Raises:
        StorageError: it cannot be renamed.
    """
    with storage_errors(path):
        path.rename(Path(tempfile.mkdtemp(dir=make_folder(trash))) / path.name)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors atomically as safetensors, wherever they live and whatever memory they share."""
    from safetensors.torch import save

    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # Written by Python rather than by safetensors, whose own error for a full disk is no OSError.
    with replacing(path) as temporary:
        # safetensors 0.8 writes a header it cannot read where there are no tensors and the metadata is empty.
        temporary.write_bytes(save(copies, dict(metadata) if metadata else None))


def mismatches(found: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """List the differences between tensors and the expected names and shapes, sorted; empty where they agree."""
    return sorted(
        [f"missing {k}" for k in shapes.keys() - found.keys()]
        + [f"unexpected {k}" for k in found.keys() - shapes.keys()]
        + [
            f"{k} is {tuple(found[k].shape)}, expected {tuple(shape)}"
            for k, shape in shapes.items()
            if k in found and tuple(found[k].shape) != tuple(shape)
        ]
    )


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def regular(path: Path) -> Path:
    """Return a path that is safe to open: reading a pipe or a device may never end. Whatever reads a file of a user
    asks this first.

    Raises:
        OSError: it is a pipe, a socket or a device, or nothing is there. A folder is left to what opens it.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
        raise OSError(errno.EINVAL, f"expected a regular file, found a {kind}", str(path))
    return path


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return json.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: {error}; delete this file and run again") from error


SETTLED_NS = 2 * 10**9
"""Nanoseconds within which a file may change again and keep its times, because file systems count coarsely."""


def file_stamp(status: os.stat_result) -> str:
    """Return a text that changes whenever a file's content may have: its size, its inode and its times.

    The time of the last change of the inode cannot be set back, as that of the content can. A file that changed a
    moment ago gets a stamp that never comes again.
    """
    now = time.time_ns()
    once = f" {now}" if abs(now - status.st_ctime_ns) < SETTLED_NS else ""
    return f"{status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}{once}"


class Remembered:
    """Digests of content that was read before, in a file to which lines are only added; the last of a key counts.

    Args:
        path: the file; made when something is first remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[str, ...], tuple[str, str]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                *key, stamp, digest = map(str, json.loads(line))
            except (ValueError, TypeError):  # the end of a line whose writer was killed
                continue
            self._known[tuple(key)] = (stamp, digest)

    def find(self, key: tuple[str, ...], stamp: str) -> str | None:
        """Return the digest of a key if it was remembered under this very stamp."""
        before = self._known.get(key)
        return before[1] if before is not None and before[0] == stamp else None

    def add(self, key: tuple[str, ...], stamp: str, digest: str) -> None:
        """Remember a digest; the stamp must have been taken before the reading began.

        Raises:
            StorageError: the disk is full or may not be written.
        """
        make_folder(self._path.parent)
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([*key, stamp, digest]) + "\n")
        self._known[key] = (stamp, digest)


@contextmanager
def locked(folder: Path, what: str, wait: bool = False, progress: Progress = silent) -> Iterator[None]:
    """Lock ``folder`` for this process; the lock is released when the process ends, however it ends.

    Args:
        folder: created where it is missing.
        what: what the folder is, for the message.
        wait: wait for another process instead of refusing.
        progress: told once that it waits, when that has taken a moment.

    Raises:
        RunError: another process has locked it.
    """
    make_folder(folder)
    with storage_errors(folder):
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=_UNTOLD_SECONDS if wait else 0)
        except Timeout as error:
            if not wait:
                raise RunError(
                    f"{what} is in use by another process ({folder}); wait for it to end, or choose another --out"
                ) from error
            stage = f"{WAITING} to end with the {what} ({folder})"
            progress(stage, 0, 1)
            lock.acquire(timeout=-1)
            progress(stage, 1, 1)
    try:
        yield
    finally:
        lock.release()


def in_use(folder: Path) -> bool:
    """Return whether a process has locked a folder."""
    if not (folder / LOCK).is_file():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # it is only to be read
        return False
    lock.release()
    return False


def stored_bytes(folder: Path) -> int:
    """Return the size of all files in a folder and below; links count as themselves."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # it went meanwhile
                total += os.lstat(os.path.join(top, name)).st_size
    return total


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
