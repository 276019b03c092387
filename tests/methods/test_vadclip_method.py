"""VadCLIP's behaviour: every ablation, sampling, prompts and losses against slow references, and that it learns."""

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
from vadbench_vadclip.config import VadClipConfig
from vadbench_vadclip.losses import align_loss, coarse_loss, divergence
from vadbench_vadclip.method import VadClip
from vadbench_vadclip.temporal import TemporalAdapter

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError, ConfigError, FeatureError
from vadbench.clip import TextTower
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Task
from vadbench.nn.chunks import ROWS_AT_ONCE
from vadbench.training.loop import autocast
from vadbench.training.stages import TrainingLoop

DIM = 24
CPU = torch.device("cpu")
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Fighting", "Normal", "Road_accident"))), 2)
SMALL: dict[str, Any] = {"length": 16, "window": 4, "prefix": 2, "postfix": 3}
TEMPORAL = ("none", "global", "local", "graph", "local+global", "global+graph", "local+graph")

ABLATIONS: list[dict[str, Any]] = [
    *({"temporal": t} for t in TEMPORAL),
    {"branches": "coarse"},
    {"branches": "align", "visual_prompt": "average", "score_branch": "align"},
    {"branches": "align", "visual_prompt": "none", "score_branch": "align"},
    {"text_prompt": "handcrafted"},
    {"prompt_words": "name"},
    {"prefix": 0},
    {"postfix": 0},
    {"visual_prompt": "none"},
    {"visual_prompt": "average"},
    {"score_branch": "align"},
    {"score_branch": "best"},
    {"layers": 3, "heads": 4},
    {"window": 16},
    {"divergence_weight": 0.0},
    {"mask_padding": True},
    {"mask_padding": True, "temporal": "global"},
    {"mask_padding": True, "temporal": "none"},
    {"distance_weights": "softmax"},
    {"mask_padding": True, "distance_weights": "softmax"},
    {"focus_weights": "confidence"},
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


def build(classes: ClassTable = CLASSES, **settings: Any) -> VadClip:
    torch.manual_seed(1)
    return VadClip(VadClipConfig(**SMALL | settings), task(classes))


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)


def scores_of(method: VadClip, *videos: np.ndarray) -> list[Any]:
    with torch.inference_mode():
        return method.score(as_videos([torch.from_numpy(v) for v in videos]))


@pytest.mark.parametrize("settings", ABLATIONS, ids=str)
def test_every_ablation_trains_and_scores(batch, settings):
    method = build(**settings)
    config = method.config
    terms = method.train().loss(batch(method))
    learned = config.branches != "coarse" and config.text_prompt == "learned" and config.divergence_weight
    branches = {"coarse", "align"} if config.branches == "both" else {config.branches}
    assert set(terms) == branches | ({"divergence"} if learned else set())
    sum(terms.values()).backward()
    assert all(torch.isfinite(t) for t in terms.values())
    grouped = [p for g in method.groups().values() for p in g]
    assert {id(p) for p in grouped} == {id(p) for p in method.parameters()}
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.01).step()
    assert all(not torch.equal(p, before[name]) for name, p in method.named_parameters())
    method.eval()
    lengths = (1, 2, 15, 16, 17, 600)
    for rows, scores in zip(lengths, scores_of(method, *map(features, lengths)), strict=True):
        assert scores.anomaly.shape == (rows,)
        assert scores.anomaly.min() >= 0 and scores.anomaly.max() <= 1
        assert set(scores.branches) == (branches if len(branches) == 2 else set())
        if config.branches == "coarse":
            assert scores.classes is None
            continue
        assert scores.classes.shape == (rows, len(CLASSES))
        torch.testing.assert_close(scores.classes.sum(1), torch.ones(rows))
        align = scores.branches.get("align", scores.anomaly)
        torch.testing.assert_close(scores.classes[:, CLASSES.normal], 1 - align)
        chosen = config.score_branch if config.score_branch != "best" else method._score_branch()
        assert torch.equal(scores.anomaly, scores.branches.get(chosen, scores.anomaly))


