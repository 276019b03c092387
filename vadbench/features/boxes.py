"""A file of boxes: a table with a line for each box, read whole and checked before anything is decoded.

Columns are ``video, frame, x1, y1, x2, y2, confidence``: the video's name, the number of the frame from 0, the edges of
the box in pixels of the decoded frame, and the confidence of the detector, 0 to 1. Other columns are ignored.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from vadbench.base.errors import FeatureError, did_you_mean, last_line, listed
from vadbench.base.files import regular
from vadbench.features.regions import REGIONS, Corners, RegionSource

COLUMNS = ("video", "frame", "x1", "y1", "x2", "y2", "confidence")

_NUMBERS = COLUMNS[1:]
_LARGEST_FRAME = 2**53
_NAMES_OFFERED = 1000

BoxLines = NDArray[np.int64]


@dataclass(frozen=True)
class _Boxes:
    """The boxes of one video that are encoded, and the outermost of all its boxes in the file.

    Args:
        frames: ``(n,)`` numbers of frames, in order.
        corners: ``(n, 4)``, the most confident of a frame first.
        lines: ``(n,)`` lines of the file.
        last: the highest number of a frame, and the line that has it.
        left: the left edge farthest to the right, likewise.
        top: the upper edge farthest down, likewise.
    """

    frames: NDArray[np.int64]
    corners: Corners
    lines: BoxLines
    last: tuple[int, int]
    left: tuple[float, int]
    top: tuple[float, int]


class Boxes(RegionSource):
    """A file of boxes, the :data:`REGIONS` most confident of each frame; of equally confident ones the earlier lines.

    Args:
        path: a .csv file with a header, or a .parquet file.
        videos: names of all videos, those without boxes included.

    Raises:
        FeatureError: the file cannot be read, has no box, or has a box with values out of range; names its line, for
            parquet the row counted from 1. So has a video whose boxes are no pixels but shares of a frame.
    """

    def __init__(self, path: Path, videos: Sequence[str]) -> None:
        self._path = path
        csv = path.suffix.lower() == ".csv"
        table = _read_csv(path) if csv else _read_parquet(path)
        table.columns = table.columns.astype(str).str.strip()
        if missing := [name for name in COLUMNS if name not in table.columns]:
            raise FeatureError(
                f"{path}: expected the columns {', '.join(COLUMNS)}, found no {', '.join(missing)} among"
                f" {listed(list(table.columns), 20) or 'none'}; rename or add them"
            )
        # The first line below a header is the file's second.
        self._line, lines = ("line", table.index.to_numpy() + 2) if csv else ("row", table.index.to_numpy() + 1)
        if not len(table):
            raise FeatureError(f"{path}: expected at least one box, found none; leave it out for whole frames")
        names = table["video"].astype(str)
        self._require_videos(names, lines, videos)
        values = self._numbers(table, lines)
        self.label = f"boxes {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        self._videos: dict[str, _Boxes] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        full: list[tuple[str, int, int]] = []
        for name, rows in names.groupby(names, sort=False).indices.items():
            self._require_pixels(str(name), values[rows], lines[rows])
            self._videos[str(name)] = _most_confident(str(name), values[rows], lines[rows], full)
        self.notes = []
        if without := [name for name in videos if name not in self._videos]:
            self.notes.append(f"{path}: no box in {len(without)} of {len(videos)} videos: these are whole frames")
        if full:
            name, frame, count = full[0]
            self.notes.append(
                f"{path}: frames with more than {REGIONS} boxes: {len(full):,}, the first is frame {frame} of '{name}'"
                f" with {count:,}; the {REGIONS} most confident of each count"
            )

    def begin(self, folder: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
        self._sizes.clear()

    def find(self, name: str, numbers: Sequence[int], frames: Tensor) -> list[Corners]:
        height, width = frames.shape[-2:]
        before = self._sizes.get(name, (0, 0))
        self._sizes[name] = max(before[0], width), max(before[1], height)
        if name not in self._videos:
            return [np.empty((0, 4)) for _ in numbers]
        own, found = self._videos[name], []
        for number in numbers:
            start, end = np.searchsorted(own.frames, (number, number + 1))
            corners = own.corners[start:end]
            outside = np.flatnonzero((corners[:, 0] >= width) | (corners[:, 1] >= height))
            if outside.size:
                self._refuse_outside(own.lines[start + outside[0]], name, (width, height))
            found.append(corners)
        return found

    def end(self, name: str, frames: int) -> None:
        if name not in self._videos:
            return
        own, size = self._videos[name], self._sizes[name]
        last, line = own.last
        if last >= frames:
            self._refuse(
                line,
                f"frames of '{name}' go from 0 to {frames - 1}, found {last}",
                "count frames from 0, and see that the boxes were found in this very file",
            )
        # Boxes on frames that give no row were not checked before.
        for (edge, line), most in zip((own.left, own.top), size, strict=True):
            if edge >= most:
                self._refuse_outside(line, name, size)

    def _require_videos(self, names: pd.Series[str], lines: BoxLines, videos: Sequence[str]) -> None:
        strange = np.flatnonzero(~names.isin(videos))
        if strange.size:
            name = names.iloc[strange[0]]
            offer = did_you_mean(name, sorted(videos)[:_NAMES_OFFERED])
            self._refuse(
                lines[strange[0]],
                f"expected the name of a video that is there, found '{name}'{offer}",
                "rename it or remove its boxes",
            )

    def _numbers(self, table: pd.DataFrame, lines: BoxLines) -> NDArray[np.float64]:
        """Return ``(n, 6)``: all columns but the video's, each value in its range."""
        columns = [pd.to_numeric(table[c], errors="coerce").to_numpy(np.float64, na_value=np.nan) for c in _NUMBERS]
        values = np.stack(columns, axis=1)
        frame, x1, y1, x2, y2, confidence = columns

        def require(right: NDArray[np.bool_], expected: str, *shown: str) -> None:
            if not right.all():
                where = int(np.flatnonzero(~right)[0])
                found = ", ".join(f"{c} {table[c].iloc[where]}" for c in shown)
                self._refuse(lines[where], f"{expected}, found {found}", "fix or remove this box")

        for name, column in zip(_NUMBERS, columns, strict=True):
            require(np.isfinite(column), f"{name} must be a finite number", name)
        whole = (frame >= 0) & (frame < _LARGEST_FRAME) & (frame == np.floor(frame))
        require(whole, "frame must be a whole number from 0 on", "frame")
        require((x1 < x2) & (y1 < y2), "a box needs x1 < x2 and y1 < y2", "x1", "y1", "x2", "y2")
        require((x2 > 0) & (y2 > 0), "a box must not be wholly outside of its frame", "x1", "y1", "x2", "y2")
        require((confidence >= 0) & (confidence <= 1), "confidence must be from 0 to 1", "confidence")
        return values

    def _require_pixels(self, name: str, values: NDArray[np.float64], lines: BoxLines) -> None:
        """Raise if boxes are given in shares of the frame: in pixels each would be the upper left one, or a part of it.

        Not all need be: a detector's boxes may reach a little beyond the frame.
        """
        small = (values[:, 3] <= 1) & (values[:, 4] <= 1)
        if 2 * small.sum() > len(values):
            self._refuse(
                int(lines[np.argmax(small)]),
                f"expected edges in pixels, most of '{name}' lie between 0 and 1 as shares of a frame do",
                "multiply x by the width and y by the height of its frames",
            )

    def _refuse_outside(self, line: int, name: str, size: tuple[int, int]) -> NoReturn:
        self._refuse(
            line,
            f"a box must not be wholly outside of its frame, those of '{name}' are {size[0]} x {size[1]} pixels",
            "fix or remove this box, and see that the boxes were found at this size",
        )

    def _refuse(self, line: int, what: str, advice: str) -> NoReturn:
        raise FeatureError(f"{self._path}: {self._line} {line}: {what}; {advice}")


