"""Training samples of a fixed number of rows, and which of their rows count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_ROWS_AT_ONCE = 4096
"""Rows of float16 that are there as float32 at once while they are averaged."""


def drawn_sample(features: NDArray[np.floating[Any]], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``length`` rows of a video in ascending order.

    Of a longer video one row is drawn from each of ``length`` parts of nearly equal size; a shorter one is filled up
    with zeros.

    Args:
        features: ``(rows, dim)``, at least one row.
        rng: generator that draws the rows.

    Returns:
        ``(length, dim)``.
    """
    rows = len(features)
    if rows <= length:
        return _filled_up(features, length)
    edges = np.arange(length + 1) * rows // length
    return as_float32(features[rng.integers(edges[:-1], edges[1:])])


def averaged_sample(features: NDArray[np.floating[Any]], length: int) -> NDArray[np.float32]:
    """Return ``length`` rows of a video, the same at every call, as VadCLIP's authors take them (spec of VadCLIP, 3.4).

    Of a longer video the means of ``length`` bins of nearly equal size are taken, rounded to the type that the rows are
    stored in; a shorter one is filled up with zeros.

    Args:
        features: ``(rows, dim)``, at least one row.

    Returns:
        ``(length, dim)``.
    """
    rows = len(features)
    if rows <= length:
        return _filled_up(features, length)
    edges = np.arange(length + 1) * rows // length
    half = features.dtype == np.float16
    means = _bin_means(features, edges[:-1], edges[1:], np.dtype(np.float32) if half else features.dtype)
    return torch.from_numpy(means).half().float().numpy() if half else means.astype(np.float32, copy=False)


def binned_sample(features: NDArray[np.floating[Any]], length: int, *, rounded: bool = False) -> NDArray[np.float32]:
    """Return the means of ``length`` bins of nearly equal size; where a bin is empty, the row at its start.

    A video of fewer rows than bins repeats rows; nothing is filled up (spec of RTFM, section 3; of UR-DMU, section 3).

    Args:
        features: ``(..., rows, dim)``, at least one row; any crops come before the rows.
        length: number of bins.
        rounded: take the width of a bin, rows / length, rounded to a float64, for its edges, as the authors' code does;
            at some numbers of rows an edge is then one row lower than the exact one.

    Returns:
        ``(..., length, dim)``; sums are float32.
    """
    rows = features.shape[-2]
    places = np.arange(length + 1)
    edges = (places * (rows / length)).astype(np.int64) if rounded else places * rows // length
    edges[-1] = rows
    return _bin_means(features, edges[:-1], np.maximum(edges[1:], edges[:-1] + 1), np.dtype(np.float32))


