"""The layers that methods share, each against its definition written out."""

from __future__ import annotations

import math
import time
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packaging.version import Version
from torch import nn

from vadbench.base.errors import ConfigError
from vadbench.nn.attention import Attention, Block, Mlp, quick_gelu
from vadbench.nn.graph import GraphConvolution, distance_graph, similarity_graph
from vadbench.nn.linear import Linear, linear
from vadbench.nn.sampling import row_mask, top_mean


def seeded(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(6,), (3, 6), (32, 6), (2, 5, 6), (40, 64, 6), (2, 3, 4, 6)], ids=str)
@pytest.mark.parametrize("outputs", [8, 4, 1])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_is_torchs_with_its_gradients(shape, outputs, with_bias):
    found, wanted = [], []
    sizes = (shape, (outputs, 6), (outputs,))
    for function, results in ((linear, found), (F.linear, wanted)):
        x, weight, bias = (seeded(*s, seed=i).requires_grad_() for i, s in enumerate(sizes))
        out = function(x, weight, bias if with_bias else None)
        (out * seeded(*out.shape, seed=3)).sum().backward()
        results += [out, x.grad, weight.grad] + ([bias.grad] if with_bias else [])
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("needed", [0, 1, 2])
def test_linear_gives_only_the_gradient_that_is_asked_for(needed):
    tensors = [seeded(32, 6), seeded(8, 6, seed=1), seeded(8, seed=2)]
    tensors[needed].requires_grad_()
    found = []
    for function in (linear, F.linear):
        found += torch.autograd.grad(function(*tensors).square().sum(), tensors[needed])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_linear_under_autocast_is_torchs():
    x, weight = seeded(32, 6), seeded(8, 6, seed=1).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = linear(x, weight), F.linear(x, weight)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    found.sum().backward()


def test_linear_layer_is_torchs():
    torch.manual_seed(0)
    ours = Linear(6, 8)
    torch.manual_seed(0)
    theirs = nn.Linear(6, 8)
    torch.testing.assert_close(ours(seeded(2, 5, 6)), theirs(seeded(2, 5, 6)))


def test_torch_has_the_operation_that_onednn_computes_linear_layers_with():
    """It is not public: where this fails, another one must be found, or products take twice as long."""
    x, weight, bias = seeded(3, 32, 48), seeded(8, 48, seed=1), seeded(8, seed=2)
    wanted = F.linear(x, weight, bias)
    found = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-5)
    with mock.patch.object(F, "linear", None):
        assert torch.equal(linear(x, weight, bias), found)
    wide, bias = seeded(1366, 48, seed=3), seeded(1366, seed=4)
    of_wide = F.linear(x, wide, bias)
    with torch.inference_mode():
        assert torch.equal(linear(x, weight), F.linear(x, weight)), "a small weight"
        with mock.patch.object(F, "linear", None):
            torch.testing.assert_close(linear(x[:, 1:], wide, bias), of_wide[:, 1:], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("inputs, outputs", [(256, 256), (512, 128), (600, 111), (2048, 32)])
def test_a_rows_result_depends_neither_on_its_company_nor_on_threads(inputs, outputs):
    rows, weight, bias = seeded(700, inputs), seeded(outputs, inputs, seed=1), seeded(outputs, seed=2)
    usual = torch.get_num_threads()
    # An older oneDNN rounds otherwise for other numbers of rows, on a processor without AVX-512.
    near = 0.0 if Version(torch.__version__) >= Version("2.15") else 1e-5
    with torch.inference_mode():
        wanted = linear(rows, weight, bias)
        limit = near * wanted.abs().max().item()

        def require_same(found, first=0):
            torch.testing.assert_close(found, wanted[first : first + len(found)], rtol=0, atol=limit)

        for first, count in ((0, 16), (5, 19), (1, 17), (60, 64), (100, 313), (0, 512)):
            require_same(linear(rows[first : first + count], weight, bias), first)
        require_same(linear(rows.mT.contiguous().mT, weight, bias))
        try:
            torch.set_num_threads(usual + 1)
            require_same(linear(rows, weight, bias))
        finally:
            torch.set_num_threads(usual)


@pytest.mark.parametrize(
    "x, weight, bias",
    [
        pytest.param(seeded(8, 6), seeded(6, 4, seed=1).T, seeded(8, seed=2)[::2], id="strided"),
        pytest.param(seeded(8, 6), seeded(4, 6, seed=1), seeded(1, seed=2).expand(4), id="one bias"),
        pytest.param(seeded(6), seeded(4, 6, seed=1), None, id="one row"),
        pytest.param(seeded(0, 6), seeded(4, 6, seed=1), None, id="no row"),
        pytest.param(seeded(3, 0), seeded(4, 0, seed=1), seeded(4, seed=2), id="no input"),
        pytest.param(seeded(8, 6).double(), seeded(4, 6, seed=1).double(), None, id="double"),
        pytest.param(seeded(8, 6).bfloat16(), seeded(4, 6, seed=1).bfloat16(), None, id="bfloat16"),
    ],
)
def test_linear_takes_what_torchs_takes(x, weight, bias):
    found, wanted = linear(x, weight, bias), F.linear(x, weight, bias)
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted)


