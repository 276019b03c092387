"""Linear layers over many rows, trained as fast as a CPU allows."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_IMAGES = 16
"""Images of a batch from which on torch gives a convolution to oneDNN whatever the number of threads."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``, as :func:`torch.nn.functional.linear`, differentiable once.

    In training on a CPU, rows ``(..., D)`` go through a convolution in which each row is a pixel. The products are the
    same, but torch gives large convolutions to oneDNN and matrix products to MKL, which takes twice as long on a
    processor that is not Intel's (0.97 s against 0.46 s for 16,384 rows, 512 to 2,048, forward and backward, on one
    core of an AMD EPYC with torch 2.15). Scoring keeps the matrix product: which library does a convolution depends on
    how many rows there are, and a score must not.
    """
    plain = torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
    if x.device.type != "cpu" or not torch.is_grad_enabled() or plain:
        return F.linear(x, weight, bias)
    rows: Tensor = _Pixels.apply(x.reshape(-1, x.shape[-1]), weight, bias)
    return rows.view(*x.shape[:-1], len(weight))


def _as_images(rows: Tensor) -> Tensor:
    return rows.view(math.gcd(len(rows), _IMAGES), 1, -1, rows.shape[1]).permute(0, 3, 1, 2)


def _as_rows(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


class _Pixels(torch.autograd.Function):
    """A linear layer over rows ``(n, D)``.

    Its gradients are asked for one by one: oneDNN takes a tenth longer for that of the weight when the bias comes with
    it, and as much again when there are more inputs than outputs, in which case they change places.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _as_rows(F.conv2d(_as_images(rows), weight[:, :, None, None], bias))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        outer = gradients[0].contiguous()
        needs_rows, needs_weight, needs_bias = ctx.needs_input_grad
        by_rows = by_weight = None
        if needs_rows:
            by_rows = _as_rows(_backward(outer, rows, weight[:, :, None, None], [True, False, False])[0])
        if needs_weight:
            by_weight = _outer(outer, rows) if len(weight) >= weight.shape[1] else _outer(rows, outer).T
        with torch.autocast("cpu", enabled=False):
            by_bias = outer.new_ones(len(outer)) @ outer if needs_bias else None
        return by_rows, by_weight, by_bias


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a.T @ b``."""
    weight = a.new_empty(1).expand(a.shape[1], b.shape[1], 1, 1)
    return _backward(a, b, weight, [False, True, False])[1][:, :, 0, 0]


def _backward(outer: Tensor, rows: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        _as_images(outer), _as_images(rows), weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, wanted
    )
    return found


class Linear(nn.Linear):
    """:class:`torch.nn.Linear` through :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., inputs)`` to ``(..., outputs)``."""
        return linear(x, self.weight, self.bias)
