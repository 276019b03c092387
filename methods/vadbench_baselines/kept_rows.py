"""A uniform sample of the rows of a stream in bounded memory, and rows of it that cover it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.inputs import TrainingData

BLOCK = 1024
"""Rows that are read at once."""


class KeptRows(NamedTuple):
    """Rows of a stream ``(n, dim)``, float32, in its order; the key of each ``(n,)``, the number of its video and its
    place in the stream."""

    rows: NDArray[np.float32]
    keys: NDArray[np.float64]
    video: NDArray[np.int64]
    place: NDArray[np.int64]

    def at(self, index: NDArray[np.intp]) -> KeptRows:
        """Return the rows at these indices."""
        return KeptRows(self.rows[index], self.keys[index], self.video[index], self.place[index])


def normal_rows(data: TrainingData) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the rows of the normal training videos in their order, block by block, with the number of their video.

    The crops of a video have one number.
    """
    number, before = -1, None
    for video in data.normal:
        number, before = number + (video.name != before), video.name
        rows = video.rows
        for start in range(0, len(rows), BLOCK):
            yield number, np.asarray(rows[start : start + BLOCK], np.float32)


class RowSample:
    """The rows of a stream that drew the smallest keys: a uniform sample without replacement, in one pass.

    A key is the next draw of one generator over the whole stream, so the sample does not depend on how its rows are cut
    into blocks (our decision). Up to three times the capacity is held at a time.

    Args:
        capacity: rows that are kept.
        seed: of the keys.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity = capacity
        self._rng = np.random.default_rng(seed)
        self._parts: list[KeptRows] = []
        self._held = self._seen = 0
        self._limit = np.inf

    def add(self, rows: NDArray[Any], video: int) -> None:
        """Draw the keys of the rows ``(n, dim)`` that follow, and keep those that are small enough so far."""
        keys = self._rng.random(len(rows))
        chosen = np.flatnonzero(keys < self._limit)
        place = self._seen + chosen
        self._seen += len(rows)
        if len(chosen):
            own = np.full(len(chosen), video, np.int64)
            self._parts.append(KeptRows(np.asarray(rows[chosen], np.float32), keys[chosen], own, place))
            self._held += len(chosen)
            if self._held > 1.5 * self.capacity:
                self._drop()

    def kept(self) -> KeptRows:
        """Return the sample, of a stream of one row or more."""
        self._drop()
        return self._parts[0]

    def _drop(self) -> None:
        """Leave only the rows of the smallest keys, as one part."""
        keys = np.concatenate([part.keys for part in self._parts])
        if len(keys) > self.capacity:
            self._limit = np.partition(keys, self.capacity - 1)[self.capacity - 1]
        # Of each part by itself: all of them side by side would be held twice.
        self._parts = [part.at(np.flatnonzero(part.keys <= self._limit)) for part in self._parts]
        self._parts = [KeptRows(*map(np.concatenate, zip(*self._parts, strict=True)))]
        self._held = len(self._parts[0].keys)


def core_set(rows: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the indices of rows that cover all of them, in the order of their choice: greedy k-centre.

    The first is row 0; each that follows has the largest squared distance to the nearest of those before it, the first
    of several.

    Args:
        rows: ``(n, dim)``.
        count: how many; all where there are fewer.
    """
    squares = np.einsum("ij,ij->i", rows, rows)
    nearest = np.full(len(rows), np.inf)
    chosen = [0]
    while len(chosen) < min(count, len(rows)):
        last = chosen[-1]
        np.minimum(nearest, squares + squares[last] - 2 * (rows @ rows[last]), out=nearest)
        nearest[last] = -np.inf
        chosen.append(int(nearest.argmax()))
    return np.array(chosen, np.intp)
