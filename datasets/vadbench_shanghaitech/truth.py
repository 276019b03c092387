"""ShanghaiTech's two sources of truth: a 0/1 mask for each abnormal video, and class spans in one JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vadbench.base.errors import DataError, shortened
from vadbench.data.annotations.frame_arrays import Runs, array_runs, read_frame_array
from vadbench.data.annotations.lists import MOST_FRAMES, Interval, read_json, whole

MASK_FOLDER = "test_frame_mask"


@dataclass(frozen=True)
class Spans:
    """The class spans of one video: intervals 1-based with both ends inside, and its number of frames."""

    frames: int
    intervals: tuple[Interval, ...]
    where: str


def mask_folder(root: Path) -> Path | None:
    """Return the folder of masks in the root or up to two folders below."""
    found = (p for depth in ("", "*/", "*/*/") for p in sorted(root.glob(depth + MASK_FOLDER)) if p.is_dir())
    return next(found, None)


def read_masks(path: Path) -> dict[str, tuple[int, Runs]]:
    """Read the number of frames and the abnormal runs of each video from a folder of .npy masks or the JSON form.

    Raises:
        DataError: a file that is no mask; nothing pickled is ever read.
    """
    if path.is_dir():
        masks = {p.stem: _mask(read_frame_array(p)) for p in sorted(path.glob("*.npy")) if not p.name.startswith(".")}
    else:
        masks = {name: _stated_runs(name, entry, path) for name, entry in _object(read_json(path), path).items()}
    if not masks:
        raise DataError(f"{path}: expected a mask for each abnormal video, found none; fetch it again")
    return masks


def _mask(array: np.ndarray) -> tuple[int, Runs]:
    return len(array), array_runs(array)


def _stated_runs(name: str, entry: Any, path: Path) -> tuple[int, Runs]:
    where = f"{path}, {shortened(name)}"
    try:
        frames, stated = entry["n"], [(whole(start, where), whole(end, where)) for start, end in entry["runs"]]
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{where}: expected {{'n': frames, 'runs': [[start, end], ...]}}") from error
    frames = _frames(frames, where)
    mask = np.zeros(frames, np.int8)
    for start, end in stated:
        if not 0 <= start < end <= frames:
            raise DataError(f"{where}: run [{start}, {end}) must be within its {frames} frames")
        mask[start:end] = 1
    return _mask(mask)


def _frames(stated: Any, where: str) -> int:
    frames = whole(stated, where)
    if not 1 <= frames <= MOST_FRAMES:
        raise DataError(f"{where}: expected a number of frames from 1 to {MOST_FRAMES}, found {frames}")
    return frames


def read_spans(path: Path) -> dict[str, Spans]:
    """Read class spans, by the four digits behind the scene in a video's name (``0014`` is ``01_0014``).

    Raises:
        DataError: not of the form ``{"0014": {"anomalies": [{class: [[first, last], ...]}], "length": frames}}``.
    """
    return {clip: _spans(clip, entry, path) for clip, entry in _object(read_json(path), path).items()}


def _spans(clip: str, entry: Any, path: Path) -> Spans:
    where = f"{path}, {shortened(clip)}"
    try:
        frames = _frames(entry["length"], where)
        intervals = tuple(
            Interval(label, whole(first, where), whole(last, where), where)
            for anomaly in entry["anomalies"]
            for label, spans in anomaly.items()
            for first, last in spans
        )
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: expected 'length' and 'anomalies' with [first, last] pairs by class") from error
    for i in intervals:
        if not 1 <= i.first <= i.last:
            raise DataError(f"{where}: expected 1 <= first <= last frame, found {i.first} {i.last}")
    if not intervals:
        raise DataError(f"{where}: expected at least one anomaly, found none")
    return Spans(frames, intervals, where)


def _object(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: expected an object with an entry for each abnormal video; fetch it again")
    return content