def test_published_lengths_at_the_ends_of_chunks():
    """The authors' code has no score for a single row, and a chunk too many at 256 and 512."""
    method = build(length=256, window=8).eval()
    lengths = (1, 15, 16, 17, 255, 256, 257, 512)
    videos = [features(n, n) for n in lengths]
    for rows, video, scores in zip(lengths, videos, scores_of(method, *videos), strict=True):
        assert len(scores.anomaly) == len(scores.classes) == rows
        assert torch.isfinite(scores.anomaly).all()
        # Nothing crosses from one chunk to the next.
        (first,) = scores_of(method, video[:256])
        torch.testing.assert_close(scores.anomaly[:256], first.anomaly, rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"temporal": "global"}, {"mask_padding": True}], ids=str)
def test_scores_do_not_depend_on_company(settings):
    method = build(**settings).eval()
    videos = [features(n, n) for n in (1, 13, 16, 40, ROWS_AT_ONCE + 500)]
    together = scores_of(method, *videos)
    backwards = scores_of(method, *videos[::-1])[::-1]
    for video, company, other in zip(videos, together, backwards, strict=True):
        (alone,) = scores_of(method, video)
        for found in (company, other):
            torch.testing.assert_close(alone.anomaly, found.anomaly, rtol=0, atol=1e-6)
            torch.testing.assert_close(alone.classes, found.classes, rtol=0, atol=1e-6)


def test_state_survives_a_round_trip_without_clip(batch):
    method = build().train()
    sum(method.loss(batch(method)).values()).backward()
    torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.1).step()
    state = method.state_dict()
    assert sum(v.numel() for v in state.values()) == sum(p.numel() for p in method.parameters()) + 1  # sigma
    assert not any("tower" in k or "token" in k or "resblocks" in k for k in state)
    torch.manual_seed(2)
    other = VadClip(method.config, task())
    other.load_state_dict(state)
    (a,), (b,) = scores_of(method.eval(), features(50)), scores_of(other.eval(), features(50))
    assert torch.equal(a.anomaly, b.anomaly) and torch.equal(a.classes, b.classes)


def test_scores_follow_the_weights():
    method = build().eval()
    first = scores_of(method, features(100))[0].classes
    state = {k: v.clone() for k, v in method.state_dict().items()}
    state["align.prompts.embeddings"] += torch.randn(77, 32)
    method.load_state_dict(state)
    assert not torch.allclose(scores_of(method, features(100))[0].classes, first)


def test_coarse_branch_alone_needs_no_text():
    def no_text() -> TextTower:
        raise AssertionError("the text tower was asked for")

    method = VadClip(VadClipConfig(**SMALL, branches="coarse"), Task(CLASSES, 12, CPU, no_text))
    assert method.score(as_videos([torch.zeros(3, 12)]))[0].classes is None


def test_text_features_are_those_of_the_whole_prompt_through_the_whole_tower():
    """The table of vectors with words set into it, through all 77 positions (spec 1.4)."""
    method = build()
    text = tower()
    table = method.align.prompts.embeddings.detach()
    words = ["arson", "fighting", "normal", "road accident"]
    rows, ends = [], []
    for tokens in text.tokenize(words):
        count = int(tokens.argmax()) - 1
        row = table.clone()
        row[0] = text.embed(tokens)[0]
        row[3 : 3 + count] = text.embed(tokens)[1 : 1 + count]
        ends.append(3 + count + 3)
        row[ends[-1]] = text.embed(tokens)[1 + count]
        rows.append(row)
    assert ends == [7, 7, 7, 8]
    causal = torch.full((text.context_length, text.context_length), -math.inf).triu(1)
    x = text.transformer(torch.stack(rows) + text.positional_embedding, attn_mask=causal)
    whole = text.ln_final(x)[torch.arange(4), torch.tensor(ends)] @ text.text_projection
    torch.testing.assert_close(method.text_features(), whole, rtol=1e-5, atol=1e-6)


