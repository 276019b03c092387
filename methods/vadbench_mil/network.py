"""The network that RTFM and CLIP-TSA share: rows in their time, at several scales, and a score of each.

Tian et al., "Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude Learning", ICCV 2021;
sections are those of the specification of RTFM.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.convolution import RowConvolution, side_by_side
from vadbench.nn.linear import Linear
from vadbench.nn.normalisation import RowNorm

DILATIONS = (1, 2, 4)
REACH = max(DILATIONS) + 1
"""Rows to either side of a row that the convolutions and their fusion take from, without the non-local block."""
ROWS_AT_ONCE = 2048
"""Rows of a sequence that are scored at once; bounds memory, and what is computed of them stays in the caches."""


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
        return rows if self.fuse is None else self._fused(self.fuse, rows)

    def in_parts(self, rows: Tensor, shares: Tensor | None = None) -> Iterator[Tensor]:
        """Yield the same rows in their time, parts ``(S, some rows, D)`` of a long sequence one after the other.

        For scoring: only one part's activations are in memory.

        Args:
            rows: ``(S, T, D)``.
            shares: ``(S, T, 1)`` factors of the rows, multiplied before the network.
        """

        def some(first: int, end: int) -> Tensor:
            return rows[:, first:end] if shares is None else rows[:, first:end].float() * shares[:, first:end]

        length = rows.shape[1]
        starts = range(0, length, ROWS_AT_ONCE)
        if self.fuse is None or len(starts) == 1:
            yield from (self(some(start, start + ROWS_AT_ONCE)) for start in starts)
            return
        gathered = None
        if self.reduce is not None and self.non_local is not None:
            reduced = (F.relu(self.reduce(some(start, start + ROWS_AT_ONCE))) for start in starts)
            gathered = self.non_local.gathered(reduced, length)
        for start in starts:
            before = min(start, REACH)
            found = self._fused(self.fuse, some(start - before, start + ROWS_AT_ONCE + REACH), gathered)
            yield found[:, before : before + ROWS_AT_ONCE]

    def _fused(self, fuse: NormalisedConvolution, rows: Tensor, gathered: Tensor | None = None) -> Tensor:
        reduce = [] if self.reduce is None else [self.reduce]
        found = side_by_side(rows, [*(layer.convolution for layer in self.dilated), *reduce])
        parts = [layer.normalised(own) for layer, own in zip(self.dilated, found, strict=False)]
        if self.non_local is not None:
            parts.append(self.non_local(F.relu(found[-1]), gathered))
        # The rows first: the sum is laid out as they are.
        return rows + fuse(torch.cat(parts, -1))


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

    def forward(self, rows: Tensor, gathered: Tensor | None = None) -> Tensor:
        """Return rows ``(S, T, channels)`` with what they take from each other.

        Args:
            rows: all of a sequence, or some of it.
            gathered: what :meth:`gathered` returned of all; it is gathered of these rows where it is not given.
        """
        if gathered is None:
            value, query, key = side_by_side(rows, [self.value, self.query, self.key])
            gathered = key.mT @ value / rows.shape[1]
        else:
            query = self.query(rows)
        taken: Tensor = self.norm(self.restore(query @ gathered))
        return rows + taken

    def gathered(self, parts: Iterable[Tensor], length: int) -> Tensor:
        """Return what rows take from all ``length`` rows of a sequence, which come in parts ``(S, some, channels)``."""
        found = (side_by_side(part, [self.value, self.key]) for part in parts)
        total: Tensor = torch.stack([(key.mT @ value).float() for value, key in found]).sum(0)
        return total / length


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
