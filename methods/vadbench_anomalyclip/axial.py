"""The axial transformer (paper, section 3.3; spec 2.6): attention over segments, attention over the rows of a segment,
and convolutions over the grid of both.

The authors use a reversible network, which keeps two streams; plain automatic differentiation through the same two
streams gives the same gradients and needs a third less time, for more memory. Grids are ``(B, N, L, E)``: B windows of
N segments of L rows, width E.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.linear import Linear
from vadbench_anomalyclip.config import HEADS

_AT_ONCE = 512
"""Channels of a feed-forward that a CPU computes at once: with more, oneDNN computes the gradient of the weights, a
third of a training step, a fifth slower."""


class AxialTransformer(nn.Module):
    """Transformer of a grid. Each level adds attention over N to one stream and attention over L to the other, then a
    feed-forward to each; every addition reads the other stream. The result is the streams' mean."""

    def __init__(self, width: int, depth: int, segments: int, length: int) -> None:
        super().__init__()
        self.segment_position = nn.Parameter(torch.randn(1, segments, 1, width))
        self.row_position = nn.Parameter(torch.randn(1, 1, length, width))
        self.over_segments = nn.ModuleList(AxialAttention(width, over_segments=True) for _ in range(depth))
        self.over_rows = nn.ModuleList(AxialAttention(width, over_segments=False) for _ in range(depth))
        self.feed_first = nn.ModuleList(GridFeedForward(width) for _ in range(depth))
        self.feed_second = nn.ModuleList(GridFeedForward(width) for _ in range(depth))

    def forward(self, grid: Tensor) -> Tensor:
        first = second = grid + self.segment_position + self.row_position
        for f, g, feed_f, feed_g in zip(
            self.over_segments, self.over_rows, self.feed_first, self.feed_second, strict=True
        ):
            first = first + f(second)
            second = second + g(first)
            first = first + feed_f(second)
            second = second + feed_g(first)
        return (first + second) / 2


class AxialAttention(nn.Module):
    """Pre-normalised self-attention along one axis of the grid; the other axis is batch."""

    def __init__(self, width: int, over_segments: bool) -> None:
        super().__init__()
        self.swap = over_segments
        self.norm = nn.LayerNorm(width)
        self.to_q = Linear(width, width, bias=False)
        self.to_kv = Linear(width, 2 * width, bias=False)
        self.to_out = Linear(width, width)

    def forward(self, grid: Tensor) -> Tensor:
        lines = grid.transpose(1, 2) if self.swap else grid
        x = self.norm(lines)
        # Torch's fast attention takes no fifth dimension: twice as fast here, and no faster in training.
        lines_at_once = x if torch.is_grad_enabled() else x.flatten(0, 1)
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(-2, -3)
            for part in (self.to_q(lines_at_once), *self.to_kv(lines_at_once).chunk(2, -1))
        )
        out = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(-2, -3).flatten(-2)).view(x.shape)
        return out.transpose(1, 2) if self.swap else out


class GridFeedForward(nn.Module):
    """Channel norm and two 3 x 3 convolutions over the grid, four times as wide between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.widen = nn.Conv2d(width, 4 * width, 3, padding=1)
        self.narrow = nn.Conv2d(4 * width, width, 3, padding=1)

    def forward(self, grid: Tensor) -> Tensor:
        # Permuting makes a channels-last image without copying.
        image = self.norm(grid).permute(0, 3, 1, 2)
        if image.device.type != "cpu":
            return self.narrow(F.leaky_relu(self.widen(image), inplace=True)).permute(0, 2, 3, 1)
        out = self.narrow.bias[:, None, None]
        weights = (self.widen.weight.split(_AT_ONCE), self.widen.bias.split(_AT_ONCE))
        for widen, bias, narrow in zip(*weights, self.narrow.weight.split(_AT_ONCE, 1), strict=True):
            hidden = F.leaky_relu(F.conv2d(image, widen, bias, padding=1), inplace=True)
            out = out + F.conv2d(hidden, narrow, padding=1)
        return out.permute(0, 2, 3, 1)


class ChannelNorm(nn.Module):
    """Layer norm whose epsilon is added to the standard deviation, not to the variance (spec 2.6)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, grid: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            variance, mean = torch.var_mean(grid, dim=-1, correction=0, keepdim=True)
            centred = grid - mean
        else:
            # Five times as fast; trainings keep the bits that they had.
            centred = grid - grid.mean(-1, keepdim=True)
            variance = centred.square().mean(-1, keepdim=True)
        return centred / (variance.sqrt() + 1e-5) * self.weight + self.bias
