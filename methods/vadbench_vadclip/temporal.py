"""LGT adapter: local attention, then graph convolutions over similar rows and over rows near in time (spec 1.2).

Shapes: B samples, L rows, D width. Without its graphs (table 5) the adapter is only attention, without attention it has
no positions, and without both it is the identity; this is our decision, the paper does not say.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadbench.base.errors import ConfigError
from vadbench.nn.attention import Block, quick_gelu
from vadbench.nn.graph import GraphConvolution, distance_graph, similarity_graph
from vadbench.nn.linear import Linear
from vadbench.nn.sampling import row_mask
from vadbench_vadclip.config import VadClipConfig

SIMILAR = 0.7
"""Cosine similarity above which two rows are joined (code)."""


class TemporalAdapter(nn.Module):
    """Temporal model of the rows of a sample.

    Args:
        config: its ``temporal``, ``length``, ``layers``, ``heads``, ``window``, ``mask_padding`` and
            ``distance_weights`` are read.
        width: width of a row.

    Raises:
        ConfigError: the width cannot be divided as the settings ask.
    """

    def __init__(self, config: VadClipConfig, width: int) -> None:
        super().__init__()
        parts = config.temporal.split("+")
        windows = {"local": config.window, "global": None}
        chosen = [windows[part] for part in parts if part in windows]
        self.blocks = nn.ModuleList(Block(width, config.heads, w) for w in chosen for _ in range(config.layers))
        self.positions = nn.Parameter(0.01 * torch.randn(config.length, width)) if chosen else None
        self.graphs = Graphs(config, width) if "graph" in parts else None
        self.mask_padding = config.mask_padding

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Return ``(B, L, D)`` for rows ``(B, L, D)`` of videos with ``lengths`` ``(B,)`` rows."""
        valid = row_mask(lengths, features.shape[1])
        x = features if self.positions is None else features + self.positions
        for block in self.blocks:
            x = block(x, valid if self.mask_padding else None)
        return x if self.graphs is None else self.graphs(x, valid)


class Graphs(nn.Module):
    """Two graph convolutions over similar rows, two over rows near in time, and a layer that joins them.

    ``sigma`` is an unused parameter of the authors' code; it exists because their checkpoints have it.
    """

    distances: Tensor
    sigma: Tensor

    def __init__(self, config: VadClipConfig, width: int) -> None:
        super().__init__()
        if width % 2:
            raise ConfigError(f"the graph branches need an even number of features, found {width}; set temporal=local")
        half = width // 2
        self.similarity = nn.ModuleList([GraphConvolution(width, half), GraphConvolution(half, half)])
        self.distance = nn.ModuleList([GraphConvolution(width, half), GraphConvolution(half, half)])
        self.join = Linear(width, width)
        self.normalise = config.distance_weights == "softmax"
        self.mask_padding = config.mask_padding
        self.register_buffer("distances", distance_graph(config.length), persistent=False)
        self.register_buffer("sigma", torch.full((1,), 0.1))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Return ``(B, L, D)`` for rows ``(B, L, D)``, with the video's rows marked in bool ``(B, L)``."""
        kept = valid[..., None] if self.mask_padding else None
        a = b = x if kept is None else x * kept
        similar, near = similarity_graph(a, valid, SIMILAR), self._near(valid)
        for over_similar, over_near in zip(self.similarity, self.distance, strict=True):
            a, b = quick_gelu(over_similar(a, similar)), quick_gelu(over_near(b, near))
            if kept is not None:
                a, b = a * kept, b * kept
        joined: Tensor = self.join(torch.cat([a, b], -1))
        return joined

    def _near(self, valid: Tensor) -> Tensor:
        if not self.normalise:
            return self.distances
        weights = self.distances * valid[:, None] if self.mask_padding else self.distances
        return weights / weights.sum(-1, keepdim=True)
