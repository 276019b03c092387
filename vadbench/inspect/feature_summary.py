"""A set of features in figures: what is there, what made it, and whether its values are numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vadbench.base.errors import FeatureError
from vadbench.base.types import Progress, silent
from vadbench.features.fingerprint import UNKNOWN
from vadbench.features.layouts import LayoutName, NpyFeatures
from vadbench.features.source import FeatureSource

_VIDEOS, _ROWS = 64, 1024
_CHUNK_VALUES = 1 << 22


@dataclass(frozen=True)
class Summary:
    """A set of features in figures.

    Args:
        folder: where it lies.
        layout: how.
        fingerprint: 12 hex digits, or "unknown" where nobody recorded what made the features.
        made_by: the fingerprint's fields; those about form are right even where it is unknown.
        videos: that can be read.
        rows: of one crop of each, added up.
        bytes: of all values of all crops.
        looked_at: rows whose values were looked at; the figures below are theirs.
        length_mean: of these rows, as vectors; ``length_std`` their standard deviation; ``None`` where none is finite.
        not_finite: rows with NaN or infinity.
        unreadable: a line for each video that cannot be read.
    """

    folder: str
    layout: LayoutName
    fingerprint: str
    made_by: dict[str, Any]
    videos: int
    rows: int
    bytes: int
    looked_at: int
    length_mean: float | None
    length_std: float | None
    not_finite: int
    unreadable: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def summarise(source: FeatureSource, every_row: bool = False, progress: Progress = silent) -> Summary:
    """Count the rows of all videos and look at the values of some.

    Args:
        source: the features.
        every_row: look at all values, not at the first 1,024 rows of 64 videos, evenly spread.
        progress: told how many videos are done.
    """
    names = source.names
    chosen = set(names[:: max(math.ceil(len(names) / _VIDEOS), 1)])
    videos = rows = size = 0
    lengths, unreadable = _Lengths(), []
    for done, name in enumerate(names):
        progress("reading features", done, len(names))
        try:
            crops = [source.crop_rows(name, crop) for crop in source.crops(name)]
        except FeatureError as error:
            unreadable.append(str(error))
            continue
        videos, rows, size = videos + 1, rows + len(crops[0]), size + sum(c.nbytes for c in crops)
        if every_row or name in chosen:
            for crop in crops:
                lengths.add(crop if every_row else crop[:_ROWS])
    progress("reading features", len(names), len(names))
    made_by = source.fingerprint
    return Summary(
        folder=str(source.folder),
        layout=source.layout if isinstance(source, NpyFeatures) else "store",
        fingerprint=made_by.digest if made_by.known else UNKNOWN,
        made_by=made_by.to_dict(),
        videos=videos,
        rows=rows,
        bytes=size,
        looked_at=lengths.rows,
        length_mean=lengths.mean,
        length_std=lengths.deviation,
        not_finite=lengths.rows - lengths.finite,
        unreadable=unreadable,
    )


class _Lengths:
    """Mean and deviation of the lengths of rows, a piece at a time."""

    def __init__(self) -> None:
        self.rows = self.finite = 0
        self._mean = self._squares = 0.0

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        step = max(_CHUNK_VALUES // rows.shape[1], 1)
        for start in range(0, len(rows), step):
            found = np.linalg.norm(rows[start : start + step].astype(np.float64), axis=1)
            self.rows += len(found)
            found = found[np.isfinite(found)]
            if not found.size:
                continue
            # Chan's update: adding up squares would lose the deviation of lengths that are all about 1.
            total, apart = self.finite + len(found), float(found.mean()) - self._mean
            self._squares += float(((found - found.mean()) ** 2).sum()) + apart**2 * self.finite * len(found) / total
            self._mean += apart * len(found) / total
            self.finite = total

    @property
    def mean(self) -> float | None:
        return self._mean if self.finite else None

    @property
    def deviation(self) -> float | None:
        return math.sqrt(self._squares / self.finite) if self.finite else None
