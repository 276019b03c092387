"""The linear classifiers, with and without a temporal model: scores and loss against loops, and that they learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from vadbench_baselines.config import TemporalLinearConfig
from vadbench_baselines.linear import ClipLinear, ClipTemporalLinear, class_loss

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Task
from vadbench.nn.chunks import ROWS_AT_ONCE
from vadbench.training.loop import autocast
from vadbench.training.stages import TrainingLoop

DIM = 24
CPU = torch.device("cpu")
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Fighting", "Normal", "Road_accident"))), 2)
SMALL: dict[str, dict[str, Any]] = {"ClipLinear": {"length": 16}, "ClipTemporalLinear": {"length": 16, "window": 4}}
MANY = ROWS_AT_ONCE + 300
"""Rows that do not go through a model at once."""
BOTH = (ClipLinear, ClipTemporalLinear)


def no_text() -> Any:
    raise AssertionError("the text tower was asked for")


def build(cls: type[ClipLinear], classes: ClassTable = CLASSES, dim: int = DIM, **settings: Any) -> Any:
    torch.manual_seed(1)
    return cls(cls.Config(**SMALL[cls.__name__] | settings), Task(classes, dim, CPU, no_text))


def trained(cls: type[ClipLinear], **settings: Any) -> Any:
    """A method whose weights are no longer those of the start."""
    method = build(cls, **settings)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return method


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)


def scores_of(method: ClipLinear, *videos: np.ndarray) -> list[Any]:
    with torch.inference_mode():
        return method.eval().score(as_videos([torch.from_numpy(v) for v in videos]))


def slow_logits(method: ClipLinear, x: np.ndarray) -> np.ndarray:
    """Logits of rows ``(n, dim)`` in float64."""
    x = x.astype(np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True) * math.sqrt(DIM)
    weight, bias = (p.detach().double().numpy() for p in (method.classifier.weight, method.classifier.bias))
    return x @ weight.T + bias


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def slow_loss(logits: list[np.ndarray], labels: np.ndarray, k_ratio: int) -> float:
    """Of each video's rows ``(n, C)`` and labels ``(videos, C)``, by loops."""
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        k = min(len(z), len(z) // k_ratio + 1)
        p = softmax(np.array([sorted(z[:, c])[::-1][:k] for c in range(z.shape[1])]).mean(1))
        total -= sum(math.log(p[c]) * y[c] / sum(y) for c in range(z.shape[1]) if y[c])
    return total / len(logits)


def test_scores_equal_their_equation():
    method = trained(ClipLinear)
    video = features(40)
    expected = softmax(slow_logits(method, video))
    (found,) = scores_of(method, video)
    np.testing.assert_allclose(found.classes.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(found.anomaly.numpy(), expected[:, [0, 1, 3]].sum(1), atol=1e-5)
    (longer,) = scores_of(method, 7 * video)
    torch.testing.assert_close(found.anomaly, longer.anomaly)


@pytest.mark.parametrize("cls", BOTH)
def test_before_training_every_row_is_as_likely_normal_as_not(cls):
    (found,) = scores_of(build(cls), features(20))
    torch.testing.assert_close(found.anomaly, torch.full((20,), 0.5))
    torch.testing.assert_close(found.classes, torch.tensor([1 / 6, 1 / 6, 1 / 2, 1 / 6]).expand(20, -1))


@pytest.mark.parametrize("cls", BOTH)
def test_shares_of_classes_alone_teach_nothing(cls):
    """Half a batch normal, the classes equally often, all videos alike: no gradient reaches a weight at the start."""
    method = build(cls).train()
    views = [method.view(VideoInput.of_rows(features(16)), np.random.default_rng(0)) for _ in range(6)]
    labels = torch.eye(4)[[0, 1, 3, 2, 2, 2]]
    method.loss(Batch({k: torch.from_numpy(np.stack([v[k] for v in views])) for k in views[0]}, labels))[
        "class"
    ].backward()
    for parameter in method.classifier.parameters():
        torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter), rtol=0, atol=1e-6)


