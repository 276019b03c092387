"""How scores meet ground truth: the protocol, and the alignment of rows with annotated segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vadbench.config import Settings
from vadbench.dataset import Boundaries, ClassTable, Video, merged
from vadbench.errors import DataError, UnknownNameError


class Protocol(Settings):
    """The rules of an evaluation; every result carries them.

    ``selection`` and ``subset`` shape the training, the rest only the evaluation.
    """

    name: str = Field(description="what the rules are called in tables")
    boundaries: Boundaries = Field("native", description="whose reading of the official intervals")
    tail: Literal["hold"] = Field("hold", description="a row's score holds for its own frames, the last row's too")
    crop: Literal["center"] = Field("center", description="which crop of the features is scored")
    tolerance: int = Field(
        2, ge=0, description="frames by which a stated count may be off and an interval may end past its video"
    )
    subset: Literal["all"] = Field("all", description="which videos take part")
    selection: Literal["last"] = Field("last", description="which epoch's weights are evaluated")


PROTOCOLS = {"native": Protocol(name="native")}


def protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def require_frames(name: str, stated: int | None, found: int, tolerance: int) -> None:
    """Refuse a video whose frames are not as many as its annotation was made for.

    Raises:
        DataError: the counts differ by more than the tolerance; names the video.
    """
    if stated is not None and abs(stated - found) > tolerance:
        raise DataError(
            f"{name}: the data set states {stated} frames, found {found}; the annotation and the video do not belong"
            " together"
        )


def row_frames(rows: int, stride: int, frames: int) -> NDArray[np.int64]:
    """Number of frames each row stands for: row ``i`` covers ``[i*stride, min((i+1)*stride, frames))``.

    >>> row_frames(3, 4, 10).tolist()
    [4, 4, 2]
    """
    starts = np.arange(rows, dtype=np.int64) * stride
    return np.clip(frames - starts, 0, stride)


def positives_per_row(runs: Sequence[tuple[int, int]], rows: int, stride: int, frames: int) -> NDArray[np.int64]:
    """Frames of each row that lie inside any of the half-open runs, which must not overlap.

    >>> positives_per_row([(3, 9)], 3, 4, 10).tolist()
    [1, 4, 1]
    """
    starts = np.arange(rows, dtype=np.int64) * stride
    ends = np.minimum(starts + stride, frames)
    total = np.zeros(rows, dtype=np.int64)
    for first, last in runs:
        total += np.clip(np.minimum(ends, last) - np.maximum(starts, first), 0, None)
    return total


def class_positives_per_row(
    video: Video, classes: ClassTable, rows: int, stride: int, frames: int
) -> NDArray[np.int64]:
    """``(rows, classes)`` frames of each row inside a segment of each class; normal has the rest."""
    table = np.zeros((rows, len(classes)), dtype=np.int64)
    for label in {s.label for s in video.segments}:
        own = merged(s for s in video.segments if s.label == label)
        table[:, classes.id(label)] += positives_per_row(own, rows, stride, frames)
    table[:, classes.normal] = row_frames(rows, stride, frames) - positives_per_row(video.runs, rows, stride, frames)
    return table
