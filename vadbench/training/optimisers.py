"""The optimiser of a training and its schedule of learning rates."""

from __future__ import annotations

import math

import torch

from vadbench.base.method_config import Recipe
from vadbench.method import Method


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Return the learning rate of an epoch; the rate changes between epochs, never within one.

    ``warmup-cosine``: ``peak * e / w`` for ``e < w``, then ``peak * (1 + cos(pi * (e - w) / (E - w))) / 2``
    (spec of AnomalyCLIP, section 4).

    >>> [round(learning_rate(Recipe(epochs=4, schedule="warmup-cosine", warmup_epochs=1), e), 6) for e in range(4)]
    [0.0, 0.0001, 7.5e-05, 2.5e-05]
    """
    peak = recipe.learning_rate
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "steps":
        return peak * recipe.gamma ** sum(epoch >= m for m in recipe.milestones)
    warmup = recipe.warmup_epochs
    if epoch < warmup:
        return peak * (epoch if recipe.warmup_from_zero else epoch + 1) / warmup
    return peak * (1 + math.cos(math.pi * min(1.0, (epoch - warmup) / max(1, recipe.epochs - warmup)))) / 2


def adamw(method: Method, recipe: Recipe, fused: bool | None = True) -> torch.optim.AdamW:
    """Return the recipe's optimiser of a method at the peak learning rate; ``fused`` changes last digits."""
    return torch.optim.AdamW(
        [{"params": list(parameters)} for parameters in method.groups().values()],
        lr=recipe.learning_rate,
        betas=recipe.betas,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
        fused=fused,
    )
