"""Annotations of intervals in the form of UCF-Crime's, which other data sets have as well."""

from __future__ import annotations

import re
from pathlib import Path

from vadbench.base.errors import DataError, shortened
from vadbench.data.annotations.lists import (
    BEHIND_SUFFIX,
    Interval,
    add_once,
    pairs,
    read_lines,
    split_numbers,
    video_name,
)

_CLASS = re.compile(rf"{BEHIND_SUFFIX.pattern}\s*[^\W\d].*\s-?\d\S*\s+-?\d\S*$", re.IGNORECASE)
"""A video's suffix, a word where a count would have a number, and two numbers at the end."""


def read_temporal(path: Path) -> dict[str, list[Interval]]:
    """Read lines ``name class first last [first last ...]`` by video name; a normal video's list is empty.

    Raises:
        DataError: a line of another form, or two for one video.
    """
    found: dict[str, list[Interval]] = {}
    for where, text in read_lines(path):
        named, numbers = split_numbers(text)
        # Names and classes may have spaces; the suffix of a video tells where one ends and the other begins.
        suffix = BEHIND_SUFFIX.search(named)
        video, *label = (named[: suffix.end(1)], named[suffix.end() :]) if suffix else named.rsplit(None, 1)
        if not (label and numbers):
            raise DataError(f"{where}: expected 'video class first last [first last ...]', found {shortened(text)}")
        add_once(found, video_name(video), pairs(numbers, label[0].strip(), where), where)
    return found


def names_classes(path: Path) -> bool:
    """Return True if most lines of a file have a class behind the video, as annotations of intervals do.

    Raises:
        DataError: it cannot be read, or has no lines.
    """
    lines = read_lines(path)
    return 2 * sum(_CLASS.search(text) is not None for _, text in lines) > len(lines)
