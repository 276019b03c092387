"""Pooling of rows of every frame, or of a few, to the coarser rows that a method wants, when they are read.

No second store is written: reading it would save little of an epoch, and writing it takes a pass over all rows and two
``fsync`` calls a video.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vadbench.base.errors import FeatureError
from vadbench.base.method_config import Rows
from vadbench.base.text import spaced
from vadbench.features.fingerprint import UNKNOWN, Fingerprint, Pooling
from vadbench.features.shard import FeatureRows, value_type
from vadbench.features.source import FeatureSource


def can_serve(have: Fingerprint, stride: int, pooling: Pooling) -> bool:
    """Return True if :func:`pool_rows` can make the rows wanted from those stored, without the video.

    Rows of every frame serve everything. Coarser ones serve themselves, and their multiples where pooling repeats
    exactly: the first of firsts is a first, and the mean of means, weighted by frames, a mean. The middle of middles
    is not a middle. Rows of unknown pooling serve themselves. The mean of regions is not defined, since the regions of
    one frame do not correspond to those of the next.
    """
    if have.regions and pooling == "mean" and stride > 1:
        return False
    if have.stride == 1:
        return True
    if stride == have.stride:
        return have.pooling in (pooling, UNKNOWN)
    return pooling == have.pooling and stride % have.stride == 0 and pooling != "middle"


def pool_rows(rows: FeatureRows, frames: int, stride: int, to_stride: int, pooling: Pooling) -> FeatureRows:
    """Pool rows to a coarser stride, the tail included.

    Args:
        rows: ``(ceil(frames / stride), dim)``.
        frames: the video's length; says how many frames the last row stands for.
        stride: frames from one given row to the next.
        to_stride: the same for the rows wanted, a multiple of ``stride``.
        pooling: ``first`` and ``middle`` pick a row, of ``n`` frames that of the frame ``n // 2``; ``mean`` weights
            each row by the frames it stands for and is computed in float32.

    Returns:
        ``(ceil(frames / to_stride), dim)``; the rows given where the stride does not change.

    Raises:
        FeatureError: the rows do not fit the frames, or the stride wanted cannot be made from them.
    """
    if to_stride % stride or (pooling == "middle" and stride not in (1, to_stride)):
        raise FeatureError(f"rows of stride {stride} cannot be pooled ({pooling}) to stride {to_stride}; extract again")
    if frames < 1 or len(rows) != math.ceil(frames / stride):
        raise FeatureError(
            f"{frames} frames at stride {stride} must have {math.ceil(frames / stride)} rows (at least one),"
            f" found {len(rows)}"
        )
    if to_stride == stride:
        return rows
    factor = to_stride // stride
    if pooling == "first":
        return rows[::factor]
    starts = np.arange(0, len(rows), factor)
    if pooling == "middle":
        picked: FeatureRows = rows[starts + np.minimum(factor, len(rows) - starts) // 2]
        return picked
    pooled: FeatureRows = np.empty((len(starts), rows.shape[1]), np.float32)
    full = frames // to_stride
    groups = rows[: full * factor].reshape(full, factor, rows.shape[1])
    np.mean(groups, axis=1, dtype=np.float32, out=pooled[:full])
    if full < len(starts):
        tail = rows[full * factor :].astype(np.float32)
        weights = np.full(len(tail), stride, np.float32)
        weights[-1] = frames - (len(rows) - 1) * stride
        pooled[-1] = weights @ tail / weights.sum()
    return pooled


def pooled_features(source: FeatureSource, stride: int, pooling: Pooling, frames: Mapping[str, int]) -> FeatureSource:
    """Return features at the stride and pooling wanted: those given, or pooled from them.

    Args:
        source: the features to pool.
        stride: frames from one row to the next that are wanted.
        pooling: which of a row's frames are to stand for it.
        frames: how long each video is.

    Raises:
        FeatureError: the rows wanted cannot be made from those that are there.
    """
    have = source.fingerprint
    if not can_serve(have, stride, pooling):
        if have.regions and pooling == "mean":
            raise FeatureError(
                f"the method wants the mean of {stride} frames, but features in {source.folder} are of regions,"
                " which differ from frame to frame; set rows.pooling=first or middle, and extract the same"
            )
        pooled_alike = "" if can_serve(have, have.stride, pooling) else f" and rows.pooling={have.pooling}"
        raise FeatureError(
            f"the method wants a row {spaced(stride)} ({pooling}), the features in {source.folder} have one"
            f" {spaced(have.stride)} ({have.pooling}); extract finer ones, or set"
            f" rows.stride={have.stride}{pooled_alike}"
        )
    return source if have.stride == stride else PooledFeatures(source, stride, pooling, frames)


def rows_to_take(have: Fingerprint, wanted: Rows) -> Rows:
    """Return the rows that a method takes which does not mind: those wanted where features can give them, else the
    features' own."""
    if can_serve(have, wanted.stride, wanted.pooling):
        return wanted
    pooling = wanted.pooling if have.pooling == UNKNOWN else have.pooling
    return wanted.model_copy(update={"stride": have.stride, "pooling": pooling})


def pooled_count(rows: int, stride: int, to_stride: int, frames: int) -> int:
    """Return the number of rows that pooling makes of a video's ``rows``, see :class:`PooledFeatures`."""
    return math.ceil(_pooled_frames(rows, stride, frames) / to_stride)


def _pooled_frames(rows: int, stride: int, frames: int) -> int:
    """Return the frames that rows can stand for: they may be one more or less than the video's true length makes."""
    return min(max(frames, (rows - 1) * stride + 1), rows * stride)


class PooledFeatures(FeatureSource):
    """Features at a coarser stride, pooled from finer ones whenever they are read.

    Values are computed in float32 and rounded to the dtype of the finer rows. Arguments are those of
    :func:`pooled_features`.
    """

    def __init__(self, source: FeatureSource, stride: int, pooling: Pooling, frames: Mapping[str, int]) -> None:
        self.folder, self.fingerprint = source.folder, replace(source.fingerprint, stride=stride, pooling=pooling)
        self._source, self._pooling, self._frames = source, pooling, frames

    @property
    def names(self) -> tuple[str, ...]:
        return self._source.names

    def crops(self, name: str) -> tuple[str, ...]:
        return self._source.crops(name)

    def crop_rows(self, name: str, crop: str) -> FeatureRows:
        return self.video_rows(name, (crop,))[crop]

    def video_rows(self, name: str, crops: Sequence[str] = ()) -> Mapping[str, FeatureRows]:
        return {crop: self._pooled(name, rows) for crop, rows in self._source.video_rows(name, crops).items()}

    def frames(self, name: str) -> int:
        return self._frames[name]

    def stamp(self, name: str) -> str:
        return self._source.stamp(name)

    def _pooled(self, name: str, rows: FeatureRows) -> FeatureRows:
        stride, wanted = self._source.fingerprint.stride, self.fingerprint
        length = _pooled_frames(len(rows), stride, self._frames[name])
        pooled = pool_rows(rows, length, stride, wanted.stride, self._pooling)
        return pooled.astype(value_type(wanted), copy=False)
