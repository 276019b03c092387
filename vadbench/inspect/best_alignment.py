"""The alignment in time at which the rows of two videos agree best, and how far they do.

Rows of one camera are near each other whatever happens (cosine 0.93 to 0.99 on UCSD Ped2), so their cosine does not
tell a copy from another hour of the same camera. What changes does: with the mean of the stretch subtracted on both
sides, rows of a copy still point the same way and those of another hour do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vadbench.features.shard import FeatureRows

SHIFTS = (0.0, 0.25, 0.5, 0.75)
"""Parts of a row by which a copy's rows may be shifted; in between, rows are interpolated."""
_OFFSETS = 4096
_TINY = 1e-12


@dataclass(frozen=True)
class Alignment:
    """The best alignment of two videos, in rows.

    Args:
        offset: row 0 of the second video is at this row of the first; may be negative, and a multiple of 1/4.
        first: first row of the second video inside the overlap.
        overlap: number of corresponding rows.
        cosine: cosine of the two stretches, each with its mean row subtracted; 0 where nothing changes.
        rows: mean cosine of corresponding rows as they are.
        changes: mean cosine of the changes from a row to the next.
    """

    offset: float
    first: int
    overlap: int
    cosine: float
    rows: float
    changes: float


def least_overlap(a: int, b: int, least: int) -> int:
    """Return the smallest overlap of videos of ``a`` and ``b`` rows to look at: half of the shorter, but ``least``."""
    return max(least, -(-min(a, b) // 2))


def align(a: FeatureRows, b: FeatureRows, least: int) -> Alignment | None:
    """Return the alignment with the highest cosine, the earliest of equals; ``None`` if no overlap is long enough.

    Args:
        a: ``(rows, dim)``; rows between two of its rows are interpolated, so it should be the longer video.
        b: rows of the same width.
        least: smallest overlap in rows; no overlap is shorter than half of the shorter video either.
    """
    wanted = least_overlap(len(a), len(b), least)
    if wanted > min(len(a), len(b)):
        return None
    # The measure does not depend on a common shift, and sums of small numbers are more precise.
    moved, other = (x.astype(np.float32) - x.mean(0, dtype=np.float32) for x in (a, b))
    products = moved @ other.T
    sums = _Sums(other)
    best, found = (-2.0, 0.0, 0), False
    for shift in SHIFTS:
        length = len(a) - (shift > 0)
        if length < wanted:
            continue
        offsets = np.arange(wanted - len(b), length - wanted + 1)
        diagonals = _diagonals(_between(products, shift))[offsets + len(b) - 1]
        cosines = _cosines(_Sums(_between(moved, shift)), sums, diagonals, offsets)
        at = int(cosines.argmax())
        best, found = max(best, (float(cosines[at]), -float(shift), -int(offsets[at]))), True
    return _measured(a, b, -best[1], -best[2], max(best[0], 0.0)) if found else None


class _Sums:
    """Sums of rows and of their squares over any stretch."""

    def __init__(self, rows: FeatureRows) -> None:
        self.length = len(rows)
        self._rows = np.zeros((len(rows) + 1, rows.shape[1]))
        np.cumsum(rows, axis=0, dtype=np.float64, out=self._rows[1:])
        self._squares = np.concatenate([[0.0], np.einsum("ij,ij->i", rows, rows, dtype=np.float64).cumsum()])

    def rows(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._rows[end] - self._rows[start]

    def squares(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = self._squares[end] - self._squares[start]
        return total


def _cosines(a: _Sums, b: _Sums, diagonals: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the cosine of the overlap at each offset, both sides with their mean subtracted."""
    found = np.empty(len(offsets))
    for at in range(0, len(offsets), _OFFSETS):
        here = slice(at, at + _OFFSETS)
        start, end = np.maximum(offsets[here], 0), np.minimum(a.length, offsets[here] + b.length)
        count, back = end - start, offsets[here]
        of_a, of_b = a.rows(start, end), b.rows(start - back, end - back)
        product = diagonals[here] - np.einsum("ij,ij->i", of_a, of_b) / count
        spread_a = a.squares(start, end) - np.einsum("ij,ij->i", of_a, of_a) / count
        spread_b = b.squares(start - back, end - back) - np.einsum("ij,ij->i", of_b, of_b) / count
        both = np.sqrt(np.maximum(spread_a, 0) * np.maximum(spread_b, 0))
        found[here] = np.where(both > _TINY * count, product / np.maximum(both, _TINY), 0)
    return found


def _between(rows: FeatureRows, shift: float) -> FeatureRows:
    """Return rows moved by a part of one, of which there are one fewer."""
    return rows if shift == 0 else np.float32(1 - shift) * rows[:-1] + np.float32(shift) * rows[1:]


def _diagonals(products: FeatureRows) -> NDArray[np.float64]:
    """Return the sums along the diagonals of ``(n, m)``: entry ``k`` is the one that starts ``k - m + 1`` rows down."""
    n, m = products.shape
    if n > m:
        return _diagonals(products.T)[::-1]
    # Read with rows that are one shorter than they were written, each row moves right by one more than that above it.
    spaced = np.zeros((n, n + m), products.dtype)
    spaced[:, :m] = products[::-1]
    sheared = spaced.ravel()[: n * (n + m - 1)].reshape(n, n + m - 1)
    total: NDArray[np.float64] = sheared.sum(0, dtype=np.float64)[::-1]
    return total


def _measured(a: FeatureRows, b: FeatureRows, shift: float, offset: int, cosine: float) -> Alignment:
    moved = _between(a.astype(np.float32), shift)
    start, end = max(offset, 0), min(len(moved), offset + len(b))
    x, y = np.asarray(moved[start:end], np.float64), np.asarray(b[start - offset : end - offset], np.float64)
    return Alignment(
        offset=offset + shift,
        first=start - offset,
        overlap=end - start,
        cosine=cosine,
        rows=_mean_cosine(x, y),
        changes=_mean_change(np.diff(x, axis=0), np.diff(y, axis=0)),
    )


def _mean_cosine(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return float(np.mean((x * y).sum(1) / np.where(lengths > 0, lengths, 1)))


def _mean_change(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the mean cosine of changes; a small one counts less, and a large one no more than the usual."""
    products = (x * y).sum(1)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    weights = np.minimum(lengths, np.median(lengths))
    total = weights.sum()
    return float((weights * products / np.where(lengths > 0, lengths, 1)).sum() / total) if total > 0 else 0.0
