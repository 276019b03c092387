"""RTFM as its specification reads, line by line, and CLIP-TSA, the same network and losses behind a selection.

``state`` holds the weights under the names of the authors' checkpoints. Sections are those of RTFM's specification, or
of CLIP-TSA's where that is said. Abnormal videos come first.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vadbench.nn.dropout import mask

DROPOUT, TOP, MARGIN = 0.7, 3, 100.0

State = dict[str, Tensor]


def dropout(x: Tensor) -> Tensor:
    """Section 1.8."""
    # The units are drawn as ours, so that losses can be compared.
    return x * mask(x, DROPOUT)


def norm(x: Tensor, state: State, name: str) -> Tensor:
    mean, variance = state[f"{name}.running_mean"].clone(), state[f"{name}.running_var"].clone()
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"], training=True)


def temporal(rows: Tensor, state: State) -> Tensor:
    """Section 1.3."""
    u = rows.permute(0, 2, 1)
    parts = []
    for i, dilation in enumerate((1, 2, 4), start=1):
        name = f"Aggregate.conv_{i}"
        weight, bias = state[f"{name}.0.weight"], state[f"{name}.0.bias"]
        parts.append(norm(F.relu(F.conv1d(u, weight, bias, padding=dilation, dilation=dilation)), state, f"{name}.2"))
    g = F.relu(F.conv1d(u, state["Aggregate.conv_4.0.weight"]))
    theta, phi, gamma = (
        F.conv1d(g, state[f"Aggregate.non_local.{k}.weight"], state[f"Aggregate.non_local.{k}.bias"])
        for k in ("theta", "phi", "g")
    )
    pairs = torch.matmul(theta.permute(0, 2, 1), phi) / rows.shape[1]
    y = torch.matmul(pairs, gamma.permute(0, 2, 1)).permute(0, 2, 1).contiguous()
    name = "Aggregate.non_local.W"
    restored = F.conv1d(y, state[f"{name}.0.weight"], state[f"{name}.0.bias"])
    parts.append(norm(restored, state, f"{name}.1") + g)
    fused = F.conv1d(torch.cat(parts, 1), state["Aggregate.conv_5.0.weight"], padding=1)
    return (norm(F.relu(fused), state, "Aggregate.conv_5.2") + u).permute(0, 2, 1).contiguous()


def losses(bags: Tensor, state: State) -> Tensor:
    """Classification, magnitude, smoothness and sparsity of rows ``(videos, crops, T, D)`` (section 2)."""
    videos, crops, segments, _ = bags.shape
    x = dropout(temporal(bags.flatten(0, 1), state))
    hidden = dropout(F.relu(F.linear(x, state["fc1.weight"], state["fc1.bias"])))
    hidden = dropout(F.relu(F.linear(hidden, state["fc2.weight"], state["fc2.bias"])))
    scores = torch.sigmoid(F.linear(hidden, state["fc3.weight"], state["fc3.bias"]))
    scores = scores.view(videos, crops, segments).mean(1)
    magnitudes = torch.norm(x, p=2, dim=2).view(videos, crops, segments).mean(1)
    kept = dropout(torch.ones(videos, segments, device=x.device))
    places = torch.topk(magnitudes * kept, TOP, dim=1)[1]
    x = x.view(videos, crops, segments, -1)
    chosen = [
        torch.stack([torch.stack([x[v, c, place] for place in places[v]]) for v in range(videos)]) for c in range(crops)
    ]
    lengths = torch.stack([torch.norm(rows.mean(1), p=2, dim=1) for rows in chosen])
    half = videos // 2
    means = torch.gather(scores, 1, places).mean(1)
    labels = torch.cat([torch.ones(half), torch.zeros(half)]).to(x.device)
    magnitude = ((MARGIN - lengths[:, :half]).abs() + lengths[:, half:]).square().mean()
    laid = scores[:half].reshape(-1)
    smoothness = ((laid[1:] - laid[:-1]) ** 2).sum()
    return torch.stack(
        [F.binary_cross_entropy(means, labels), 1e-4 * magnitude, 8e-4 * smoothness, 8e-3 * torch.norm(laid)]
    )


def selected_losses(bags: Tensor, state: State, ratio: float, draws: int, sigma: float) -> Tensor:
    """Of rows that are multiplied by how often they are selected (CLIP-TSA, section 3)."""
    rows = bags.flatten(0, 1)
    hidden = F.relu(F.linear(rows, state["hard_attention.scorer.fc1.weight"], state["hard_attention.scorer.fc1.bias"]))
    rates = F.linear(hidden, state["hard_attention.scorer.fc2.weight"], state["hard_attention.scorer.fc2.bias"])
    k = max(1, min(int(rows.shape[1] * ratio), rows.shape[1]))
    one_hot = DisturbedTopK.apply(torch.sigmoid(rates).squeeze(-1), k, draws, sigma)
    picked = one_hot.sum(1)
    return losses((rows * picked[..., None]).view_as(bags), state)


class DisturbedTopK(torch.autograd.Function):
    """One-hot places ``(sequences, k, T)`` of the highest rates, in order, the mean over draws; with the authors'
    gradient, from one-hot places of every draw."""

    @staticmethod
    def forward(ctx: Any, rates: Tensor, k: int, draws: int, sigma: float) -> Tensor:
        noise = torch.randn(len(rates), draws, rates.shape[1], device=rates.device)
        places = torch.topk(rates[:, None] + sigma * noise, k, dim=-1, sorted=False)[1].sort(-1)[0]
        one_hot = F.one_hot(places, rates.shape[1]).float()
        ctx.save_for_backward(noise, one_hot)
        ctx.scale = 1 / (draws * sigma)
        return one_hot.mean(1)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        noise, one_hot = ctx.saved_tensors
        # The gradient of every place of a row is the same: that of its share.
        weights = torch.einsum("snt,st->sn", noise, outer[:, 0])
        return torch.einsum("snkt,sn->st", one_hot, weights) * ctx.scale, None, None, None
