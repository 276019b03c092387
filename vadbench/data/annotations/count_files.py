"""Files with the number of frames of videos."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from vadbench.base.errors import DataError, shortened
from vadbench.data.annotations.lists import MOST_FRAMES, read_json, read_lines, video_name, whole

_DIGITS = re.compile(r"-?[0-9]+")


def read_counts(path: Path) -> dict[str, int]:
    """Read frame counts of videos from lines ``name@frames`` or ``path frames ...``, or from a .json file.

    JSON is ``{name: frames}``, or ``{"frames": {name: frames}}`` with further entries.

    Raises:
        DataError: a line without a positive count, JSON of another form, or two numbers of frames for one video.
    """
    if path.suffix.lower() == ".json":
        return _json_counts(path)
    counts: dict[str, int] = {}
    for where, text in read_lines(path):
        video, _, count = text.rpartition("@")
        if not (video and _DIGITS.fullmatch(count)):
            words = itertools.islice(re.finditer(r"\S+", text), 1, None)
            number = next((word for word in words if _DIGITS.fullmatch(word[0])), None)
            video, count = (text[: number.start()].rstrip(), number[0]) if number else ("", "0")
        frames = whole(count, where)
        if not 1 <= frames <= MOST_FRAMES:
            raise DataError(f"{where}: expected a video and its number of frames, found {shortened(text)}")
        _add(counts, video, frames, where)
    return counts


def _add(counts: dict[str, int], path: str, frames: int, where: str) -> None:
    """Add the number of frames of the video that a path ends in."""
    name = video_name(path.rsplit("/", 1)[-1])
    if counts.setdefault(name, frames) != frames:
        raise DataError(f"{where}: {name!r} has {counts[name]} frames before, {frames} here; keep one of the two")


def _json_counts(path: Path) -> dict[str, int]:
    content = read_json(path)
    counts = content.get("frames", content) if isinstance(content, dict) else None
    if not isinstance(counts, dict) or not counts:
        raise DataError(f"{path}: expected an object {{name: frames}} with at least one video, found none")
    found: dict[str, int] = {}
    for name, frames in counts.items():
        where = f"{path}, {shortened(name)}"
        if not 1 <= whole(frames, where) <= MOST_FRAMES:
            raise DataError(f"{where}: expected a number of frames from 1 to {MOST_FRAMES}, found {frames}")
        _add(found, name, frames, where)
    return found
