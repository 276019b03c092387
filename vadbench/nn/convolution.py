"""Convolutions over the rows of videos, trained as fast as a CPU allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vadbench.nn.linear import linear


class RowConvolution(nn.Module):
    """Convolution over time of rows ``(S, T, inputs)``, zero beyond their ends: ``T`` stays. Differentiable once.

    In training on a CPU each tap of the kernel is a linear layer of all rows, whose results are shifted in time and
    added: torch's convolution takes longer over 32 rows, most of it for gradients and for moving channels. Elsewhere it
    is a convolution, which needs no more memory than its result. Under autocast both compute in its dtype, the taps
    rounding each product to it.

    ``weight`` is ``(kernel, outputs, inputs)``, so that no tap has to be copied; it begins as torch's convolution does.

    Args:
        inputs: width of a row.
        outputs: width of a row of the result.
        kernel: number of taps, an odd number.
        dilation: rows from one tap to the next.
        bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, bias: bool = True) -> None:
        super().__init__()
        bound = (inputs * kernel) ** -0.5
        self.weight = nn.Parameter(torch.empty(kernel, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound)) if bias else None
        self.taps = Taps(kernel, dilation, outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows ``(S, T, outputs)``."""
        return side_by_side(rows, [self])[0]

    def kernel(self) -> Tensor:
        """Return the weights as torch's convolution has them, ``(outputs, inputs, kernel)``: a view."""
        return self.weight.permute(1, 2, 0)


def side_by_side(rows: Tensor, layers: Sequence[RowConvolution]) -> list[Tensor]:
    """Return the result ``(S, T, outputs)`` of each convolution of the same rows ``(S, T, inputs)``; where their taps
    are linear layers, all of them are one."""
    if rows.device.type != "cpu" or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return [
            F.conv1d(rows.mT, own.kernel(), own.bias, padding=own.taps.reach, dilation=own.taps.dilation).mT
            for own in layers
        ]
    weights = [layer.weight.flatten(0, 1) for layer in layers]
    products = linear(rows, weights[0] if len(weights) == 1 else torch.cat(weights))
    sums = _ShiftedSums.apply(products, [layer.taps for layer in layers])
    found = zip(layers, sums, strict=True)
    return [own if layer.bias is None else own + layer.bias.to(own.dtype) for layer, own in found]


class Taps(NamedTuple):
    """A convolution: taps of the kernel, rows from one to the next, and width of the result."""

    number: int
    dilation: int
    width: int

    @property
    def reach(self) -> int:
        """How many rows before and after a row matter."""
        return self.number // 2 * self.dilation

    def places(self, length: int) -> list[tuple[int, slice, slice, slice]]:
        """Return, for every tap but the middle one, the rows that get something, those that they get it from, and
        those that nothing is taken from."""
        found = []
        for tap in range(self.number):
            shift = (tap - self.number // 2) * self.dilation
            far = min(abs(shift), length)
            early, late = slice(0, length - far), slice(far, length)
            if shift > 0:
                found.append((tap, early, late, slice(0, far)))
            elif shift < 0:
                found.append((tap, late, early, slice(length - far, length)))
        return found


class _ShiftedSums(torch.autograd.Function):
    """The results of convolutions of products ``(S, T, taps * width of all)``: the taps' products of each, shifted by
    their places in the kernel and added; rows shifted in are 0."""

    @staticmethod
    def forward(ctx: Any, products: Tensor, shapes: Sequence[Taps]) -> tuple[Tensor, ...]:
        ctx.shapes, ctx.like = shapes, products.shape
        sums = []
        for shape, own in zip(shapes, _parts(products, shapes), strict=True):
            total = own[:, :, shape.number // 2].clone(memory_format=torch.contiguous_format)
            for tap, target, source, _ in shape.places(products.shape[1]):
                total[:, target] += own[:, source, tap]
            sums.append(total)
        return tuple(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        by_products = gradients[0].new_empty(ctx.like)
        for shape, own, outer in zip(ctx.shapes, _parts(by_products, ctx.shapes), gradients, strict=True):
            own[:, :, shape.number // 2] = outer
            for tap, target, source, unread in shape.places(outer.shape[1]):
                own[:, source, tap] = outer[:, target]
                own[:, unread, tap] = 0
        return by_products, None


def _parts(products: Tensor, shapes: Sequence[Taps]) -> list[Tensor]:
    """Return views ``(S, T, taps, width)`` of the products of each convolution."""
    parts = torch.split(products, [shape.number * shape.width for shape in shapes], -1)
    return [part.view(*part.shape[:-1], own.number, own.width) for part, own in zip(parts, shapes, strict=True)]
