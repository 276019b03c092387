"""Select the rows of a training sample, and cut a video into windows for scoring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Draw = Callable[[int, int], NDArray[np.integer[Any]]]
"""Function ``draw(high, size)`` that returns ``size`` integers from 0 to ``high - 1``."""


def training_rows(rows: int, segments: int, length: int, draw: Draw) -> NDArray[np.int64]:
    """Return the rows of one training sample (spec 1.7).

    The video, or ``segments * length`` rows if it is shorter, is divided into ``segments`` parts of ``part`` rows;
    each gives ``length`` consecutive rows whose start is drawn so that they spill over the part's end by at most one
    row. A row past the video's end starts again at its beginning.

    Args:
        rows: rows of the video, at least 1.
        segments: segments of a sample.
        length: rows of a segment, at most ``segments + 1``.
        draw: source of the starts, called once for all segments.

    Returns:
        ``(segments * length,)`` row numbers, segment after segment.
    """
    part = (max(rows, segments * length) - length + 1) // segments
    starts = np.arange(segments) * part + draw(part - length + 2, segments)
    return ((starts[:, None] + np.arange(length)) % rows).astype(np.int64).reshape(-1)


def to_windows(rows: Tensor, segments: int, length: int) -> Tensor:
    """Cut a video into windows for scoring (spec 1.8 and 2.6).

    The rows, repeated from the start until they fill whole windows, are cut into segments; window ``w`` of ``W`` takes
    every ``W``-th segment from the ``w``-th on, so that each window covers the whole video.

    Args:
        rows: ``(rows, width)``, at least one row.

    Returns:
        ``(W, segments, length, width)``.
    """
    windows = -(-len(rows) // (segments * length))
    index = torch.arange(windows * segments * length, device=rows.device) % len(rows)
    return rows[index].view(segments, windows, length, -1).transpose(0, 1)


def from_windows(values: Tensor, rows: int) -> Tensor:
    """Put values of windows ``(W, segments, length)`` back into the order of the video's ``rows`` rows, ``(rows,)``."""
    return values.transpose(0, 1).reshape(-1)[:rows]
