"""Structure of Matroska files and of webm, which is a kind of them."""

from __future__ import annotations

import mmap

_HEAD, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_IN_SEGMENT = frozenset(
    {
        0x114D9B74,  # seek head
        0x1549A966,  # information
        0x1654AE6B,  # tracks
        0x1C53BB6B,  # cues
        0x1941A469,  # attachments
        0x1043A770,  # chapters
        0x1254C367,  # tags
        _CLUSTER,
        0xEC,  # void
        0xBF,  # checksum
    }
)
_IN_CLUSTER = frozenset(
    {
        0xE7,  # time
        0xA3,  # block
        0xA0,  # group of blocks
        0xA7,  # position
        0xAB,  # size of the cluster before
        0xAF,  # encrypted block
        0x5854,  # silent tracks
        0xEC,
        0xBF,
    }
)


def break_in_matroska(data: mmap.mmap) -> str | None:
    """Return where the elements of a Matroska file break off, in words; ``None`` if they follow each other."""
    at, end = 0, len(data)
    while at < end:
        code, at, stop = _element(data, at)
        if code == _SEGMENT:
            return _break_in_segment(data, at, stop)
        if code is None or stop is None:
            return None  # FFmpeg found a segment elsewhere: nothing can be said
        at = stop
    return None


def _break_in_segment(data: mmap.mmap, at: int, stop: int | None) -> str | None:
    length = len(data)
    end = length if stop is None else min(stop, length)
    cluster = 0
    """End of the cluster that is read; 0 outside of one, ``length`` in one of unknown size."""
    while at < end:
        if cluster and at >= cluster:
            cluster = 0
        code, content, last = _element(data, at)
        inside = cluster > 0 and code in _IN_CLUSTER
        if stop is None and code == _SEGMENT:
            at, cluster = content, 0  # another recording behind one that does not state its size
            continue
        known = code in _IN_SEGMENT or (stop is None and code == _HEAD)
        if code is None or not (inside or known):
            return _broken(at, length)
        if not inside:
            if cluster and cluster < length:
                return _broken(at, length)  # another element of the segment before the cluster has ended
            cluster = 0
        if code == _CLUSTER and not inside:
            cluster = length if last is None else last
            if cluster > length:
                cluster = length
            at = content
            continue
        if last is None:
            return _broken(at, length)
        if last > length:
            return f"its last part lacks {last - length:,} bytes"
        at = last
    if stop is not None and stop > length:
        return f"its last part lacks {stop - length:,} bytes"
    return None


def _element(data: mmap.mmap, at: int) -> tuple[int | None, int, int | None]:
    """Return the code of the element at ``at``, where its content begins and where it ends.

    The code is ``None`` where there is no element, the end where the element does not state its size.
    """
    head = data[at : at + 12]
    if not head or head[0] < 0x10:
        return None, at, None
    first = 9 - head[0].bit_length()  # bytes of the code
    if len(head) <= first or not head[first]:
        return None, at, None
    wide = 9 - head[first].bit_length()  # bytes of the size
    size = int.from_bytes(head[first : first + wide], "big") & ((1 << 7 * wide) - 1)
    content = at + first + wide
    unknown = size == (1 << 7 * wide) - 1
    return int.from_bytes(head[:first], "big"), content, None if unknown else content + size


def _broken(at: int, length: int) -> str:
    # A head that is cut off within its few bytes is the end of the file.
    return f"its structure is broken at byte {at:,}" if length - at > 12 else "it ends within its last part"
