"""Structure of video files: whether the parts that a container consists of follow each other up to the end of the file.

Demuxers skip what they do not understand and go on with the next frame that they find, so that lost frames show as a
gap in the times alone, as those that were never recorded do. The structure tells the two apart: parts of a whole file
join, whatever the times of its frames. Pictures are not decoded, and of their data nothing is read.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vadbench.base.errors import MediaError
from vadbench.data.asf import break_in_asf
from vadbench.data.containers import MATROSKA, MP4, TS
from vadbench.data.matroska import break_in_matroska

_MOVIE_PARTS = frozenset({b"ftyp", b"moov", b"moof", b"mdat"})
_STUFFING = 64
"""Zeros that may lie between the packs of an mpg file; discs pad their sectors with some."""
_TS_SIZES = (188, 192, 204)
_TS_SYNC = 0x47


def structural_break(path: Path, kind: str) -> str | None:
    """Return where the structure of a file breaks off, in words; ``None`` if it is whole, or of a kind that is not
    known here.

    Args:
        path: the file.
        kind: FFmpeg's name of its container.

    Raises:
        MediaError: the file cannot be read.
    """
    find = _KINDS.get(kind)
    if find is None:
        return None
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return find(data)
    except (OSError, ValueError) as error:
        raise MediaError(f"cannot read {path}: {error}") from error


def mp4_states_length(path: Path) -> bool:
    """Return True if a fragmented mp4 file says how long it is, in its head or in an index of its fragments."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for at, name, end in _boxes(data):
            if name in (b"sidx", b"mfra") or (name == b"moov" and b"mehd" in data[at:end]):
                return True
    return False


def _boxes(data: mmap.mmap) -> Iterator[tuple[int, bytes, int]]:
    """Yield start, name and end of each box at the top of an mp4 file; the last may end behind the file."""
    at = 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0 and name in _MOVIE_PARTS:
            size = len(data) - at
        yield at, name, at + max(size, head) if size >= head else -1
        if size < head:
            return
        at += size


def _break_in_mp4(data: mmap.mmap) -> str | None:
    seen: set[bytes] = set()
    end = 0
    for at, name, end in _boxes(data):
        whole = _is_whole_film(seen)
        if not whole and (end < 0 or not (name.isascii() and name.decode().isprintable())):
            return f"its structure is broken at byte {at:,}"
        if end > len(data) and (name in _MOVIE_PARTS or not whole):
            return _ends_early(end - len(data))
        seen.add(name)
    return None if _is_whole_film(seen) or end == len(data) else "it ends within its last part"


def _is_whole_film(seen: set[bytes]) -> bool:
    """Return True if nothing of a film can follow, unless it is fragmented: cameras leave anything behind it."""
    return {b"moov", b"mdat"} <= seen and b"moof" not in seen


def _break_in_avi(data: mmap.mmap) -> str | None:
    at = 0
    while data[at : at + 4] == b"RIFF":
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size if size else len(data)
        if (found := _break_in_riff(data, at + 12, min(end, len(data)))) is not None:
            return found
        if end > len(data):
            return _ends_early(end - len(data))
        at = end + end % 2
    return None


def _break_in_riff(data: mmap.mmap, at: int, end: int) -> str | None:
    """Return where the chunks from ``at`` to ``end`` break off; those of lists of frames are looked at one by one."""
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not (name.isascii() and name.decode().isprintable()):
            return f"its structure is broken at byte {at:,}"
        if name == b"LIST" and data[at + 8 : at + 12] in (b"movi", b"rec "):
            at += 12
            continue
        at += 8 + size + size % 2
    return _ends_early(at - end) if at > end + 1 else None


def _break_in_flv(data: mmap.mmap) -> str | None:
    at = int.from_bytes(data[5:9], "big") + 4
    while at + 11 <= len(data):
        if data[at] & 0x1F not in (8, 9, 18):
            return f"its structure is broken at byte {at:,}"
        at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
    return None if at == len(data) else "it ends within its last part"


def _break_in_mpg(data: mmap.mmap) -> str | None:
    # A Video CD's sectors have heads of their own between the packs.
    at = data.find(b"\0\0\1\xba") if data[:4] != b"RIFF" else -1
    while 0 <= at < len(data) - 6:
        if data[at : at + 3] != b"\0\0\1":
            next_code = _behind_zeros(data, at) - 2
            if next_code + 2 == len(data):
                return None  # padded up to the end
            if data[next_code : next_code + 3] != b"\0\0\1" or next_code - at > _STUFFING:
                return f"its structure is broken at byte {at:,}"
            at = next_code
        code = data[at + 3]
        if code == 0xBA:
            # The pack's head is longer in MPEG-2, and may be stuffed there.
            at += 14 + (data[at + 13] & 7) if at + 14 <= len(data) and data[at + 4] >> 6 == 1 else 12
        elif code == 0xB9:
            at += 4
        else:
            at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
    return None


def _behind_zeros(data: mmap.mmap, at: int) -> int:
    """Return where the zeros that begin at ``at`` end."""
    while at < len(data):
        piece = data[at : at + 65536]
        if rest := piece.lstrip(b"\0"):
            return at + len(piece) - len(rest)
        at += len(piece)
    return at


def _break_in_ts(data: mmap.mmap) -> str | None:
    content = np.frombuffer(data, np.uint8)
    try:
        for size in _TS_SIZES:
            first = size - 188 if size == 192 else 0
            heads = content[first::size]
            wrong = heads != _TS_SYNC
            if len(heads) > 1 and wrong.mean() < 0.5:
                lost = np.flatnonzero(wrong)
                return f"its structure is broken at byte {first + int(lost[0]) * size:,}" if len(lost) else None
        return None
    finally:
        del content, heads  # or the file could not be closed


def _ends_early(missing: int) -> str:
    return f"its last part lacks {missing:,} bytes"


_KINDS: dict[str, Callable[[mmap.mmap], str | None]] = {
    MATROSKA: break_in_matroska,
    MP4: _break_in_mp4,
    "avi": _break_in_avi,
    "flv": _break_in_flv,
    "asf": break_in_asf,
    "mpeg": _break_in_mpg,
    TS: _break_in_ts,
}
