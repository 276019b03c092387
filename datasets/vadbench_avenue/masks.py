"""Avenue's masks, ``N_label.mat``: MATLAB files of level 5 with a cell array ``volLabel``, an image a frame.

Read here piece by piece and not with scipy, which would hold all images of a video at once (331 MB) and as much as a
damaged file says it has. Such a file can name objects to be built; here nothing but numbers is looked at.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from vadbench.base.errors import DataError
from vadbench.base.files import regular
from vadbench.data.annotations.frame_arrays import Runs
from vadbench.data.annotations.lists import MOST_FRAMES

VARIABLE = b"volLabel"
_MOST_BYTES = 2**34
"""Most bytes of a file's content (our decision: five times the longest video as 8-byte numbers)."""
_PIECE = 2**20
_HEADER, _WORD = 128, 8
_COMPRESSED, _MATRIX = 15, 14
_CELL, _NUMBERS = 1, range(6, 16)
_MOST_TEXT = 1024
"""Most bytes of a name or of dimensions."""


def read_mask(path: Path) -> tuple[int, Runs]:
    """Return the number of frames of a mask and the runs of those in which any pixel is set.

    Raises:
        DataError: the file cannot be read, or holds no such masks.
    """
    try:
        with regular(path).open("rb") as file:
            flags = _cells(_variable(file))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; fetch it again") from error
    except (_Damage, struct.error, zlib.error) as error:
        raise DataError(
            f"{path}: expected a MATLAB file with the images of a video's frames as {VARIABLE.decode()}: {error}; fetch"
            " it again"
        ) from error
    return len(flags), _runs(flags)


class _Damage(Exception):
    """Raised if a file is not of the form that is expected, with what was found."""


class _Content:
    """Bytes of one element of a file, inflated as they are read."""

    def __init__(self, file: BinaryIO, size: int, compressed: bool) -> None:
        self._file, self._left, self._read = file, size, 0
        self._inflate = zlib.decompressobj() if compressed else None
        self._rest, self._ready = b"", bytearray()

    def read(self, count: int) -> bytes:
        self._read += count
        if self._read > _MOST_BYTES:
            raise _Damage(f"found more than {_MOST_BYTES} bytes")
        while len(self._ready) < count:
            piece = self._rest or self._file.read(min(_PIECE, self._left))
            self._left -= 0 if self._rest else len(piece)
            more = piece if self._inflate is None else self._inflate.decompress(piece, _PIECE)
            self._rest = b"" if self._inflate is None else self._inflate.unconsumed_tail
            if not more and not piece:
                raise _Damage("it ends early")
            self._ready += more
        taken = bytes(self._ready[:count])
        del self._ready[:count]
        return taken

    def tag(self) -> tuple[int, int, bytes]:
        """Return the kind and the size of the next element, and its bytes where they are part of the tag."""
        word = self.read(_WORD)
        kind, size = struct.unpack("<II", word)
        if small := kind >> 16:
            return kind & 0xFFFF, min(small, 4), word[4:]
        return kind, size, b""

    def short(self) -> bytes:
        """Return the bytes of an element of a few numbers or letters."""
        _, size, inside = self.tag()
        if size > _MOST_TEXT:
            raise _Damage(f"found a name or dimensions of {size} bytes")
        return inside[:size] if inside else self.read(-(-size // _WORD) * _WORD)[:size]

    def is_set(self, size: int) -> bool:
        """Return True if any of the next bytes, which are padded to a whole word, is not 0."""
        found, padded = False, -(-size // _WORD) * _WORD
        while padded:
            piece = self.read(min(_PIECE, padded))
            used = piece[: max(size, 0)]
            found |= used.count(0) < len(used)
            size, padded = size - len(piece), padded - len(piece)
        return found


def _variable(file: BinaryIO) -> tuple[_Content, int]:
    """Return the content of the cell array and its number of cells."""
    header = file.read(_HEADER)
    if header.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise _Damage("it is saved in version 7.3; save it with -v7 in MATLAB")
    if len(header) < _HEADER or header[-2:] != b"IM":
        raise _Damage(f"found {header[:12]!r}...")
    while len(word := file.read(_WORD)) == _WORD:
        kind, size = struct.unpack("<II", word)
        behind = file.tell() + size
        if kind in (_COMPRESSED, _MATRIX):
            content = _Content(file, size, kind == _COMPRESSED)
            if kind == _COMPRESSED:
                content.tag()
            what, dimensions, name = _description(content)
            if name == VARIABLE:
                if what != _CELL:
                    raise _Damage(f"found an array of kind {what}, not of cells")
                return content, _product(dimensions)
        file.seek(behind)
    raise _Damage("it has no such variable")


def _description(content: _Content) -> tuple[int, bytes, bytes]:
    """Return the kind of a matrix, its dimensions and its name."""
    flags = content.short()
    return flags[0] if flags else 0, content.short(), content.short()


def _product(dimensions: bytes) -> int:
    total = 1
    for (size,) in struct.iter_unpack("<i", dimensions):
        total *= size
    if not 1 <= total <= MOST_FRAMES:
        raise _Damage(f"found {total} images")
    return total


def _cells(variable: tuple[_Content, int]) -> list[bool]:
    content, count = variable
    flags = []
    for frame in range(count):
        kind, size, _ = content.tag()
        if kind != _MATRIX or not size:
            raise _Damage(f"frame {frame} has no image")
        what, _, _ = _description(content)
        if what not in _NUMBERS:
            raise _Damage(f"frame {frame} is an array of kind {what}, not of numbers")
        _, size, inside = content.tag()
        flags.append(any(inside[:size]) if inside else content.is_set(size))
    return flags


def _runs(flags: list[bool]) -> Runs:
    runs: list[tuple[int, int]] = []
    for frame, flag in enumerate(flags):
        if flag:
            start = runs.pop()[0] if runs and runs[-1][1] == frame else frame
            runs.append((start, frame + 1))
    return tuple(runs)
