"""Batch normalisation of rows: torch's numbers in float64, and as exact in float32."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from vadbench.nn.normalisation import RowNorm


@pytest.mark.parametrize("shape", [(2, 5, 4), (7, 4), (1, 2, 4)])
def test_results_gradients_and_statistics_are_torchs(shape):
    torch.manual_seed(0)
    ours = RowNorm(4).double()
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    theirs = nn.BatchNorm1d(4).double()
    theirs.load_state_dict(ours.state_dict())
    rows = torch.randn(shape, dtype=torch.double, requires_grad=True)
    outer = torch.randn(shape, dtype=torch.double)
    for _ in range(2):
        found, wanted = ours(rows), theirs(rows.reshape(-1, 4)).view(shape)
        torch.testing.assert_close(found, wanted)
        for a, b in zip(
            torch.autograd.grad(found, [rows, *ours.parameters()], outer),
            torch.autograd.grad(wanted, [rows, *theirs.parameters()], outer),
            strict=True,
        ):
            torch.testing.assert_close(a, b)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(rows), theirs.eval()(rows.reshape(-1, 4)).view(shape))


@pytest.mark.parametrize("mean", [0.0, 1.0, 100.0])
def test_it_is_exact_in_float32(mean):
    rows = torch.randn(2048, 16, generator=torch.Generator().manual_seed(0)) + mean
    norm = RowNorm(16)
    wanted = copy.deepcopy(norm).double()(rows.double())
    # A row itself is rounded by 6e-8 of its size.
    torch.testing.assert_close(norm(rows).double(), wanted, rtol=0, atol=2e-6 + 2e-7 * mean)
