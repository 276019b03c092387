"""Description-prompt methods: every axis of the paper's tables, each equation against slow numpy, banks, training."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from vadbench_descriptions.bank import bank_names, find_bank
from vadbench_descriptions.config import FrameConfig, VideoConfig
from vadbench_descriptions.contrast import PromptContrast
from vadbench_descriptions.contrast_config import PromptContrastConfig
from vadbench_descriptions.frame import DescriptionsFrame
from vadbench_descriptions.losses import align_loss, contrast_loss, phrase_losses
from vadbench_descriptions.prompts import class_descriptions
from vadbench_descriptions.video import DescriptionsVideo
from vadbench_descriptions.wording import long_phrases

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError, FeatureError
from vadbench.clip import TextTower
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Method, Task
from vadbench.nn.chunks import ROWS_AT_ONCE
from vadbench.plugins.registry import Registry
from vadbench.training.loop import autocast
from vadbench.training.stages import TrainingLoop

DIM = 24
CPU = torch.device("cpu")
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Fighting", "Normal", "Road_accident"))), 2)
BANK: dict[str, Any] = {
    "normal": ["a quiet street", "people walking"],
    "abnormal": ["something strange"],
    "classes": {"Arson": ["somebody lighting a house", "a person with petrol"], "Fighting": ["two people fighting"]},
}
SMALL: dict[str, Any] = {"length": 16, "temporal": {"window": 4, "heads": 2}}

# Table by table: 5 and 10 the temporal module, 6 the prompt, 8 context length and depth, 9 the position.
VIDEO_AXES: list[list[str]] = [
    [],
    ["temporal.global=false"],
    ["temporal.local=false"],
    ["temporal.local=false", "temporal.global=false"],
    ["temporal.residual=false"],
    ["prompt.kind=template"],
    ["prompt.kind=learned-category"],
    ["prompt.kind=learned-description"],
    ["prompt.position=middle"],
    ["prompt.position=middle", "prompt.length=5"],
    *([f"prompt.length={n}"] for n in (4, 8, 20, 24, 32)),
    ["temporal.layers=2"],
    ["temporal.layers=3"],
    ["temporal.window=8"],
    ["contrast_weight=0.0"],
    ["mil.k_ratio=4"],
]
FRAME_AXES: list[list[str]] = [
    [],
    ["vote=majority"],
    ["vote=none"],
    ["vote_window=4"],
    ["temperature=0.07"],
    ["mil.k_ratio=1"],
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


def configured(kind: type[Any], settings: dict[str, Any], assignments: list[str] | None) -> Any:
    layered = {key: value for key, value in settings.items() if key != "descriptions"}
    config = resolve(kind, layered, environment={}, assignments=assignments or [])
    return kind.model_validate(config.model_dump(mode="json") | {"descriptions": settings.get("descriptions", BANK)})


def video(classes: ClassTable = CLASSES, assignments: list[str] | None = None, **settings: Any) -> DescriptionsVideo:
    torch.manual_seed(1)
    return DescriptionsVideo(configured(VideoConfig, SMALL | settings, assignments), task(classes))


def frame(classes: ClassTable = CLASSES, assignments: list[str] | None = None, **settings: Any) -> DescriptionsFrame:
    torch.manual_seed(1)
    return DescriptionsFrame(configured(FrameConfig, {"length": 16} | settings, assignments), task(classes))


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)


def scores_of(method: Method, *videos: np.ndarray) -> list[Any]:
    with torch.inference_mode():
        return method.score(as_videos([torch.from_numpy(v) for v in videos]))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def two_steps(method: Method, x: Batch) -> list[dict[str, torch.Tensor]]:
    """The terms of two training steps; every parameter must have a gradient and move."""
    optimiser = torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.01)
    method.train()
    found = []
    for _ in range(2):
        before = {name: p.detach().clone() for name, p in method.named_parameters()}
        terms = method.loss(x)
        optimiser.zero_grad()
        sum(terms.values()).backward()
        for name, parameter in method.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.any(), name
        optimiser.step()
        assert all(not torch.equal(p, before[name]) for name, p in method.named_parameters())
        found.append(terms)
    return found


@pytest.mark.parametrize("assignments", VIDEO_AXES, ids=str)
def test_every_axis_of_the_video_method_trains_and_scores(batch, assignments):
    method = video(assignments=assignments)
    learned = method.config.prompt.kind != "template" and method.config.contrast_weight
    for terms in two_steps(method, batch(method)):
        assert set(terms) == {"align"} | ({"contrast"} if learned else set())
        assert all(torch.isfinite(t) for t in terms.values())
    lengths = (1, 2, 15, 16, 17, 600)
    for rows, scores in zip(lengths, scores_of(method.eval(), *map(features, lengths)), strict=True):
        assert scores.anomaly.shape == (rows,) and scores.classes.shape == (rows, len(CLASSES))
        assert scores.anomaly.min() >= 0 and scores.anomaly.max() <= 1
        torch.testing.assert_close(scores.classes.sum(1), torch.ones(rows))
        torch.testing.assert_close(scores.classes[:, CLASSES.normal], 1 - scores.anomaly)


@pytest.mark.parametrize("assignments", FRAME_AXES, ids=str)
def test_every_axis_of_the_frame_method_trains_and_scores(batch, assignments):
    method = frame(assignments=assignments, temperature=0.07)
    for terms in two_steps(method, batch(method)):
        assert set(terms) == {"normal", "abnormal"}
    lengths = (1, 2, 15, 16, 17, 600)
    for rows, scores in zip(lengths, scores_of(method.eval(), *map(features, lengths)), strict=True):
        assert scores.anomaly.shape == (rows,) and scores.classes.shape == (rows, len(CLASSES))
        assert scores.anomaly.min() >= 0 and scores.anomaly.max() <= 1
        torch.testing.assert_close(scores.classes.sum(1), torch.ones(rows))
        torch.testing.assert_close(scores.classes[:, CLASSES.normal], 1 - scores.anomaly)
        assert not scores.classes[:, CLASSES.id("Road_accident")].any()


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-6), (torch.float32, 1e-4)], ids=str)
def test_the_frame_method_starts_as_zero_shot_clip(dtype, tolerance):
    method = frame(vote="none").to(dtype).eval()
    phrases = [*BANK["normal"], *BANK["abnormal"], *BANK["classes"]["Arson"], *BANK["classes"]["Fighting"]]
    with torch.no_grad():
        text = unit(tower()(phrases).double().numpy())
    rows = features(300).astype(np.float64 if dtype == torch.float64 else np.float32)
    (scores,) = scores_of(method, rows)
    p = np.stack([softmax(row @ text.T / 0.01) for row in unit(rows.astype(np.float64))])
    np.testing.assert_allclose(scores.anomaly.numpy(), p[:, 2:].sum(1), rtol=0, atol=tolerance)
    # Untied phrases add to the score; the classes share it in proportion to their own phrases.
    arson = p[:, 2:].sum(1) * p[:, 3:5].sum(1) / p[:, 3:].sum(1)
    np.testing.assert_allclose(scores.classes[:, 0].numpy(), arson, rtol=0, atol=tolerance)


def test_the_phrases_of_a_class_are_added_one_after_the_other():
    # To the bit: a GPU adds in no order of its own then.
    more = {
        "Arson": ["fire", "smoke", "a burning car", "arson"],
        "Fighting": ["a brawl"],
        "Road_accident": ["a crash", "a car"],
    }
    method = frame(vote="none", descriptions=BANK | {"classes": more}).eval()
    rows = torch.from_numpy(features(50))
    with torch.inference_mode():
        _, shares = method._compared(rows)
        untied = len(BANK["normal"]) + len(BANK["abnormal"])
        phrases = method(rows)[:, untied:].softmax(-1)
    expected, place = np.zeros(shares.shape, np.float32), 0
    for name, own in more.items():
        for _ in own:
            expected[:, CLASSES.id(name)] += phrases[:, place].numpy()
            place += 1
    np.testing.assert_array_equal(shares.numpy(), expected)


def test_the_trained_similarity_against_its_equation():
    method = frame().double()
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal(method.weights.shape), rng.standard_normal(len(method.biases))
    with torch.no_grad():
        method.weights.copy_(torch.from_numpy(a))
        method.biases.copy_(torch.from_numpy(b))
    rows = features(5).astype(np.float64)
    found = method(torch.from_numpy(rows)).detach().numpy()
    for t in range(5):
        for k in range(len(b)):
            f, phrase = unit(rows[t]), method.phrases[k].numpy()
            assert found[t, k] == pytest.approx(f @ np.diag(a[k]) @ phrase / 0.01 + b[k], abs=1e-9)


def test_the_loss_of_phrases_against_loops():
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((4, 40, 6))
    lengths, k_ratio = [40, 17, 40, 1], 16
    abnormal = np.array([0, 0, 1, 1, 1, 1], bool)
    own = np.zeros((4, 6), bool)
    own[0, [3, 4]] = True  # a video whose class has phrases of its own
    own[1, 2:] = True  # and one whose class has none
    wanted = []
    for b, length in enumerate(lengths):
        p = np.stack([softmax(x) for x in logits[b, :length]])
        rows = range(length)
        if own[b].any():
            order = sorted(rows, key=lambda t: -p[t, abnormal].sum())
            rows = order[: length // k_ratio + 1]
        terms = []
        for t in rows:
            if own[b].any():
                positive, negative = p[t, own[b]].max(), p[t, ~abnormal].max()
            else:
                positive, negative = p[t, ~abnormal].max(), p[t, abnormal].max()
            terms.append(-math.log(positive / (positive + negative)))
        wanted.append(np.mean(terms))
    tensors = (torch.from_numpy(logits), torch.tensor(lengths), torch.from_numpy(abnormal), torch.from_numpy(own))
    np.testing.assert_allclose(phrase_losses(*tensors, k_ratio).numpy(), wanted, rtol=1e-9)


def test_phrases_of_another_class_are_no_positives():
    method = frame()
    labels = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [1, 1, 0, 0]], dtype=torch.bool)
    # normal, normal, untied, Arson, Arson, Fighting
    wanted = [[0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    assert method._own(labels).int().tolist() == wanted


def test_the_losses_of_videos_against_loops():
    rng = np.random.default_rng(0)
    lengths, tau = [64, 31, 1], 0.07
    cosines = rng.uniform(-1, 1, (3, 64, 4))
    labels = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    wanted = 0.0
    for b, length in enumerate(lengths):
        k = min(length, length // 16 + 1)
        s = [np.sort(cosines[b, :length, c])[::-1][:k].mean() for c in range(4)]
        p = softmax(np.array(s) / tau)
        wanted -= (labels[b] / labels[b].sum() * np.log(p)).sum() / 3
    found = align_loss(torch.from_numpy(cosines), torch.tensor(lengths), torch.from_numpy(labels), tau, 16)
    assert found.item() == pytest.approx(wanted, rel=1e-9)
    text = rng.standard_normal((4, 5))
    wanted = sum(max(0.0, float(unit(text)[2] @ unit(text)[c])) for c in (0, 1, 3))
    assert wanted > 0
    assert contrast_loss(torch.from_numpy(text), 2).item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("assignments", [[], ["temporal.global=false"], ["temporal.local=false"]], ids=str)
def test_padding_has_no_influence(assignments):
    method = video(assignments=assignments).eval()
    rows = torch.from_numpy(features(16))[None]
    other = rows.clone()
    other[:, 5:] = torch.randn(11, DIM)
    text = method.prompts.text_features()
    found = [method(x, torch.tensor([5]), text)[:, :5] for x in (rows, other)]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_a_view_says_how_many_rows_are_the_videos(tmp_path):
    array = np.memmap(tmp_path / "f.bin", np.float16, "w+", shape=(9, DIM))
    array[:] = features(9).astype(np.float16)
    for method in (video(), frame()):
        view = method.view(VideoInput.of_rows(array), np.random.default_rng(0))
        assert view["features"].dtype == np.float32 and view["features"].shape == (16, DIM)
        assert not isinstance(view["features"], np.memmap)
        assert view["length"] == 9
        assert method.view(VideoInput.of_rows(features(90)), np.random.default_rng(0))["length"] == 16


@pytest.mark.parametrize("vote", ["mean", "majority", "none"])
@pytest.mark.parametrize("stride, window", [(1, 16), (4, 16), (1, 5), (16, 16)])
def test_the_vote_against_loops(vote, stride, window):
    settings = {"vote": vote, "vote_window": window, "rows": {"stride": stride}, "temperature": 0.2}
    rows = features(37)
    (own,) = scores_of(frame(**settings | {"vote": "none"}).eval(), rows)
    (found,) = scores_of(frame(**settings).eval(), rows)
    own, n = own.anomaly.numpy(), max(1, window // stride)
    for i in range(len(rows)):
        near = own[max(0, i - n // 2) : i - n // 2 + n]
        wanted = {"mean": near.mean(), "majority": (near > 0.5).mean(), "none": own[i]}[vote]
        assert found.anomaly[i].item() == pytest.approx(wanted, abs=1e-6)
    assert 0.01 < (own > 0.5).mean() < 0.99


@pytest.mark.parametrize("build", [video, frame])
def test_scores_do_not_depend_on_company(build):
    method = build().eval()
    videos = [features(n, n) for n in (1, 13, 16, 40, ROWS_AT_ONCE + 500)]
    together = scores_of(method, *videos)
    backwards = scores_of(method, *videos[::-1])[::-1]
    for rows, company, other in zip(videos, together, backwards, strict=True):
        (alone,) = scores_of(method, rows)
        for found in (company, other):
            torch.testing.assert_close(alone.anomaly, found.anomaly, rtol=0, atol=1e-6)
            torch.testing.assert_close(alone.classes, found.classes, rtol=0, atol=1e-6)


@pytest.mark.parametrize("position, length", [("end", 4), ("middle", 4), ("middle", 5)])
def test_prompts_against_their_definition(position, length):
    method = video(prompt={"position": position, "length": length})
    prompts, text = method.prompts, tower()
    words = class_descriptions(method.config.descriptions, CLASSES)
    assert words == ["somebody lighting a house", "two people fighting", "a quiet street", "Road accident"]
    assert prompts.context.shape == ((4 if position == "end" else 1), length, 32)
    before = length if position == "end" else length // 2
    found = prompts.text_features()
    for c, phrase in enumerate(words):
        tokens = text.tokenize([phrase])[0]
        end = int(tokens.argmax())
        embedded = text.embed(tokens[: end + 1])
        context = prompts.context[c if position == "end" else 0]
        line = torch.cat([embedded[:1], context[:before], embedded[1:end], context[before:], embedded[end:]])
        wanted = text.encode(line[None], torch.tensor([len(line) - 1])) @ text.text_projection
        torch.testing.assert_close(found[c], wanted[0], rtol=1e-4, atol=1e-5)


def test_what_stands_in_a_prompt_is_what_its_kind_says():
    words = {"template": [f"a photo of {w}" for w in CLASSES.words]}
    torch.testing.assert_close(video(prompt={"kind": "template"}).prompts.text_features(), tower()(words["template"]))
    category = video(prompt={"kind": "learned-category"}).prompts
    described = video().prompts
    assert not torch.allclose(category.text_features(), described.text_features(), atol=1e-3)
    torch.testing.assert_close(
        category.fixed,
        video(
            prompt={"kind": "learned-description"}, descriptions={"normal": ["Normal"], "abnormal": ["x"]}
        ).prompts.fixed,
    )


def test_scores_follow_the_weights():
    method = video().eval()
    first = scores_of(method, features(100))[0].classes
    state = {k: v.clone() for k, v in method.state_dict().items()}
    state["prompts.context"] += torch.randn(4, 16, 32)
    method.load_state_dict(state)
    assert not torch.allclose(scores_of(method, features(100))[0].classes, first, atol=1e-3)


@pytest.mark.parametrize("build", [video, frame])
def test_state_survives_a_round_trip_without_clip(batch, build):
    method = build().train()
    sum(method.loss(batch(method)).values()).backward()
    torch.optim.AdamW([p for g in method.groups().values() for p in g], lr=0.1).step()
    state = method.state_dict()
    assert sum(v.numel() for v in state.values()) == sum(p.numel() for p in method.parameters())
    other = build()
    other.load_state_dict(state)
    (a,), (b,) = scores_of(method.eval(), features(50)), scores_of(other.eval(), features(50))
    assert torch.equal(a.anomaly, b.anomaly) and torch.equal(a.classes, b.classes)


def test_order_of_classes_only_orders_the_results():
    order = [2, 0, 3, 1]
    table = ClassTable(tuple(CLASSES.classes[i] for i in order), 0)
    (a,), (b,) = scores_of(frame().eval(), features(40)), scores_of(frame(table).eval(), features(40))
    torch.testing.assert_close(a.classes[:, order], b.classes)
    torch.testing.assert_close(a.anomaly, b.anomaly)


def test_a_bank_without_classes_gives_no_class_probabilities():
    (scores,) = scores_of(frame(descriptions={"normal": ["a"], "abnormal": ["b"]}).eval(), features(9))
    assert scores.classes is None and scores.anomaly.shape == (9,)


@pytest.mark.parametrize("build", [video, frame])
def test_a_class_that_the_data_set_lacks_is_refused(build):
    with pytest.raises(ConfigError, match="rename the class 'Elsewhere', which the data set lacks"):
        build(descriptions={"normal": ["a"], "classes": {"Elsewhere": ["b"]}})


@pytest.mark.parametrize("build", [video, frame])
def test_bf16_trains_and_leaves_scores_fine_enough_to_rank(batch, build):
    method = build().train()
    with autocast("bf16", CPU):
        terms = method.loss(batch(method))
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters())
    rows = torch.randn(3000, DIM, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), autocast("bf16", CPU):
        found = method.eval().score(as_videos([rows]))[0]
    assert len(found.anomaly.unique()) > 1000


def test_a_batch_of_one_kind_trains(batch):
    for build in (video, frame):
        method = build().train()
        x = batch(method)
        only_normal = torch.zeros_like(x.labels)
        only_normal[:, CLASSES.normal] = 1
        assert torch.isfinite(sum(method.loss(Batch(x.views, only_normal)).values()))


def test_no_epochs_is_no_training():
    config = resolve(FrameConfig, {}, environment={}, assignments=["recipe.epochs=0"])
    assert config.recipe.epochs == 0 and not config.trains
    assert FrameConfig.model_validate(config.model_dump(mode="json")) == config
    assert resolve(FrameConfig, {}, environment={}).recipe.epochs == 50


@pytest.mark.parametrize("kind", [VideoConfig, FrameConfig])
def test_a_bank_is_recorded_by_its_content(kind, tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('normal = ["a quiet yard"]\nabnormal = ["a fire"]\n[classes]\nArson = ["petrol"]\n')
    one = resolve(kind, {}, environment={}, assignments=[f"descriptions={path}"])
    record = json.loads(json.dumps(one.model_dump(mode="json")))
    assert record["descriptions"] == {
        "normal": ["a quiet yard"],
        "abnormal": ["a fire"],
        "classes": [["Arson", ["petrol"]]],
        "title": "",
    }
    moved = path.rename(tmp_path / "moved.toml")
    assert resolve(kind, {}, environment={}, assignments=[f"descriptions={moved}"]) == one
    assert kind.model_validate(record) == one
    moved.write_text(moved.read_text().replace("fire", "blaze"))
    assert resolve(kind, {}, environment={}, assignments=[f"descriptions={moved}"]) != one


@pytest.mark.parametrize(
    "kind, assignments, message",
    [
        (VideoConfig, ["temporal.window=7"], "setting 'temporal'.*window must divide length = 256"),
        (VideoConfig, ["length=100"], "must divide length = 100"),
        (
            VideoConfig,
            ["prompt.kind=template", "temporal.local=false", "temporal.global=false"],
            "nothing to train; use descriptions-frame",
        ),
        (VideoConfig, ["temporal.globl=false"], "did you mean 'temporal.global'"),
        (VideoConfig, ["prompt.kind=best"], "prompt.kind"),
        (FrameConfig, ["descriptions=ucfcrim"], "no description bank 'ucfcrim', and no file either; did you mean"),
        (FrameConfig, ["descriptions=7"], "description bank in the settings"),
        (FrameConfig, ["vote=maybe"], "vote"),
        (VideoConfig, ["prompt.kind=template", "prompt.position=middle"], "setting 'prompt.position'.*no effect"),
    ],
)
def test_settings_that_contradict_are_named(kind, assignments, message):
    with pytest.raises(ConfigError, match=message):
        resolve(kind, {}, environment={}, assignments=assignments)


@pytest.mark.parametrize("build", [video, frame])
def test_phrases_that_do_not_fit_clip_are_named(build):
    long = " ".join(["walking"] * 76)
    with pytest.raises(ConfigError, match="walking walking"):
        build(descriptions={"normal": [long], "abnormal": ["x"]})


def test_exactly_as_many_tokens_as_clip_reads_are_allowed():
    longest = " ".join(["walking"] * 75)
    assert frame(descriptions={"normal": [longest], "abnormal": ["x"]}).phrases.shape == (2, DIM)
    with pytest.raises(ConfigError, match=r"78 tokens long, CLIP reads 77"):
        frame(descriptions={"normal": [longest + " on"], "abnormal": ["x"]})


@pytest.mark.parametrize("kind, config", [(DescriptionsVideo, VideoConfig), (DescriptionsFrame, FrameConfig)])
def test_rows_of_another_width_than_the_texts_are_refused(kind, config):
    with pytest.raises(FeatureError, match="features are 32 wide, the text features of this CLIP 24"):
        kind(config(), task(dim=32))


def test_registering_imports_no_torch():
    check = "assert 'torch' not in sys.modules; print(*(s.target for s in p.vadbench_methods()))"
    code = f"import sys, vadbench_descriptions as p; {check}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    kinds = (DescriptionsVideo, DescriptionsFrame, PromptContrast)
    assert out == [f"{kind.__module__}:{kind.__name__}" for kind in kinds]


def test_the_banks_that_come_with_the_methods_are_sound():
    described = ["shanghaitech", "synthetic", "ucfcrime", "ucsdped2", "xdviolence"]
    assert bank_names() == sorted(["general", *described, *(f"{name}_contrast" for name in described)])
    for name in bank_names():
        bank = find_bank(name)
        assert bank.title == str(bank) == name
        assert not bank.problems() and not long_phrases(bank, 77 - 32)


@pytest.mark.parametrize("name", [n for n in bank_names() if n != "general"])
def test_a_data_sets_bank_describes_each_of_its_classes_and_no_other(name):
    dataset = name.removesuffix("_contrast")
    table, bank = Registry().dataset(dataset).classes, find_bank(name)
    assert sorted(bank.of_classes(table)) == sorted(table.abnormal)
    assert len(bank.classes) == len(table.abnormal) and not bank.abnormal
    for kind in (VideoConfig, FrameConfig) if name == dataset else (PromptContrastConfig,):
        assert resolve(kind, kind.dataset_defaults[dataset], environment={}).descriptions == bank


@pytest.mark.parametrize("build", [video, frame])
def test_it_learns_which_rows_are_abnormal(build, toy, learnt, tmp_path):
    bank = BANK | {"classes": BANK["classes"] | {"Road_accident": ["two cars crashing"]}}
    recipe = {"epochs": 40, "batch_size": 12, "learning_rate": 2e-3 if build is video else 1e-2}
    more = {"temperature": 0.1, "vote": "none"} if build is frame else {"mil": {"k_ratio": 4}, "temporal": {"heads": 2}}
    method = build(recipe=recipe, length=64, descriptions=bank, **more)
    samples, others = [v.sample for v in toy(CLASSES, 36, seed=1)], toy(CLASSES, 24, seed=2)
    before = learnt(method, others)
    TrainingLoop(0, tmp_path).run(method, samples, method.config.recipe)
    after = learnt(method, others)
    assert after["anomaly"] > 0.9 and after["anomaly"] > before["anomaly"] + 0.2, (before, after)


def real_rows(folder: Path, name: str) -> dict[str, np.ndarray]:
    content = json.loads((folder / "clip" / f"{name}.json").read_text())
    blocks = content.get("features", {}) | {"texts": content["ucf"]} if "ucf" in content else content["features"]
    return {
        key: np.frombuffer(base64.b64decode(block["b64"]), "<f2").reshape(block["shape"]).astype(np.float32)
        for key, block in blocks.items()
    }


def test_untrained_scores_of_real_features_are_clips_own(test_data):
    """Rows of five UCF-Crime videos and text features of its 14 classes, OpenAI's ViT-B/16; the normal class first."""
    text = torch.from_numpy(real_rows(test_data, "pel4vad_prompt_features")["texts"])

    class RealTexts:
        dim, context_length = 512, 77

        def to(self, device: torch.device) -> RealTexts:
            return self

        def __call__(self, texts: list[str]) -> torch.Tensor:
            return text[[int(t) for t in texts]]

    table = ClassTable(tuple(VideoClass(f"class {i}") for i in range(14)), 0)
    bank = {"normal": ["0"], "classes": {f"class {i}": [str(i)] for i in range(1, 14)}}
    config = FrameConfig.model_validate({"descriptions": bank, "vote": "none"})
    method = DescriptionsFrame(config, Task(table, 512, CPU, RealTexts)).eval()
    videos = real_rows(test_data, "clip_vitb16_snippets16_5_train_videos")
    assert len(videos) == 5
    for rows, scores in zip(videos.values(), scores_of(method, *videos.values()), strict=True):
        cosines = unit(rows.astype(np.float64)) @ unit(text.numpy().astype(np.float64)).T
        wanted = np.stack([softmax(line / 0.01) for line in cosines])
        np.testing.assert_allclose(scores.classes.numpy(), wanted, rtol=0, atol=1e-4)
        np.testing.assert_allclose(scores.anomaly.numpy(), 1 - wanted[:, 0], rtol=0, atol=1e-4)
