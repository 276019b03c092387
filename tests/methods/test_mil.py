"""The ranking MIL: segments, network and losses against loops, and that it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vadbench_baselines.config import MilConfig
from vadbench_baselines.mil import Mil, class_of_highest, parts, ranking, roughness

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Task
from vadbench.records.keys import key_values
from vadbench.training.loop import autocast
from vadbench.training.stages import TrainingLoop

DIM = 24
CPU = torch.device("cpu")
ROWS = (70, 5, 12, 40, 33, 1, 9, 2)
"""Rows of the videos of a batch, in whose abnormal half one class is there oftener than the other."""
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Normal", "Fighting"))), 1)


def no_text() -> Any:
    raise AssertionError("the text tower was asked for")


def build(classes: ClassTable = CLASSES, **settings: Any) -> Mil:
    torch.manual_seed(1)
    return Mil(MilConfig(**settings), Task(classes, DIM, CPU, no_text))


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)


def scores_of(method: Mil, *videos: np.ndarray) -> list[Any]:
    with torch.inference_mode():
        return method.eval().score(as_videos([torch.from_numpy(v) for v in videos]))


def scaled(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True) * DIM**0.5


@pytest.mark.parametrize("scored", ["segments", "rows"])
def test_rows_of_several_streams_are_joined_in_time(scored: str) -> None:
    config = MilConfig(streams=("clip", "sound"), scored=scored, segments=5)
    torch.manual_seed(1)
    method = Mil(config, Task(CLASSES, {"clip": DIM, "sound": 7}, CPU, no_text)).eval()
    torch.nn.init.normal_(method.classifier.weight)
    rows, sound = features(23), np.random.default_rng(1).standard_normal((9, 7)).astype(np.float32)
    # A row of the time line is 16 frames, one of the sound 23 * 16 / 9.
    nearest = [min(range(9), key=lambda j: abs((j + 0.5) * 23 * 16 / 9 - (i + 0.5) * 16)) for i in range(23)]
    joined = np.concatenate([scaled(rows), scaled7(sound)[nearest]], 1)
    video = VideoInput.of_rows(rows, stride=16, sound=sound)
    bounds = list(zip(*parts(23, 5), strict=True))
    segments = np.stack([joined[a:b].mean(0) for a, b in bounds])
    np.testing.assert_allclose(method.view(video, np.random.default_rng(0))["segments"], segments, atol=1e-5)
    tensors = VideoInput.of_rows(torch.from_numpy(rows), stride=16, sound=torch.from_numpy(sound))
    with torch.inference_mode():
        (found,) = method.score([tensors])
    anomaly, _ = slow_network(method, joined if scored == "rows" else segments)
    if scored == "segments":
        anomaly = np.repeat(anomaly, [b - a for a, b in bounds])
    np.testing.assert_allclose(found.anomaly.numpy(), anomaly, atol=1e-5)


def test_the_streams_that_it_reads_are_a_setting_that_changes_no_key() -> None:
    assert MilConfig().needs().streams == ("clip",)
    assert MilConfig(streams=("clip", "sound")).needs().streams == ("clip", "sound")
    assert "streams" not in key_values(MilConfig()) and "streams" in key_values(MilConfig(streams=("sound",)))
    with pytest.raises(ConfigError, match=r"'streams'.*must name each stream once"):
        resolve(MilConfig, {}, assignments=['streams=["clip", "clip"]'])


def scaled7(x: np.ndarray) -> np.ndarray:
    return scaled(x) / DIM**0.5 * 7**0.5


def slow_network(method: Mil, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and class logits of segments ``(n, dim)`` in float64."""
    w = {k: v.double().numpy() for k, v in method.state_dict().items()}
    hidden = np.maximum(x @ w["hidden.0.weight"].T + w["hidden.0.bias"], 0)
    hidden = hidden @ w["hidden.3.weight"].T + w["hidden.3.bias"]
    z = (hidden @ w["last.weight"].T + w["last.bias"])[:, 0]
    return 1 / (1 + np.exp(-z)), x @ w["classifier.weight"].T + w["classifier.bias"]


def test_network_is_the_papers():
    shapes = {k: tuple(v.shape) for k, v in build().state_dict().items() if k.endswith("weight")}
    assert shapes == {
        "hidden.0.weight": (512, DIM),
        "hidden.3.weight": (32, 512),
        "last.weight": (1, 32),
        "classifier.weight": (2, DIM),
    }
    config = MilConfig()
    assert (config.segments, config.dropout, config.margin) == (32, 0.6, 1)
    assert (config.smoothness, config.sparsity, config.recipe.batch_size) == (8e-5, 8e-5, 60)


@given(rows=st.integers(1, 300), count=st.integers(1, 40))
def test_parts_follow_each_other_and_are_nearly_equal(rows, count):
    starts, ends = parts(rows, count)
    assert len(starts) == len(ends) == count
    assert starts[0] == 0 and ends[-1] == rows and np.all(ends > starts)
    widths = ends - starts
    if rows >= count:
        assert np.array_equal(starts[1:], ends[:-1])
        assert widths.max() - widths.min() <= 1
    else:
        assert set(widths) == {1}
        assert set(starts) == set(range(rows))
        assert np.all(np.diff(starts) >= 0)


