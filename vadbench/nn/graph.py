"""Graphs whose nodes are the rows of a video, and convolutions over them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.linear import linear

_KERNEL = 5


def similarity_graph(x: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Return edges between similar rows: cosine similarity, 0 if not above ``threshold``, then a softmax of each row.

    A similarity of 0 still has a weight, so the graph is dense (VadCLIP, section 3.2; as its authors' code).

    Args:
        x: ``(B, L, D)``.
        valid: bool ``(B, L)``, at least one true in each sample; other rows get no edge, in or out.

    Returns:
        ``(B, L, L)``, float32; rows of valid nodes sum to 1. Gradients flow through it.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        cosine = x @ x.mT / (norms * norms.mT).clamp_min(1e-20)
        kept = F.threshold(cosine, threshold, 0.0).masked_fill(~valid[:, None], -math.inf)
        return kept.softmax(-1) * valid[..., None]


def distance_graph(length: int) -> Tensor:
    """Return edges between rows near in time: ``exp(-|i - j| / e)``, ``(length, length)``, not normalised."""
    place = torch.arange(length, dtype=torch.float32)
    return (-(place[:, None] - place).abs() / math.e).exp()


class GraphConvolution(nn.Module):
    """``A h W + R(h)``: rows mixed along the edges of a graph, beside a residual.

    R is the identity where the width stays, and otherwise a convolution over five rows in time with zeros at the ends.

    Args:
        inputs: width of a row before.
        outputs: width of a row after.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, outputs)))
        self.residual = None if inputs == outputs else nn.Conv1d(inputs, outputs, _KERNEL, padding=_KERNEL // 2)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Map ``(B, L, inputs)`` and edges ``(B, L, L)`` or ``(L, L)`` to ``(B, L, outputs)``."""
        mixed: Tensor = graph @ linear(x, self.weight.T) + self._beside(x)
        return mixed

    def _beside(self, x: Tensor) -> Tensor:
        if self.residual is None:
            return x
        # As an image one row high: torch copies a sequence before it convolves it.
        weight, bias = self.residual.weight.unsqueeze(2), self.residual.bias
        return F.conv2d(x.mT.unsqueeze(2), weight, bias, padding=(0, _KERNEL // 2)).squeeze(2).mT
