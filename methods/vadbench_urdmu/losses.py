"""Loss terms (spec 2), unweighted. Scores are of rows, from 0 to 1; a sample is represented by its highest rows.

Shapes: P pairs of a normal and an abnormal sample, T rows, W width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vadbench_urdmu.memory import highest

TRIPLET_MARGIN, DISTANCE_MARGIN = 1.0, 100.0
"""By how much an anchor must be nearer to the positive than to the negative, and abnormal latents be longer (code)."""


class MemoryScores(NamedTuple):
    """Scores ``(samples, T)`` of the rows of normal and of abnormal samples in the memories; ``None`` without an
    abnormal memory."""

    normal_in_normal: Tensor
    abnormal_in_normal: Tensor
    normal_in_abnormal: Tensor | None
    abnormal_in_abnormal: Tensor | None


def highest_mean(values: Tensor) -> Tensor:
    """Return the mean of the highest rows, ``(..., T)`` to ``(...)``."""
    return values.topk(highest(values.shape[-1]), dim=-1).values.mean(-1)


def entropy(scores: Tensor, target: float) -> Tensor:
    """Return the mean binary cross-entropy of scores that should all be 0 or 1."""
    return F.binary_cross_entropy(scores, torch.full_like(scores, target))


def classification(normal: Tensor, abnormal: Tensor) -> Tensor:
    """Return the cross-entropy of the highest rows of samples ``(P, T)`` of both kinds."""
    return (entropy(highest_mean(normal), 0) + entropy(highest_mean(abnormal), 1)) / 2


def memory_terms(scores: MemoryScores) -> dict[str, Tensor]:
    """Return the terms that keep abnormal rows out of the normal memory and normal ones out of the abnormal memory.

    Of an abnormal sample only the highest rows count, of a normal one every row.
    """
    terms = {
        "abnormal_not_in_normal": entropy(highest_mean(1 - scores.abnormal_in_normal), 1),
        "normal_in_normal": entropy(scores.normal_in_normal, 1),
    }
    if scores.abnormal_in_abnormal is not None and scores.normal_in_abnormal is not None:
        terms["abnormal_in_abnormal"] = entropy(highest_mean(scores.abnormal_in_abnormal), 1)
        terms["normal_not_in_abnormal"] = entropy(scores.normal_in_abnormal, 0)
    return terms


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return the mean of ``max(0, 1 + |a - p| - |a - n|)`` of rows ``(P, W)`` divided by their lengths."""
    unit = [x / torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (anchor, positive, negative)]
    # Its distances are of differences to whose every entry 1e-6 is added.
    return F.triplet_margin_loss(*unit, margin=TRIPLET_MARGIN)


def divergence(mean: Tensor, log_variance: Tensor, axis: str) -> Tensor:
    """Return the divergence of normal distributions from the standard one.

    Args:
        mean, log_variance: ``(N, T, W)``.
        axis: ``rows`` or ``units``, what it is summed over; the mean is taken over the others.
    """
    over = -2 if axis == "rows" else -1
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(over).mean()


def distance(anchor: Tensor, negative: Tensor) -> Tensor:
    """Return the mean of ``max(0, 100 - |n| + |a|)`` of latents ``(P, W)``."""
    return (DISTANCE_MARGIN - negative.norm(dim=-1) + anchor.norm(dim=-1)).relu().mean()
