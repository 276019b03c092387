"""Linear layers over many rows, as fast as a CPU allows."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_IMAGES = 16
"""Images of a batch from which on torch gives a convolution to oneDNN whatever the number of threads."""
_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")
_LARGE = 2**16
"""Values of a weight from which on scoring leaves its product to oneDNN, which takes longer than MKL for few rows of a
smaller one (16 rows of 64 to 256: 14 instead of 7 us)."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``, as :func:`torch.nn.functional.linear`, differentiable once on a CPU.

    In float32 on a CPU oneDNN computes it, by the operation of torch that compiled code calls. Torch itself gives
    matrix products to MKL, which takes twice as long on a processor that is not Intel's (32 to 16,384 rows of 512 to
    2,048: 157 to 240 against 92 to 109 thousand million operations a second, on one core of an AMD EPYC with torch
    2.15). With the oneDNN of torch 2.15 a row's result does not depend on the number of rows, if there are 16, nor on
    that of threads; with that of torch 2.10 it does in the last digits on a processor without AVX-512.

    Torch's product stays where a weight is small, in scoring; and, in training, where 16 does not divide the number of
    rows or texts are encoded without gradients, so that what was trained before has its bits.
    """
    plain = torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
    of_floats = all(t is None or t.dtype == torch.float32 for t in (x, weight, bias))
    if not _ONEDNN or plain or not of_floats or x.device.type != "cpu" or not x.numel():
        return F.linear(x, weight, bias)
    if torch.is_inference_mode_enabled():
        return _product(x, weight, bias) if weight.numel() >= _LARGE else F.linear(x, weight, bias)
    if not torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    found: Tensor = _Linear.apply(x, weight, bias)
    return found


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # A part of a wider weight would take a thousand times as long, a part of a bias be read as if it had no gaps.
    weight = weight if weight.T.is_contiguous() else weight.contiguous()
    bias = None if bias is None else bias.contiguous()
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def _trained_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.shape[:-1].numel() % _IMAGES:
        return F.linear(x, weight, bias)
    if len(weight) > 1:
        return _product(x, weight, bias)
    # A single output would be summed in another order.
    two = _product(x, weight.expand(2, -1), None if bias is None else bias.expand(2))
    return two[..., :1].contiguous()


class _Linear(torch.autograd.Function):
    """A linear layer over rows ``(..., D)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _trained_product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        outer = gradients[0].reshape(-1, len(weight)).contiguous()
        by_x = by_weight = None
        if needs_x:
            by_x = _trained_product(outer, weight.T, None).view(x.shape)
        if needs_weight:
            rows = x.reshape(-1, x.shape[-1])
            # OneDNN takes as long again when there are more inputs than outputs.
            by_weight = _outer(outer, rows) if len(weight) >= weight.shape[1] else _outer(rows, outer).T
        by_bias = outer.new_ones(len(outer)) @ outer if needs_bias else None
        return by_x, by_weight, by_bias


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a.T @ b`` of many rows ``(n, A)`` and ``(n, B)``: the gradient of the weights of a convolution in which
    each row is a pixel, for which oneDNN is faster than for the product of what is transposed."""
    weight = a.new_empty(1).expand(a.shape[1], b.shape[1], 1, 1)
    found: Tensor = torch.ops.aten.convolution_backward(
        _as_images(a), _as_images(b), weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
    )[1]
    return found[:, :, 0, 0]


def _as_images(rows: Tensor) -> Tensor:
    return rows.view(math.gcd(len(rows), _IMAGES), 1, -1, rows.shape[1]).permute(0, 3, 1, 2)


class Linear(nn.Linear):
    """:class:`torch.nn.Linear` through :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., inputs)`` to ``(..., outputs)``."""
        return linear(x, self.weight, self.bias)
