"""Global and local attention (spec 1.3 and 1.4): a convolution over time, then layers in which a row sees all rows by
their content and its neighbours by their distance.

Shapes: B samples, T rows, D width of a feature row, W inner width, H heads, d units of a head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.linear import Linear, linear
from vadbench_urdmu.config import UrDmuConfig

BLOCK = 1024
"""Rows whose local means are taken at once; longer videos would need a square matrix of their length."""
NEAR = 128
"""Rows before and after a row that its local mean has; the weight of the next one is below 1e-20."""


class Kept(NamedTuple):
    """The units of a layer that dropout keeps, bool: ``attended`` and ``output`` ``(B, T, W)``, ``hidden`` ``(B, T,
    feed_forward)``."""

    attended: Tensor
    hidden: Tensor
    output: Tensor


class Part(NamedTuple):
    """Rows ``start`` to ``end`` of ``length`` rows."""

    start: int
    end: int
    length: int


def parts_of(length: int, at_once: int) -> list[Part]:
    """Return the parts in which so many rows are scored, of ``at_once`` rows but for the last, which has half as many
    to one and a half times as many: a few rows by themselves would be computed otherwise.

    >>> [part[:2] for part in parts_of(13, 4)]
    [(0, 4), (4, 8), (8, 13)]
    """
    starts = range(0, max(1, length - at_once // 2), at_once)
    return [Part(start, end, length) for start, end in pairwise([*starts, length])]


class Embedding(nn.Module):
    """A convolution over three rows, zeros at the ends, and a rectifier."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to ``(B, T, W)``."""
        # As an image one row high: torch copies a sequence before it convolves it.
        weight, bias = self.convolution.weight.unsqueeze(2), self.convolution.bias
        return F.conv2d(x.mT.unsqueeze(2), weight, bias, padding=(0, 1)).squeeze(2).mT.relu()

    def in_parts(self, x: Tensor, parts: Sequence[Part]) -> Tensor:
        """Do the same part by part, for scoring."""
        found: Tensor | None = None
        for start, end, length in parts:
            first = max(0, start - 1)
            some = self(x[:, first : end + 1])[:, start - first : end - first]
            found = some.new_empty(len(x), length, some.shape[2]) if found is None else found
            found[:, start:end] = some
        assert found is not None
        return found


class GlobalLocalAttention(nn.Module):
    """Global and local attention: per head ``softmax(q k / sqrt(d)) v`` beside ``L u``, then a linear layer.

    The layer's inputs are ordered by heads, the global part of each before the local one (code).
    """

    def __init__(self, config: UrDmuConfig) -> None:
        super().__init__()
        self.heads, self.units, self.rows = config.heads, config.heads * config.head_width, config.local_rows
        self.parts = 4 if config.local else 3
        self.inputs = Linear(config.width, self.parts * self.units, bias=False)
        self.output = Linear((self.parts - 2) * self.units, config.width)

    def forward(self, x: Tensor, scale: float) -> Tensor:
        """Map ``(B, T, W)`` to the same shape, times ``scale``."""
        query, key, value = self._by_heads(linear(x, self.inputs.weight[: 3 * self.units]))
        attended = F.scaled_dot_product_attention(query, key, value)
        return self._joined(attended, None if self.parts == 3 else local_means(x, self.rows), scale)

    def seen(self, x: Tensor) -> Tensor:
        """Return keys and values beside each other, ``(B, T, 2 H d)``, of rows ``(B, T, W)``."""
        return linear(x, self.inputs.weight[self.units : 3 * self.units])

    def of_part(self, x: Tensor, part: Part, seen: Tensor) -> Tensor:
        """Return what :meth:`forward` gives for the rows of a part, for scoring.

        Args:
            x: the part and up to :data:`NEAR` rows on either side.
            part: where it is.
            seen: what :meth:`seen` gives for all rows.
        """
        rows = x[:, min(NEAR, part.start) :][:, : part.end - part.start]
        (query,) = self._by_heads(linear(rows, self.inputs.weight[: self.units]))
        attended = F.scaled_dot_product_attention(query, *self._by_heads(seen))
        return self._joined(attended, None if self.parts == 3 else local_means(x, self.rows, part), 1.0)

    def _by_heads(self, projected: Tensor) -> Tensor:
        """Return one or more of queries, keys and values, ``(n, B, H, T, d)`` of ``(B, T, n H d)``."""
        count = projected.shape[-1] // self.units
        return projected.view(*projected.shape[:-1], count, self.heads, -1).permute(2, 0, 3, 1, 4)

    def _joined(self, attended: Tensor, near: Tensor | None, scale: float) -> Tensor:
        """Return what comes out for the results ``(B, H, T, d)`` of global attention and local means ``(B, T, W)``."""
        weight, bias = scale * self.output.weight, scale * self.output.bias
        attended = attended.transpose(1, 2).flatten(2)
        if near is None:
            return linear(attended, weight, bias)
        # L is the same for all heads, so that a single product of the weights of u and of the output is left of both.
        to_all, to_local = weight.view(len(weight), self.heads, 2, -1).unbind(2)
        through = linear(to_local.flatten(1), self.inputs.weight[3 * self.units :].T)
        local = linear(near, through)
        return local + linear(attended, to_all.flatten(1), bias)


