"""Training samples of a fixed number of rows, and which of their rows count."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
    return np.asarray(features[rng.integers(edges[:-1], edges[1:])], np.float32)


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
    means = np.empty((length, features.shape[1]), features.dtype)
    # Bin by bin: numpy's reduceat takes eight times as long. Without ``out``, in which float16 would be summed.
    for i, (start, end) in enumerate(pairwise(edges)):
        means[i] = features[start:end].mean(0)
    return means.astype(np.float32)


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
    means = np.empty((*features.shape[:-2], length, features.shape[-1]), np.float32)
    for i, (start, end) in enumerate(pairwise(edges)):
        features[..., start : max(end, start + 1), :].mean(-2, dtype=np.float32, out=means[..., i, :])
    return means


def _filled_up(features: NDArray[np.floating[Any]], length: int) -> NDArray[np.float32]:
    sample = np.zeros((length, features.shape[1]), np.float32)
    sample[: len(features)] = features
    return sample


def row_mask(lengths: Tensor, length: int) -> Tensor:
    """Return bool ``(B, length)``, true in the first ``lengths[b]`` places of row ``b``."""
    return torch.arange(length, device=lengths.device) < lengths[:, None]


def top_mean(values: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of the largest values over time, in each further dimension by itself.

    Args:
        values: ``(B, L, ...)``.
        lengths: ``(B,)`` rows of each sample that count; those after them are padding.
        counts: ``(B,)`` how many of them are averaged, 1 to ``lengths``.

    Returns:
        ``(B, ...)``.
    """
    tail = (1,) * (values.ndim - 2)
    inside = row_mask(lengths, values.shape[1])
    largest = values.masked_fill(~inside.view(*inside.shape, *tail), -math.inf).topk(int(counts.max()), dim=1).values
    chosen = row_mask(counts, largest.shape[1])
    total = largest.masked_fill(~chosen.view(*chosen.shape, *tail), 0.0).sum(1)
    return total / counts.view(-1, *tail)
