"""The temporal selection of CLIP-TSA: how often a row is among the highest when rates are disturbed by noise.

Joo et al., "CLIP-TSA: CLIP-Assisted Temporal Self-Attention for Weakly-Supervised Video Anomaly Detection", ICIP 2023;
sections are those of the specification of CLIP-TSA.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vadbench.nn.linear import Linear
from vadbench_mil.config import SelectionSettings
from vadbench_mil.network import begin

RATE_UNITS = 256
"""Units of the hidden layer that rates a row."""
AT_ONCE = 2**22
"""Numbers of noise that are there at once in scoring."""


class TemporalSelection(nn.Module):
    """Rates of rows, and the shares of draws in which each is selected (section 3).

    Args:
        width: of a row.
        settings: ratio, draws and noise.
    """

    def __init__(self, width: int, settings: SelectionSettings) -> None:
        super().__init__()
        self.settings = settings
        self.rate = nn.Sequential(Linear(width, RATE_UNITS), nn.ReLU(), nn.Linear(RATE_UNITS, 1))
        begin(self.rate)

    def rates(self, rows: Tensor) -> Tensor:
        """Return the rates ``(S, T)`` of rows ``(S, T, D)``, between 0 and 1."""
        found: Tensor = self.rate(rows.float()).squeeze(-1).sigmoid()
        return found

    def noise(self, rates: Tensor) -> Tensor:
        """Return the noise of a training step, ``(S, draws, T)``, from torch's generator."""
        return torch.randn(len(rates), self.settings.draws, rates.shape[1], device=rates.device)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the shares ``(S, T)`` of training sequences ``(S, T, D)``."""
        rates, own = self.rates(rows), self.settings
        count = selected_count(rates.shape[1], own.ratio)
        shares: Tensor = _Shares.apply(rates, self.noise(rates), count, own.sigma, own.gradient == "authors")
        return shares

    def scoring_shares(self, rates: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the shares ``(crops, T)`` of a video that is scored.

        Args:
            rates: ``(crops, T)``.
            rng: gives the noise, crop by crop and draw by draw, in pieces that bound the memory.
        """
        own, (crops, length) = self.settings, rates.shape
        count = selected_count(length, own.ratio, own.cap if crops == 1 else 0)
        if own.noise == "none":
            return members(rates, count)
        piece = max(1, AT_ONCE // length)
        selected = torch.zeros_like(rates)
        for crop in range(crops):
            for first in range(0, own.draws, piece):
                drawn = rng.standard_normal((min(piece, own.draws - first), length), np.float32)
                disturbed = rates[crop] + own.sigma * torch.from_numpy(drawn).to(rates)
                selected[crop] += members(disturbed, count).sum(0)
        return selected / own.draws


def selected_count(rows: int, ratio: float, cap: int = 0) -> int:
    """Return how many rows a draw selects: a share of all, at least one, at most ``cap`` unless that is 0.

    >>> selected_count(32, 0.95), selected_count(32, 0.01), selected_count(1200, 0.95, 1000)
    (30, 1, 1000)
    """
    count = min(int(rows * ratio), rows)
    return max(1, min(count, cap) if cap else count)


def members(values: Tensor, count: int) -> Tensor:
    """Return 1 in the ``count`` largest places of the last dimension and 0 elsewhere; torch decides among ties."""
    return torch.zeros_like(values).scatter_(-1, values.topk(count, dim=-1, sorted=False).indices, 1.0)


class _Shares(torch.autograd.Function):
    """Shares of draws in which a row is among the highest, with an estimate of their gradient by the same draws.

    With g the gradient of the shares, the usual estimate for a row t is the mean over draws of
    ``noise[t] * sum_u member[u] g[u] / sigma``; the authors' exchanges noise and members (section 3).
    """

    @staticmethod
    def forward(ctx: Any, rates: Tensor, noise: Tensor, count: int, sigma: float, transposed: bool) -> Tensor:
        chosen = members(rates[:, None] + sigma * noise, count)
        ctx.save_for_backward(noise, chosen)
        ctx.transposed, ctx.scale = transposed, 1 / (noise.shape[1] * sigma)
        return chosen.mean(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        noise, chosen = ctx.saved_tensors
        weighed, spread = (noise, chosen) if ctx.transposed else (chosen, noise)
        weights = weighed @ gradients[0][..., None]
        return (weights.mT @ spread).squeeze(1) * ctx.scale, None, None, None, None