def _bin_means(
    features: NDArray[np.floating[Any]], starts: NDArray[np.int64], ends: NDArray[np.int64], kind: np.dtype[Any]
) -> NDArray[Any]:
    """Return the mean ``(..., bins, dim)`` of each bin of rows ``(..., rows, dim)``, to the bit as numpy's ``mean`` of
    it gives it: the rows are added one after the other in the dtype ``kind``.

    A call of ``mean`` for each bin would take up to twenty times as long, and numpy's ``reduceat`` longer than that.
    """
    # Every part of a memory map is an object made in Python.
    rows = np.asarray(features)
    sizes = ends - starts
    means = np.empty((*rows.shape[:-2], len(sizes), rows.shape[-1]), kind)
    half, joined = rows.dtype == np.float16, bool((starts[1:] == ends[:-1]).all())
    # Along rows whose entries lie apart in memory numpy adds in another order.
    beside = rows.shape[-1] > 1 and rows.strides[-1] == rows.itemsize
    if sizes.max() == 1:
        means[...] = rows.take(starts, -2)
    elif joined and beside and (half or rows.dtype == kind):
        at_once = max(1, _ROWS_AT_ONCE * len(sizes) // rows.shape[-2]) if half else len(sizes)
        for crop, own in zip(rows.reshape(-1, *rows.shape[-2:]), means.reshape(-1, *means.shape[-2:]), strict=True):
            for first in range(0, len(sizes), at_once):
                bins = slice(first, first + at_once)
                own[bins] = _sums(crop[starts[first] : ends[bins][-1]], starts[bins] - starts[first])
    else:
        for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            np.add.reduce(rows[..., start:end, :], -2, kind, out=means[..., i, :])
    means /= sizes[:, None].astype(kind)
    return means


def _sums(rows: NDArray[np.floating[Any]], starts: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """Return the sum ``(bins, dim)`` of the rows ``(rows, dim)`` from each start to the next, of float16 in float32.

    Torch adds them one after the other as numpy does, in a small part of its time.
    """
    pointer, _ = rows.__array_interface__["data"]
    # Torch has no tensors that are read only, and warns of it.
    table = torch.from_numpy(np.asarray(_Described(rows, rows.__array_interface__ | {"data": (pointer, False)})))
    table = table.float() if table.dtype == torch.float16 else table
    found: Tensor = F.embedding_bag(torch.arange(len(rows)), table, torch.from_numpy(starts), mode="sum")
    return found.numpy()


class _Described:
    """Memory that numpy is told of, and the array that it belongs to."""

    def __init__(self, owner: NDArray[Any], interface: dict[str, Any]) -> None:
        self.owner, self.__array_interface__ = owner, interface


def _filled_up(features: NDArray[np.floating[Any]], length: int) -> NDArray[np.float32]:
    sample = np.zeros((length, features.shape[1]), np.float32)
    sample[: len(features)] = as_float32(features)
    return sample


def as_float32(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return rows as float32, float16 ones by torch, which takes a tenth of numpy's time for it."""
    if rows.dtype != np.float16:
        return np.asarray(rows, np.float32)
    return torch.from_numpy(np.array(rows)).float().numpy()


def row_mask(lengths: Tensor, length: int) -> Tensor:
    """Return bool ``(B, length)``, true in the first ``lengths[b]`` places of row ``b``."""
    return torch.arange(length, device=lengths.device) < lengths[:, None]


def top_mean(values: Tensor, lengths: Tensor, ratio: int | Tensor) -> Tensor:
    """Return the mean of the largest values over time, in each further dimension by itself.

    Args:
        values: ``(B, L, ...)``.
        lengths: ``(B,)`` rows of each sample that count; those after them are padding.
        ratio: of T rows the ``floor(T / ratio) + 1`` largest are averaged, all if that is more than T; of each sample
            its own where it is ``(B,)``.

    Returns:
        ``(B, ...)``.
    """
    tail, length = (1,) * (values.ndim - 2), values.shape[1]
    inside = row_mask(lengths, length)
    counts = (lengths // ratio + 1).clamp(max=lengths)
    # Looking for the largest count would make the processor wait for a GPU.
    at_most = length if isinstance(ratio, Tensor) else min(length, length // ratio + 1)
    most = int(counts.max()) if counts.device.type == "cpu" else at_most
    largest = values.masked_fill(~inside.view(*inside.shape, *tail), -math.inf).topk(most, dim=1).values
    chosen = row_mask(counts, largest.shape[1])
    total = largest.masked_fill(~chosen.view(*chosen.shape, *tail), 0.0).sum(1)
    return total / counts.view(-1, *tail)


def abnormal_first(normal: Tensor) -> Tensor:
    """Return the order ``(B,)`` in which the abnormal samples of a batch come first, each kind in the batch's order.

    With it a batch of halves is taken apart, ``values[order].chunk(2)``: a mask would make the processor wait for a GPU
    to say how many there are of each kind, and would be compiled anew for each number.

    Args:
        normal: bool ``(B,)``.
    """
    return normal.int().argsort(stable=True)


def sum_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the sum of the chosen values, ``(..., n)`` to ``(...)``, without making the processor wait for a GPU.

    Args:
        values: finite where they are chosen.
        chosen: bool ``(n,)``.
    """
    if values.device.type == "cpu":
        return values[..., chosen].sum(-1)
    return values.masked_fill(~chosen, 0.0).sum(-1)
