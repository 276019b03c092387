"""Losses differentiated part by part give what they give at once, whatever happens to the terms afterwards."""

from __future__ import annotations

import pytest
import torch

from vadbench.nn.parts import ROWS_AT_ONCE, crops_in_parts, sum_of_parts


def values_and_gradients(parts, factors):
    torch.manual_seed(0)
    weight, unused = (torch.randn(3, 3, dtype=torch.double, requires_grad=True) for _ in range(2))
    source = torch.randn(3, dtype=torch.double, requires_grad=True)
    rows = torch.randn(7, 3, dtype=torch.double)
    calls = []

    def terms(part, shared):
        calls.append(len(part))
        hidden = (part @ weight + shared).tanh()
        return hidden.square().sum(), hidden.exp().sum()

    shared = (2 * source).sin()
    found = sum_of_parts(terms, rows.tensor_split(parts), [weight, unused], shared)
    total = sum(f * value for f, value in zip(factors, found, strict=True)) + shared.sum()
    total.backward()
    assert unused.grad is None
    return torch.stack(found).detach(), weight.grad, source.grad, calls


@pytest.mark.parametrize("factors", [(1, 1), (0.5, 0.5), (2, -3), (1, 0)])
def test_parts_add_up_to_the_whole(factors):
    *whole, _ = values_and_gradients(1, factors)
    *parts, calls = values_and_gradients(3, factors)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b)
    assert calls == [3, 2, 2] * (1 if factors == (1, 1) else 2), "computed again only where terms are weighted"


def test_nothing_is_kept_without_gradients():
    weight = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        (value,) = sum_of_parts(lambda part, _: ((part * weight).sum(),), torch.ones(4, 2).split(1), [weight], None)
    assert value == 8
    assert not value.requires_grad


@pytest.mark.parametrize(
    ("crops", "rows", "sizes"),
    [
        (10, 30, [10]),
        (3, ROWS_AT_ONCE, [1, 1, 1]),
        (2, ROWS_AT_ONCE + 1, [1, 1]),
        (5, ROWS_AT_ONCE // 2, [2, 2, 1]),
        (2, 0, [2]),
    ],
)
def test_crops_come_in_parts_of_bounded_rows(crops, rows, sizes):
    bag = torch.arange(crops * rows).view(crops, rows, 1)
    parts = crops_in_parts(bag)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat(parts), bag)
