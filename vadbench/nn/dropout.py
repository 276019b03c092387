"""Dropout, drawn as fast as a CPU allows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout as :class:`torch.nn.Dropout`, which takes twice as long on a CPU: it draws a double for each element.

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
    return torch.rand(values.shape, device=values.device).ge_(p).mul_(1 / (1 - p)).to(values.dtype)
