"""How a video becomes a training sample of a fixed number of rows, and is cut into chunks for scoring."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def drawn_sample(features: NDArray[np.floating[Any]], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """``length`` rows of a video in ascending order.

    Of a longer video one row is drawn from each of ``length`` parts of nearly equal size; a shorter one is filled up
    with zeros.

    Args:
        features: ``(rows, dim)``, at least one row.
        rng: what the rows are drawn with.

    Returns:
        ``(length, dim)``.
    """
    rows = len(features)
    sample = np.zeros((length, features.shape[1]), np.float32)
    if rows <= length:
        sample[:rows] = features
        return sample
    edges = np.arange(length + 1) * rows // length
    sample[:] = features[rng.integers(edges[:-1], edges[1:])]
    return sample


def to_chunks(rows: Tensor, length: int) -> Tensor:
    """Cut a video ``(rows, dim)`` into chunks ``(chunks, length, dim)``, the last one filled up with zeros.

    VadCLIP's authors add a chunk of zeros where ``length`` divides the number of rows; nothing that is kept depends on
    it (spec of VadCLIP, 3.5).
    """
    missing = -len(rows) % length
    return F.pad(rows, (0, 0, 0, missing)).view(-1, length, rows.shape[1])


def chunk_lengths(rows: int, length: int) -> Tensor:
    """How many rows of each chunk of :func:`to_chunks` are the video's, int64 ``(chunks,)``, on the CPU."""
    return torch.tensor([min(length, rows - start) for start in range(0, rows, length)])


def row_mask(lengths: Tensor, length: int) -> Tensor:
    """Bool ``(B, length)``, true in the first ``lengths[b]`` places of row ``b``."""
    return torch.arange(length, device=lengths.device) < lengths[:, None]


def top_mean(values: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
    """Mean of the largest values over time, in each further dimension by itself.

    Args:
        values: ``(B, L, ...)``.
        lengths: ``(B,)`` rows of each sample that count; what lies behind them is padding.
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