def test_only_vectors_inside_a_prompt_are_trained(batch):
    """The word after the prefix always covers its vector; the second word only some classes'."""
    method = build().train()
    sum(method.loss(batch(method)).values()).backward()
    trained = method.align.prompts.embeddings.grad.abs().amax(1) > 0
    # 0 start, 1-2 prefix, 3 first word, 4 second word or postfix, ..., 7 end or postfix, 8 the longest prompt's end.
    assert trained.nonzero().flatten().tolist() == [1, 2, 4, 5, 6, 7]


def test_handcrafted_prompts_are_clips_own_text_features():
    method = build(text_prompt="handcrafted")
    expected = tower()([f"a video of {n}" for n in ("Arson", "Fighting", "Normal", "Road accident")])
    torch.testing.assert_close(method.text_features(), expected)


def test_prompt_words_are_the_data_sets_words_or_its_names():
    table = ClassTable((VideoClass("RoadAccidents", "road accidents"), VideoClass("Normal")), 1)
    spelt = ClassTable((VideoClass("a", "RoadAccidents"), VideoClass("b", "Normal")), 1)
    words, name, wanted = (build(t, prompt_words=w) for t, w in ((table, "words"), (table, "name"), (spelt, "words")))
    torch.testing.assert_close(name.text_features(), wanted.text_features())
    assert not torch.allclose(words.text_features()[0], name.text_features()[0])
    torch.testing.assert_close(words.text_features()[1], name.text_features()[1])


def test_features_of_another_width_are_refused():
    with pytest.raises(FeatureError, match="features are 12 wide"):
        VadClip(VadClipConfig(**SMALL), task(dim=12))
    assert VadClip(VadClipConfig(**SMALL, branches="coarse"), task(dim=12))


@pytest.mark.parametrize("prefix, postfix, words", [(40, 40, "a"), (0, 1, "very " * 90), (70, 5, "a")], ids=str)
def test_prompt_that_does_not_fit_is_refused(prefix, postfix, words):
    table = ClassTable((VideoClass("a", words), VideoClass("b")), 1)
    with pytest.raises(ConfigError, match="does not fit CLIP's 77 tokens"):
        build(table, prefix=prefix, postfix=postfix)


def test_longest_prompt_that_fits():
    table = ClassTable((VideoClass("a"), VideoClass("b")), 1)
    method = build(table, prefix=70, postfix=4)  # start, 70, a word, 4, end: 77
    assert torch.isfinite(method.text_features()).all()


def test_view_says_how_many_rows_are_the_videos(tmp_path):
    array = np.memmap(tmp_path / "f.bin", np.float16, "w+", shape=(9, DIM))
    array[:] = features(9).astype(np.float16)
    method = build()
    view = method.view(VideoInput.of_rows(array), np.random.default_rng(0))
    assert view["features"].dtype == np.float32 and view["features"].shape == (16, DIM)
    assert not isinstance(view["features"], np.memmap)
    assert view["length"] == 9
    assert method.view(VideoInput.of_rows(features(90)), np.random.default_rng(0))["length"] == 16


@pytest.mark.parametrize("temporal", TEMPORAL)
def test_temporal_models_see_as_far_as_their_name_says(temporal):
    torch.manual_seed(7)
    adapter = TemporalAdapter(VadClipConfig(**SMALL | {"temporal": temporal}), DIM)
    rows = torch.randn(1, 16, DIM)
    changed = rows.clone()
    changed[0, 6] = torch.randn(DIM)
    with torch.no_grad():
        moved = (adapter(changed, torch.tensor([16])) - adapter(rows, torch.tensor([16])))[0].abs().amax(1) > 1e-7
    reached = set(moved.nonzero().flatten().tolist())
    assert reached == {"none": {6}, "local": {4, 5, 6, 7}}.get(temporal, set(range(16)))


@pytest.mark.parametrize("settings", [s for s in ABLATIONS if s.get("mask_padding")], ids=str)
def test_masked_padding_has_no_influence(settings):
    method = build(**settings).eval()
    lengths = torch.tensor([5])
    rows = torch.from_numpy(features(16))[None]
    other = rows.clone()
    other[:, 5:] = torch.randn(11, DIM)
    for name in ("coarse", "align"):
        found = [method(x, lengths, method.text_features())[name][:, :5] for x in (rows, other)]
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
    unmasked = build(**settings | {"mask_padding": False}).eval()
    found = [unmasked(x, lengths, unmasked.text_features())["align"][:, :5] for x in (rows, other)]
    assert not torch.allclose(*found, rtol=1e-3, atol=1e-3)