def test_part_of_a_wider_weight_takes_no_longer():
    """OneDNN would compute it by loops, 2,000 times as slowly."""
    x, wide = seeded(100, 256), seeded(128, 512, seed=1)
    parts = [wide[:, :256], wide[:, 256:], wide.T[:256].T, seeded(256, 256, seed=2)[::2]]

    def seconds(weight: torch.Tensor) -> float:
        before = time.thread_time()
        linear(x, weight)
        return time.thread_time() - before

    usual, *others = (min(seconds(weight) for _ in range(3)) for weight in (parts[0].contiguous(), *parts))
    assert max(others) < 50 * usual


def test_quick_gelu_is_clips():
    x = torch.linspace(-20, 20, 999)
    torch.testing.assert_close(quick_gelu(x), x * torch.sigmoid(1.702 * x))


def test_mlp_against_its_layers():
    torch.manual_seed(0)
    mlp, x, readout = Mlp(6), seeded(2, 5, 6), seeded(3, 6, seed=2)
    assert mlp.widen.weight.shape == (24, 6)
    hidden = F.linear(x, mlp.widen.weight, mlp.widen.bias)
    wanted = F.linear(hidden * torch.sigmoid(1.702 * hidden), mlp.narrow.weight, mlp.narrow.bias)
    torch.testing.assert_close(mlp(x), wanted)
    torch.testing.assert_close(mlp(x, readout), wanted @ readout.T)


def test_mlp_read_out_has_the_gradients_of_the_whole():
    torch.manual_seed(0)
    mlp, x = Mlp(6), seeded(2, 5, 6)
    grads = []
    for whole in (True, False):
        readout = seeded(1, 6, seed=2).requires_grad_()
        mlp.zero_grad()
        (mlp(x) @ readout.T if whole else mlp(x, readout)).square().sum().backward()
        grads.append([readout.grad, *(p.grad.clone() for p in mlp.parameters())])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def reference_attention(attention: Attention) -> nn.MultiheadAttention:
    """torch's own layer with the same weights."""
    width = attention.inputs.in_features
    theirs = nn.MultiheadAttention(width, attention.heads, batch_first=True)
    own = attention.state_dict()
    theirs.load_state_dict(
        {
            "in_proj_weight": own["inputs.weight"],
            "in_proj_bias": own["inputs.bias"],
            "out_proj.weight": own["output.weight"],
            "out_proj.bias": own["output.bias"],
        }
    )
    return theirs


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("window", [None, 1, 3, 4, 12])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_is_torchs_under_a_block_diagonal_mask(heads, window, padded):
    attention = randomised(Attention(8, heads, window))
    x, valid = seeded(2, 12, 8), row_mask(torch.tensor([12, 7]), 12)
    block = torch.arange(12) // (window or 12)
    mask = (block[:, None] == block)[None].repeat(2, 1, 1)
    if padded:
        seen = mask & valid[:, None]
        mask = torch.where(seen.any(-1, keepdim=True), seen, mask)
    theirs = reference_attention(attention)
    wanted, _ = theirs(x, x, x, attn_mask=~mask.repeat_interleave(heads, 0), need_weights=False)
    torch.testing.assert_close(attention(x, valid if padded else None), wanted, rtol=1e-5, atol=1e-5)


def test_one_heads_gradients_are_torchs():
    attention = randomised(Attention(8, 1, 4))
    x = seeded(2, 12, 8)
    theirs = reference_attention(attention)
    mask = torch.arange(12) // 4
    wanted, _ = theirs(x, x, x, attn_mask=mask[:, None] != mask, need_weights=False)
    weights = seeded(2, 12, 8, seed=5)
    (attention(x) * weights).sum().backward()
    (wanted * weights).sum().backward()
    pairs = [(attention.inputs.weight, theirs.in_proj_weight), (attention.inputs.bias, theirs.in_proj_bias)]
    pairs += [(attention.output.weight, theirs.out_proj.weight), (attention.output.bias, theirs.out_proj.bias)]
    for ours, reference in pairs:
        torch.testing.assert_close(ours.grad, reference.grad, rtol=1e-4, atol=1e-5)


