"""UR-DMU's behaviour: every ablation, local means and choices against slow references, bags, and that it learns."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from vadbench_urdmu import transformer
from vadbench_urdmu.config import UrDmuConfig
from vadbench_urdmu.losses import divergence
from vadbench_urdmu.method import Draws, UrDmu
from vadbench_urdmu.transformer import local_means

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError, ConfigError
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Task
from vadbench.nn.sampling import binned_sample
from vadbench.training.loop import autocast
from vadbench.training.stages import TrainingLoop

DIM = 24
CPU = torch.device("cpu")
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Normal", "Fighting"))), 1)
SMALL: dict[str, Any] = {
    "segments": 20,
    "width": 16,
    "heads": 2,
    "head_width": 6,
    "feed_forward": 12,
    "abnormal_slots": 18,
    "normal_slots": 7,
}
MEMORY_TERMS = {"abnormal_in_abnormal", "abnormal_not_in_normal", "normal_in_normal", "normal_not_in_abnormal"}
TERMS = {"classification", "triplet", "divergence", "distance"} | MEMORY_TERMS
OF_NORMAL_MEMORY = {"abnormal_not_in_normal", "normal_in_normal"}

ABLATIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, TERMS),
    ({"local": False}, TERMS),
    ({"local_rows": "row"}, TERMS),
    ({"memory": "single"}, TERMS - (MEMORY_TERMS - OF_NORMAL_MEMORY) - {"distance"}),
    ({"memory": "none"}, {"classification"}),
    ({"uncertainty": False}, TERMS - {"divergence", "distance"}),
    ({"memory": "single", "uncertainty": False}, {"classification", "triplet"} | OF_NORMAL_MEMORY),
    ({"memory_weight": 0.0}, TERMS - MEMORY_TERMS),
    ({"triplet_weight": 0.0}, TERMS - {"triplet"}),
    ({"kl_weight": 0.0}, TERMS - {"divergence"}),
    ({"distance_weight": 0.0}, TERMS - {"distance"}),
    ({"kl_axis": "units"}, TERMS),
    ({"anchor": "published"}, TERMS),
    ({"dropout": 0.0}, TERMS),
    ({"edges": "exact", "segments": 3}, TERMS),
    ({"heads": 1, "head_width": 16, "layers": 1}, TERMS),
]


def no_text() -> Any:
    raise AssertionError("the text tower was asked for")


def build(dim: int = DIM, **settings: Any) -> UrDmu:
    torch.manual_seed(1)
    slots = {"abnormal_slots": 60, "normal_slots": 60}
    left = {"dual": {}, "single": {"abnormal_slots": 60}, "none": slots}[settings.get("memory", "dual")]
    return UrDmu(UrDmuConfig(**SMALL | left | settings), Task(CLASSES, dim, CPU, no_text))


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)


def scores_of(method: UrDmu, *videos: np.ndarray) -> list[Any]:
    with torch.inference_mode():
        return method.eval().score(as_videos([torch.from_numpy(v) for v in videos]))


def terms_of(method: UrDmu, x: Batch, seed: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return method.train().loss(x)


@pytest.mark.parametrize(("settings", "terms"), ABLATIONS)
def test_every_ablation_trains_and_scores(batch, settings, terms):
    method = build(**settings)
    found = terms_of(method, batch(method))
    assert set(found) == terms
    sum(found.values()).backward()
    assert all(torch.isfinite(t) for t in found.values())
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), name
    lengths = (1, 2, 15, 16, 17, 300)
    for rows, scores in zip(lengths, scores_of(method, *map(features, lengths)), strict=True):
        assert scores.anomaly.shape == (rows,) and scores.classes is None
        assert scores.anomaly.min() >= 0 and scores.anomaly.max() <= 1


@pytest.mark.parametrize(
    "settings",
    [
        {"local": False},
        {"local_rows": "row"},
        {"memory": "single"},
        {"memory": "none"},
        {"layers": 1},
        {"heads": 4},
        {"head_width": 3},
        {"feed_forward": 8},
        {"width": 12},
        {"abnormal_slots": 19},
        {"normal_slots": 8},
    ],
    ids=str,
)
def test_settings_of_the_model_change_scores(settings):
    (usual,), (other,) = (scores_of(build(**own), features(30)) for own in ({}, settings))
    assert not torch.allclose(usual.anomaly, other.anomaly)


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"dropout": 0.0}, TERMS),
        ({"anchor": "published"}, {"distance"}),
        ({"kl_axis": "units"}, {"divergence"}),
        ({"memory_weight": 0.2}, MEMORY_TERMS),
        ({"triplet_weight": 0.2}, {"triplet"}),
        ({"kl_weight": 0.01}, {"divergence"}),
        ({"distance_weight": 0.01}, {"distance"}),
    ],
)
def test_settings_of_the_loss_change_their_terms_alone(batch, settings, changed):
    usual, other = (build(**own) for own in ({}, settings))
    x = batch(usual)
    a, b = terms_of(usual, x), terms_of(other, x)
    assert {name for name in a if not torch.equal(a[name], b[name])} == changed


def test_uncertainty_is_noise_on_normal_samples_in_training_alone(batch):
    method, still = build(dropout=0.0), build(dropout=0.0, uncertainty=False)
    still.load_state_dict({k: v for k, v in method.state_dict().items() if k in still.state_dict()})
    x = batch(method)
    assert torch.equal(scores_of(method, features(9))[0].anomaly, scores_of(still, features(9))[0].anomaly)
    first, again, other = (terms_of(method, x, seed) for seed in (3, 3, 4))
    assert torch.equal(first["classification"], again["classification"])
    moved = {name for name in first if not torch.equal(first[name], other[name])}
    assert moved == {"classification", "distance"}
    assert torch.equal(terms_of(still, x, 3)["classification"], terms_of(still, x, 4)["classification"])


@pytest.mark.parametrize("settings", [{}, {"memory": "single"}, {"memory": "none"}], ids=str)
def test_the_order_of_kinds_in_a_batch_does_not_matter(batch, settings):
    method = build(**settings)
    x = batch(method, (40, 5, 16, 1, 30, 22))
    turned = [3, 4, 5, 0, 1, 2]
    y = Batch({"segments": x.views["segments"][turned]}, x.labels[turned])
    for name, value in terms_of(method, x).items():
        assert torch.equal(value, terms_of(method, y)[name]), name


@settings(max_examples=40)
@given(st.integers(1, 60), st.sampled_from(["column", "row"]), st.integers(1, 40))
def test_local_means_by_loops(length, rows, block):
    x = torch.from_numpy(features(length, length)).double()
    weights = [[math.exp(-abs(i - j) / math.e) for j in range(length)] for i in range(length)]
    sums = [sum(row) for row in weights]
    shares = [[w / sums[j if rows == "column" else i] for j, w in enumerate(row)] for i, row in enumerate(weights)]
    wanted = torch.tensor(shares, dtype=torch.float64) @ x
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "BLOCK", block)
        found = local_means(x, rows)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_rows_further_than_the_nearest_do_not_count():
    x = torch.zeros(700, 1, dtype=torch.float64)
    x[0] = 1e12
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "BLOCK", 50)
        found = local_means(x, "row")
    assert found[179] == 0 and 0 < found[100] < 1


def test_divergence_over_units_is_that_of_a_gaussian_latent():
    rng = np.random.default_rng(0)
    mean, log_variance = (torch.from_numpy(rng.standard_normal((3, 5, 4))) for _ in range(2))
    made = torch.distributions.Normal(mean, (log_variance / 2).exp())
    wanted = torch.distributions.kl_divergence(made, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, log_variance, "units"), wanted.sum(2).mean())
    torch.testing.assert_close(divergence(mean, log_variance, "rows"), wanted.sum(1).mean())


def test_without_an_abnormal_memory_the_least_normal_rows_are_abnormal(batch):
    method = build(memory="single")
    segments = batch(method).views["segments"]
    pairs = torch.stack([segments[2:], segments[:2]]).unsqueeze(2)
    found = method(pairs, Draws((), torch.zeros(2, 1, 20, 16)))
    scores = found.memories
    assert scores.abnormal_in_abnormal is None and found.lengths is None
    for sample in range(2):
        least = scores.abnormal_in_normal[sample].argsort()[:2]
        assert set(found.chosen.abnormal[sample].tolist()) == set(least.tolist())
        most = scores.abnormal_in_normal[sample].argsort()[-2:]
        assert set(found.chosen.positive[sample].tolist()) == set(most.tolist())


def test_samples_have_the_edges_of_the_settings():
    video, rng = VideoInput.of_rows(features(58)), np.random.default_rng(0)
    rounded, exact = (UrDmuConfig(edges=edges) for edges in ("rounded", "exact"))
    views = [UrDmu(c, Task(CLASSES, DIM, CPU, no_text)).view(video, rng)["segments"] for c in (rounded, exact)]
    np.testing.assert_array_equal(views[0], binned_sample(features(58), 200, rounded=True))
    np.testing.assert_array_equal(views[1], binned_sample(features(58), 200))
    assert not np.array_equal(*views)


def test_scores_do_not_depend_on_company():
    method = build()
    videos = [features(n, n) for n in (1, 13, 16, 40, 2000)]
    together, backwards = scores_of(method, *videos), scores_of(method, *videos[::-1])[::-1]
    for video, company, other in zip(videos, together, backwards, strict=True):
        (alone,) = scores_of(method, video)
        assert torch.equal(alone.anomaly, company.anomaly) and torch.equal(alone.anomaly, other.anomaly)


def test_a_bag_is_scored_by_the_mean_of_its_crops():
    method = build()
    crops = [features(33, seed) for seed in range(3)]
    (bag,) = scores_of(method, np.stack(crops))
    torch.testing.assert_close(bag.anomaly, torch.stack([s.anomaly for s in scores_of(method, *crops)]).mean(0))
    (window,) = scores_of(method, np.stack(crops)[:, 4:20])
    torch.testing.assert_close(window.anomaly, scores_of(method, np.stack([c[4:20] for c in crops]))[0].anomaly)


def test_crops_beyond_a_number_of_rows_are_scored_one_after_the_other(monkeypatch):
    method, seen = build(), []
    bag = np.stack([features(30, seed) for seed in range(5)])
    (whole,) = scores_of(method, bag)
    monkeypatch.setattr("vadbench.nn.parts.ROWS_AT_ONCE", 60)
    method.embedding.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    (in_parts,) = scores_of(method, bag)
    assert seen == [2, 2, 1]
    torch.testing.assert_close(in_parts.anomaly, whole.anomaly)


@pytest.mark.parametrize("settings", [{}, {"local": False}, {"local_rows": "row"}, {"memory": "none"}], ids=str)
@pytest.mark.parametrize(("rows", "at_once", "parts"), [(301, 40, 8), (301, 150, 2), (150, 100, 1), (9, 2, 4)])
def test_a_long_video_is_scored_in_parts_as_if_it_were_whole(monkeypatch, settings, rows, at_once, parts):
    """Parts shorter and longer than local means reach, and of several blocks of them."""
    method, seen = build(**settings), []
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.normal_(std=0.5)
    bag = np.stack([features(rows, seed) for seed in range(2)])
    monkeypatch.setattr(transformer, "BLOCK", 64)
    (whole,) = scores_of(method, bag)
    assert whole.anomaly.std() > 0.03
    monkeypatch.setattr("vadbench_urdmu.method.rows_at_once", lambda _: at_once)
    method.classifier.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    (found,) = scores_of(method, bag)
    torch.testing.assert_close(found.anomaly, whole.anomaly, rtol=0, atol=3e-5)
    assert len(seen) == parts and sum(seen) == rows


def test_bags_train(batch):
    """A bag of equal crops has the loss of one crop: means over crops change nothing, and a bag of one is a sample."""
    method = build(dropout=0.0, uncertainty=False, rows={"crops": "bag"})
    assert method.config.takes_bags
    video = VideoInput.of_rows(np.stack([features(33, seed) for seed in range(3)]))
    assert method.view(video, np.random.default_rng(0))["segments"].shape == (3, 20, DIM)
    x = batch(method)
    single = terms_of(method, x)
    bags = Batch({"segments": x.views["segments"][:, None].repeat(1, 3, 1, 1)}, x.labels)
    for name, value in terms_of(method, bags).items():
        torch.testing.assert_close(value, single[name], msg=name)


def test_crops_of_a_bag_choose_their_own_rows(batch):
    method = build()
    x = batch(method).views["segments"]
    pairs = torch.stack([x[2:], x[:2]]).unsqueeze(2)
    bag = torch.cat([pairs, pairs.flip(3)], 2)
    found = method(bag, Draws((), torch.zeros(2, 2, 20, 16)))
    assert found.frame.shape == (2, 2, 20) and found.triplet[0].shape == (2, 16)
    forwards, backwards = found.chosen.normal[::2], found.chosen.normal[1::2]
    assert forwards.shape == (2, 2) and not torch.equal(forwards, backwards)


def test_bf16_leaves_scores_fine_enough_to_rank_and_trains(batch):
    method = build()
    rows = torch.randn(3000, DIM, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), autocast("bf16", CPU):
        (found,) = method.eval().score(as_videos([rows]))
    assert found.anomaly.dtype == torch.float32 and len(found.anomaly.unique()) > 1000
    with autocast("bf16", CPU):
        terms = terms_of(method, batch(method))
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters())


@pytest.mark.parametrize("settings", [{"memory": "single"}, {"local": False}, {"uncertainty": False}], ids=str)
def test_ablations_take_no_released_checkpoint(settings):
    with pytest.raises(CheckpointError, match="released checkpoints are of the final model; set"):
        build(**settings).import_reference({})


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (["recipe.sampler=mixed"], "setting 'recipe.sampler' from --set: .*pairs normal with abnormal samples"),
        (
            ["local=false", "local_rows=row"],
            "'local_rows'.*no effect with local=false; leave it at column, or set local",
        ),
        (["memory=single", "abnormal_slots=30"], "'abnormal_slots'.*no effect with memory=single; leave it at 60"),
        (["memory=none", "normal_slots=30"], "'normal_slots'.*no effect with memory=none"),
        (["memory=none", "uncertainty=false"], "'uncertainty'.*no effect with memory=none"),
        (["memory=none", "triplet_weight=0"], "'triplet_weight'.*no effect with memory=none"),
        (["uncertainty=false", "kl_axis=units"], "'kl_axis'.*no effect with uncertainty=false"),
        (["memory=single", "anchor=published"], "'anchor'.*no effect with memory=single"),
        (["uncertainty=false", "distance_weight=0"], "'distance_weight'.*no effect with uncertainty=false"),
        (["kl_weight=0", "kl_axis=units"], "'kl_axis'.*no effect with kl_weight=0; leave it at rows"),
        (["distance_weight=0", "anchor=published"], "'anchor'.*no effect with distance_weight=0; leave it at now"),
        (["memory=duel"], "memory"),
        (["edge=exact"], "did you mean 'edges'"),
    ],
)
def test_settings_that_contradict_are_named(assignment, message):
    with pytest.raises(ConfigError, match=message):
        resolve(UrDmuConfig, {}, environment={}, assignments=assignment)


@pytest.mark.parametrize("dataset", ["ucfcrime", "xdviolence"])
def test_published_settings(dataset):
    config = resolve(UrDmuConfig, UrDmuConfig.dataset_defaults.get(dataset, {}), environment={})
    recipe = config.recipe
    assert (recipe.batch_size, recipe.sampler, recipe.steps, recipe.epoch_steps) == (128, "cycled", 3000, 0)
    found = (recipe.optimiser, recipe.learning_rate, recipe.betas, recipe.epsilon, recipe.weight_decay, recipe.schedule)
    assert found == ("adam-l2", 1e-4, (0.9, 0.999), 1e-8, 5e-5, "constant")
    assert (recipe.look_every, recipe.look_count, recipe.look_from) == (10, "run", 20)
    assert (config.rows.stride, config.rows.pooling, config.rows.crops) == (16, "mean", "all")
    assert (config.segments, config.edges, config.dropout, config.anchor) == (200, "rounded", 0.5, "now")
    assert UrDmuConfig.reference_selection == "best-on-test"
    assert "recipe" not in UrDmuConfig.dataset_defaults.get(dataset, {})


def test_registering_imports_no_torch():
    check = "assert 'torch' not in sys.modules; print(p.vadbench_methods()[0].target)"
    code = f"import sys, vadbench_urdmu as p; {check}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert out == f"{UrDmu.__module__}:{UrDmu.__name__}"


def test_it_learns_which_rows_are_abnormal(toy, tmp_path):
    recipe = {"steps": 60, "batch_size": 12, "learning_rate": 2e-3}
    videos, others = toy(CLASSES, 36, seed=1), toy(CLASSES, 24, seed=2)
    method = build(recipe=recipe)

    def auc() -> float:
        scores = torch.cat([s.anomaly for s in scores_of(method, *(v.rows for v in others))])
        return float(roc_auc_score(np.concatenate([v.classes for v in others]) != CLASSES.normal, scores.numpy()))

    before = auc()
    TrainingLoop(0, tmp_path).run(method, [v.sample for v in videos], method.config.recipe)
    assert auc() > max(0.9, before + 0.2)
