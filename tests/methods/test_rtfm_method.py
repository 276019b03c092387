"""RTFM's behaviour: every ablation and mended quirk, network and losses against slow references, and that it learns."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from vadbench_mil.config import RtfmConfig
from vadbench_mil.losses import magnitude_gap, mass, roughness, top_places, weighted_terms
from vadbench_mil.magnitude import magnitudes
from vadbench_mil.network import MultiScaleNetwork, NonLocalBlock
from vadbench_mil.rtfm import Rtfm

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError, ConfigError
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Task
from vadbench.training.loop import autocast
from vadbench.training.stages import TrainingLoop

DIM = 24
CPU = torch.device("cpu")
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Normal", "Fighting"))), 1)
SMALL: dict[str, Any] = {"segments": 8, "top_k": 2, "hidden": (16, 8)}
TERMS = {"classification", "magnitude", "smoothness", "sparsity"}

ABLATIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, TERMS),
    ({"branches": "dilated"}, TERMS),
    ({"branches": "attention"}, TERMS),
    ({"branches": "none"}, TERMS),
    ({"branch_width": 5}, TERMS),
    ({"magnitude": False}, TERMS - {"magnitude"}),
    ({"alpha": 0.0}, TERMS - {"magnitude"}),
    ({"smoothness": 0.0}, TERMS - {"smoothness"}),
    ({"sparsity": 0.0}, TERMS - {"sparsity"}),
    ({"selection_dropout": 0.0}, TERMS),
    ({"dropout": 0.0}, TERMS),
    ({"magnitude_of": "whole"}, TERMS),
    ({"distance": "hinge", "margin": 1.0}, TERMS),
    ({"regularised": "video"}, TERMS),
    ({"segments": 1, "top_k": 1}, TERMS),
]


def no_text() -> Any:
    raise AssertionError("the text tower was asked for")


def build(dim: int = DIM, **settings: Any) -> Rtfm:
    torch.manual_seed(1)
    return Rtfm(RtfmConfig(**SMALL | settings), Task(CLASSES, dim, CPU, no_text))


def features(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((*shape, DIM)).astype(np.float32)


def scores_of(method: Rtfm, *videos: np.ndarray) -> list[torch.Tensor]:
    with torch.inference_mode():
        return [s.anomaly for s in method.eval().score(as_videos([torch.from_numpy(v) for v in videos]))]


@pytest.mark.parametrize("settings, terms", ABLATIONS)
def test_every_ablation_trains_and_scores(batch, settings, terms):
    method = build(**settings)
    torch.nn.init.ones_(method.temporal.non_local.norm.weight) if method.temporal.non_local else None
    found = method.train().loss(batch(method))
    assert set(found) == terms
    sum(found.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in method.parameters())
    lengths = (1, 2, 3, 17, 100)
    for rows, scores in zip(lengths, scores_of(method, *(features(n) for n in lengths)), strict=True):
        assert scores.shape == (rows,) and scores.dtype == torch.float32
        assert scores.min() >= 0 and scores.max() <= 1


def test_scores_do_not_depend_on_company():
    method = build()
    videos = [features(n, seed=n) for n in (1, 2, 40, 300)]
    together = scores_of(method, *videos)
    for video, scores in zip(videos, together, strict=True):
        assert torch.equal(scores_of(method, video)[0], scores)


@pytest.mark.parametrize("crops", [1, 3])
def test_a_bag_has_the_mean_score_of_its_crops(crops):
    method, bag = build(), features(crops, 9)
    of_crops = scores_of(method, *bag)
    torch.testing.assert_close(scores_of(method, bag)[0], torch.stack(of_crops).mean(0))


def test_crops_beyond_a_number_of_rows_are_scored_one_after_the_other(monkeypatch):
    method, bag, seen = build(), features(5, 30), []
    (whole,) = scores_of(method, bag)
    monkeypatch.setattr("vadbench.nn.parts.ROWS_AT_ONCE", 60)
    method.temporal.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    (in_parts,) = scores_of(method, bag)
    assert seen == [2, 2, 1]
    torch.testing.assert_close(in_parts, whole)


def test_the_order_of_kinds_in_a_batch_does_not_matter(batch):
    method = build(dropout=0.0, selection_dropout=0.0).train()
    x = batch(method, (40, 5, 16, 1, 30, 22))
    found = method.loss(x)
    for turned in ([3, 4, 5, 0, 1, 2], [0, 3, 1, 4, 2, 5], [3, 0, 4, 1, 5, 2]):
        y = Batch({"rows": x.views["rows"][turned]}, x.labels[turned])
        for name, value in method.loss(y).items():
            torch.testing.assert_close(value, found[name], msg=name)


def test_crops_of_a_training_video_stay_together(batch):
    """Their magnitudes choose together; a batch of single crops and one of bags of one are the same."""
    method = build(dropout=0.0, selection_dropout=0.0)
    single = batch(method)
    bags = type(single)({"rows": single.views["rows"][:, None]}, single.labels)
    assert method.loss(single).keys() == method.loss(bags).keys()
    method = build(dropout=0.0, selection_dropout=0.0).train()
    other = build(dropout=0.0, selection_dropout=0.0).train()
    for a, b in zip(method.loss(single).values(), other.loss(bags).values(), strict=True):
        assert torch.equal(a, b)
    assert method.view(VideoInput.of_rows(features(3, 20)), np.random.default_rng(0))["rows"].shape == (3, 8, DIM)
    lengths = torch.from_numpy(features(2, 3, 8))
    torch.testing.assert_close(magnitudes(lengths), lengths.norm(dim=-1).mean(1))


def test_the_non_local_block_is_the_products_of_all_pairs():
    torch.manual_seed(0)
    block = NonLocalBlock(6).double().eval()
    rows = torch.randn(2, 7, 6, dtype=torch.double)
    with torch.no_grad():
        assert torch.equal(block(rows), rows), "it begins as the identity"
        torch.nn.init.normal_(block.norm.weight)
        torch.nn.init.normal_(block.restore.bias)
        query, key, value = (layer(rows) for layer in (block.query, block.key, block.value))
        taken = torch.zeros(2, 7, 3, dtype=torch.double)
        for i in range(7):
            for j in range(7):
                taken[:, i] += (query[:, i] * key[:, j]).sum(1, keepdim=True) / 7 * value[:, j]
        wanted = rows + block.norm(block.restore(taken))
        torch.testing.assert_close(block(rows), wanted)


@pytest.mark.parametrize("branches", ["both", "dilated", "attention", "none"])
@pytest.mark.parametrize("length", [1, 8, 9, 16, 31])
def test_a_long_sequence_is_scored_in_parts_as_if_it_were_whole(monkeypatch, branches, length):
    """Shorter parts than a row reaches, one that is full, and one of a single row."""
    torch.manual_seed(length)
    network = MultiScaleNetwork(12, 4, branches).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    rows, shares = torch.randn(2, length, 12), torch.rand(2, length, 1)
    with torch.inference_mode():
        whole, of_shares = network(rows), network(rows * shares)
        for at_once in (3, 8, 100):
            monkeypatch.setattr("vadbench_mil.network.ROWS_AT_ONCE", at_once)
            parts = list(network.in_parts(rows))
            assert [part.shape[1] for part in parts[:-1]] == [at_once] * (len(parts) - 1)
            torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)
            found = torch.cat(list(network.in_parts(rows, shares)), 1)
            torch.testing.assert_close(found, of_shares, atol=1e-5, rtol=1e-5)


def test_a_row_reaches_as_far_as_its_branches_do():
    """Four rows by the widest dilated convolution and one more by the fusing one; every row by the non-local block."""
    for branches, reached in (("dilated", 5), ("attention", 40), ("none", 0)):
        torch.manual_seed(0)
        network = MultiScaleNetwork(DIM, 6, branches).double().eval()
        if network.non_local is not None:
            torch.nn.init.ones_(network.non_local.norm.weight)
        rows = torch.randn(1, 81, DIM, dtype=torch.double)
        moved = rows.clone()
        moved[0, 40] += 1
        changed = ((network(moved) - network(rows)).abs().amax(-1)[0] > 1e-12).nonzero()[:, 0]
        assert [int(changed.min()), int(changed.max())] == [40 - reached, 40 + reached], branches


def test_beginning():
    """Xavier-uniform weights and biases of 0; one more batch norm weight is 0 than torch has it."""
    method = build(dim=512)
    for name, parameter in method.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
    weight = method.temporal.dilated[0].convolution.weight
    bound = (6 / (3 * (512 + 128))) ** 0.5
    assert 0.99 * bound < float(weight.detach().abs().max()) <= bound
    assert not method.temporal.non_local.norm.weight.any()


def test_the_choice_hides_most_segments():
    torch.manual_seed(0)
    values = torch.rand(4000, 8) + 1
    method = build(selection_dropout=0.7).train()
    chosen = method.choose(values, values)
    largest = top_places(values, 1)
    share = float((chosen == largest).any(1).float().mean())
    assert 0.28 < share < 0.36, "the largest is seen in 0.3 of all choices, or is among ties at 0"
    method = build(selection_dropout=0.0).train()
    assert torch.equal(method.choose(values, values), top_places(values, 2))
    assert torch.equal(build().eval().choose(values, values), top_places(values, 2))


def test_without_magnitude_scores_choose():
    scores, lengths = torch.rand(5, 8), torch.rand(5, 8)
    method = build(magnitude=False, selection_dropout=0.0).train()
    assert torch.equal(method.choose(scores, lengths), top_places(scores, 2))
    method = build(selection_dropout=0.0).train()
    assert torch.equal(method.choose(scores, lengths), top_places(lengths, 2))


def test_magnitudes_of_rows_before_or_after_dropout():
    rows = torch.randn(2, 8, DIM)
    for setting, share in (("dropped", 0.7), ("whole", 0.0)):
        torch.manual_seed(0)
        counted = build(magnitude_of=setting).train()(rows)[1]
        assert float((counted == 0).float().mean()) == pytest.approx(share, abs=0.1)


def test_terms_against_loops():
    torch.manual_seed(0)
    scores = torch.rand(3, 8, dtype=torch.double)
    laid = scores.flatten().tolist()
    whole = sum((b - a) ** 2 for a, b in pairwise(laid))
    assert float(roughness(scores, "batch")) == pytest.approx(whole)
    each = [sum((b - a) ** 2 for a, b in pairwise(v)) for v in scores.tolist()]
    assert float(roughness(scores, "video")) == pytest.approx(sum(each) / 3)
    assert float(mass(scores, "batch")) == pytest.approx(sum(s * s for s in laid) ** 0.5)
    norms = [sum(s * s for s in v) ** 0.5 for v in scores.tolist()]
    assert float(mass(scores, "video")) == pytest.approx(sum(norms) / 3)


@pytest.mark.parametrize("distance, short", [("absolute", (2.0, 5.0)), ("hinge", (2.0, 0.0))])
def test_magnitudes_beyond_the_margin(distance, short):
    """Two pairs: the abnormal rows are 8 and 15 long, the normal ones 1 and 3, the margin is 10."""
    abnormal = torch.tensor([[[8.0, 0.0]], [[0.0, 15.0]]])
    normal = torch.tensor([[[0.0, 1.0]], [[3.0, 0.0]]])
    wanted = ((short[0] + 1) ** 2 + (short[1] + 3) ** 2) / 2
    assert float(magnitude_gap(abnormal, normal, 10, distance)) == pytest.approx(wanted)


def test_weights_of_the_terms():
    """Of the norm of the mean of the chosen rows, not of the mean of their norms."""
    config = RtfmConfig(alpha=0.5, smoothness=2.0, sparsity=3.0, margin=1.0)
    scores = torch.tensor([[0.0, 1.0]])
    rows = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    found = weighted_terms(scores, (torch.tensor([0.5]), torch.tensor([0.25])), (rows, 0 * rows), config)
    wanted = {"classification": -(np.log(0.5) + np.log(0.75)) / 2, "magnitude": 0.5 * (1 - 0.5**0.5) ** 2}
    assert {k: float(v) for k, v in found.items()} == pytest.approx(wanted | {"smoothness": 2.0, "sparsity": 3.0})


def test_scores_and_losses_are_float32_in_bfloat16(batch):
    method = build()
    with autocast("bf16", CPU):
        terms = method.train().loss(batch(method))
        (scores,) = scores_of(method, features(50))
    assert {t.dtype for t in terms.values()} == {torch.float32}
    assert scores.dtype == torch.float32 and len(scores.unique()) > 40


def test_it_learns(toy, tmp_path):
    train, test = toy(CLASSES, 32, seed=1), toy(CLASSES, 40, seed=2)
    recipe = {"steps": 80, "epoch_steps": 40, "batch_size": 16}
    method = build(dropout=0.1, selection_dropout=0.3, hidden=(64, 16), recipe=recipe)

    def measured() -> float:
        scores = torch.cat(scores_of(method, *(v.rows for v in test))).numpy()
        return float(roc_auc_score(np.concatenate([v.classes for v in test]) != CLASSES.normal, scores))

    before = measured()
    TrainingLoop(0, tmp_path).run(method, [v.sample for v in train], method.config.recipe)
    assert measured() > max(0.8, before)


@pytest.mark.parametrize(
    "assignment, message",
    [
        (("recipe.sampler=mixed",), "an abnormal video is paired with a normal one"),
        (("top_k=33",), "at most segments = 32"),
        (("branch_width=1",), "must be 2 or more"),
        (("branches=none", "branch_width=8"), "no effect with branches=none"),
        (("dropout=0", "magnitude_of=whole"), "no effect without dropout"),
        (("magnitude=false", "distance=hinge"), "no effect with magnitude=false"),
        (("magnitude=false", "margin=5"), "'margin'.*no effect with magnitude=false"),
        (("magnitude=false", "alpha=0.1"), "'alpha'.*no effect with magnitude=false"),
        (("alpha=0", "margin=5"), "'alpha'.*margin has no effect; leave margin out"),
        (("alpha=0", "distance=hinge"), "'alpha'.*distance has no effect; leave distance out"),
        (("smoothness=0", "sparsity=0", "regularised=video"), "no effect with smoothness=0 and sparsity=0"),
        (("hidden=[0, 4]",), "1 or more units"),
    ],
)
def test_settings_without_effect_are_refused(assignment, message):
    with pytest.raises(ConfigError, match=message):
        resolve(RtfmConfig, {}, assignments=list(assignment), environment={})


def test_an_ablation_has_no_released_weights():
    with pytest.raises(CheckpointError, match="branches=dilated"):
        build(branches="dilated").import_reference({})
