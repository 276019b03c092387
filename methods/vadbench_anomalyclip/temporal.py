"""Temporal model, from rows to the logit of being abnormal (paper, section 3.3 and table 10).

A body turns a grid ``(B, N, L, E)`` of windows, segments, rows and width into one of the same shape; the axial one is
in ``axial.py``. Our decisions on details of the others that the paper leaves open are stated with each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.linear import Linear
from vadbench_anomalyclip.axial import AxialTransformer
from vadbench_anomalyclip.config import HEADS, AnomalyClipConfig


class TemporalModel(nn.Module):
    """Projection of each row to width E, a body over time, and a classifier of each row.

    Args:
        config: its ``temporal``, ``emb_size``, ``depth``, ``segments`` and ``segment_length`` are read.
        inputs: width of an input row.
    """

    def __init__(self, config: AnomalyClipConfig, inputs: int) -> None:
        super().__init__()
        width = config.emb_size
        self.projection = Linear(inputs, width)
        self.body = _body(config)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, 1)

    def forward(self, grid: Tensor) -> Tensor:
        """Return logits ``(B, N, L)``, always float32, from projected rows ``(B, N, L, E)``."""
        rows = self.body(grid)
        # A bfloat16 logit has 8 bits: a few hundred scores for thousands of rows, too few to rank them.
        with torch.autocast(rows.device.type, enabled=False):
            return self.linear(self.norm(rows.float())).squeeze(-1)


def _body(config: AnomalyClipConfig) -> nn.Module:
    width, depth, segments, length = config.emb_size, config.depth, config.segments, config.segment_length
    if config.temporal == "axial":
        return AxialTransformer(width, depth, segments, length)
    if config.temporal == "short":
        return ShortTransformer(width, depth, length)
    if config.temporal == "long":
        return OverSegments(Encoder(width, depth, segments))
    if config.temporal == "mtn":
        return OverSegments(MultiScaleNetwork(width))
    return RowMlp(width)


class RowMlp(nn.Sequential):
    """Perceptron of single rows. Three layers in all: the projection before it and two more of the same width, with a
    rectifier before each (our decision)."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


class ShortTransformer(nn.Module):
    """Self-attention among the rows of each segment (table 10, short-term)."""

    def __init__(self, width: int, depth: int, length: int) -> None:
        super().__init__()
        self.encoder = Encoder(width, depth, length)

    def forward(self, grid: Tensor) -> Tensor:
        return self.encoder(grid.flatten(0, 1)).view_as(grid)


class OverSegments(nn.Module):
    """Model of the sequence of segment means; every row of a segment gets its segment's result (table 10,
    long-term)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, grid: Tensor) -> Tensor:
        return self.model(grid.mean(2)).unsqueeze(2).expand_as(grid)


class Encoder(nn.Module):
    """Pre-normalised transformer encoder with learned positions, feed-forward four times as wide, without dropout
    (our decision: the paper says only "transformer"). Sequences ``(B, T, E)``."""

    def __init__(self, width: int, depth: int, positions: int) -> None:
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(positions, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, HEADS, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True)
            for _ in range(depth)
        )

    def forward(self, sequence: Tensor) -> Tensor:
        sequence = sequence + self.position
        for layer in self.layers:
            sequence = layer(sequence)
        return sequence


class MultiScaleNetwork(nn.Module):
    """RTFM's multi-scale temporal network (Tian et al., ICCV 2021, section 3.2) on sequences ``(B, T, E)``.

    Three dilated convolutions (1, 2, 4) and a non-local branch, each a quarter as wide, side by side, fused by a
    convolution and added to the input. Rectifiers after the convolutions and dividing the non-local products by T are
    our decision.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        quarter = width // 4
        self.pyramid = nn.ModuleList(nn.Conv1d(width, quarter, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.reduce = nn.Conv1d(width, quarter, 1)
        self.query, self.key, self.value, self.restore = (nn.Conv1d(quarter, quarter, 1) for _ in range(4))
        self.fuse = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, sequence: Tensor) -> Tensor:
        x = sequence.transpose(1, 2)
        reduced = self.reduce(x)
        products = self.query(reduced).transpose(1, 2) @ self.key(reduced) / x.shape[-1]
        nonlocal_ = reduced + self.restore(self.value(reduced) @ products.transpose(1, 2))
        scales = torch.cat([*(F.relu(conv(x)) for conv in self.pyramid), nonlocal_], 1)
        return (x + F.relu(self.fuse(scales))).transpose(1, 2)
