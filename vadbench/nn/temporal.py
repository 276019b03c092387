"""The temporal model of Dong, "CLIP: Assisted Video Anomaly Detection", ICPRAM 2024: attention within windows, then a
graph over the whole sample.

Shapes: B samples, L rows, D width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.attention import Block
from vadbench.nn.graph import similarity_graph
from vadbench.nn.linear import Linear
from vadbench.nn.sampling import row_mask

_EVERY = -2.0
"""A threshold that no cosine similarity is below."""


class LocalGlobal(nn.Module):
    """Rows related to each other in time.

    Local: learned positions are added, and blocks of attention follow, each within windows. Global:
    ``relu([S x, N x] W)``, S being the softmax of the rows' cosine similarities and N that of their negative distances
    in rows. Rows behind a sample's end have no influence. No class token: every row is scored (our decision).

    Args:
        width: of a row.
        length: rows of a sample, the padding included.
        window: rows in a window of attention, a divisor of ``length``.
        layers: blocks of attention.
        heads: attention heads, a divisor of ``width``.
        residual: whether x is added to what the graphs give (our decision; the paper's equation has no x).
        parts: which of the two there are; with none, rows stay as they are.

    Raises:
        ConfigError: ``heads`` does not divide ``width``.
    """

    distances: Tensor

    def __init__(
        self,
        width: int,
        length: int,
        window: int,
        layers: int,
        heads: int,
        residual: bool,
        parts: tuple[str, ...] = ("local", "global"),
    ) -> None:
        super().__init__()
        local = "local" in parts
        self.positions = nn.Parameter(0.02 * torch.randn(length, width)) if local else None
        self.blocks = nn.ModuleList(Block(width, heads, window) for _ in range(layers if local else 0))
        self.join = Linear(2 * width, width, bias=False) if "global" in parts else None
        self.residual = residual
        place = torch.arange(length, dtype=torch.float32)
        self.register_buffer("distances", (place[:, None] - place).abs(), persistent=False)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Map ``(B, L, D)`` to the same shape; the first ``lengths`` ``(B,)`` rows are the video's, each at least 1."""
        valid = row_mask(lengths, rows.shape[1])
        x = rows if self.positions is None else rows + self.positions
        for block in self.blocks:
            x = block(x, valid)
        if self.join is None:
            return x
        x = x * valid[..., None]
        near = (-self.distances).masked_fill(~valid[:, None], -math.inf).softmax(-1)
        related = self.join(torch.cat([similarity_graph(x, valid, _EVERY) @ x, near @ x], -1)).relu()
        mixed: Tensor = x + related if self.residual else related
        return mixed


def scaled(rows: Tensor) -> Tensor:
    """Return rows ``(..., D)`` of length ``sqrt(D)``, so that their entries are of size one; a row of zeros stays so.

    CLIP compares rows by their angle, encoders differ in how long theirs are, and new layers are made for such entries.
    """
    return F.normalize(rows, dim=-1) * math.sqrt(rows.shape[-1])