@pytest.mark.parametrize("rows", [1, 5, 32, 33, 100])
def test_view_is_the_means_of_rows_of_one_length(rows, tmp_path):
    array = np.memmap(tmp_path / "f.bin", np.float16, "w+", shape=(rows, DIM))
    array[:] = 50 * features(rows)
    array.flags.writeable = False
    method = build()
    view = method.view(VideoInput.of_rows(array), np.random.default_rng(0))["segments"]
    assert view.shape == (32, DIM) and view.dtype == np.float32
    unit = scaled(np.array(array))
    for i in range(32):
        first, end = i * rows // 32, (i + 1) * rows // 32
        np.testing.assert_allclose(view[i], unit[first : max(end, first + 1)].mean(0), atol=2e-5)


def test_scores_are_those_of_the_network_on_the_segments_of_training():
    method = build()
    video = features(100)
    segments = method.view(VideoInput.of_rows(video), np.random.default_rng(0))["segments"]
    anomaly, logits = slow_network(method, segments.astype(np.float64))
    conditional = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    (found,) = scores_of(method, video)
    for row in range(100):
        # The last segment that begins at the row or before it.
        i = max(i for i in range(32) if i * 100 // 32 <= row)
        assert found.anomaly[row].item() == pytest.approx(anomaly[i], abs=1e-6)
        expected = [anomaly[i] * conditional[i, 0], 1 - anomaly[i], anomaly[i] * conditional[i, 1]]
        np.testing.assert_allclose(found.classes[row].numpy(), expected, atol=1e-6)


def test_rows_can_be_scored_by_themselves():
    method = build(scored="rows")
    video = features(100)
    (found,) = scores_of(method, video)
    anomaly, _ = slow_network(method, scaled(video))
    np.testing.assert_allclose(found.anomaly.numpy(), anomaly, atol=1e-6)
    (segments,) = scores_of(build(scored="segments"), video)
    assert not torch.allclose(found.anomaly, segments.anomaly, atol=1e-3)
    # Up to 32 rows a segment is a row.
    few = [scores_of(build(scored=s), video[:32])[0].anomaly for s in ("rows", "segments")]
    torch.testing.assert_close(*few, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scored", ["segments", "rows"])
def test_scores_are_probabilities_and_do_not_depend_on_company(scored):
    method = build(scored=scored)
    videos = [features(n, n) for n in (1, 2, 31, 32, 33, 600)]
    together = scores_of(method, *videos)
    for video, found in zip(videos, together, strict=True):
        (alone,) = scores_of(method, video)
        torch.testing.assert_close(alone.anomaly, found.anomaly, rtol=0, atol=1e-6)
        torch.testing.assert_close(alone.classes, found.classes, rtol=0, atol=1e-6)
        assert found.anomaly.shape == (len(video),) and found.classes.shape == (len(video), 3)
        assert found.anomaly.min() >= 0 and found.anomaly.max() <= 1
        torch.testing.assert_close(found.classes.sum(1), torch.ones(len(video)))
        torch.testing.assert_close(found.classes[:, CLASSES.normal], 1 - found.anomaly)


def slow_terms(abnormal: np.ndarray, normal: np.ndarray, margin: float) -> tuple[float, float, float]:
    """Ranking, smoothness and sparsity by loops over videos and segments (equation 7 of the paper)."""
    hinges = [max(0.0, margin - max(a) + max(n)) for a in abnormal for n in normal]
    steps = [sum((a[i] - a[i + 1]) ** 2 for i in range(len(a) - 1)) for a in abnormal]
    sums = [sum(a) for a in abnormal]
    return tuple(sum(x) / len(x) for x in (hinges, steps, sums))


@pytest.mark.parametrize("margin", [1.0, 0.1])
def test_losses_against_loops(margin):
    rng = np.random.default_rng(0)
    abnormal, normal = rng.random((3, 32)), 0.4 * rng.random((4, 32))
    hinge, steps, _ = slow_terms(abnormal, normal, margin)
    a, n = torch.from_numpy(abnormal), torch.from_numpy(normal)
    assert ranking(a, n, margin).item() == pytest.approx(hinge, rel=1e-9)
    assert roughness(a).item() == pytest.approx(steps, rel=1e-9)
    logits = rng.standard_normal((3, 32, 5))
    labels = np.array([[1, 0, 0, 0, 0], [0, 0, 1, 0, 1], [0, 1, 0, 0, 0]], bool)
    expected = 0.0
    for i in range(3):
        z = logits[i, int(np.argmax(abnormal[i]))]
        logs = z - np.log(np.exp(z).sum())
        expected -= sum(logs[labels[i]]) / labels[i].sum() / 3
    found = class_of_highest(torch.from_numpy(logits), a, torch.from_numpy(labels))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_loss_of_a_batch_is_weighted_as_the_settings_say(batch):
    method = build(smoothness=0.3, sparsity=0.7, margin=0.5, dropout=0).train()
    x = batch(method, ROWS)
    terms = method.loss(x)
    scores = np.stack([slow_network(method, v)[0] for v in x.views["segments"].double().numpy()])
    hinge, steps, sums = slow_terms(scores[:4], scores[4:], 0.5)
    expected = {"ranking": hinge, "smoothness": 0.3 * steps, "sparsity": 0.7 * sums}
    assert {k: terms[k].item() for k in expected} == pytest.approx(expected, rel=1e-4)
    assert set(terms) == {*expected, "class"}


def test_gradient_of_the_ranking_is_that_of_the_highest_segments():
    rng = np.random.default_rng(1)
    abnormal, normal = rng.random((2, 8)), rng.random((3, 8))
    a, n = (torch.tensor(x, requires_grad=True) for x in (abnormal, normal))
    ranking(a, n, 0.3).backward()
    for scores, found in ((abnormal, a.grad), (normal, n.grad)):
        for place in np.ndindex(scores.shape):
            sides = []
            for step in (1e-7, -1e-7):
                kept = scores[place]
                scores[place] = kept + step
                sides.append(slow_terms(abnormal, normal, 0.3)[0])
                scores[place] = kept
            assert found[place].item() == pytest.approx((sides[0] - sides[1]) / 2e-7, abs=1e-6)


def test_classes_and_ranking_do_not_influence_each_other(batch):
    method = build(dropout=0).train()
    terms = method.loss(batch(method, ROWS))
    names = {name for name, _ in method.named_parameters()}
    classifier = {n for n in names if n.startswith("classifier")}
    for name, own in (("class", classifier), *((n, names - classifier) for n in ("ranking", "smoothness", "sparsity"))):
        method.zero_grad()
        terms[name].backward(retain_graph=True)
        reached = {n for n, p in method.named_parameters() if p.grad is not None and p.grad.any()}
        assert reached == own, name


def test_every_parameter_moves(batch):
    method = build().train()
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    sum(method.loss(batch(method, ROWS)).values()).backward()
    torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.01, weight_decay=0).step()
    assert all(not torch.equal(p, before[name]) for name, p in method.named_parameters())


def test_dropout_is_for_training_alone(batch):
    method = build().train()
    x = batch(method, ROWS)
    first, second = (method.loss(x)["ranking"].item() for _ in range(2))
    assert first != second
    video = features(50)
    a, b = (scores_of(method, video)[0].anomaly for _ in range(2))
    assert torch.equal(a, b)


def test_state_survives_a_round_trip():
    method = build()
    torch.manual_seed(9)
    other = Mil(method.config, method.task)
    video = features(50)
    (a,), (b,) = scores_of(method, video), scores_of(other, video)
    assert not torch.equal(a.anomaly, b.anomaly)
    other.load_state_dict(method.state_dict())
    (b,) = scores_of(other, video)
    assert torch.equal(a.anomaly, b.anomaly) and torch.equal(a.classes, b.classes)


def test_one_abnormal_class_is_enough(batch):
    method = build(ClassTable((VideoClass("Anomaly"), VideoClass("Normal")), 1)).train()
    sum(method.loss(batch(method, ROWS)).values()).backward()
    (scores,) = scores_of(method, features(7))
    torch.testing.assert_close(scores.classes[:, 0], scores.anomaly)


def test_bf16_trains_and_leaves_scores_fine_enough_to_rank(batch):
    method = build(scored="rows").train()
    with autocast("bf16", CPU):
        terms = method.loss(batch(method, ROWS))
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters())
    with torch.inference_mode(), autocast("bf16", CPU):
        (found,) = method.eval().score(as_videos([torch.from_numpy(features(3000))]))
    assert found.anomaly.dtype == torch.float32 and len(found.anomaly.unique()) > 1000


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("recipe.sampler=mixed", "recipe.sampler'.*must be 'balanced', 'paired' or 'cycled'"),
        ("segments=1", "segments"),
        ("dropout=1", "dropout"),
        ("margin=0", "margin"),
        ("scored=frames", "scored"),
        ("segment=32", "did you mean 'segments'"),
    ],
)
def test_settings_that_cannot_be_are_named(assignment, message):
    with pytest.raises(ConfigError, match=message):
        resolve(MilConfig, {}, environment={}, assignments=[assignment])


def test_it_learns_which_rows_are_abnormal_and_of_which_class(toy, learnt, tmp_path):
    method = build(recipe={"epochs": 30, "batch_size": 12, "learning_rate": 1e-3})
    samples = [v.sample for v in toy(CLASSES, 36, seed=1, rows=(40, 90))]
    TrainingLoop(0, tmp_path).run(method, samples, method.config.recipe)
    found = learnt(method, toy(CLASSES, 24, seed=2, rows=(40, 90)))
    assert found["anomaly"] > 0.9
    assert found["class"] > 0.8