def test_distance_weights_of_the_paper_sum_to_one():
    valid = torch.arange(16) < torch.tensor([[16], [5]])
    for mask_padding in (False, True):
        graphs = build(distance_weights="softmax", mask_padding=mask_padding).adapter.graphs
        near = graphs._near(valid)
        torch.testing.assert_close(near.sum(-1), torch.ones(near.shape[:-1]))
    assert not near[1, :, 5:].any()
    assert not torch.allclose(build().adapter.graphs._near(valid).sum(-1), torch.ones(16), atol=1)


@pytest.mark.parametrize("prompt", ["none", "average", "focus", "confidence"])
def test_alignment_against_loops(prompt):
    settings = {"focus": {}, "confidence": {"focus_weights": "confidence"}}
    method = build(**settings.get(prompt, {"visual_prompt": prompt}))
    align = method.align
    rows, text = torch.from_numpy(features(32)).view(2, 16, DIM), torch.randn(4, DIM)
    coarse = torch.randn(2, 16)
    weights = {"average": torch.ones(2, 16), "focus": coarse, "confidence": coarse.sigmoid()}
    found = align(rows, torch.tensor([16, 3]), text, coarse)
    for b in range(2):
        for c in range(4):
            target = text[c]
            if prompt != "none":
                seen = sum(weights[prompt][b, t] * rows[b, t] for t in range(16))
                target = target + seen / seen.norm()
                target = target + align.mlp(target)
            for t in range(16):
                wanted = torch.cosine_similarity(rows[b, t], target, dim=0) / 0.07
                torch.testing.assert_close(found[b, t, c], wanted, rtol=1e-4, atol=1e-4)


def test_losses_against_loops():
    rng = np.random.default_rng(0)
    lengths = [64, 31, 1]
    coarse, align = rng.standard_normal((3, 64)), rng.standard_normal((3, 64, 4))
    labels = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    first = second = 0.0
    for i, n in enumerate(lengths):
        k = n // 16 + 1
        p = np.sort(1 / (1 + np.exp(-coarse[i, :n])))[::-1][:k].mean()
        first -= math.log(1 - p if labels[i, 2] else p) / 3
        z = np.sort(align[i, :n], axis=0)[::-1][:k].mean(0)
        logs = z - math.log(np.exp(z).sum())
        second -= (labels[i] / labels[i].sum() * logs).sum() / 3
    n, y = torch.tensor(lengths), torch.from_numpy(labels)
    assert coarse_loss(torch.from_numpy(coarse).float(), n, ~y[:, 2]).item() == pytest.approx(first, rel=1e-5)
    assert align_loss(torch.from_numpy(align).float(), n, y).item() == pytest.approx(second, rel=1e-5)
    text = rng.standard_normal((4, 5))
    unit = text / np.linalg.norm(text, axis=1, keepdims=True)
    wanted = np.mean([abs(unit[2] @ unit[c]) for c in (0, 1, 3)])
    assert divergence(torch.from_numpy(text), 2).item() == pytest.approx(wanted, rel=1e-9)


def test_sure_and_wrong_scores_give_a_finite_loss():
    logits = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    loss = coarse_loss(logits, torch.tensor([1, 1]), torch.tensor([False, True]))
    loss.backward()
    assert loss.item() == pytest.approx(100) and torch.isfinite(logits.grad).all()


def test_divergence_is_weighted_by_the_settings(batch):
    method = build(divergence_weight=0.5).train()
    term = method.loss(batch(method))["divergence"]
    torch.testing.assert_close(term, 0.5 * divergence(method.text_features(), CLASSES.normal))


