"""Summary of a set of features: its size, its origin and whether its values are finite."""

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
    """Summary of a set of features.

    Args:
        folder: its folder.
        layout: layout of its files.
        fingerprint: 12 hex digits, or "unknown" if the origin of the features was not recorded.
        made_by: the fingerprint's fields; those about form are right even if the fingerprint is unknown.
        videos: number of readable videos.
        rows: total number of rows, of one crop of each video.
        bytes: size of all values of all crops.
        looked_at: rows whose values were read; the figures below are about them.
        length_mean: mean length of these rows as vectors, ``length_std`` its deviation; ``None`` if none is finite.
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
        """Return plain values for JSON."""
        return asdict(self)


def summarise(source: FeatureSource, every_row: bool = False, progress: Progress = silent) -> Summary:
    """Count the rows of all videos and read the values of some.

    Args:
        source: the features.
        every_row: read all values rather than the first 1,024 rows of 64 evenly spread videos.
        progress: called with the number of finished videos.
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
    """Running mean and deviation of the lengths of rows."""

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
            # Chan's update: a sum of squares would lose the deviation of lengths that are all about 1.
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
