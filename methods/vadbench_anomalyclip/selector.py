"""Selector: similarity of each row with each abnormal class, and the most and least abnormal segments by it.

Shapes: B videos, the first half abnormal; N segments; L rows in a segment; C' abnormal classes; D feature width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.devices import sent
from vadbench_anomalyclip.config import AnomalyClipConfig

HIDDEN = 1e6
"""Score that takes a hidden segment out of the choice (spec 2.5)."""


class Selector(nn.Module):
    """Similarity of rows with class directions (paper, equation 4; spec 2.5).

    ``likelihood = "selector"`` projects a row on each direction and normalises the projections with batch statistics;
    they serve as logits as they are. ``"cosine"`` takes the cosine instead, whose logits are multiplied by CLIP's
    temperature; the direction losses see the cosine itself (our decision).

    ``logit_scale`` is a trained parameter that the authors never use; here it is a buffer.
    """

    logit_scale: Tensor

    def __init__(self, config: AnomalyClipConfig, classes: int) -> None:
        super().__init__()
        self.cosine = config.likelihood == "cosine"
        self.selection = config.mil_selection
        self.bn = nn.BatchNorm1d(classes, affine=False)
        self.register_buffer("logit_scale", torch.tensor(math.log(100.0)))

    def forward(self, features: Tensor, directions: Tensor, batch_statistics: bool) -> Tensor:
        """Return the similarity ``(..., C')`` of centred features ``(..., D)`` with unit directions ``(C', D)``.

        Args:
            batch_statistics: normalise by the statistics of these rows and update the running ones, as in training;
                otherwise by the running ones.
        """
        if self.cosine:
            return F.normalize(features, dim=-1) @ directions.T
        projection = features.flatten(0, -2) @ directions.T
        if batch_statistics:
            normalised = self.bn(projection)
        else:
            normalised = F.batch_norm(projection, self.bn.running_mean, self.bn.running_var, eps=self.bn.eps)
        return normalised.view(*features.shape[:-1], -1)

    def class_logits(self, similarity: Tensor) -> Tensor:
        """Return logits of the class given that a row is abnormal, ``(..., C')``."""
        return similarity * self.logit_scale.exp() if self.cosine else similarity

    @torch.no_grad()
    def segment_scores(self, features: Tensor, directions: Tensor, similarity: Tensor) -> Tensor:
        """Return scores that rank segments, ``(B, N, C')``: sums over the rows of centred features ``(B, N, L, D)``."""
        if self.selection == "selector":
            rows = similarity
        elif self.selection == "cosine":
            rows = F.normalize(features, dim=-1) @ directions.T
        else:
            rows = features.norm(dim=-1, keepdim=True).expand_as(similarity)
        return rows.sum(2)


@dataclass(frozen=True)
class Masks:
    """Masks of segments that may be chosen as the most and as the least abnormal, each ``(B, N)`` bool."""

    top: Tensor
    bottom: Tensor


@dataclass(frozen=True)
class Chosen:
    """Numbers of the chosen segments: ``(B/2, top_k)``, ``(B/2, bottom_k)`` and ``(B/2, top_k)``."""

    top_abnormal: Tensor
    bottom_abnormal: Tensor
    top_normal: Tensor


def draw_masks(videos: int, config: AnomalyClipConfig, device: torch.device) -> Masks:
    """Draw which segments may be chosen, on the CPU from torch's global generator, so that all devices are the same.

    Both masks are always drawn, the one for the top first, as the authors' code does before it uses the second twice.
    """
    keep = torch.full((videos, config.segments), 1.0 - config.segment_dropout)
    first, second = torch.bernoulli(keep).bool(), torch.bernoulli(keep).bool()
    top, bottom = (first if config.separate_masks else second), second
    if config.refill_masks:
        top, bottom = _refilled(top, config.top_k), _refilled(bottom, config.bottom_k)
    return Masks(sent(top, device), sent(bottom, device))


def _refilled(mask: Tensor, least: int) -> Tensor:
    order = (mask + torch.rand(mask.shape)).topk(least).indices
    return mask.scatter(1, order, True)


def choose(scores: Tensor, columns: Tensor, masks: Masks, config: AnomalyClipConfig) -> Chosen:
    """Choose segments by their scores ``(B, N, C')``.

    Args:
        columns: ``(B/2,)`` column of each abnormal video's own class; a normal video counts the sum of all columns.
    """
    half = len(columns)
    own = scores[:half].gather(2, columns.view(-1, 1, 1).expand(-1, scores.shape[1], 1)).squeeze(2)
    total = scores[half:].sum(2)
    return Chosen(
        own.masked_fill(~masks.top[:half], -HIDDEN).topk(config.top_k).indices,
        own.masked_fill(~masks.bottom[:half], HIDDEN).topk(config.bottom_k, largest=False).indices,
        total.masked_fill(~masks.top[half:], -HIDDEN).topk(config.top_k).indices,
    )
