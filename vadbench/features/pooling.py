"""From rows of every frame, or of a few, to the coarser rows that a method wants."""

from __future__ import annotations

import math

import numpy as np

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import UNKNOWN, Fingerprint, Pooling
from vadbench.features.shard import FeatureRows


def can_serve(have: Fingerprint, stride: int, pooling: Pooling) -> bool:
    """Whether :func:`pool_rows` can make the rows wanted from those stored, without going back to the video.

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
    starts = np.arange(0, len(rows), factor)
    if pooling != "mean":
        offsets = np.minimum(factor, len(rows) - starts) // 2 if pooling == "middle" else 0
        picked: FeatureRows = rows[starts + offsets]
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
