"""How scores meet ground truth: the protocol, and the alignment of rows with annotated segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vadbench.base.config import Settings
from vadbench.base.errors import UnknownNameError
from vadbench.dataset import Boundaries, ClassTable, Video, merged

Selection = Literal["last", "validation", "best-on-test"]
"""Which weights of a training are evaluated."""


class Protocol(Settings):
    """The rules of an evaluation; every result carries them.

    ``selection`` and ``subset`` shape the training, the rest only the evaluation.
    """

    name: str = Field(description="what the rules are called in tables")
    boundaries: Boundaries = Field("native", description="whose reading of the official intervals")
    tail: Literal["hold", "rows"] = Field(
        "hold",
        description="how many frames a video has; hold: its true number, each row's score held for its own frames and"
        " the last one's to the end; rows: rows times stride, as the papers' code counts",
    )
    crop: str = Field(
        "center",
        description="which crop of the features is scored; mean: the mean of all crops' scores; max: the maximum of all"
        " regions' scores, as features of regions always are",
    )
    tolerance: int = Field(
        2, ge=0, description="frames by which a stated count may be off and an interval may end past its video"
    )
    subset: Literal["all", "single-anomaly"] = Field(
        "all", description="which videos take part; single-anomaly: those of at most one anomaly class"
    )
    selection: Selection = Field(
        "last",
        description="which weights are evaluated; last: those after the last epoch; validation: the best on training"
        " videos held out; best-on-test: the best on the test split, as several papers do, never ranked beside others",
    )
    localization: Literal["native", "vadclip"] = Field(
        "native", description="whose average precision and mean over classes mAP@IoU takes"
    )
    drop_zeros: bool = Field(
        False, description="leave classes whose AUC or AP is exactly 0 out of mAUC and mAP, as AnomalyCLIP's code does"
    )


PROTOCOLS = {
    "native": Protocol(name="native"),
    "anomalyclip": Protocol(
        name="anomalyclip", boundaries="anomalyclip", tail="rows", subset="single-anomaly", drop_zeros=True
    ),
    "vadclip": Protocol(name="vadclip", boundaries="vadclip", tail="rows", localization="vadclip"),
}


def protocol(name: str, paper_crops: Mapping[str, str] = MappingProxyType({}), **changes: str | None) -> Protocol:
    """A protocol by name, with what the user wants otherwise.

    Args:
        name: one of :data:`PROTOCOLS`.
        paper_crops: which crop of a data set a protocol scores, by the protocol's name.
        changes: fields to change; ``None`` leaves one as it is.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    rules = PROTOCOLS[name]
    fields = {"crop": paper_crops.get(name)} | {k: v for k, v in changes.items() if v is not None}
    return Protocol.model_validate(rules.model_dump() | {k: v for k, v in fields.items() if v is not None})


def row_frames(rows: int, stride: int, frames: int) -> NDArray[np.int64]:
    """Number of frames each row stands for: its own ``stride``, the last row up to the end of the video.

    >>> row_frames(3, 4, 10).tolist(), row_frames(2, 4, 10).tolist()
    ([4, 4, 2], [4, 6])
    """
    starts, ends = _bounds(rows, stride, frames)
    counts: NDArray[np.int64] = np.maximum(ends - starts, 0)
    return counts


def positives_per_row(runs: Sequence[tuple[int, int]], rows: int, stride: int, frames: int) -> NDArray[np.int64]:
    """Frames of each row that lie inside any of the half-open runs, which must not overlap.

    >>> positives_per_row([(3, 9)], 3, 4, 10).tolist()
    [1, 4, 1]
    """
    starts, ends = _bounds(rows, stride, frames)
    total = np.zeros(rows, dtype=np.int64)
    for first, last in runs:
        total += np.clip(np.minimum(ends, last) - np.maximum(starts, first), 0, None)
    return total


def _bounds(rows: int, stride: int, frames: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First frame and one past the last frame of each row."""
    starts = np.arange(rows, dtype=np.int64) * stride
    ends = np.minimum(starts + stride, frames)
    if rows:
        ends[-1] = frames
    return starts, ends


def class_positives_per_row(
    video: Video, classes: ClassTable, rows: int, stride: int, frames: int
) -> NDArray[np.int64]:
    """``(rows, classes)`` frames of each row inside a segment of each class; normal has the rest."""
    table = np.zeros((rows, len(classes)), dtype=np.int64)
    segments = [(classes.id(s.label), s) for s in video.segments]  # a name and an alias are one class
    for class_id in {i for i, _ in segments}:
        own = merged(s for i, s in segments if i == class_id)
        table[:, class_id] = positives_per_row(own, rows, stride, frames)
    table[:, classes.normal] = row_frames(rows, stride, frames) - positives_per_row(video.runs, rows, stride, frames)
    return table
