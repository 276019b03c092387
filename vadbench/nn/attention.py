"""Transformer blocks as CLIP has them, whose attention may stay within windows."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.base.errors import ConfigError
from vadbench.nn.linear import Linear, linear

_SLOPE = 1.702


def quick_gelu(x: Tensor) -> Tensor:
    """Return CLIP's activation, ``x * sigmoid(1.702 x)``; written so that torch computes it in one pass."""
    return F.silu(_SLOPE * x) / _SLOPE


class Mlp(nn.Module):
    """Two linear layers with :func:`quick_gelu` between them, the hidden one four times as wide.

    Args:
        width: of a row before and after.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen = Linear(width, 4 * width)
        self.narrow = Linear(4 * width, width)

    def forward(self, x: Tensor, readout: Tensor | None = None) -> Tensor:
        """Map rows ``(..., D)`` to ``(..., D)``, or to ``(..., n)`` where only ``n`` products of the result are wanted.

        Args:
            readout: ``(n, D)``. The output is the result times its transpose; it is a linear function
                of the result, which is never computed itself.
        """
        weight: Tensor = self.narrow.weight
        bias: Tensor = self.narrow.bias
        if readout is not None:
            weight, bias = readout @ weight, readout @ bias
        # The activation's factors are put into the weights, which are smaller than the rows.
        hidden = F.silu(linear(x, _SLOPE * self.widen.weight, _SLOPE * self.widen.bias))
        return linear(hidden, weight / _SLOPE, bias)


class Attention(nn.Module):
    """Multi-head self-attention among the rows of a sample, or of each of its windows.

    Starts as :class:`torch.nn.MultiheadAttention` does.

    Args:
        width: of a row.
        heads: number of heads, a divisor of ``width``.
        window: rows in a window; windows follow each other and do not overlap. ``None``: all rows are one.

    Raises:
        ConfigError: ``heads`` does not divide ``width``.
    """

    def __init__(self, width: int, heads: int, window: int | None = None) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"attention heads must divide the width {width} of a row, found {heads}")
        self.heads, self.window = heads, window
        self.inputs = Linear(width, 3 * width)
        self.output = Linear(width, width)
        nn.init.xavier_uniform_(self.inputs.weight)
        nn.init.zeros_(self.inputs.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Map ``(B, L, D)`` to the same shape; ``window`` divides L.

        Args:
            valid: bool ``(B, L)``, the rows that may be attended to; a window without any attends to all of its own.
        """
        batch, length, width = x.shape
        windows = (batch * length // (self.window or length), self.window or length)
        mask = None
        if valid is not None:
            keys = valid.reshape(windows[0], 1, 1, windows[1])
            mask = keys | ~keys.any(-1, keepdim=True)
        if self.heads == 1:
            return self._one_head(x, windows, mask)
        projected: Tensor = self.inputs(x)
        query, key, value = projected.view(*windows, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        rows: Tensor = self.output(attended.transpose(1, 2).reshape(x.shape))
        return rows

    def _one_head(self, x: Tensor, windows: tuple[int, int], mask: Tensor | None) -> Tensor:
        """Compute the same with two products for each row instead of four, multiplying the weights first.

        A query meets keys as ``(Q x + q) . (K y + k)``; what does not depend on y falls out of the softmax, and what is
        left is ``(K' Q x + K' q) . y``. The weights of values sum to 1, so that ``O (V m + v) + o`` of the mean m of
        rows is what comes out. A training step of VadCLIP takes a twentieth less time for it.
        """
        to_query, to_key, to_value = self.inputs.weight.chunk(3)
        query_bias, _, value_bias = self.inputs.bias.chunk(3)
        keys = x.reshape(windows[0], 1, windows[1], -1)
        query = linear(x, linear(to_key.T, to_query.T), query_bias @ to_key).view_as(keys)
        means = F.scaled_dot_product_attention(query, keys, keys, attn_mask=mask).view_as(x)
        bias = self.output.weight @ value_bias + self.output.bias
        return linear(means, linear(self.output.weight, to_value.T), bias)


class Block(nn.Module):
    """A pre-normalised block: attention, then an MLP, each added to its input. No dropout.

    Args:
        width, heads, window: as in :class:`Attention`.
    """

    def __init__(self, width: int, heads: int, window: int | None = None) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, window)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Map ``(B, L, D)`` to the same shape; ``valid`` as in :class:`Attention`."""
        x = x + self.attention(self.norm_attention(x), valid)
        rows: Tensor = x + self.mlp(self.norm_mlp(x))
        return rows
