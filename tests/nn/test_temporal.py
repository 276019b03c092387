"""The temporal model that several methods share, against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vadbench.nn.temporal import LocalGlobal, scaled

DIM = 24


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


@pytest.mark.parametrize("residual", [True, False])
def test_the_graph_against_loops(residual):
    torch.manual_seed(0)
    model = LocalGlobal(6, 8, 4, 1, 2, residual, ("global",))
    x = torch.randn(1, 8, 6)
    length = 5
    found = model(x, torch.tensor([length]))[0, :length].detach().numpy()
    rows, weight = x[0, :length].numpy(), model.join.weight.detach().double().numpy()
    for i in range(length):
        similar = softmax(np.array([unit(rows[i]) @ unit(rows[j]) for j in range(length)]))
        near = softmax(np.array([-abs(i - j) / 1.0 for j in range(length)]))
        joined = np.concatenate([sum(w[j] * rows[j] for j in range(length)) for w in (similar, near)])
        wanted = np.maximum(weight @ joined, 0) + (rows[i] if residual else 0)
        np.testing.assert_allclose(found[i], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "parts, reached",
    [((), {6}), (("local",), {4, 5, 6, 7}), (("global",), set(range(16))), (("local", "global"), set(range(16)))],
    ids=str,
)
def test_temporal_parts_see_as_far_as_their_name_says(parts, reached):
    torch.manual_seed(7)
    model = LocalGlobal(DIM, 16, 4, 1, 2, True, parts)
    rows = torch.randn(1, 16, DIM)
    changed = rows.clone()
    changed[0, 6] = torch.randn(DIM)
    with torch.no_grad():
        moved = (model(changed, torch.tensor([16])) - model(rows, torch.tensor([16])))[0].abs().amax(1) > 1e-7
    assert set(moved.nonzero().flatten().tolist()) == reached


def test_scaling_leaves_angles_and_zeros_as_they_are():
    rows = torch.randn(4, DIM, generator=torch.Generator().manual_seed(0)) * 100
    rows[2] = 0
    found = scaled(rows)
    torch.testing.assert_close(found.square().mean(-1), torch.tensor([1.0, 1.0, 0.0, 1.0]))
    torch.testing.assert_close(torch.cosine_similarity(found[0], rows[0], dim=0), torch.tensor(1.0))
