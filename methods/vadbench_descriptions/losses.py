"""Loss terms (paper; spec "Video-level alignment and losses" and "Frame-level method").

Shapes: B videos, L rows, C classes, N phrases, D feature width. A video is represented by its highest rows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vadbench.nn.sampling import row_mask, sum_where, top_mean


def highest(lengths: Tensor, k_ratio: int) -> Tensor:
    """Return how many rows of each video count: ``floor(T / k_ratio) + 1``, limited to its rows; ``(B,)``."""
    return (lengths // k_ratio + 1).clamp(max=lengths)


def align_loss(similarities: Tensor, lengths: Tensor, labels: Tensor, temperature: float, k_ratio: int) -> Tensor:
    """Return the cross-entropy of videos whose similarity with a class is the mean over the highest rows.

    Args:
        similarities: ``(B, L, C)`` cosines.
        lengths: ``(B,)`` rows of each video.
        labels: bool ``(B, C)``, the classes of a video, at least one; they share its weight equally.
        temperature: divides the similarities.
        k_ratio: of T rows the ``floor(T / k_ratio) + 1`` highest are averaged.
    """
    of_videos = top_mean(similarities, lengths, k_ratio)
    return F.cross_entropy(of_videos / temperature, labels / labels.sum(1, keepdim=True))


def contrast_loss(text: Tensor, normal: int) -> Tensor:
    """Return the sum over abnormal classes of the positive part of their text's cosine with the normal class's text.

    Args:
        text: ``(C, D)``.
        normal: id of the normal class.
    """
    unit = F.normalize(text, dim=-1)
    others = torch.cat([unit[:normal], unit[normal + 1 :]])
    return (others @ unit[normal]).relu().sum()


def phrase_losses(logits: Tensor, lengths: Tensor, abnormal: Tensor, own: Tensor, k_ratio: int) -> Tensor:
    """Return the InfoNCE of each video between its rows' best phrase of the right side and of the other side.

    In a normal video every row counts and normal phrases are right; in an abnormal one the rows of the highest anomaly
    scores count and the phrases of its classes are right. The loss of a video is the mean over the rows that count.

    Args:
        logits: ``(B, L, N)`` of the phrases.
        lengths: ``(B,)`` rows of each video.
        abnormal: bool ``(N,)``, the abnormal phrases.
        own: bool ``(B, N)``, the abnormal phrases that may describe a video; none for a normal video.
        k_ratio: of T rows of an abnormal video ``floor(T / k_ratio) + 1`` count.

    Returns:
        ``(B,)``.
    """
    lowest = torch.finfo(logits.dtype).min

    def best(phrases: Tensor) -> Tensor:
        return logits.masked_fill(~phrases, lowest).amax(-1)

    is_abnormal = own.any(-1)
    best_normal, best_abnormal = best(~abnormal), best(abnormal)
    # -log(p+ / (p+ + p-)), where p is a softmax, is softplus of the difference of the logits.
    losses = torch.where(
        is_abnormal[:, None],
        F.softplus(best_normal - best(own[:, None] | ~is_abnormal[:, None, None])),
        F.softplus(best_abnormal - best_normal),
    )
    scores = sum_where(logits.softmax(-1), abnormal)
    valid = row_mask(lengths, logits.shape[1])
    ranks = scores.masked_fill(~valid, -1.0).argsort(dim=-1, descending=True, stable=True).argsort(-1)
    counts = torch.where(is_abnormal, highest(lengths, k_ratio), lengths)
    counted = ranks < counts[:, None]
    return (losses * counted).sum(-1) / counts
