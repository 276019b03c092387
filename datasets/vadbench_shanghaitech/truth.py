"""ShanghaiTech's two sources of truth: a 0/1 mask for each abnormal video, and class spans in one JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vadbench.base.errors import DataError, cut, first_line, shortened
from vadbench.data.annotations.lists import MOST_FRAMES, Interval, read_json, whole

Runs = tuple[tuple[int, int], ...]
"""Abnormal frames as half-open, 0-based runs in ascending order that do not touch."""

MASK_FOLDER = "test_frame_mask"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


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
        masks = {p.stem: _runs_of(_read_mask(p)) for p in sorted(path.glob("*.npy")) if not p.name.startswith(".")}
    else:
        masks = {name: _stated_runs(name, entry, path) for name, entry in _object(read_json(path), path).items()}
    if not masks:
        raise DataError(f"{path}: expected a mask for each abnormal video, found none; fetch it again")
    return masks


def _read_mask(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
            fits = dtype.kind in "biuf" and len(shape) == 1 and 1 <= shape[0] <= MOST_FRAMES
            file.seek(0)
            mask = np.lib.format.read_array(file, allow_pickle=False) if fits else None
    # On a damaged header NumPy raises what its tokenizer, its literal parser and Python's parser raise.
    except Exception as error:
        raise DataError(f"{path}: expected an array of 0 and 1, found {first_line(error)}; fetch it again") from error
    if mask is None or not np.isin(mask, (0, 1)).all():
        raise DataError(
            f"{path}: expected one 0 or 1 a frame, at most {MOST_FRAMES} frames, found {cut(str(dtype), 100)} of shape"
            f" {cut(str(shape), 100)} with other values or axes; fetch it again"
        )
    return mask


def _runs_of(mask: np.ndarray) -> tuple[int, Runs]:
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0)).tolist()
    return len(mask), tuple(zip(edges[::2], edges[1::2], strict=True))


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
    return _runs_of(mask)


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
