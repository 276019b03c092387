"""From the rows of a video to one value: what multiple-instance losses look at."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
