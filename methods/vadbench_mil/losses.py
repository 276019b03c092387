"""The choice of the segments that speak for a video, and the losses of RTFM and CLIP-TSA (spec of RTFM, 1.5 and 2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vadbench_mil.config import MagnitudeConfig


def top_places(values: Tensor, count: int) -> Tensor:
    """Return the places ``(videos, count)`` of the largest values ``(videos, T)`` of each video.

    Which of equal values are taken is left to torch, as in the authors' code.
    """
    return values.detach().topk(count, dim=1).indices


def weighted_terms(
    scores: Tensor,
    videos: tuple[Tensor, Tensor],
    chosen: tuple[Tensor, Tensor],
    config: MagnitudeConfig,
) -> Mapping[str, Tensor]:
    """Return the loss terms, weighted; one of weight 0 is left out.

    Args:
        scores: ``(B, T)`` of the abnormal videos.
        videos: scores ``(B,)`` of the abnormal videos, and of the normal ones.
        chosen: chosen rows ``(..., k, D)`` of the abnormal videos, and of the normal ones that they are paired with.
        config: weights, margin and what is regularised.
    """
    probabilities = torch.cat(videos)
    labels = torch.cat([torch.ones_like(videos[0]), torch.zeros_like(videos[1])])
    terms = {"classification": F.binary_cross_entropy(probabilities, labels)}
    if config.magnitude and config.alpha:
        terms["magnitude"] = config.alpha * magnitude_gap(*chosen, config.margin, config.distance)
    if config.smoothness:
        terms["smoothness"] = config.smoothness * roughness(scores, config.regularised)
    if config.sparsity:
        terms["sparsity"] = config.sparsity * mass(scores, config.regularised)
    return terms


def magnitude_gap(abnormal: Tensor, normal: Tensor, margin: float, distance: str) -> Tensor:
    """Return the mean of ``(|margin - a| + n)^2`` over all pairs; a and n are the lengths of the mean of chosen rows.

    Args:
        abnormal: ``(..., k, D)``.
        normal: of the same shape.
        margin: length that abnormal rows are trained towards.
        distance: ``hinge`` takes nothing where ``a`` is above the margin.
    """
    a, n = (torch.linalg.vector_norm(rows.mean(-2), dim=-1) for rows in (abnormal, normal))
    short = (margin - a).relu() if distance == "hinge" else (margin - a).abs()
    return (short + n).square().mean()


def roughness(scores: Tensor, regularised: str) -> Tensor:
    """Return the sum of squared steps between neighbouring scores ``(B, T)``: of all videos end to end, or the mean
    over videos of each one's."""
    if regularised == "batch":
        return scores.flatten().diff().square().sum()
    return scores.diff(dim=1).square().sum(1).mean()


def mass(scores: Tensor, regularised: str) -> Tensor:
    """Return the Euclidean norm of all scores ``(B, T)``, or the mean over videos of each one's."""
    if regularised == "batch":
        return torch.linalg.vector_norm(scores)
    return torch.linalg.vector_norm(scores, dim=1).mean()