def test_attention_starts_as_torchs():
    """Within its bounds: Xavier's for the inputs, none for biases."""
    torch.manual_seed(0)
    attention = Attention(64, 2)
    bound = math.sqrt(6 / (64 + 3 * 64))
    assert 0.9 * bound < attention.inputs.weight.abs().max() <= bound
    assert not attention.inputs.bias.any() and not attention.output.bias.any()


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="must divide the width 8 of a row, found 3"):
        Attention(8, 3)


def test_block_adds_attention_and_mlp_to_normalised_rows():
    block = randomised(Block(8, 2, 4))
    x = seeded(2, 12, 8)
    a, m = block.norm_attention, block.norm_mlp
    middle = x + block.attention(F.layer_norm(x, (8,), a.weight, a.bias, 1e-5))
    wanted = middle + block.mlp(F.layer_norm(middle, (8,), m.weight, m.bias, 1e-5))
    torch.testing.assert_close(block(x), wanted)


@given(length=st.integers(1, 9), threshold=st.floats(-0.5, 0.9), data=st.data())
@settings(max_examples=30, deadline=None)
def test_similarity_graph_against_loops(length, threshold, data):
    valid_rows = data.draw(st.integers(1, length))
    rows = np.random.default_rng(length).standard_normal((length, 3))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assume(np.abs(unit @ unit.T - threshold).min() > 1e-5)
    wanted = np.zeros((length, length))
    for i in range(valid_rows):
        cosine = [unit[i] @ unit[j] for j in range(valid_rows)]
        weights = np.exp([c if c > threshold else 0.0 for c in cosine])
        wanted[i, :valid_rows] = weights / weights.sum()
    x = torch.from_numpy(rows).float()[None]
    found = similarity_graph(x, row_mask(torch.tensor([valid_rows]), length), threshold)
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_similarity_graph_of_a_row_without_a_direction():
    """A row of zeros is similar to nothing, and its gradient is a number."""
    x = seeded(1, 4, 3)
    x[0, 1] = 0
    x.requires_grad_()
    graph = similarity_graph(x, torch.ones(1, 4, dtype=torch.bool), 0.7)
    torch.testing.assert_close(graph[0, 1], torch.full((4,), 0.25))
    graph.square().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_similarity_graph_is_exact_under_autocast():
    x, valid = seeded(2, 6, 4), torch.ones(2, 6, dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = similarity_graph(x, valid, 0.5)
    assert torch.equal(found, similarity_graph(x, valid, 0.5))


def test_distance_graph():
    wanted = [[math.exp(-abs(i - j) / math.e) for j in range(5)] for i in range(5)]
    np.testing.assert_allclose(distance_graph(5), wanted, rtol=1e-6)


@pytest.mark.parametrize("outputs", [4, 6], ids=["narrower", "same-width"])
def test_graph_convolution_against_loops(outputs):
    layer = randomised(GraphConvolution(6, outputs))
    x, graph = seeded(2, 7, 6), seeded(2, 7, 7, seed=1)
    wanted = torch.zeros(2, 7, outputs)
    for b in range(2):
        for i in range(7):
            wanted[b, i] = sum(graph[b, i, j] * (x[b, j] @ layer.weight) for j in range(7))
            if outputs == 6:
                wanted[b, i] += x[b, i]
                continue
            wanted[b, i] += layer.residual.bias
            for k in range(-2, 3):
                if 0 <= i + k < 7:
                    wanted[b, i] += layer.residual.weight[:, :, k + 2] @ x[b, i + k]
    torch.testing.assert_close(layer(x, graph), wanted.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer(x, graph[:1])[0], layer(x, graph[0])[0])


@given(data=st.data(), length=st.integers(1, 8), columns=st.sampled_from([None, 1, 3]))
@settings(max_examples=40, deadline=None)
def test_top_mean_against_sorting(data, length, columns):
    lengths = data.draw(st.lists(st.integers(1, length), min_size=1, max_size=4))
    ratio = data.draw(st.integers(1, 9))
    counts = [min(n, n // ratio + 1) for n in lengths]
    shape = (len(lengths), length) if columns is None else (len(lengths), length, columns)
    values = np.random.default_rng(length).standard_normal(shape).round(1)
    wanted = [np.sort(v[:n], axis=0)[::-1][:k].mean(0) for v, n, k in zip(values, lengths, counts, strict=True)]
    found = top_mean(torch.from_numpy(values), torch.tensor(lengths), ratio)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_top_mean_sends_gradients_to_what_it_averaged():
    values = torch.tensor([[1.0, 5.0, 3.0, 9.0]], requires_grad=True)
    top_mean(values, torch.tensor([3]), 3).sum().backward()
    assert values.grad.tolist() == [[0.0, 0.5, 0.5, 0.0]]
