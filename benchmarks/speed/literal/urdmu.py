"""UR-DMU as its specification reads, line by line: nothing skipped, batched or kept.

``state`` holds the weights under the names of the authors' checkpoints. Sections are those of the specification. What
training draws is given, in the order of section 1.11: the units that dropout keeps, half of them, and the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

HEADS, LAYERS = 4, 2

State = dict[str, Tensor]


def dense(x: Tensor, state: State, name: str) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def norm(x: Tensor, state: State, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def dropout(x: Tensor, kept: Iterator[Tensor] | None) -> Tensor:
    return x if kept is None else x * next(kept) / 0.5


def transformer(x: Tensor, state: State, kept: Iterator[Tensor] | None) -> Tensor:
    """Sections 1.3 and 1.4, for rows ``(B, T, D)``."""
    weight, bias = state["embedding.conv_1.0.weight"], state["embedding.conv_1.0.bias"]
    x = F.relu(F.conv1d(x.transpose(1, 2), weight, bias, padding=1).transpose(1, 2))
    place = torch.arange(x.shape[1], dtype=torch.float32, device=x.device)
    near = torch.exp(-(place[:, None] - place).abs() / math.e)
    local = near / near.sum(0)
    for i in range(LAYERS):
        name = f"selfatt.layers.{i}"
        projected = dense(norm(x, state, f"{name}.0.norm"), state, f"{name}.0.fn.to_qkv")
        parts = [p.unflatten(-1, (HEADS, -1)).transpose(1, 2) for p in projected.chunk(4, -1)]
        query, key, value, other = parts
        attended = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), -1) @ value
        both = torch.cat([attended, local @ other], -1).transpose(1, 2).flatten(2)
        x = dropout(dense(both, state, f"{name}.0.fn.to_out.0"), kept) + x
        hidden = dropout(F.gelu(dense(norm(x, state, f"{name}.1.norm"), state, f"{name}.1.fn.net.0")), kept)
        x = dropout(dense(hidden, state, f"{name}.1.fn.net.3"), kept) + x
    return x


def memory(x: Tensor, state: State, name: str) -> tuple[Tensor, Tensor]:
    """Scores ``(B, T)`` and what is read ``(B, T, W)`` (section 1.5)."""
    slots = state[f"{name}.memory_block"]
    weights = torch.sigmoid(x @ slots.T / math.sqrt(x.shape[-1]))
    return weights.topk(len(slots) // 16 + 1, -1).values.mean(-1), weights @ slots


def classifier(x: Tensor, read: Tensor, state: State) -> Tensor:
    hidden = F.relu(dense(torch.cat([x, read], -1), state, "cls_head.mlp.0"))
    return torch.sigmoid(dense(hidden, state, "cls_head.mlp.2")).squeeze(-1)


def chosen(rows: Tensor, scores: Tensor) -> Tensor:
    index = scores.topk(scores.shape[1] // 16 + 1, -1).indices
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1])).mean(1)


def highest(values: Tensor) -> Tensor:
    return values.topk(values.shape[1] // 16 + 1, -1).values.mean(-1)


def entropy(values: Tensor, target: Any) -> Tensor:
    return F.binary_cross_entropy(values, torch.zeros_like(values) + target)


def losses(segments: Tensor, state: State, kept: Iterator[Tensor], noise: Tensor) -> Tensor:
    """The weighted terms (sections 1.9 and 2) of as many normal samples as abnormal ones after them."""
    half = len(segments) // 2
    x = transformer(segments, state, kept)
    normal, abnormal = x[:half], x[half:]
    s_aa, r_aa = memory(abnormal, state, "Amemory")
    s_an, r_an = memory(abnormal, state, "Nmemory")
    s_na, r_na = memory(normal, state, "Amemory")
    s_nn, r_nn = memory(normal, state, "Nmemory")
    rows = [chosen(normal, s_nn), chosen(abnormal, s_an), chosen(abnormal, s_aa)]
    anchor, positive, negative = (row / row.norm(dim=-1, keepdim=True) for row in rows)
    mean, log_variance = dense(r_nn, state, "encoder_mu.0"), dense(r_nn, state, "encoder_var.0")
    z_n = mean + noise * torch.sqrt(torch.exp(log_variance))
    z_a = dense(r_aa, state, "encoder_mu.0")
    read = torch.cat([z_n + dense(r_na, state, "encoder_mu.0"), z_a + dense(r_an, state, "encoder_mu.0")])
    frame = classifier(x, read, state)
    labels = torch.cat([torch.zeros(half), torch.ones(half)]).to(x.device)
    nearer = (anchor - positive + 1e-6).norm(dim=-1) - (anchor - negative + 1e-6).norm(dim=-1)
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
    lengths = chosen(z_a, s_aa).norm(dim=-1) - chosen(z_n, s_nn).norm(dim=-1)
    return torch.stack(
        [
            entropy(highest(frame), labels),
            0.1 * entropy(highest(1 - s_an), 1),
            0.1 * entropy(s_nn, 1),
            0.1 * F.relu(1 + nearer).mean(),
            0.1 * entropy(highest(s_aa), 1),
            0.1 * entropy(s_na, 0),
            0.001 * divergence,
            1e-4 * F.relu(100 - lengths).mean(),
        ]
    )


def score(rows: Tensor, state: State) -> Tensor:
    """Scores of a video ``(rows, D)`` (section 1.8)."""
    x = transformer(rows[None], state, None)
    read = sum(dense(memory(x, state, name)[1], state, "encoder_mu.0") for name in ("Amemory", "Nmemory"))
    return classifier(x, read, state)[0]
