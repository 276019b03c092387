"""VadCLIP as its specification reads, line by line, for UCF-Crime: nothing skipped, batched or kept.

``state`` holds the weights under the names of the authors' checkpoints, ``text`` is CLIP's text tower. Sections are
those of the specification.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LENGTH, WINDOW, PREFIX, POSTFIX = 256, 8, 10, 10

State = dict[str, Tensor]


def gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def mlp(x: Tensor, state: State, name: str) -> Tensor:
    hidden = gelu(F.linear(x, state[f"{name}.c_fc.weight"], state[f"{name}.c_fc.bias"]))
    return F.linear(hidden, state[f"{name}.c_proj.weight"], state[f"{name}.c_proj.bias"])


def norm(x: Tensor, state: State, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def text_features(words: list[str], state: State, text: Any) -> Tensor:
    """Section 1.4: all 77 positions of every prompt."""
    tokens = text.tokenize(words)
    prompts = state["text_prompt_embeddings.weight"].expand(len(words), -1, -1).clone()
    ends = []
    for i, end in enumerate(tokens.argmax(-1).tolist()):
        embedded = text.token_embedding(tokens[i])
        prompts[i, 0] = embedded[0]
        prompts[i, PREFIX + 1 : PREFIX + end] = embedded[1:end]
        ends.append(PREFIX + end + POSTFIX)
        prompts[i, ends[-1]] = embedded[end]
    causal = torch.full((text.context_length, text.context_length), -math.inf, device=prompts.device).triu(1)
    x = text.transformer(prompts + text.positional_embedding, attn_mask=causal)
    return text.ln_final(x)[torch.arange(len(words), device=x.device), ends] @ text.text_projection


def adapter(x: Tensor, lengths: Tensor, state: State) -> Tensor:
    """Section 1.2."""
    x = x + state["frame_position_embeddings.weight"]
    mask = torch.full((LENGTH, LENGTH), -math.inf, device=x.device)
    for start in range(0, LENGTH, WINDOW):
        mask[start : start + WINDOW, start : start + WINDOW] = 0
    for i in range(2):
        name = f"temporal.resblocks.{i}"
        y = norm(x, state, f"{name}.ln_1")
        projected = F.linear(y, state[f"{name}.attn.in_proj_weight"], state[f"{name}.attn.in_proj_bias"])
        query, key, value = projected.chunk(3, -1)
        attended = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]) + mask, -1) @ value
        x = x + F.linear(attended, state[f"{name}.attn.out_proj.weight"], state[f"{name}.attn.out_proj.bias"])
        x = x + mlp(norm(x, state, f"{name}.ln_2"), state, f"{name}.mlp")
    similar = similarity(x, lengths)
    place = torch.arange(LENGTH, dtype=torch.float32, device=x.device)
    near = torch.exp(-(place[:, None] - place).abs() / math.e).repeat(len(x), 1, 1)
    a = gelu(graph(gelu(graph(x, similar, state, "gc1")), similar, state, "gc2"))
    b = gelu(graph(gelu(graph(x, near, state, "gc3")), near, state, "gc4"))
    return F.linear(torch.cat([a, b], -1), state["linear.weight"], state["linear.bias"])


def similarity(x: Tensor, lengths: Tensor) -> Tensor:
    norms = x.norm(dim=-1, keepdim=True)
    cosine = x @ x.mT / (norms @ norms.mT + 1e-20)
    graphs = torch.zeros_like(cosine)
    for b, length in enumerate(lengths.tolist()):
        block = cosine[b, :length, :length]
        graphs[b, :length, :length] = torch.softmax(torch.where(block > 0.7, block, torch.zeros_like(block)), -1)
    return graphs


def graph(h: Tensor, edges: Tensor, state: State, name: str) -> Tensor:
    mixed = edges @ (h @ state[f"{name}.weight"])
    if f"{name}.residual.weight" not in state:
        return mixed + h
    weight, bias = state[f"{name}.residual.weight"], state[f"{name}.residual.bias"]
    return mixed + F.conv1d(h.transpose(1, 2), weight, bias, padding=2).transpose(1, 2)


def forward(x: Tensor, lengths: Tensor, words: list[str], state: State, text: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Text features, coarse logits ``(B, L)`` and alignment logits ``(B, L, C)`` (sections 1.3 and 1.5)."""
    rows = adapter(x, lengths, state)
    coarse = F.linear(rows + mlp(rows, state, "mlp2"), state["classifier.weight"], state["classifier.bias"])
    features = text_features(words, state, text)
    seen = (coarse.mT @ rows).squeeze(1)
    seen = seen / seen.norm(dim=-1, keepdim=True)
    targets = features[None] + seen[:, None]
    targets = targets + mlp(targets, state, "mlp1")
    rows = rows / rows.norm(dim=-1, keepdim=True)
    targets = targets / targets.norm(dim=-1, keepdim=True)
    return features, coarse.squeeze(-1), rows @ targets.mT / 0.07


def losses(x: Tensor, lengths: Tensor, labels: Tensor, words: list[str], state: State, text: Any) -> Tensor:
    """The coarse, the alignment and the divergence term (section 2); class 0 is normal."""
    features, coarse, align = forward(x, lengths, words, state, text)
    videos, classes = [], []
    for i, length in enumerate(lengths.tolist()):
        k = length // 16 + 1
        videos.append(torch.sigmoid(coarse[i, :length]).topk(k).values.mean())
        classes.append(align[i, :length].topk(k, dim=0).values.mean(0))
    share = labels / labels.sum(1, keepdim=True)
    unit = features / features.norm(dim=-1, keepdim=True)
    apart = torch.stack([(unit[0] * other).sum().abs() for other in unit[1:]]).sum()
    first = F.binary_cross_entropy(torch.stack(videos), 1 - labels[:, 0])
    second = -(share * F.log_softmax(torch.stack(classes), -1)).sum(1).mean()
    return torch.stack([first, second, 0.1 * apart / (len(unit) - 1)])


def score(rows: Tensor, words: list[str], state: State, text: Any) -> Tensor:
    """Coarse scores of a video ``(rows, D)``: chunks of 256, one of zeros where they would be full (section 3.5)."""
    count = len(rows) // LENGTH + 1
    chunks = torch.zeros(count * LENGTH, rows.shape[1], device=rows.device)
    chunks[: len(rows)] = rows
    lengths = torch.tensor([min(LENGTH, max(0, len(rows) - i * LENGTH)) for i in range(count)])
    coarse = forward(chunks.view(count, LENGTH, -1), lengths, words, state, text)[1]
    return torch.sigmoid(coarse).flatten()[: len(rows)]