class GlobalLocalLayer(nn.Module):
    """A pre-normalised layer: attention, then two linear layers with a GELU between them, each added to its input."""

    def __init__(self, config: UrDmuConfig) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.width)
        self.attention = GlobalLocalAttention(config)
        self.norm_mlp = nn.LayerNorm(config.width)
        self.widen = Linear(config.width, config.feed_forward)
        self.narrow = Linear(config.feed_forward, config.width)
        self.dropout = config.dropout

    def forward(self, x: Tensor, kept: Kept | None) -> Tensor:
        """Map ``(B, T, W)`` to the same shape; with ``kept`` as in training, what is kept being enlarged."""
        # The factor of dropout is put into the weights, which are smaller than the rows.
        scale = 1.0 if kept is None else 1 / (1 - self.dropout)
        attended = self.attention(self.norm_attention(x), scale)
        x = x + attended if kept is None else torch.addcmul(x, attended, kept.attended.to(x.dtype))
        hidden = F.gelu(self.widen(self.norm_mlp(x)))
        if kept is None:
            return x + self.narrow(hidden)
        hidden = hidden * kept.hidden.to(x.dtype)
        narrow = linear(hidden, scale * scale * self.narrow.weight, scale * self.narrow.bias)
        return torch.addcmul(x, narrow, kept.output.to(x.dtype))

    def write_over(self, x: Tensor, parts: Sequence[Part]) -> None:
        """Put the rows behind the layer in the place of those before it, for scoring: part by part, so that beside
        them only their keys and values are all in memory."""
        seen = x.new_empty(*x.shape[:2], 2 * self.attention.units)
        for start, end, _ in parts:
            seen[:, start:end] = self.attention.seen(self.norm_attention(x[:, start:end]))
        before = x[:, :0]
        for part in parts:
            rows = x[:, part.start : part.end]
            normed = torch.cat([before, self.norm_attention(x[:, part.start : part.end + NEAR])], 1)
            # Of rows that are about to be written over.
            before = normed[:, : before.shape[1] + rows.shape[1]][:, -NEAR:]
            rows += self.attention.of_part(normed, part, seen)
            rows += self.narrow(F.gelu(self.widen(self.norm_mlp(rows))))


class Transformer(nn.Module):
    """The layers one after the other, with no norm behind the last; no positions."""

    def __init__(self, config: UrDmuConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GlobalLocalLayer(config) for _ in range(config.layers))

    def forward(self, x: Tensor, kept: Sequence[Kept] = ()) -> Tensor:
        """Map ``(B, T, W)`` to the same shape; ``kept`` of each layer, empty where nothing is left out."""
        for i, layer in enumerate(self.layers):
            x = layer(x, kept[i] if kept else None)
        return x

    def write_over(self, x: Tensor, parts: Sequence[Part]) -> None:
        """Put the rows behind the layers in the place of those before them, part by part, for scoring."""
        for layer in self.layers:
            assert isinstance(layer, GlobalLocalLayer)
            layer.write_over(x, parts)


def local_means(x: Tensor, rows: str, part: Part | None = None) -> Tensor:
    """Return sums of rows ``(..., T, W)`` weighted by ``exp(-|i - j| / e)``, e being exp(1).

    Args:
        x: the rows.
        rows: ``column``: each weight is divided by the sum of those of row j over all rows, so that the weights of a
            row i do not sum to one (code); ``row``: by the sum of those of row i.
        part: those that are wanted, of which ``x`` has up to :data:`NEAR` rows on either side as well; default all.
    """
    start, end, length = part or Part(0, x.shape[-2], x.shape[-2])
    there = max(0, start - NEAR)
    place = torch.arange(length, dtype=torch.float32, device=x.device)
    sums_of = []
    for block in range(start, end, BLOCK):
        stop = min(end, block + BLOCK)
        first, last = max(0, block - NEAR), min(length, stop + NEAR)
        near, weighed = place[block:stop], place[first:last]
        weights = _weights(near[:, None] - weighed)
        sums = _sums(weighed, length) if rows == "column" else _sums(near, length)[:, None]
        sums_of.append((weights / sums).to(x.dtype) @ x[..., first - there : last - there, :])
    return sums_of[0] if len(sums_of) == 1 else torch.cat(sums_of, -2)


def _weights(distances: Tensor) -> Tensor:
    return (-distances.abs() / math.e).exp()


def _sums(place: Tensor, length: int) -> Tensor:
    """Return the sums of the weights of rows at ``place`` over all rows, by the formula of a geometric series."""
    ratio = math.exp(-1 / math.e)
    ends = ratio ** (place + 1) + ratio ** (length - place)
    return (1 + ratio - ends) / (1 - ratio)