def _most_confident(
    name: str, values: NDArray[np.float64], lines: BoxLines, full: list[tuple[str, int, int]]
) -> _Boxes:
    """Return the boxes of a video to encode; frames with more than :data:`REGIONS` boxes are added to ``full``."""
    frames = values[:, 0].astype(np.int64)
    order = np.lexsort((-values[:, 5], frames))
    _, first, counts = np.unique(frames[order], return_index=True, return_counts=True)
    full += [(name, int(frames[order[i]]), int(n)) for i, n in zip(first, counts, strict=True) if n > REGIONS]
    kept = order[np.arange(len(order)) - np.repeat(first, counts) < REGIONS]
    last, left, top = (int(np.argmax(column)) for column in (frames, values[:, 1], values[:, 2]))
    return _Boxes(
        frames[kept],
        values[kept, 1:5],
        lines[kept],
        (int(frames[last]), int(lines[last])),
        (float(values[left, 1]), int(lines[left])),
        (float(values[top, 2]), int(lines[top])),
    )


def _read_csv(path: Path) -> pd.DataFrame:
    """Read all lines as text, indexed from the first below the header; blank ones are left out."""
    try:
        # Text as it stands, so that 007 stays a name; blank lines are read, so that the others keep their numbers.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # columns without a name are other columns
            table = pd.read_csv(
                regular(path),
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                index_col=False,
                encoding="utf-8-sig",
            ).fillna("")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return table[(table != "").any(axis=1)]


def _read_parquet(path: Path) -> pd.DataFrame:
    if path.suffix.lower() != ".parquet":
        raise FeatureError(f"{path}: expected boxes in a .csv or .parquet file, found '{path.suffix}'; convert it")
    try:
        table = pd.read_parquet(regular(path))
        return table.reset_index(drop=table.index.names == [None])
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> FeatureError:
    reason: Any = getattr(error, "strerror", None) or last_line(str(error)) or type(error).__name__
    return FeatureError(f"cannot read {path} as a table of boxes: {reason}; expected columns {', '.join(COLUMNS)}")
