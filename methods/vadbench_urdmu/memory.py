"""Memories of rows (spec 1.5), whose slots are learned.

Shapes: T rows, W width of a row, K slots.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vadbench.nn.linear import linear

ROWS_FOR_ONE = 16
"""Slots, or rows of a sample, for each that counts as one of the highest; one more counts (code)."""


def highest(count: int) -> int:
    """Return how many of so many slots or rows are the highest: 60 to 4, 200 to 13."""
    return count // ROWS_FOR_ONE + 1


class Seen(NamedTuple):
    """The weights of a memory's slots for rows ``(..., T, K)``, scores ``(..., T)`` and the means of their latents
    ``(..., T, W)``."""

    weights: Tensor
    scores: Tensor
    means: Tensor


class Memory(nn.Module):
    """Slots ``(K, W)`` that rows are compared with, each by itself: a weight is a sigmoid, and weights have no sum.

    Args:
        slots: their number.
        width: of a row.
    """

    def __init__(self, slots: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.slots = nn.Parameter(torch.empty(slots, width).uniform_(-bound, bound))

    def forward(self, x: Tensor, mean: nn.Linear) -> Seen:
        """Return what rows ``(..., T, W)`` see; a score is the mean of a row's highest weights."""
        weights = linear(x, self.slots / math.sqrt(x.shape[-1])).sigmoid()
        scores = weights.topk(highest(len(self.slots)), dim=-1).values.mean(-1)
        return Seen(weights, scores, self.read(weights, mean))

    def read(self, weights: Tensor, layer: nn.Linear) -> Tensor:
        """Return a linear layer ``(..., T, W)`` of what rows read, which is the sum of the slots times their weights.

        The slots go through the layer: there are far fewer of them than of rows.
        """
        return linear(weights, layer.weight @ self.slots.T, layer.bias)
