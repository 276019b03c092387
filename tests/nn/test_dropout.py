"""Dropout of our own: how many are kept, what they are divided by, and when it does nothing."""

from __future__ import annotations

import pytest
import torch

from vadbench.nn.dropout import Dropout, kept


@pytest.mark.parametrize("p", [0.1, 0.7])
def test_the_kept_are_divided_by_their_share(p):
    values = torch.rand(400, 500, generator=torch.Generator().manual_seed(1)) + 1
    torch.manual_seed(0)
    found = Dropout(p).train()(values)
    chosen = found != 0
    assert float(chosen.float().mean()) == pytest.approx(1 - p, abs=0.005)
    torch.testing.assert_close(found[chosen], values[chosen] / (1 - p))
    values.requires_grad_()
    torch.manual_seed(0)
    Dropout(p).train()(values).sum().backward()
    torch.testing.assert_close(values.grad, found.detach() / values.detach())


def test_draws_are_torchs_and_anew_each_time():
    layer, values = Dropout(0.5).train(), torch.ones(1000)
    torch.manual_seed(0)
    first, second = layer(values), layer(values)
    torch.manual_seed(0)
    assert torch.equal(layer(values), first) and not torch.equal(first, second)


def test_in_evaluation_and_without_a_share_nothing_is_dropped():
    values = torch.ones(1000)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0).train()(values) is values


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_units_are_kept_with_their_share(share):
    torch.manual_seed(0)
    found = kept((7, 50, 301), share, torch.device("cpu"))
    assert found.shape == (7, 50, 301) and found.dtype == torch.bool
    assert float(found.float().mean()) == pytest.approx(share, abs=0.005)
    # Units beside each other come of one random number, and are independent of each other.
    flat = found.flatten()[: found.numel() // 4 * 4].view(-1, 4).float()
    assert float((flat[:, 0] * flat[:, 1]).mean()) == pytest.approx(share**2, abs=0.01)
    torch.manual_seed(0)
    assert torch.equal(kept((7, 50, 301), share, torch.device("cpu")), found)


def test_a_share_that_rounds_to_nothing_keeps_next_to_nothing():
    torch.manual_seed(0)
    assert int(kept((1000, 1000), 1e-7, torch.device("cpu")).sum()) < 100