def test_every_label_counts_alike_whatever_its_place(batch):
    method = build().train()
    x = batch(method)
    several = x.labels.clone()
    several[0] = torch.tensor([1, 1 / 2, 0, 1 / 3])
    turned = x.labels.clone()
    turned[0] = torch.tensor([1 / 3, 1, 0, 1 / 2])
    one, other, single = (method.loss(Batch(x.views, labels)) for labels in (several, turned, x.labels))
    torch.testing.assert_close(one["align"], other["align"])
    assert not torch.allclose(one["align"], single["align"])


def test_order_of_classes_only_orders_the_results(batch):
    method = build().eval()
    order = [2, 0, 3, 1]
    table = ClassTable(tuple(CLASSES.classes[i] for i in order), 0)
    other = VadClip(method.config, task(table)).eval()
    other.load_state_dict(method.state_dict())
    (a,), (b,) = scores_of(method, features(40)), scores_of(other, features(40))
    torch.testing.assert_close(a.classes[:, order], b.classes, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(a.branches["align"], b.branches["align"], rtol=1e-4, atol=1e-6)
    x = batch(method)
    losses = [m.loss(Batch(x.views, labels)) for m, labels in ((method, x.labels), (other, x.labels[:, order]))]
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)


def test_best_branch_is_the_one_that_told_training_videos_apart():
    method = build(score_branch="best")
    assert method._score_branch() == "coarse"
    abnormal = torch.tensor([True, True, False, False])
    lengths = torch.full((4,), 2)
    right = torch.tensor([[0.0, 3.0], [2.0, 0.0], [0.0, 0.0], [-1.0, 1.0]])
    wrong = torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 0.0], [1.0, 0.0]])

    def normal(scores: torch.Tensor) -> torch.Tensor:
        """Logits of which the normal class has the less the higher a score is."""
        logits = torch.zeros(*scores.shape, 4)
        logits[..., CLASSES.normal] = -scores
        return logits

    method._compare_branches({"coarse": wrong, "align": normal(right)}, lengths, abnormal)
    # Of four pairs the second branch has all in order; the first one a tie, two right, one wrong.
    torch.testing.assert_close(method.separation, torch.tensor([0.625, 1.0]))
    assert method._score_branch() == "align"
    for _ in range(200):
        method._compare_branches({"coarse": right, "align": normal(wrong)}, lengths, abnormal)
    assert method._score_branch() == "coarse"
    before = method.separation.clone()
    method._compare_branches({"coarse": right, "align": normal(wrong)}, lengths, torch.ones(4, dtype=torch.bool))
    assert torch.equal(method.separation, before)
    other = build(score_branch="best")
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.separation, before)


def test_bf16_leaves_scores_fine_enough_to_rank():
    method = build().eval()
    rows = torch.randn(3000, DIM, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), autocast("bf16", CPU):
        found = method.score(as_videos([rows]))[0]
    assert all(len(s.unique()) > 1000 for s in found.branches.values())
    torch.testing.assert_close(found.classes.sum(1), torch.ones(len(rows)), atol=1e-5, rtol=0)


def test_bf16_trains(batch):
    method = build().train()
    with autocast("bf16", CPU):
        terms = method.loss(batch(method))
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters())


def test_one_abnormal_class_is_enough(batch):
    method = build(ClassTable((VideoClass("Anomaly"), VideoClass("Normal")), 1)).train()
    assert torch.isfinite(sum(method.loss(batch(method)).values()))
    (scores,) = scores_of(method.eval(), features(7))
    torch.testing.assert_close(scores.classes[:, 0], scores.branches["align"])


def test_a_batch_of_one_kind_trains(batch):
    method = build(score_branch="best").train()
    x = batch(method)
    only_normal = torch.zeros_like(x.labels)
    only_normal[:, CLASSES.normal] = 1
    assert torch.isfinite(sum(method.loss(Batch(x.views, only_normal)).values()))


@pytest.mark.parametrize(
    "settings",
    [{"temporal": "graph"}, {"branches": "coarse"}, {"text_prompt": "handcrafted"}, {"visual_prompt": "none"}],
    ids=str,
)
def test_ablations_take_no_released_checkpoint(settings):
    with pytest.raises(CheckpointError, match="released checkpoints are of the final model; set"):
        build(**settings).import_reference({})


