"""ShanghaiTech's two sources of truth: a 0/1 mask for each abnormal video, and class spans in one JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vadbench.annotations.reading import Interval, read_json
from vadbench.errors import DataError

Runs = tuple[tuple[int, int], ...]
"""Abnormal frames as half-open, 0-based runs in ascending order that do not touch."""

MASK_FOLDER = "test_frame_mask"


@dataclass(frozen=True)
class Spans:
    """The class spans of one video: intervals 1-based with both ends inside, and its number of frames."""

    frames: int
    intervals: tuple[Interval, ...]
    where: str


def mask_folder(root: Path) -> Path | None:
    """The folder of masks in the root or up to two folders below."""
    found = (p for depth in ("", "*/", "*/*/") for p in sorted(root.glob(depth + MASK_FOLDER)) if p.is_dir())
    return next(found, None)


def read_masks(path: Path) -> dict[str, tuple[int, Runs]]:
    """Number of frames and abnormal runs of each video, from a folder of .npy masks or the JSON form.

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
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected an array of 0 and 1, found {error}; fetch it again") from error
    if not isinstance(mask, np.ndarray) or mask.ndim != 1 or not len(mask) or not np.isin(mask, (0, 1)).all():
        shape = getattr(mask, "shape", "an archive")
        raise DataError(f"{path}: expected one 0 or 1 a frame, found {shape} with other values or axes; fetch it again")
    return mask


def _runs_of(mask: np.ndarray) -> tuple[int, Runs]:
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0)).tolist()
    return len(mask), tuple(zip(edges[::2], edges[1::2], strict=True))


def _stated_runs(name: str, entry: Any, path: Path) -> tuple[int, Runs]:
    try:
        frames, stated = int(entry["n"]), [(int(start), int(end)) for start, end in entry["runs"]]
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: expected {{'n': frames, 'runs': [[start, end], ...]}} for {name!r}") from error
    if frames < 1:
        raise DataError(f"{path}: expected the number of frames of {name!r}, found {frames}")
    mask = np.zeros(frames, np.int8)
    for start, end in stated:
        if not 0 <= start < end <= frames:
            raise DataError(f"{path}: run [{start}, {end}) of {name!r} must lie within its {frames} frames")
        mask[start:end] = 1
    return _runs_of(mask)


def read_spans(path: Path) -> dict[str, Spans]:
    """Class spans by the four digits behind the scene in a video's name (``0014`` is ``01_0014``).

    Raises:
        DataError: not of the form ``{"0014": {"anomalies": [{class: [[first, last], ...]}], "length": frames}}``.
    """
    return {clip: _spans(clip, entry, path) for clip, entry in _object(read_json(path), path).items()}


def _spans(clip: str, entry: Any, path: Path) -> Spans:
    where = f"{path}, '{clip}'"
    try:
        frames = int(entry["length"])
        intervals = tuple(
            Interval(label, int(first), int(last), where)
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
