"""Files in circulation that annotate UCF-Crime's test videos otherwise than its authors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vadbench.base.errors import DataError, shortened
from vadbench.base.ground_truth import OVERRUN, IntervalReading, Truth, TruthVariant, VideoTruth
from vadbench.data.annotations.lists import Interval, listed_path, pairs, read_lines, whole

_UCF_R = re.compile(r"(?P<name>[^|]+)\|(?P<frames>[^|]+)\|\s*\[(?P<numbers>[^][|]*)\]")
_WORDS_OF_NORMAL, _WORDS_BEFORE_NUMBERS = 3, 3

Line = tuple[str, str, list[Interval]]
"""A line of a file: the video, its number of frames as stated, and its intervals."""


@dataclass(frozen=True, kw_only=True)
class TruthFile(TruthVariant):
    """A variant whose intervals are in one file.

    Args:
        file: its name.
        line: reads a line of it.
        reading: what the two numbers of an interval mean.
        note: a remark for readers of results, after the counts.
    """

    file: str
    line: Callable[[str, str], Line]
    reading: IntervalReading
    note: str


def _ucf_r(text: str, where: str) -> Line:
    """Read ``name|frames|[first, last, ...]`` or, of a normal video, ``name frames -1``."""
    if match := _UCF_R.fullmatch(text):
        numbers = [number.strip() for number in match["numbers"].split(",")] if match["numbers"].strip() else []
        return match["name"].strip(), match["frames"].strip(), pairs(numbers, "", where)
    words = text.rsplit(None, _WORDS_OF_NORMAL - 1)
    if "|" in text or len(words) != _WORDS_OF_NORMAL or words[-1] != "-1":
        raise DataError(
            f"{where}: expected 'name|frames|[first, last, ...]' or 'name frames -1', found {shortened(text)}"
        )
    return words[0], words[1], []


def _umil(text: str, where: str) -> Line:
    """Read ``path frames class first last [first last ...]``; a normal video has no interval, or ``-1 -1``."""
    words = text.split()
    if len(words) < _WORDS_BEFORE_NUMBERS:
        raise DataError(f"{where}: expected 'path frames class first last', found {shortened(text)}")
    name, frames, _, *numbers = words
    return name, frames, pairs(numbers, "", where)


TRUTHS: Mapping[str, TruthFile] = {
    "ucf-r": TruthFile(
        about="UCF-R, the test videos annotated anew, from UCF-R-annotations.txt (lines 'name|frames|[first, last]')",
        file="UCF-R-annotations.txt",
        line=_ucf_r,
        reading=IntervalReading(0, 1),
        note="its numbers are read as 0-based with both ends inside, which its authors do not state",
    ),
    "umil": TruthFile(
        about="the list that UMIL is tested on, from UCF_test.txt (lines 'path frames class first last')",
        file="UCF_test.txt",
        line=_umil,
        reading=IntervalReading(-1, 0),
        note="UMIL's authors changed the intervals of 14 videos without saying so; numbers are read as the official"
        " ones, 1-based with both ends inside",
    ),
}
"""The variants by name."""


def read_file(name: str, path: Path, frames: Mapping[str, int]) -> Truth:
    """Read a variant from its file.

    Args:
        name: of the variant.
        path: the file.
        frames: true number of frames of the videos where it is known; those in the files are one off in many videos.

    Raises:
        DataError: a line has another form, a video has two, or another number of frames than there; names the line.
    """
    kind, videos = TRUTHS[name], dict[str, VideoTruth]()
    for where, text in read_lines(path):
        listed, stated, intervals = kind.line(text, where)
        _, video = listed_path(listed, where, None)
        if video in videos:
            raise DataError(f"{where}: {video!r} has a line already, {videos[video].where}; keep one of the two")
        own, count = frames.get(video), whole(stated, where)
        if own is not None and abs(count - own) > OVERRUN:
            raise DataError(
                f"{where}: {video!r} has {count} frames there, {own} by the data set; the two do not belong together"
            )
        segments = ((None, max(i.first + kind.reading.first, 0), i.last + kind.reading.last) for i in intervals)
        videos[video] = VideoTruth(tuple(s for s in segments if s[1] < s[2]), own, where)
    spans = [len(v.segments) for v in videos.values()]
    note = f"ground truth {name}: {sum(spans)} spans in {sum(map(bool, spans))} of {len(spans)} videos; {kind.note}"
    return Truth(name, videos, [note])