@pytest.mark.parametrize(
    "assignment, message",
    [
        (["window=7"], "setting 'window' from --set: .*must divide length = 256"),
        (["length=100"], "must divide length = 100"),
        (["window=512"], "must divide length = 256"),
        (["branches=align", "score_branch=align"], "setting 'visual_prompt'.*'focus' is weighted by the coarse branch"),
        (["branches=align", "visual_prompt=none"], "setting 'score_branch'.*only branch is 'align'"),
        (["branches=coarse", "score_branch=best"], "only branch is 'coarse'"),
        (["prefix=0", "postfix=0"], "setting 'postfix' from --set: .*nothing to learn"),
        (["temporal=graph+local"], "temporal"),
        (["prefx=3"], "did you mean 'prefix'"),
        (["visual_prompt=average", "focus_weights=confidence"], "setting 'focus_weights'.*needs focus"),
        (["branches=coarse", "focus_weights=confidence"], "setting 'focus_weights'.*needs focus and both"),
        (["recipe.schedule=constant"], r"setting 'recipe.milestones'.*set recipe.milestones=\[\]"),
    ],
)
def test_settings_that_contradict_are_named(assignment, message):
    with pytest.raises(ConfigError, match=message):
        resolve(VadClipConfig, {}, environment={}, assignments=assignment)


@pytest.mark.parametrize(
    "settings, dim, message",
    [
        ({"heads": 5}, DIM, "must divide the width 24"),
        ({"temporal": "graph", "branches": "coarse"}, 7, "even number of features, found 7"),
    ],
)
def test_widths_that_cannot_be_divided_are_refused(settings, dim, message):
    with pytest.raises(ConfigError, match=message):
        VadClip(VadClipConfig(**SMALL | settings), task(dim=dim))


@pytest.mark.parametrize(
    "dataset, published",
    [
        ("ucfcrime", (128, "paired", 2e-5, (4, 8), 10, 2, 8, 0.1, "coarse")),
        ("xdviolence", (96, "mixed", 1e-5, (3, 6, 10), 0, 1, 64, 1e-4, "align")),
    ],
)
def test_published_settings(dataset, published):
    config = resolve(VadClipConfig, VadClipConfig.dataset_defaults[dataset], environment={})
    recipe = config.recipe
    found = (recipe.batch_size, recipe.sampler, recipe.learning_rate, recipe.milestones, recipe.look_every)
    assert (*found, config.layers, config.window, config.divergence_weight, config.score_branch) == published
    assert (recipe.epochs, recipe.schedule, recipe.gamma, recipe.weight_decay) == (10, "steps", 0.1, 0.01)
    assert recipe.rollback
    assert (config.rows.stride, config.rows.pooling, config.rows.crops) == (16, "mean", "all")
    assert (config.length, config.prefix, config.postfix) == (256, 10, 10)


def test_registering_imports_no_torch():
    check = "assert 'torch' not in sys.modules; print(p.vadbench_methods()[0].target)"
    code = f"import sys, vadbench_vadclip as p; {check}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert out == f"{VadClip.__module__}:{VadClip.__name__}"


def test_it_learns_which_rows_are_abnormal_and_of_which_class(toy, learnt, tmp_path):
    recipe = {"epochs": 40, "batch_size": 12, "learning_rate": 2e-3, "milestones": (30,)}
    samples, others = [v.sample for v in toy(CLASSES, 36, seed=1)], toy(CLASSES, 24, seed=2)
    gains, ended = [], []
    # About one training in twenty ends in a worse place (3 of 60 seeds below 0.9), so the median of three counts.
    for seed in range(3):
        method = build(recipe=recipe, length=64, window=4)
        before = learnt(method, others)
        TrainingLoop(seed, tmp_path / str(seed)).run(method, samples, method.config.recipe)
        after = learnt(method, others)
        ended.append([after[name] for name in ("coarse", "align", "class")])
        gains.append([after[name] - before[name] for name in ("coarse", "align")])
    coarse, align, right = np.median(ended, axis=0)
    assert min(coarse, align) > 0.9 and min(np.median(gains, axis=0)) > 0.2
    assert right > 0.8
