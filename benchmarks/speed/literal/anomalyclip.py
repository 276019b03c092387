"""AnomalyCLIP as its specification reads, line by line, for UCF-Crime: nothing is skipped or kept, and activations are
computed again in the backward pass, as by the reversible network.

``state`` holds the weights under our names, ``text`` is CLIP's text tower. Sections are those of the specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

SEGMENTS, LENGTH, CONTEXT, HEADS, CHOSEN, DROPPED = 32, 16, 8, 8, 3, 0.7

State = dict[str, Tensor]


def text_features(words: list[str], state: State, text: Any) -> Tensor:
    """Sections 2.2 and 2.3: all 77 positions of every prompt, that of the normal class among them."""
    tokens = text.tokenize(["X " * CONTEXT + word + "." for word in words])
    embedded = text.token_embedding(tokens)
    prompts = torch.cat([embedded[:, :1], state["directions.ctx"], embedded[:, 1 + CONTEXT :]], 1)
    causal = torch.full((text.context_length, text.context_length), -math.inf, device=prompts.device).triu(1)
    x = text.transformer(prompts + text.positional_embedding, attn_mask=causal)
    return (
        text.ln_final(x)[torch.arange(len(words), device=x.device), tokens.argmax(-1)]
        @ state["directions.text_projection"]
    )


def similarity(rows: Tensor, words: list[str], normal: int, state: State, text: Any, training: bool) -> Tensor:
    """Section 2.5: centred rows ``(rows, D)`` to ``(rows, C')``."""
    features = text_features(words, state, text)
    moved = torch.cat([features[:normal], features[normal + 1 :]]) - state["centroid"]
    projected = rows @ (moved / moved.norm(dim=-1, keepdim=True)).T
    mean, variance = state["selector.bn.running_mean"], state["selector.bn.running_var"]
    if training:
        mean, variance = projected.mean(0), projected.var(0, unbiased=False)
    return (projected - mean) / torch.sqrt(variance + 1e-5)


def temporal(grid: Tensor, state: State) -> Tensor:
    """Section 2.6: ``(B, N, L, D)`` to logits ``(B, N, L)``."""
    x = F.linear(grid, state["temporal.projection.weight"], state["temporal.projection.bias"])
    first = second = x + state["temporal.body.segment_position"] + state["temporal.body.row_position"]
    blocks: list[Callable[[Tensor], Tensor]] = [
        partial(attention, state=state, name="temporal.body.over_segments.0", axis=1),
        partial(attention, state=state, name="temporal.body.over_rows.0", axis=2),
        partial(feed, state=state, name="temporal.body.feed_first.0"),
        partial(feed, state=state, name="temporal.body.feed_second.0"),
    ]
    for f, g in (blocks[:2], blocks[2:]):
        first = first + again(f, second)
        second = second + again(g, first)
    out = (first + second) / 2
    out = F.layer_norm(out, out.shape[-1:], state["temporal.norm.weight"], state["temporal.norm.bias"])
    return F.linear(out, state["temporal.linear.weight"], state["temporal.linear.bias"]).squeeze(-1)


def again(block: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return checkpoint(block, x, use_reentrant=False) if torch.is_grad_enabled() else block(x)


def attention(grid: Tensor, state: State, name: str, axis: int) -> Tensor:
    lines = grid.transpose(1, 2) if axis == 1 else grid
    width = grid.shape[-1]
    x = F.layer_norm(lines, (width,), state[f"{name}.norm.weight"], state[f"{name}.norm.bias"])
    parts = [x @ state[f"{name}.to_q.weight"].T, *(x @ state[f"{name}.to_kv.weight"].T).chunk(2, -1)]
    query, key, value = (p.unflatten(-1, (HEADS, width // HEADS)).transpose(-2, -3) for p in parts)
    attended = torch.softmax(query @ key.mT / math.sqrt(width // HEADS), -1) @ value
    out = F.linear(attended.transpose(-2, -3).flatten(-2), state[f"{name}.to_out.weight"], state[f"{name}.to_out.bias"])
    return out.transpose(1, 2) if axis == 1 else out


def feed(grid: Tensor, state: State, name: str) -> Tensor:
    x = grid.permute(0, 3, 1, 2).contiguous()
    deviation = x.var(1, unbiased=False, keepdim=True).sqrt() + 1e-5
    x = (x - x.mean(1, keepdim=True)) / deviation
    x = x * state[f"{name}.norm.weight"].view(1, -1, 1, 1) + state[f"{name}.norm.bias"].view(1, -1, 1, 1)
    hidden = F.leaky_relu(F.conv2d(x, state[f"{name}.widen.weight"], state[f"{name}.widen.bias"], padding=1))
    out = F.conv2d(hidden, state[f"{name}.narrow.weight"], state[f"{name}.narrow.bias"], padding=1)
    return out.permute(0, 2, 3, 1)


def losses(features: Tensor, labels: Tensor, words: list[str], normal: int, state: State, text: Any) -> Tensor:
    """The seven weighted terms of section 3, in its order; features ``(B, N L, D)``, labels the classes' ids."""
    half = len(features) // 2
    rows = features - state["centroid"]
    z = similarity(rows.flatten(0, 1), words, normal, state, text, True).view(2 * half, SEGMENTS, LENGTH, -1)
    s = torch.sigmoid(temporal(rows.view(2 * half, SEGMENTS, LENGTH, -1), state))
    columns = [y if y < normal else y - 1 for y in labels[:half].tolist()]
    keep = torch.full((2 * half, SEGMENTS), 1 - DROPPED)
    torch.bernoulli(keep)
    mask = torch.bernoulli(keep).bool().to(features.device)
    scores = z.detach().sum(2)
    own, likely, low, high = [], [], [], []
    for v in range(half):
        column = scores[v, :, columns[v]]
        top = torch.where(mask[v], column, -1e6).topk(CHOSEN).indices
        bottom = torch.where(mask[v], column, 1e6).topk(CHOSEN, largest=False).indices
        every = torch.where(mask[half + v], scores[half + v].sum(-1), -1e6 * z.shape[-1])
        own.append(z[v, top][..., columns[v]])
        likely.append(torch.log(torch.softmax(z[v, top], -1)[..., columns[v]] * s[v, top]))
        low.append(torch.log(1 - s[v, bottom]))
        high.append(torch.log(1 - s[half + v, every.topk(CHOSEN).indices]))
    line = s[:half].flatten()
    return torch.stack(
        [
            -torch.stack(own).mean(),
            z[half:].max(-1).values.mean(),
            -torch.stack(likely).mean(),
            -torch.stack(low).mean(),
            -torch.stack(high).mean(),
            8e-4 * ((line[1:] - line[:-1]) ** 2).sum(),
            8e-3 * line.mean(),
        ]
    )


def score(rows: Tensor, words: list[str], normal: int, state: State, text: Any) -> Tensor:
    """Scores of a video ``(rows, D)`` (sections 1.8 and 2.6)."""
    windows = math.ceil(len(rows) / (SEGMENTS * LENGTH))
    padded = torch.stack([rows[i % len(rows)] for i in range(windows * SEGMENTS * LENGTH)]) - state["centroid"]
    similarity(padded, words, normal, state, text, False)
    grid = padded.view(SEGMENTS, windows, LENGTH, -1).transpose(0, 1)
    return torch.sigmoid(temporal(grid, state)).transpose(0, 1).flatten()[: len(rows)]
