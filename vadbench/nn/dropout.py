"""Dropout, drawn as fast as a CPU allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout as :class:`torch.nn.Dropout`, which draws a double for each element on a CPU and takes far longer.

    Args:
        p: probability that an element is dropped.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Return the values in evaluation, and in training those that are kept, divided by their share."""
        return dropout(values, self.p) if self.training else values


def dropout(values: Tensor, p: float) -> Tensor:
    """Return values of which each is kept with probability ``1 - p``, divided by that, and else 0."""
    return values * mask(values, p) if p else values


def mask(values: Tensor, p: float) -> Tensor:
    """Return 0 with probability ``p``, else ``1 / (1 - p)``, for every value, from torch's generator."""
    return (kept(values.shape, 1 - p, values.device) * (1 / (1 - p))).to(values.dtype)


def kept(shape: Sequence[int], share: float, device: torch.device) -> Tensor:
    """Return bool of a shape, each true with a probability of ``share``, rounded to a positive multiple of 2 ** -16.

    Each random number of 64 bits makes four of them: torch's own draws take up to ten times as long on a CPU, which
    would be a tenth of a training step.
    """
    count = math.prod(shape)
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=device).random_(-(2**63), None)
    # A threshold below the least int16 would wrap to the largest.
    last = max(1, round(share * 2**16)) - 2**15 - 1
    return (bits.view(torch.int16)[:count] <= last).view(*shape)
