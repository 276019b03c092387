"""Pack the scores of a page into few bytes, which its script unpacks."""

from __future__ import annotations

import base64
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.scoring.rows import Floats

FRAMES = 16
"""Frames per value on the page of a long split, as in the features of most papers."""
LIMIT = 50_000
"""Maximum number of rows for which a page has every row."""


class Packed(NamedTuple):
    """Values in 255 equal steps from ``low`` to ``high``, a byte each, as base64."""

    low: float
    high: float
    bytes: str


def pack(values: Floats) -> Packed:
    """Quantise values of any shape, row by row; none is off by more than half a step, ``(high - low) / 510``.

    >>> pack(np.array([0.0, 0.5, 1.0]))
    Packed(low=0.0, high=1.0, bytes='AID/')
    """
    flat = np.asarray(values, np.float64).ravel()
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 0.0)
    steps = np.rint((flat - low) * (255 / (high - low))) if high > low else np.zeros(len(flat))
    return Packed(low, high, base64.b64encode(steps.astype(np.uint8).tobytes()).decode("ascii"))


def joined_rows(rows: int, stride: int) -> int:
    """Return the number of neighbouring rows of a split that become one value of its page.

    >>> joined_rows(12_350, stride=1), joined_rows(1_111_808, stride=1), joined_rows(69_500, stride=16)
    (1, 16, 1)
    """
    return max(1, FRAMES // stride) if rows > LIMIT else 1


def joined(values: Floats, rows: int) -> NDArray[np.float64]:
    """Return means over every ``rows`` neighbouring rows of one video, ``(rows, ...)``; the last may be over fewer.

    >>> joined(np.array([1.0, 2.0, 3.0, 4.0, 9.0]), 2).tolist()
    [1.5, 3.5, 9.0]
    """
    starts = np.arange(0, len(values), rows)
    counts = np.diff(np.append(starts, len(values)))
    sums = np.add.reduceat(np.asarray(values, np.float64), starts, axis=0)
    return np.asarray(sums / counts.reshape(-1, *[1] * (values.ndim - 1)))