@pytest.mark.parametrize("k_ratio", [1, 4, 16])
def test_loss_against_loops(k_ratio):
    rng = np.random.default_rng(0)
    lengths = [64, 31, 1]
    logits = rng.standard_normal((3, 64, 4))
    labels = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    expected = slow_loss([z[:n] for z, n in zip(logits, lengths, strict=True)], labels, k_ratio)
    found = class_loss(torch.from_numpy(logits), torch.tensor(lengths), torch.from_numpy(labels), k_ratio)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_loss_and_gradient_of_a_batch_against_loops(batch):
    """Videos short enough that the sample is the video."""
    method = trained(ClipLinear, k_ratio=4).train()
    rows = (16, 5, 9, 1)
    x = batch(method, rows)
    loss = method.loss(x)["class"]
    loss.backward()
    videos = [features(n, i) for i, n in enumerate(rows)]

    def slow() -> float:
        return slow_loss([slow_logits(method, v) for v in videos], x.labels.double().numpy(), 4)

    assert loss.item() == pytest.approx(slow(), rel=1e-5)
    method.double()
    for parameter in method.classifier.parameters():
        flat, step = parameter.data.view(-1), 1e-6
        for place in range(0, len(flat), 7):
            kept = flat[place].item()
            sides = []
            for value in (kept + step, kept - step):
                flat[place] = value
                sides.append(slow())
            flat[place] = kept
            assert parameter.grad.view(-1)[place].item() == pytest.approx((sides[0] - sides[1]) / 2 / step, abs=1e-5)


@pytest.mark.parametrize("cls", BOTH)
def test_scores_are_probabilities_and_do_not_depend_on_company(cls):
    method = trained(cls)
    videos = [features(n, n) for n in (1, 2, 15, 16, 17, 33, MANY)]
    together = scores_of(method, *videos)
    for video, found in zip(videos, together, strict=True):
        (alone,) = scores_of(method, video)
        torch.testing.assert_close(alone.anomaly, found.anomaly, rtol=0, atol=1e-6)
        torch.testing.assert_close(alone.classes, found.classes, rtol=0, atol=1e-6)
        assert found.anomaly.shape == (len(video),) and found.classes.shape == (len(video), 4)
        assert found.anomaly.min() >= 0 and found.anomaly.max() <= 1
        torch.testing.assert_close(found.classes.sum(1), torch.ones(len(video)))
        torch.testing.assert_close(found.classes[:, CLASSES.normal], 1 - found.anomaly, rtol=0, atol=1e-6)


def test_only_the_temporal_model_relates_rows_and_not_across_chunks():
    video = features(40)
    changed = video.copy()
    changed[6] = features(1, 9)
    for cls, reached in ((ClipLinear, {6}), (ClipTemporalLinear, set(range(16)))):
        a, b = scores_of(trained(cls), video, changed)
        assert set((a.anomaly - b.anomaly).abs().gt(1e-6).nonzero().flatten().tolist()) == reached


def test_temporal_scores_are_the_classifier_behind_the_temporal_model():
    method = trained(ClipTemporalLinear)
    video = features(10)
    rows = torch.from_numpy(video / np.linalg.norm(video, axis=1, keepdims=True) * math.sqrt(DIM))
    padded = torch.cat([rows, torch.zeros(6, DIM)])[None]
    related = method.temporal(padded, torch.tensor([10]))[0, :10].detach().double().numpy()
    weight, bias = (p.detach().double().numpy() for p in (method.classifier.weight, method.classifier.bias))
    (found,) = scores_of(method, video)
    np.testing.assert_allclose(found.classes.numpy(), softmax(related @ weight.T + bias), atol=1e-5)


def test_settings_reach_the_temporal_model():
    method = build(ClipTemporalLinear, layers=2, heads=4, window=8, residual=False)
    assert len(method.temporal.blocks) == 2 and not method.temporal.residual
    assert [(b.attention.heads, b.attention.window) for b in method.temporal.blocks] == [(4, 8)] * 2
    with pytest.raises(ConfigError, match="must divide the width 24"):
        build(ClipTemporalLinear, heads=5)


@pytest.mark.parametrize("cls", BOTH)
def test_every_parameter_moves(batch, cls):
    method = build(cls).train()
    x = batch(method)
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    optimiser = torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.01, weight_decay=0)
    for _ in range(2):  # The classifier starts at zero, and nothing flows through it in the first step.
        optimiser.zero_grad()
        method.loss(x)["class"].backward()
        optimiser.step()
    assert all(not torch.equal(p, before[name]) for name, p in method.named_parameters())


