"""The network that RTFM and CLIP-TSA share: rows in their time, at several scales, and a score of each.

Tian et al., "Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude Learning", ICCV 2021;
sections are those of the specification of RTFM.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.convolution import RowConvolution, side_by_side
from vadbench.nn.linear import Linear
from vadbench.nn.normalisation import RowNorm

DILATIONS = (1, 2, 4)


class MultiScaleNetwork(nn.Module):
    """Dilated convolutions and a non-local block beside each other, fused by a convolution and added to the rows
    (section 1.3). In training, batch norms take the statistics of the whole batch.

    Args:
        width: of a row.
        branch: channels of each branch, at least two.
        branches: which of the two kinds there are, as in the settings.
    """

    def __init__(self, width: int, branch: int, branches: str = "both") -> None:
        super().__init__()
        dilated = DILATIONS if branches in ("both", "dilated") else ()
        self.dilated = nn.ModuleList(NormalisedConvolution(width, branch, step) for step in dilated)
        self.reduce = self.non_local = None
        if branches in ("both", "attention"):
            self.reduce = RowConvolution(width, branch, bias=False)
            self.non_local = NonLocalBlock(branch)
        channels = branch * (len(self.dilated) + (self.non_local is not None))
        self.fuse = NormalisedConvolution(channels, width, 1, bias=False) if channels else None

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows ``(S, T, D)`` in their time: the same shape, and the same rows where there is no branch."""
        if self.fuse is None:
            return rows
        reduce = [] if self.reduce is None else [self.reduce]
        found = side_by_side(rows, [*(layer.convolution for layer in self.dilated), *reduce])
        parts = [layer.normalised(own) for layer, own in zip(self.dilated, found, strict=False)]
        if self.non_local is not None:
            parts.append(self.non_local(F.relu(found[-1])))
        # The rows first: the sum is laid out as they are.
        return rows + self.fuse(torch.cat(parts, -1))


class NormalisedConvolution(nn.Module):
    """A convolution over three rows whose output is rectified before it is normalised."""

    def __init__(self, inputs: int, outputs: int, dilation: int, bias: bool = True) -> None:
        super().__init__()
        self.convolution = RowConvolution(inputs, outputs, 3, dilation, bias)
        self.norm = RowNorm(outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows ``(S, T, outputs)`` of rows ``(S, T, inputs)``."""
        return self.normalised(self.convolution(rows))

    def normalised(self, convolved: Tensor) -> Tensor:
        """Return rows ``(S, T, outputs)`` of what the convolution gave."""
        found: Tensor = self.norm(F.relu(convolved))
        return found


class NonLocalBlock(nn.Module):
    """Every row takes from every other by their product, divided by the number of rows, without a softmax
    (section 1.3, step 3). It begins as the identity.

    The products of all pairs are never there: they are linear, so the rows' values are gathered first, in a matrix
    whose size does not depend on the number of rows.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value, self.query, self.key = (RowConvolution(channels, channels // 2) for _ in range(3))
        self.restore = RowConvolution(channels // 2, channels)
        self.norm = RowNorm(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows ``(S, T, channels)`` with what they take from each other."""
        value, query, key = side_by_side(rows, [self.value, self.query, self.key])
        gathered = key.mT @ value / rows.shape[1]
        taken: Tensor = self.norm(self.restore(query @ gathered))
        return rows + taken


class ScoringHead(nn.Module):
    """Probability that a row is abnormal: three layers, with dropout behind the first two (section 1.4)."""

    def __init__(self, width: int, hidden: tuple[int, int], dropout: nn.Module) -> None:
        super().__init__()
        first, second = hidden
        self.first, self.second, self.last = Linear(width, first), Linear(first, second), nn.Linear(second, 1)
        self.dropout = dropout

    def forward(self, rows: Tensor) -> Tensor:
        """Return probabilities ``(...)`` of rows ``(..., D)``."""
        hidden = self.dropout(F.relu(self.first(rows)))
        hidden = self.dropout(F.relu(self.second(hidden)))
        scores: Tensor = self.last(hidden).squeeze(-1).sigmoid()
        return scores


def begin(module: nn.Module) -> None:
    """Draw every convolution and linear layer inside anew: Xavier-uniform weights, biases 0 (section 1.7)."""
    for layer in module.modules():
        if isinstance(layer, RowConvolution | nn.Linear):
            nn.init.xavier_uniform_(layer.kernel() if isinstance(layer, RowConvolution) else layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
