"""Sums over samples and scores of crops that are computed part by part: only one part's activations are in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Terms = Callable[[Any, Tensor | None], tuple[Tensor, ...]]
"""``terms(part, shared)`` gives the scalars of a part, each to be summed over the parts."""

ROWS_AT_ONCE = 2**15
"""Rows of all crops of a video that are scored at once; ten crops of an hour at 16 frames a row have more."""


def sum_of_parts(
    terms: Terms, parts: Sequence[Any], parameters: Sequence[Tensor], shared: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the sums of ``terms`` over ``parts``, as if they had been computed at once.

    Of several parts each is differentiated before the next is computed: a step takes the memory of one part, and the
    time of all of them together, less what a large batch loses because it fits no cache. Gradients are the same but for
    the order in which they are summed. They are ready when this returns and belong to the sum of all terms; a backward
    pass that weights terms differently from each other or not by 1 computes the parts again.

    Args:
        terms: gives the summands; must not draw random numbers.
        parts: its first argument, part by part, at least one.
        parameters: all leaves that ``terms`` depends on.
        shared: its second argument, which was computed once for all parts, such as text features. Its gradient is
            summed and goes back through its own history once.
    """
    if len(parts) == 1 or not torch.is_grad_enabled():
        return tuple(torch.stack(values).sum() for values in zip(*(terms(part, shared) for part in parts), strict=True))
    inputs = [*parameters, *([] if shared is None else [shared])]
    needed = [t for t in inputs if t.requires_grad]
    # A leaf in its place, or each part would go back through the history of what is shared.
    leaf = None if shared is None else shared.detach().requires_grad_(shared.requires_grad)
    leaves = [leaf if t is shared and leaf is not None else t for t in needed]

    def differentiate(factors: Sequence[Tensor | float] | None = None) -> tuple[list[Tensor], list[Tensor | None]]:
        sums: list[Tensor] = []
        gradients: list[Tensor | None] = []
        for part in parts:
            with torch.enable_grad():
                values = terms(part, leaf)
                total = torch.stack([f * v for f, v in zip(factors or [1.0] * len(values), values, strict=True)]).sum()
            found = torch.autograd.grad(total, leaves, allow_unused=True)
            values = tuple(v.detach() for v in values)
            if not sums:
                sums, gradients = list(values), list(found)
                continue
            sums = [a + b for a, b in zip(sums, values, strict=True)]
            for a, b in zip(gradients, found, strict=True):
                if a is not None and b is not None:
                    a += b
        return sums, gradients

    sums, gradients = differentiate()
    known: tuple[Tensor, ...] = _Known.apply(differentiate, sums, gradients, *needed)
    return known


def crops_in_parts(bag: Tensor) -> tuple[Tensor, ...]:
    """Return the crops of a video ``(crops, T, D)`` in parts ``(some crops, T, D)`` of at most 32,768 rows, a crop that
    is longer by itself (our decision)."""
    parts: tuple[Tensor, ...] = torch.split(bag, max(1, ROWS_AT_ONCE // max(1, bag.shape[1])))
    return parts


class _Known(torch.autograd.Function):
    """Values whose gradients are known."""

    @staticmethod
    def forward(ctx: Any, again: Any, sums: list[Tensor], gradients: list[Tensor | None], *_: Tensor) -> Any:
        ctx.again, ctx.gradients = again, gradients
        return tuple(sums)

    @staticmethod
    def backward(ctx: Any, *factors: Tensor) -> Any:
        gradients = ctx.gradients if bool((torch.stack(factors) == 1).all()) else ctx.again(factors)[1]
        return None, None, None, *gradients