@pytest.mark.parametrize("cls", BOTH)
def test_state_survives_a_round_trip(cls):
    method, other = trained(cls), build(cls)
    other.load_state_dict(method.state_dict())
    (a,), (b,) = scores_of(method, features(50)), scores_of(other, features(50))
    assert torch.equal(a.anomaly, b.anomaly) and torch.equal(a.classes, b.classes)
    assert not torch.allclose(a.anomaly, torch.full((50,), 0.5), atol=1e-2)


def test_view_of_mapped_half_precision_rows(tmp_path):
    array = np.memmap(tmp_path / "f.bin", np.float16, "w+", shape=(40, DIM))
    array[:] = features(40).astype(np.float16)
    array.flags.writeable = False
    view = build(ClipLinear).view(VideoInput.of_rows(array), np.random.default_rng(0))
    assert view["features"].shape == (16, DIM) and view["features"].dtype == np.float32 and view["length"] == 16
    found = [int(np.flatnonzero((np.asarray(array) == row).all(1))[0]) for row in view["features"]]
    assert found == sorted(found)
    assert all(i * 40 // 16 <= row < (i + 1) * 40 // 16 for i, row in enumerate(found))
    short = build(ClipLinear).view(VideoInput.of_rows(array[:3]), np.random.default_rng(0))
    assert short["length"] == 3 and not short["features"][3:].any()


@pytest.mark.parametrize("cls", BOTH)
def test_one_abnormal_class_is_enough(batch, cls):
    method = build(cls, ClassTable((VideoClass("Anomaly"), VideoClass("Normal")), 1)).train()
    method.loss(batch(method))["class"].backward()
    (scores,) = scores_of(method, features(7))
    torch.testing.assert_close(scores.classes[:, 0], scores.anomaly)


@pytest.mark.parametrize("cls", BOTH)
def test_bf16_trains_and_leaves_scores_fine_enough_to_rank(batch, cls):
    method = trained(cls).train()
    with autocast("bf16", CPU):
        loss = method.loss(batch(method))["class"]
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters())
    with torch.inference_mode(), autocast("bf16", CPU):
        (found,) = method.eval().score(as_videos([torch.from_numpy(features(3000))]))
    assert found.anomaly.dtype == torch.float32 and len(found.anomaly.unique()) > 1000


def test_a_sure_classifier_is_not_rounded_to_nothing():
    method = build(ClipLinear)
    with torch.no_grad():
        method.classifier.bias[CLASSES.normal] = 40
    (found,) = scores_of(method, features(3))
    assert torch.all(found.anomaly > 0) and torch.all(1 - found.classes[:, CLASSES.normal] == 0)


@pytest.mark.parametrize(
    "assignment, message",
    [
        (["window=7"], "setting 'window' from --set: .*must divide length = 256"),
        (["length=100"], "must divide length = 100"),
        (["k_ratio=0"], "k_ratio"),
        (["layer=2"], "did you mean 'layers'"),
    ],
)
def test_settings_that_contradict_are_named(assignment, message):
    with pytest.raises(ConfigError, match=message):
        resolve(TemporalLinearConfig, {}, environment={}, assignments=assignment)


def test_published_settings():
    config = TemporalLinearConfig()
    assert (config.recipe.learning_rate, config.recipe.batch_size) == (1e-5, 64)
    assert (config.window, config.layers, config.k_ratio) == (16, 1, 16)


@pytest.mark.parametrize("cls", BOTH)
def test_it_learns_which_rows_are_abnormal_and_of_which_class(cls, toy, learnt, tmp_path):
    rate = {ClipLinear: 5e-3, ClipTemporalLinear: 1e-3}[cls]
    method = build(cls, recipe={"epochs": 40, "batch_size": 12, "learning_rate": rate}, k_ratio=4, length=64)
    samples = [v.sample for v in toy(CLASSES, 36, seed=1)]
    TrainingLoop(0, tmp_path).run(method, samples, method.config.recipe)
    found = learnt(method, toy(CLASSES, 24, seed=2))
    assert found["anomaly"] > 0.9
    assert found["class"] > 0.8
