"""Convolutions over rows: in training on a CPU by their taps, elsewhere by torch's, and the same numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vadbench.nn.convolution import RowConvolution
from vadbench.training.loop import autocast


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel, dilation", [(1, 1), (3, 1), (3, 2), (3, 4), (5, 3)])
@pytest.mark.parametrize("length", [1, 2, 5, 32])
def test_results_and_gradients_are_those_of_a_convolution(length, kernel, dilation, bias):
    """Of videos shorter than the kernel reaches, too."""
    torch.manual_seed(0)
    layer = RowConvolution(6, 4, kernel, dilation, bias).double()
    rows = torch.randn(3, length, 6, dtype=torch.double, requires_grad=True)
    outer = torch.randn(3, length, 4, dtype=torch.double)
    inputs = [rows, *layer.parameters()]
    ours = layer(rows)
    padding = kernel // 2 * dilation
    wanted = F.conv1d(rows.mT, layer.kernel(), layer.bias, padding=padding, dilation=dilation).mT
    torch.testing.assert_close(ours, wanted)
    for found, expected in zip(
        torch.autograd.grad(ours, inputs, outer), torch.autograd.grad(wanted, inputs, outer), strict=True
    ):
        torch.testing.assert_close(found, expected)
    with torch.no_grad():
        assert torch.equal(layer(rows), wanted), "scoring takes torch's own"


def test_in_bfloat16_it_is_the_convolution_but_for_rounding():
    torch.manual_seed(0)
    layer, rows = RowConvolution(6, 4, 3), torch.randn(2, 5, 6, requires_grad=True)
    inputs, outer = [rows, *layer.parameters()], torch.randn(2, 5, 4)
    wanted = F.conv1d(rows.mT, layer.kernel(), layer.bias, padding=1).mT
    gradients = torch.autograd.grad(wanted, inputs, outer)
    with autocast("bf16", torch.device("cpu")):
        found = layer(rows)
        with torch.no_grad():
            assert layer(rows).dtype == torch.bfloat16, "scoring takes torch's own"
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.02, rtol=0.02)
    for ours, expected in zip(torch.autograd.grad(found, inputs, outer.bfloat16()), gradients, strict=True):
        torch.testing.assert_close(ours, expected, atol=0.05, rtol=0.02)
