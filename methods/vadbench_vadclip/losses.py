"""Loss terms (spec 2). Logits are of rows, labels of videos: a video is represented by its most suspicious rows.

Shapes: B videos, L rows, C classes, D feature width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vadbench.nn.sampling import top_mean

ROWS_FOR_ONE = 16
"""Ratio of all rows to averaged rows, of which there is one more (code)."""


def most_suspicious(values: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean of the largest ``lengths // 16 + 1`` values of each video: ``(B, L, ...)`` to ``(B, ...)``."""
    return top_mean(values, lengths, ROWS_FOR_ONE)


def coarse_loss(logits: Tensor, lengths: Tensor, abnormal: Tensor) -> Tensor:
    """Return the binary cross-entropy of the mean of the highest row probabilities.

    Args:
        logits: ``(B, L)`` of a row being abnormal.
        lengths: ``(B,)`` rows of each video.
        abnormal: bool ``(B,)``.
    """
    return F.binary_cross_entropy(most_suspicious(logits.sigmoid(), lengths), abnormal.float())


def align_loss(logits: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of the means of each class's highest rows.

    Args:
        logits: ``(B, L, C)`` of the classes.
        lengths: ``(B,)`` rows of each video.
        labels: bool ``(B, C)``, the classes of a video, at least one; they share its weight equally.
    """
    return F.cross_entropy(most_suspicious(logits, lengths), labels / labels.sum(1, keepdim=True))


def divergence(text: Tensor, normal: int) -> Tensor:
    """Return the mean absolute cosine similarity of the normal class's text feature ``(C, D)`` with the others."""
    unit = F.normalize(text, dim=-1)
    others = torch.cat([unit[:normal], unit[normal + 1 :]])
    return (others @ unit[normal]).abs().mean()
