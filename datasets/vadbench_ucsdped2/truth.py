"""UCSD Ped2's sources of truth: an interval for each official test clip, and a folder of masks for each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vadbench.base.errors import DataError
from vadbench.data.annotations.lists import read_json, read_lines, whole
from vadbench.data.media import read_frames

TEST_CLIPS = tuple(f"Test{i:03d}" for i in range(1, 13))
INTERVALS_JSON = "ped2_mat_gt.json"
INTERVALS_MATLAB = "UCSDped2.m"
MASKS = "_gt"
"""Suffix of the name of a clip's folder of masks."""

_RANGE = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*\]")


@dataclass(frozen=True)
class Mask:
    """The content of a folder of masks: the number of frames, and the abnormal ones as half-open, 0-based runs."""

    folder: Path
    frames: int
    runs: tuple[tuple[int, int], ...]


def read_mask(folder: Path) -> Mask:
    """Read a clip's masks, one image a frame in the order of their numbers; one with any pixel set is abnormal.

    Raises:
        MediaError: there is no image, or a damaged one.
    """
    runs: list[tuple[int, int]] = []
    frames = 0
    for mask in read_frames(folder):
        if mask.any():
            start = runs.pop()[0] if runs and runs[-1][1] == frames else frames
            runs.append((start, frames + 1))
        frames += 1
    return Mask(folder, frames, tuple(runs))


def read_intervals(path: Path) -> dict[str, tuple[int, int]]:
    """Return the half-open, 0-based interval of each official test clip; in the file they are 1-based, ends included.

    Raises:
        DataError: not one interval for each clip.
    """
    pairs = _from_json(path) if path.name == INTERVALS_JSON else _from_matlab(path)
    if len(pairs) != len(TEST_CLIPS):
        raise DataError(f"{path}: expected one interval for each of {len(TEST_CLIPS)} test clips, found {len(pairs)}")
    intervals = dict(zip(TEST_CLIPS, pairs, strict=True))
    for name, (first, last) in intervals.items():
        if not 1 <= first <= last:
            raise DataError(f"{path}: expected 1 <= first <= last frame of {name}, found {first} {last}")
    return {name: (first - 1, last) for name, (first, last) in intervals.items()}


def _from_json(path: Path) -> list[tuple[int, int]]:
    content, where = read_json(path), str(path)
    try:
        return [(whole(first, where), whole(last, where)) for (first,), (last,) in content]
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: expected a list of [[first], [last]] pairs, one a test clip: {error}") from error


def _from_matlab(path: Path) -> list[tuple[int, int]]:
    found = [(where, pair) for where, text in read_lines(path) for pair in _RANGE.findall(text)]
    return [(whole(first, where), whole(last, where)) for where, (first, last) in found]
