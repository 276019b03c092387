"""AnomalyCLIP's behaviour: every ablation, each loss term and layer against slow references, and that it learns."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vadbench_anomalyclip.axial import AxialTransformer
from vadbench_anomalyclip.config import AnomalyClipConfig, LossWeights
from vadbench_anomalyclip.losses import weighted_terms
from vadbench_anomalyclip.method import WINDOW_ROWS, AnomalyClip
from vadbench_anomalyclip.sampling import from_windows, to_windows, training_rows
from vadbench_anomalyclip.selector import Chosen, Masks, Selector, choose, draw_masks
from vadbench_anomalyclip.temporal import MultiScaleNetwork, TemporalModel

from method_inputs import all_normal, as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError, ConfigError, DataError, FeatureError
from vadbench.clip import TextTower
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import TrainingData, VideoInput
from vadbench.method import Batch, Task
from vadbench.training.loop import autocast
from vadbench.training.stages import TrainingLoop

DIM = 24
CPU = torch.device("cpu")
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Fighting", "Normal", "Road_accident"))), 2)
SMALL: dict[str, Any] = {"segments": 4, "segment_length": 3, "top_k": 2, "bottom_k": 1, "emb_size": 16, "n_ctx": 2}

ABLATIONS: list[dict[str, Any]] = [
    {},
    {"text_encoder": "none", "directions": "free"},
    {"text_encoder": "frozen", "directions": "prompt"},
    {"text_encoder": "finetune_projection", "directions": "prompt"},
    {"text_encoder": "frozen", "directions": "coop"},
    {"prompt_words": "name"},
    {"n_ctx": 16},
    {"shared_context": True},
    {"likelihood": "cosine", "centre_features": False, "mil_selection": "cosine"},
    {"likelihood": "cosine", "mil_selection": "magnitude"},
    {"mil_selection": "magnitude"},
    {"mil_selection": "cosine"},
    *({"temporal": t} for t in ("mlp", "short", "long", "mtn")),
    {"emb_size": 32, "depth": 3},
    {"temporal": "short", "depth": 2},
    {"temporal_features": "selector"},
    {"temporal_features": "both"},
    {"separate_masks": True, "refill_masks": True, "segment_dropout": 0.9},
    *({"loss": {name: 0.0}} for name in LossWeights.model_fields if name != "smooth_within"),
    {"loss": {"direction_normal": 0.0, "direction_top_normal": 1.0}},
    {"loss": {"direction_bottom_abnormal": 1.0}},
    {"loss": {"smooth_within": "segment"}},
]


@cache
def tower() -> TextTower:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        vision = {"image_size": 16, "layers": 1, "width": 16, "head_width": 16, "patch_size": 8}
        text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
        return TextTower(open_clip.CLIP(DIM, vision, text))


def task(classes: ClassTable = CLASSES, dim: int = DIM) -> Task:
    return Task(classes, dim, CPU, tower)


def build(classes: ClassTable = CLASSES, **settings: Any) -> AnomalyClip:
    torch.manual_seed(1)
    return AnomalyClip(AnomalyClipConfig(**SMALL | settings), task(classes))


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)


def scores_of(method: AnomalyClip, *videos: np.ndarray) -> list[Any]:
    with torch.inference_mode():
        return method.score(as_videos([torch.from_numpy(v) for v in videos]))


@pytest.mark.parametrize("settings", ABLATIONS, ids=str)
def test_every_ablation_trains_and_scores(batch, settings):
    method = build(**settings)
    method.prepare(all_normal([features(30, 8), features(20, 9)], CLASSES))
    terms = method.train().loss(batch(method))
    assert set(terms) == {n for n, w in method.config.loss.model_dump().items() if n != "smooth_within" and w > 0}
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(t) for t in terms.values())
    grouped = [p for g in method.groups().values() for p in g]
    assert {id(p) for p in grouped} == {id(p) for p in method.parameters()}
    assert len(grouped) == len({id(p) for p in grouped})
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in grouped)
    method.eval()
    for rows, scores in zip(
        (1, 2, 15, 16, 17, 600), scores_of(method, *map(features, (1, 2, 15, 16, 17, 600))), strict=True
    ):
        assert scores.anomaly.shape == (rows,)
        assert scores.anomaly.min() >= 0 and scores.anomaly.max() <= 1
        assert scores.classes.shape == (rows, len(CLASSES))
        torch.testing.assert_close(scores.classes.sum(1), torch.ones(rows))
        torch.testing.assert_close(scores.classes[:, CLASSES.normal], 1 - scores.anomaly)


@pytest.mark.parametrize("settings", [{}, {"temporal": "long"}, {"temporal_features": "both"}], ids=str)
def test_scores_do_not_depend_on_company(settings):
    method = build(**settings).eval()
    videos = [features(n, n) for n in (1, 13, 40, WINDOW_ROWS + 500)]
    together = scores_of(method, *videos)
    for video, company in zip(videos, together, strict=True):
        (alone,) = scores_of(method, video)
        torch.testing.assert_close(alone.anomaly, company.anomaly, rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.classes, company.classes, rtol=0, atol=1e-5)


def test_scoring_in_training_mode_leaves_the_statistics_alone():
    method = build().train()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    (training,) = scores_of(method, features(20))
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    (evaluation,) = scores_of(method.eval(), features(20))
    torch.testing.assert_close(training.anomaly, evaluation.anomaly)


def test_state_survives_a_round_trip_without_the_text_tower(batch):
    method = build().train()
    method.prepare(all_normal([features(30)], CLASSES))
    sum(method.loss(batch(method)).values()).backward()
    torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.1).step()
    state = method.state_dict()
    assert not any("tower" in k or "token" in k or "resblocks" in k for k in state)
    torch.manual_seed(2)
    other = AnomalyClip(method.config, task())
    other.load_state_dict(state)
    (a,), (b,) = scores_of(method.eval(), features(50)), scores_of(other.eval(), features(50))
    torch.testing.assert_close(a.classes, b.classes, rtol=0, atol=0)


def test_scores_follow_the_weights():
    method = build().eval()
    first = scores_of(method, features(9))[0].classes
    torch.testing.assert_close(scores_of(method, features(9), features(5))[0].classes, first)
    state = {k: v.clone() for k, v in method.state_dict().items()}
    state["directions.text_projection"] *= -1
    method.load_state_dict(state)
    assert not torch.allclose(scores_of(method, features(9))[0].classes, first)
    method.train()
    with torch.no_grad():
        method.directions.text_projection *= -1
    torch.testing.assert_close(scores_of(method.eval(), features(9))[0].classes, first)


def test_normal_context_gets_a_zero_gradient_and_only_decays(batch):
    method = build().train()
    before = method.directions.ctx.detach().clone()
    optimiser = torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.01, weight_decay=0.2)
    sum(method.loss(batch(method)).values()).backward()
    assert torch.equal(method.directions.ctx.grad[CLASSES.normal], torch.zeros(2, 32))
    assert all(method.directions.ctx.grad[c].any() for c in CLASSES.abnormal)
    optimiser.step()
    torch.testing.assert_close(method.directions.ctx[CLASSES.normal], before[CLASSES.normal] * (1 - 0.01 * 0.2))


def test_text_features_are_those_of_the_whole_prompt_through_the_whole_tower():
    """Cutting prompts at their end changes nothing: the same context through all 77 positions."""
    method = build()
    text = tower()
    tokens = text.tokenize(["X X Arson.", "X X Fighting.", "X X Normal.", "X X Road accident."])
    embeddings = text.embed(tokens)
    embeddings[:, 1:3] = method.directions.ctx.detach()
    causal = torch.full((text.context_length, text.context_length), -math.inf).triu(1)
    x = text.transformer(embeddings + text.positional_embedding, attn_mask=causal)
    whole = text.ln_final(x)[torch.arange(4), tokens.argmax(-1)] @ text.text_projection
    torch.testing.assert_close(method.directions.text_features(), whole[[0, 1, 3]], rtol=1e-5, atol=1e-6)


def test_engineered_prompts_are_clips_own_text_features():
    method = build(directions="prompt", text_encoder="frozen")
    names = ("Arson", "Fighting", "Road accident")
    expected = tower()([f"a video from a CCTV camera of a {n}" for n in names])
    torch.testing.assert_close(method.directions.text_features(), expected, rtol=1e-5, atol=1e-6)
    directions = method.directions(torch.full((DIM,), 0.5))
    wanted = (expected - 0.5) / (expected - 0.5).norm(dim=1, keepdim=True)
    torch.testing.assert_close(directions, wanted, rtol=1e-5, atol=1e-6)


def test_prompt_words_are_the_data_sets_words_or_its_names():
    table = ClassTable((VideoClass("RoadAccidents", "road accidents"), VideoClass("Normal")), 1)
    tokens = {w: build(table, prompt_words=w).directions.tokens[0] for w in ("words", "name")}
    assert torch.equal(tokens["words"], tower().tokenize(["X X road accidents."])[0])
    assert torch.equal(tokens["name"], tower().tokenize(["X X RoadAccidents."])[0])


def test_features_of_another_width_are_refused():
    with pytest.raises(FeatureError, match="features are 12 wide"):
        AnomalyClip(AnomalyClipConfig(**SMALL), task(dim=12))
    assert AnomalyClip(AnomalyClipConfig(**SMALL | {"text_encoder": "none", "directions": "free"}), task(dim=12))


def test_prompt_that_fills_the_context_is_refused():
    table = ClassTable((VideoClass("a", "very " * 30 + "long"), VideoClass("b")), 1)
    with pytest.raises(ConfigError, match="fills CLIP's 77 tokens"):
        build(table, n_ctx=60)


@pytest.mark.parametrize("settings", [{"directions": "prompt"}, {"temporal": "mlp"}], ids=str)
def test_ablations_take_no_released_checkpoint(settings):
    with pytest.raises(CheckpointError, match="released checkpoints are of the final model"):
        build(**settings).import_reference({})


def test_centroid_is_the_mean_of_all_rows():
    method = build()
    videos = [features(1, 1), features(700, 2), features(30, 3)]
    method.prepare(all_normal(videos, CLASSES))
    np.testing.assert_allclose(method.centroid, np.concatenate(videos).mean(0, dtype=np.float64), rtol=1e-6, atol=1e-7)
    uncentred = build(centre_features=False)
    uncentred.prepare(all_normal(videos, CLASSES))
    assert not uncentred.centroid.any()
    with pytest.raises(DataError, match="at least one normal training video"):
        build().prepare(all_normal([], CLASSES))


def test_first_of_several_labels_counts():
    labels = torch.tensor([[0.0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0]])
    batch = Batch({}, labels, torch.tensor([3, 1, 2, 2]))
    assert build().columns(batch.first).tolist() == [2, 1]
    assert build().columns(Batch({}, labels).first).tolist() == [1, 1]


def test_bf16_leaves_scores_fine_enough_to_rank():
    method = build().eval()
    rows = torch.randn(3000, method.task.dim, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), autocast("bf16", torch.device("cpu")):
        found = method.score(as_videos([rows]))[0]
    assert len(found.anomaly.unique()) > 1000
    torch.testing.assert_close(found.classes.sum(1), torch.ones(len(rows)), atol=1e-5, rtol=0)


def test_a_new_centroid_gives_new_directions():
    method = build().eval()
    rows = torch.randn(50, method.task.dim, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = method.score(as_videos([rows]))[0].classes
        method.prepare(all_normal([3 + rows.numpy()], CLASSES))
        after = method.score(as_videos([rows]))[0].classes
        fresh = method.train().eval().score(as_videos([rows]))[0].classes
    assert not torch.allclose(before, after)
    assert torch.equal(after, fresh)


def test_one_abnormal_class_is_enough(batch):
    method = build(ClassTable((VideoClass("Anomaly"), VideoClass("Normal")), 1)).train()
    assert torch.isfinite(sum(method.loss(batch(method)).values()))
    (scores,) = scores_of(method.eval(), features(7))
    torch.testing.assert_close(scores.classes[:, 0], scores.anomaly)


@given(rows=st.integers(1, 4000), segments=st.integers(1, 40), data=st.data())
def test_training_rows_cover_the_video_in_order(rows, segments, data):
    length = data.draw(st.integers(1, segments + 1))
    highs = []

    def draw(high: int, size: int) -> np.ndarray:
        highs.append((high, size))
        return np.random.default_rng(rows).integers(high, size=size)

    index = training_rows(rows, segments, length, draw).reshape(segments, length)
    part = (max(rows, segments * length) - length + 1) // segments
    assert highs == [(part - length + 2, segments)]
    assert index.min() >= 0 and index.max() < rows
    assert ((np.diff(index, axis=1) - 1) % rows == 0).all()
    if rows >= segments * length and length > 1:  # a segment of one row may spill past the end of the video itself
        starts = np.arange(segments) * part
        assert (index[:, 0] >= starts).all() and (index[:, -1] <= starts + part).all()


def test_view_reads_only_its_rows(tmp_path):
    array = np.memmap(tmp_path / "f.bin", np.float16, "w+", shape=(100, DIM))
    array[:] = features(100).astype(np.float16)
    view = build().view(VideoInput.of_rows(array), np.random.default_rng(0))["features"]
    assert view.dtype == np.float32 and view.shape == (12, DIM) and not isinstance(view, np.memmap)


@given(rows=st.integers(1, 300), segments=st.integers(1, 7), length=st.integers(1, 7))
def test_windows_come_back_in_order(rows, segments, length):
    line = torch.arange(rows)[:, None]
    windows = to_windows(line, segments, length)
    assert windows.shape == (math.ceil(rows / (segments * length)), segments, length, 1)
    assert from_windows(windows.squeeze(-1), rows).tolist() == list(range(rows))
    # Each window holds every W-th segment, so it spans the whole padded line.
    total, count = segments * length * len(windows), len(windows)
    assert windows[0, :, 0, 0].tolist() == [s % rows for s in range(0, total, count * length)]


def loss_inputs() -> dict[str, Any]:
    g = torch.Generator().manual_seed(4)
    return {
        "similarity": torch.randn(6, 5, 2, 3, generator=g),
        "class_logits": 2 * torch.randn(6, 5, 2, 3, generator=g),
        "logits": torch.randn(6, 5, 2, generator=g),
        "columns": torch.tensor([2, 0, 1]),
        "chosen": Chosen(
            torch.tensor([[0, 4], [3, 1], [2, 2]]),
            torch.tensor([[1], [0], [4]]),
            torch.tensor([[4, 0], [1, 2], [3, 0]]),
        ),
    }


def test_loss_terms_against_loops():
    """Each term written as a loop over videos, chosen segments and rows, with probabilities multiplied plainly."""
    x = loss_inputs()
    z, p = x["similarity"].double().numpy(), x["class_logits"].double().softmax(-1).numpy()
    s, col = x["logits"].double().sigmoid().numpy(), x["columns"].tolist()
    top, bottom, top_normal = (t.tolist() for t in vars(x["chosen"]).values())

    def rows(chosen: list[list[int]], first: int = 0) -> list[tuple[int, int, int]]:
        return [(first + v, n, i) for v in range(3) for n in chosen[v] for i in range(2)]

    flat = s[:3].reshape(-1)
    expected = {
        "direction_abnormal": -np.mean([z[v, n, i, col[v]] for v, n, i in rows(top)]),
        "direction_normal": np.mean([z[v, n, i].max() for v in (3, 4, 5) for n in range(5) for i in range(2)]),
        "direction_top_normal": np.mean([z[v, n, i].max() for v, n, i in rows(top_normal, 3)]),
        "direction_bottom_abnormal": np.mean([z[v, n, i, col[v]] for v, n, i in rows(bottom)]),
        "top_abnormal": -np.mean([np.log(p[v, n, i, col[v]] * s[v, n, i]) for v, n, i in rows(top)]),
        "bottom_abnormal": -np.mean([np.log(1 - s[v, n, i]) for v, n, i in rows(bottom)]),
        "top_normal": -np.mean([np.log(1 - s[v, n, i]) for v, n, i in rows(top_normal, 3)]),
        "smooth": sum((flat[i + 1] - flat[i]) ** 2 for i in range(len(flat) - 1)),
        "sparse": flat.mean(),
    }
    weights = {name: 0.5 + i for i, name in enumerate(expected)}
    terms = weighted_terms(LossWeights(**weights), **x)
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(
        {n: weights[n] * v for n, v in expected.items()}, rel=1e-5
    )


@pytest.mark.parametrize("within, crossings", [("batch", 0), ("video", 1), ("segment", 2)])
def test_smoothness_stops_at_the_chosen_border(within, crossings):
    x = loss_inputs()
    scores = x["logits"][:3].sigmoid().numpy()
    lines = {0: scores.reshape(1, -1), 1: scores.reshape(3, -1), 2: scores.reshape(15, -1)}[crossings]
    weights = LossWeights(smooth=1.0, smooth_within=within)
    assert weighted_terms(weights, **x)["smooth"].item() == pytest.approx(np.square(np.diff(lines)).sum(), rel=1e-5)


def test_losses_stay_finite_where_scores_saturate():
    x = loss_inputs()
    x["logits"] = torch.full((6, 5, 2), -200.0).requires_grad_()
    x["class_logits"] = torch.zeros(6, 5, 2, 3).index_fill(3, torch.tensor(0), 500.0)
    total = sum(weighted_terms(LossWeights(), **x).values())
    total.backward()
    assert torch.isfinite(total) and torch.isfinite(x["logits"].grad).all()


def test_selector_standardises_projections():
    selector = Selector(AnomalyClipConfig(**SMALL), 3).train()
    rows, directions = torch.randn(2, 4, 3, DIM), torch.randn(3, DIM)
    projection = (rows.reshape(-1, DIM) @ directions.T).double().numpy()
    found = selector(rows, directions, batch_statistics=True).reshape(-1, 3).double().numpy()
    variance = projection.var(0)
    np.testing.assert_allclose(found, (projection - projection.mean(0)) / np.sqrt(variance + 1e-5), atol=1e-5)
    unbiased = projection.var(0, ddof=1)
    np.testing.assert_allclose(selector.bn.running_var, 0.9 + 0.1 * unbiased, rtol=1e-5)
    now = selector(rows, directions, batch_statistics=False).reshape(-1, 3).double().numpy()
    mean, var = selector.bn.running_mean.double().numpy(), selector.bn.running_var.double().numpy()
    np.testing.assert_allclose(now, (projection - mean) / np.sqrt(var + 1e-5), atol=1e-5)


def test_cosine_likelihood_is_clips_softmax():
    selector = Selector(AnomalyClipConfig(**SMALL, likelihood="cosine", mil_selection="cosine"), 3)
    rows, directions = torch.randn(7, DIM), torch.nn.functional.normalize(torch.randn(3, DIM), dim=1)
    cosine = np.array([[torch.cosine_similarity(r, d, dim=0).item() for d in directions] for r in rows])
    found = selector(rows, directions, batch_statistics=True)
    np.testing.assert_allclose(found, cosine, atol=1e-6)
    np.testing.assert_allclose(selector.class_logits(found), 100 * cosine, atol=1e-4)


def test_each_selection_ranks_by_its_own_measure():
    """Three segments: one far along another direction, one well aimed but short, one that the selector favours."""
    directions = torch.eye(DIM)[:2]
    rows = torch.zeros(1, 3, 2, DIM)
    rows[:, 0, :, 5] = 9.0
    rows[:, 1, :, 0] = 0.1
    similarity = torch.zeros(1, 3, 2, 2)
    similarity[:, 2] = 1.0
    best = {}
    for selection in ("magnitude", "cosine", "selector"):
        selector = Selector(AnomalyClipConfig(**SMALL, mil_selection=selection), 2)
        best[selection] = int(selector.segment_scores(rows, directions, similarity)[0, :, 0].argmax())
    assert best == {"magnitude": 0, "cosine": 1, "selector": 2}


def test_choice_ranks_abnormal_videos_by_their_class_and_normal_ones_by_the_sum():
    config = AnomalyClipConfig(**SMALL | {"segment_dropout": 0.0})
    scores = torch.zeros(2, 4, 2)
    scores[0, :, 1] = torch.tensor([3.0, 1.0, 4.0, 2.0])
    scores[0, :, 0] = torch.tensor([9.0, 9.0, -9.0, -9.0])
    scores[1] = torch.tensor([[5.0, -9.0], [1.0, 1.0], [0.0, 1.5], [-9.0, 5.0]])
    chosen = choose(scores, torch.tensor([1]), draw_masks(2, config, CPU), config)
    assert chosen.top_abnormal.tolist() == [[2, 0]]
    assert chosen.bottom_abnormal.tolist() == [[1]]
    assert chosen.top_normal.tolist() == [[1, 2]]
    top, bottom = torch.ones(2, 2, 4, dtype=torch.bool)
    top[:, 2] = bottom[:, 1] = False
    hidden = choose(scores, torch.tensor([1]), Masks(top, bottom), config)
    assert hidden.top_abnormal.tolist() == [[0, 3]]
    assert hidden.bottom_abnormal.tolist() == [[3]]


def test_one_mask_hides_segments_from_both_choices_unless_separate():
    config = AnomalyClipConfig(segment_dropout=0.5)
    torch.manual_seed(0)
    first, second = torch.bernoulli(torch.full((2, 64, 32), 0.5)).bool()
    for separate in (False, True):
        torch.manual_seed(0)
        masks = draw_masks(64, config.model_copy(update={"separate_masks": separate}), CPU)
        assert torch.equal(masks.top, first if separate else second)
        assert torch.equal(masks.bottom, second)


def test_refilled_masks_leave_enough_and_keep_what_was_left():
    config = AnomalyClipConfig(segment_dropout=0.95, top_k=4, bottom_k=2)
    for refill in (False, True):
        torch.manual_seed(0)
        masks = draw_masks(200, config.model_copy(update={"refill_masks": refill}), CPU)
        fewest = masks.top.sum(1).min(), masks.bottom.sum(1).min()
        if not refill:
            plain = masks
            assert fewest[0] < 4 and fewest[1] < 2
    assert fewest == (4, 2)
    assert (masks.top & plain.top).sum() == plain.top.sum()
    assert torch.equal(masks.top.sum(1), plain.top.sum(1).clamp(min=4))


def literal_axial(model: AxialTransformer, grid: np.ndarray, heads: int = 8) -> np.ndarray:
    """The axial transformer in plain loops, from spec 2.6."""
    w = {k: v.detach().double().numpy() for k, v in model.state_dict().items()}
    segments, length, width = grid.shape
    size = width // heads

    def attend(line: np.ndarray, name: str) -> np.ndarray:
        mean, var = line.mean(1, keepdims=True), line.var(1, keepdims=True)
        x = (line - mean) / np.sqrt(var + 1e-5) * w[f"{name}.norm.weight"] + w[f"{name}.norm.bias"]
        q, kv = x @ w[f"{name}.to_q.weight"].T, x @ w[f"{name}.to_kv.weight"].T
        k, v = kv[:, :width], kv[:, width:]
        out = np.zeros_like(line)
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            for t in range(len(line)):
                weights = np.exp([q[t, part] @ k[u, part] / np.sqrt(size) for u in range(len(line))])
                out[t, part] = weights / weights.sum() @ v[:, part]
        return out @ w[f"{name}.to_out.weight"].T + w[f"{name}.to_out.bias"]

    def over_segments(x: np.ndarray, name: str) -> np.ndarray:
        return np.stack([attend(x[:, i], name) for i in range(length)], 1)

    def over_rows(x: np.ndarray, name: str) -> np.ndarray:
        return np.stack([attend(x[n], name) for n in range(segments)])

    def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        out = np.tile(bias, (segments, length, 1))
        for n in range(segments):
            for i in range(length):
                for dn in (-1, 0, 1):
                    for di in (-1, 0, 1):
                        if 0 <= n + dn < segments and 0 <= i + di < length:
                            out[n, i] += weight[:, :, dn + 1, di + 1] @ x[n + dn, i + di]
        return out

    def feed(x: np.ndarray, name: str) -> np.ndarray:
        normed = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-5)
        normed = normed * w[f"{name}.norm.weight"] + w[f"{name}.norm.bias"]
        hidden = convolve(normed, w[f"{name}.widen.weight"], w[f"{name}.widen.bias"])
        return convolve(
            np.where(hidden > 0, hidden, 0.01 * hidden), w[f"{name}.narrow.weight"], w[f"{name}.narrow.bias"]
        )

    a = b = grid + w["segment_position"][0] + w["row_position"][0]
    for i in range(len(model.over_segments)):
        a = a + over_segments(b, f"over_segments.{i}")
        b = b + over_rows(a, f"over_rows.{i}")
        a = a + feed(b, f"feed_first.{i}")
        b = b + feed(a, f"feed_second.{i}")
    return (a + b) / 2


def test_axial_transformer_against_loops():
    torch.manual_seed(7)
    model = AxialTransformer(16, depth=2, segments=4, length=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        grids = torch.randn(2, 4, 3, 16)
        found = model(grids)
    expected = np.stack([literal_axial(model, g) for g in grids.double().numpy()])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "temporal, within_segment, across_segments",
    [("mlp", False, False), ("short", True, False), ("long", True, True), ("mtn", True, True), ("axial", True, True)],
)
def test_temporal_models_see_as_far_as_their_name_says(temporal, within_segment, across_segments):
    torch.manual_seed(7)
    model = TemporalModel(AnomalyClipConfig(**SMALL, temporal=temporal), DIM)
    grid = torch.randn(1, 4, 3, 16)
    changed = grid.clone()
    changed[0, 2, 1] = torch.randn(16)
    with torch.no_grad():
        moved = (model(changed) - model(grid))[0].abs() > 1e-6
    assert moved[2, 1]
    assert bool(moved[2, [0, 2]].all()) == within_segment
    assert bool(moved[[1, 3]].any()) == across_segments


def test_multi_scale_network_reaches_four_segments():
    torch.manual_seed(7)
    model = MultiScaleNetwork(16)
    with torch.no_grad():
        model.restore.weight.zero_()
        sequence = torch.zeros(1, 21, 16)
        changed = sequence.clone()
        changed[0, 10] += 1
        moved = (model(changed) - model(sequence))[0].abs().amax(-1) > 1e-7
    reached = set(np.flatnonzero(moved.numpy()) - 10)
    # Dilations 1, 2 and 4 widened by one by the fusing convolution.
    assert reached <= set(range(-5, 6)) and {-5, 5} & reached and {-2, 2} & reached


@pytest.mark.parametrize(
    "assignment, message",
    [
        (["directions=free"], "setting 'directions' from --set: .*go together"),
        (["text_encoder=none"], "go together"),
        (["likelihood=cosine"], "likelihood 'cosine' has no selector"),
        (["segment_length=40"], "setting 'segment_length'.*at most segments"),
        (["segments=20", "top_k=21"], "setting 'top_k' from --set: .*at most segments = 20"),
        (["emb_size=100"], "emb_size"),
        (["recipe.sampler=mixed"], "balanced"),
        (["loss.smoth=1"], "did you mean 'loss.smooth'"),
        (
            ["directions=prompt", "shared_context=true"],
            "setting 'shared_context' from --set: .*no effect with directions=prompt",
        ),
        (["segment_dropout=0", "separate_masks=true"], "setting 'separate_masks'.*no effect with segment_dropout=0"),
        (["segment_dropout=0", "refill_masks=true"], "setting 'refill_masks'.*no effect"),
        (["loss.smooth=0", "loss.smooth_within=video"], "setting 'loss.smooth_within'.*no effect"),
        (["recipe.schedule=constant"], "setting 'recipe.warmup_epochs'.*set recipe.warmup_epochs=0"),
    ],
)
def test_settings_that_contradict_are_named(assignment, message):
    with pytest.raises(ConfigError, match=message):
        resolve(AnomalyClipConfig, {}, environment={}, assignments=assignment)


@pytest.mark.parametrize(
    "dataset, published",
    [
        ("ucfcrime", (1e-5, 50, 256, 1)),
        ("xdviolence", (5e-6, 50, 128, 1)),
        ("shanghaitech", (5e-4, 100, 256, 2)),
    ],
)
def test_published_settings(dataset, published):
    config = resolve(AnomalyClipConfig, AnomalyClipConfig.dataset_defaults[dataset], environment={})
    assert (config.recipe.learning_rate, config.recipe.epochs, config.emb_size, config.depth) == published


def test_registering_imports_no_torch():
    check = "assert 'torch' not in sys.modules; print(p.vadbench_methods()[0].target)"
    code = f"import sys, vadbench_anomalyclip as p; {check}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert out == f"{AnomalyClip.__module__}:{AnomalyClip.__name__}"


def test_it_learns_which_rows_are_abnormal_and_of_which_class(toy, learnt, tmp_path):
    recipe = {"epochs": 60, "batch_size": 12, "learning_rate": 3e-3, "warmup_epochs": 6}
    method = build(recipe=recipe, segments=8, segment_length=4, segment_dropout=0.3)
    videos, others = (toy(CLASSES, count, seed, rows=(30, 60)) for count, seed in ((36, 1), (24, 2)))
    method.prepare(TrainingData([v.sample for v in videos], CLASSES))
    before = learnt(method, others)
    TrainingLoop(0, tmp_path).run(method, [v.sample for v in videos], method.config.recipe)
    after = learnt(method, others)
    assert after["anomaly"] > 0.95 and after["anomaly"] > before["anomaly"] + 0.2
    assert after["class"] > 0.9
