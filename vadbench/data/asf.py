"""Structure of Windows Media files (asf, wmv)."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from uuid import UUID

_PROPERTIES = UUID("8CABDCA1-A947-11CF-8EE4-00C00C205365").bytes_le
_DATA = UUID("75B22636-668E-11CF-A6D9-00AA0062CE6C").bytes_le
_HEADER = UUID("75B22630-668E-11CF-A6D9-00AA0062CE6C").bytes_le
_WIDTHS = (0, 1, 2, 4)
_STREAMED = 1


class _BreakError(Exception):
    """Raised where a packet is not what a packet must be."""


def break_in_asf(data: mmap.mmap) -> str | None:
    """Return where the packets of a file break off or the numbers of their frames jump, in words; ``None`` if it is
    whole."""
    size, streamed = 0, True
    at = 0
    while at + 24 <= len(data):
        name, length = data[at : at + 16], int.from_bytes(data[at + 16 : at + 24], "little")
        if name == _HEADER:
            place = data.find(_PROPERTIES, at, at + length)
            if place < 0:
                return None
            streamed = bool(int.from_bytes(data[place + 88 : place + 92], "little") & _STREAMED)
            size = int.from_bytes(data[place + 92 : place + 96], "little")
        if name == _DATA:
            break
        if length < 24:
            return f"its structure is broken at byte {at:,}"
        at += length
    if not size or at + 50 > len(data):
        return None
    end = len(data) if streamed else at + length
    at += 50
    numbers: dict[int, int] = {}
    while at + size <= min(end, len(data)):
        try:
            for stream, number in _payloads(data, at, size):
                if (before := numbers.get(stream)) is not None and (number - before) % 256 > 1:
                    return f"the number of its frames jumps from {before} to {number} at byte {at:,}"
                numbers[stream] = number
        except (_BreakError, IndexError):
            return f"its structure is broken at byte {at:,}"
        at += size
    return f"its last part lacks {end - len(data):,} bytes" if end > len(data) else None


def _payloads(data: mmap.mmap, start: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield stream and number of the frame, modulo 256, of each payload of the packet at ``start``."""
    packet = data[start : start + size]
    at = 0
    if packet[0] & 0x80:
        at += 1 + (packet[0] & 0x0F)
    elif not any(packet):
        raise _BreakError
    flags, kinds = packet[at], packet[at + 1]
    at += 2
    length, at = _number(packet, at, flags >> 5 & 3)
    _, at = _number(packet, at, flags >> 1 & 3)
    padding, at = _number(packet, at, flags >> 3 & 3)
    at += 6
    end = (length or size) - padding
    if end > size or end < at:
        raise _BreakError
    several = bool(flags & 1)
    count, width = 1, 0
    if several:
        count, width = packet[at] & 0x3F, packet[at] >> 6
        at += 1
    for _ in range(count):
        stream = packet[at] & 0x7F
        number, at = _number(packet, at + 1, kinds >> 4 & 3)
        _, at = _number(packet, at, kinds >> 2 & 3)
        replicated, at = _number(packet, at, kinds & 3)
        # One byte of replicated data means several small frames in one payload.
        at += replicated if replicated != 1 else 1
        content = end - at
        if several:
            content, at = _number(packet, at, width)
        if not stream or content <= 0 or at + content > end:
            raise _BreakError
        if kinds >> 4 & 3 == 1 and replicated != 1:
            yield stream, number % 256
        at += content


def _number(packet: bytes, at: int, kind: int) -> tuple[int, int]:
    width = _WIDTHS[kind]
    return int.from_bytes(packet[at : at + width], "little"), at + width
