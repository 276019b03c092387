"""Linear layers over many rows, trained as fast as a CPU allows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``, as :func:`torch.nn.functional.linear`.

    In training on a CPU, samples ``(B, ..., D)`` go through a convolution in which each row is a pixel. The products
    are the same, but torch gives large convolutions to oneDNN and matrix products to MKL, which takes twice as long on
    a processor that is not Intel's (0.97 s against 0.46 s for 16,384 rows, 512 to 2,048, forward and backward, on one
    core of an AMD EPYC with torch 2.15). Scoring keeps the matrix product: which library does a convolution depends on
    how many samples there are, and a score must not.
    """
    if x.device.type != "cpu" or x.ndim < 3 or not torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    pixels = x.flatten(1, -2).mT.unsqueeze(2)
    return F.conv2d(pixels, weight[:, :, None, None], bias).squeeze(2).mT.reshape(*x.shape[:-1], len(weight))


class Linear(nn.Linear):
    """:class:`torch.nn.Linear` through :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """``(..., inputs)`` to ``(..., outputs)``."""
        return linear(x, self.weight, self.bias)
