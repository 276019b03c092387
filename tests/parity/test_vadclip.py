"""VadCLIP against golden vectors: numbers the authors' code gave for weights and inputs that a recipe rebuilds.

Every folder with a ``recipe.json`` below ``<golden>/vadclip`` is a set; ``VADBENCH_GOLDEN`` names another place. The
authors put the normal class first; here it stands where the data set's own class table has it. Their random crops
(``random_*``) are left out: nothing in their training draws one, and neither does ours. What the detection code gives
is tested in ``test_vadclip_detection.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_vadclip.checkpoint import reference_names
from vadbench_vadclip.config import VadClipConfig
from vadbench_vadclip.losses import align_loss
from vadbench_vadclip.method import VadClip
from vadbench_xdviolence.dataset import XdViolence

from method_inputs import as_videos
from recorded_sets import Golden
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError, UnknownNameError
from vadbench.clip import TextTower
from vadbench.dataset import ClassTable
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Task
from vadbench.metrics.localization import KEYS, LocalisedVideo, localise
from vadbench.nn.attention import Attention
from vadbench.nn.chunks import chunk_lengths, to_chunks
from vadbench.nn.graph import distance_graph, similarity_graph
from vadbench.nn.sampling import averaged_sample

GOLDEN = Golden("vadclip")
SETS = GOLDEN.sets
ATOL, RTOL = 2e-4, 1e-4
"""What the golden README suggests for logits; a GPU keeps to it as well."""
DATASETS = {"ucf": ("ucfcrime", UcfCrime.classes), "xd": ("xdviolence", XdViolence.classes)}
KEY_BIAS = 1
"""The place of the key among query, key and value. Its bias changes no attention, so its gradient is round-off."""


@lru_cache
def weights(name: str, config: str) -> dict[str, torch.Tensor]:
    """A checkpoint as the authors' code writes it; what the recipe leaves out because nothing reads it is made up."""
    state = {k: torch.from_numpy(v) for k, v in GOLDEN.load.weights(GOLDEN.seed(name), config).items()}
    unread = {"clipmodel.logit_scale": torch.zeros(()), "clipmodel.visual.proj": torch.zeros(3, 2)}
    return state | unread | {"disAdj.sigma": torch.full((1,), 0.1)}


@lru_cache
def tower(name: str, config: str, device: torch.device) -> TextTower:
    c = GOLDEN.load.CONFIGS[config]
    text = {"context_length": GOLDEN.load.CONTEXT, "vocab_size": GOLDEN.load.VOCAB, "width": c["width"]}
    text |= {"heads": c["width"] // 64, "layers": c["text_layers"]}
    vision = {"image_size": 8, "layers": 1, "width": 64, "patch_size": 8}
    clip = TextTower(open_clip.CLIP(c["width"], vision, text, quick_gelu=True))
    unread = ("clipmodel.visual.", "clipmodel.logit_scale")
    state = {k: v for k, v in weights(name, config).items() if k.startswith("clipmodel.") and not k.startswith(unread)}
    clip.load_state_dict({k.removeprefix("clipmodel."): v for k, v in state.items()})
    return clip.to(device)


@dataclass
class Case:
    """One configuration of a set: what was computed with it, its class table, and the method with its weights."""

    set: str
    name: str
    device: torch.device

    def __post_init__(self) -> None:
        self.sizes = GOLDEN.load.CONFIGS[self.name]
        self.expected = GOLDEN.arrays(self.set, f"model_{self.name}")
        self.dataset, self.classes = DATASETS[self.sizes["dataset"]]
        listed = {"ucf": GOLDEN.load.UCF_CLASSES, "xd": GOLDEN.load.XD_CLASSES}[self.sizes["dataset"]]
        self.order = [self.classes.id(name) for name in listed]
        """Our class ids in the authors' order, whose first is the normal one."""
        assert sorted(self.order) == list(range(len(self.classes)))
        assert self.order[0] == self.classes.normal != 0

    def method(self, **settings: Any) -> VadClip:
        s = self.sizes
        own = {
            "length": s["visual_length"],
            "heads": s["visual_head"],
            "layers": s["visual_layers"],
            "window": s["attn_window"],
            "prefix": s["prompt_prefix"],
            "postfix": s["prompt_postfix"],
        }
        config = resolve(VadClipConfig, VadClipConfig.dataset_defaults[self.dataset] | own | settings, environment={})
        task = Task(self.classes, s["width"], self.device, lambda: tower(self.set, self.name, self.device))
        method = VadClip(config, task).to(self.device)
        method.import_reference(weights(self.set, self.name))
        return method

    def batch(self, method: VadClip, step: int) -> Batch:
        videos, names = GOLDEN.load.train_batch(GOLDEN.seed(self.set), self.name, step)
        rng = np.random.default_rng(0)
        views = [method.view(VideoInput.of_rows(v), rng) for v in videos]
        stacked = {k: torch.from_numpy(np.stack([v[k] for v in views])).to(self.device) for k in views[0]}
        return Batch(stacked, torch.from_numpy(np.stack([weak_labels(n, self.classes) for n in names])).to(self.device))

    def videos(self) -> list[torch.Tensor]:
        return [torch.from_numpy(v).to(self.device) for v in GOLDEN.load.eval_videos(GOLDEN.seed(self.set), self.name)]


def weak_labels(label: str, classes: ClassTable) -> np.ndarray:
    """As the harness gives a batch: 1 for each class that a video carries."""
    codes = {code for code in label.split("-") if code != "0"}
    found = np.zeros(len(classes), np.float32)
    found[[classes.id(code) for code in codes]] = 1
    return found


def all_cases() -> list[Any]:
    return [pytest.param((s, c), id=f"{s}-{c}") for s in SETS for c in GOLDEN.load.CONFIGS]


@pytest.fixture(params=all_cases())
def case(request, device) -> Case:
    return Case(*request.param, device)


def assert_close(found: torch.Tensor, expected: np.ndarray) -> None:
    found = found.detach().cpu().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=ATOL)


def test_there_is_a_recorded_set():
    assert SETS, f"no folder with a recipe.json in {GOLDEN.folder}"


@pytest.mark.parametrize("name", SETS)
def test_recipe_rebuilds_the_weights_and_inputs(name):
    for config in GOLDEN.load.CONFIGS:
        want = GOLDEN.arrays(name, f"model_{config}")
        inputs = (
            GOLDEN.load.eval_videos(GOLDEN.seed(name), config)
            + GOLDEN.load.train_batch(GOLDEN.seed(name), config, 0)[0]
        )
        drawn = list(GOLDEN.load.weights(GOLDEN.seed(name), config).values())
        np.testing.assert_allclose(GOLDEN.load.checksum(drawn), want["check_weights"], rtol=1e-9)
        np.testing.assert_allclose(GOLDEN.load.checksum(inputs), want["check_inputs"], rtol=1e-9)


@pytest.mark.parametrize("name", SETS)
def test_training_samples(name):
    expected = GOLDEN.arrays(name, "tools")
    for what, features, length in GOLDEN.load.tools_inputs(GOLDEN.seed(name)):
        found = averaged_sample(features, length)
        # A mean of half-precision rows that lies between two of its values may be rounded either way.
        rounding = 1e-3 if features.dtype == np.float16 else 1e-6
        np.testing.assert_allclose(found, expected[f"feat_{what}"], rtol=rounding, atol=1e-6, err_msg=what)
        assert min(len(features), length) == expected[f"featlen_{what}"]


@pytest.mark.parametrize("name", SETS)
def test_chunks(name):
    """Where the length divides the rows the authors add a chunk of zeros, whose result they cut off; ours has none."""
    expected = GOLDEN.arrays(name, "tools")
    for what, features, length in GOLDEN.load.tools_inputs(GOLDEN.seed(name)):
        found = to_chunks(torch.from_numpy(features), length)
        theirs = expected[f"split_{what}"].reshape(-1, *found.shape[1:])
        np.testing.assert_array_equal(found, theirs[: len(found)])
        assert not theirs[len(found) :].any()
        lengths = chunk_lengths(len(features), length)
        assert len(lengths) == len(found)
        assert int(lengths.sum()) == expected[f"splitlen_{what}"] == len(features)


@pytest.mark.parametrize("name", SETS)
def test_graphs(name):
    expected = GOLDEN.arrays(name, "tools")
    np.testing.assert_allclose(distance_graph(5), expected["dist_adj_5"], rtol=1e-6)
    rows = np.stack([GOLDEN.load.video(GOLDEN.seed(name) + 9500 + i, 12, 16) for i in range(2)])
    valid = torch.arange(12) < torch.tensor([[12], [7]])
    found = similarity_graph(torch.from_numpy(rows), valid, 0.7)
    np.testing.assert_allclose(found, expected["adj4_lengths_12_7"], atol=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_attention_reaches_as_far_as_the_mask(name):
    """By moving one row at a time. Windows that do not divide the length are refused in the settings."""
    checked = 0
    for key, mask in GOLDEN.arrays(name, "tools").items():
        if not key.startswith("mask_L"):
            continue
        length, window = (int(part[1:]) for part in key.split("_")[1:])
        if length % window:
            with pytest.raises(ValueError, match="must divide length"):
                VadClipConfig(length=length, window=window)
            continue
        torch.manual_seed(0)
        attention = Attention(4, 1, window).double()
        rows = torch.randn(length, length, 4, dtype=torch.double)
        rows[:] = rows[0].clone()
        still = attention(rows[:1])
        rows[torch.arange(length), torch.arange(length)] += 1  # sample i has row i moved
        reached = (attention(rows) - still).abs().amax(-1) > 1e-12
        np.testing.assert_array_equal(reached.T, mask)
        checked += 1
    assert checked


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dataset, names", [("ucf", ["Normal", "RoadAccidents", "Abuse"]), ("xd", None)])
def test_labels(name, dataset, names):
    """One video of each label; the loss is what tells how a video's classes share its weight."""
    labels = names or ["A", "B1-0-0", "G-B2-B6", "B2-B2-0"]
    expected = GOLDEN.arrays(name, "tools")[f"labels_{dataset}"]
    classes = DATASETS[dataset][1]
    order = [classes.id(n) for n in {"ucf": GOLDEN.load.UCF_CLASSES, "xd": GOLDEN.load.XD_CLASSES}[dataset]]
    for label, row in zip(labels, expected, strict=False):
        carried = torch.from_numpy(weak_labels(label, classes)[None] > 0)
        np.testing.assert_array_equal(carried[0, order], row > 0)
        logits = torch.randn(1, 1, len(classes), generator=torch.Generator().manual_seed(0))
        wanted = -(torch.from_numpy(row / row.sum()) * logits[0, 0, order].log_softmax(-1)).sum()
        torch.testing.assert_close(align_loss(logits, torch.ones(1, dtype=torch.int64), carried), wanted)
    assert not expected[len(labels)].any()
    with pytest.raises(UnknownNameError):
        weak_labels({"ucf": "Unknown", "xd": "B3-0-0"}[dataset], classes)


def test_prompts_and_text_features(case):
    method = case.method()
    tokens = GOLDEN.arrays(case.set, "tools")[f"tokens_{case.sizes['dataset']}"]
    found = method.task.text.tokenize(case.classes.prompt_words(method.config.prompt_words))[case.order].cpu()
    np.testing.assert_array_equal(found[:, : tokens.shape[1]], tokens)
    assert not found[:, tokens.shape[1] :].any()
    assert_close(method.text_features()[case.order], case.expected["text_features"])


def test_evaluation(case):
    method = case.method().eval()
    with torch.inference_mode():
        scores = method.score(as_videos(case.videos()))
    for video, found in zip(case.videos(), scores, strict=True):
        n, length = len(video), case.sizes["visual_length"]
        extra = n % length == 0
        assert len(to_chunks(video, length)) == case.expected[f"eval_n{n}_chunks"][0] - extra
        own = case.expected[f"eval_n{n}_lengths"]
        np.testing.assert_array_equal(chunk_lengths(n, length), own[:-1] if extra else own)
        assert_close(found.branches["coarse"].logit(), case.expected[f"eval_n{n}_logits1"])
        wanted = torch.from_numpy(case.expected[f"eval_n{n}_logits2"]).softmax(-1)
        assert_close(found.classes[:, case.order], wanted.numpy())
        assert_close(found.branches["align"], (1 - wanted[:, 0]).numpy())


def test_alignment_logits(case):
    """Probabilities hide a constant; the logits themselves."""
    method = case.method().eval()
    length = case.sizes["visual_length"]
    with torch.inference_mode():
        for video in case.videos():
            n = len(video)
            lengths = chunk_lengths(n, length).to(case.device)
            logits = method(to_chunks(video, length), lengths, method.text_features())["align"]
            assert_close(logits.flatten(0, 1)[:n, case.order], case.expected[f"eval_n{n}_logits2"])


def test_visual_features(case):
    """Of the first chunk, the rows that fill it up included."""
    method = case.method().eval()
    length = case.sizes["visual_length"]
    recorded = {k: v for k, v in case.expected.items() if k.startswith("visual_features_n")}
    assert recorded
    with torch.inference_mode():
        for video in case.videos():
            if (wanted := recorded.pop(f"visual_features_n{len(video)}", None)) is not None:
                lengths = chunk_lengths(len(video), length).to(case.device)
                assert_close(method.adapter(to_chunks(video, length)[:1], lengths[:1])[0], wanted)
    assert not recorded


def test_training_forward(case):
    method = case.method().train()
    batch = case.batch(method, 0)
    np.testing.assert_array_equal(batch.views["length"].cpu(), case.expected["train_lengths"])
    np.testing.assert_array_equal((batch.labels > 0)[:, case.order].cpu(), case.expected["train_labels"] > 0)
    logits = method(batch.views["features"], batch.views["length"], method.text_features())
    assert_close(logits["coarse"], case.expected["train_logits1"])
    assert_close(logits["align"][..., case.order], case.expected["train_logits2"])


def assert_losses(terms: dict[str, torch.Tensor], expected: np.ndarray, case: Case) -> None:
    """The recorded third term still lacks the factor that XD-Violence's gets in the sum."""
    factor = {"ucf": 1.0, "xd": 1e-4}[case.sizes["dataset"]]
    wanted = dict(zip(("coarse", "align", "divergence"), [*expected[:2], factor * expected[2]], strict=True))
    assert set(terms) == set(wanted)
    for name, value in wanted.items():
        assert terms[name].item() == pytest.approx(value, rel=RTOL), name
    assert sum(terms.values()).item() == pytest.approx(expected[3], rel=RTOL)


def parameters_by_reference_name(method: VadClip) -> dict[str, torch.nn.Parameter]:
    theirs = reference_names(method.config)
    return {theirs[name]: parameter for name, parameter in method.named_parameters()}


def test_losses_and_gradients(case):
    method = case.method().train()
    terms = method.loss(case.batch(method, 0))
    assert_losses(terms, case.expected["losses"][0], case)
    sum(terms.values()).backward()
    found = parameters_by_reference_name(method)
    assert sorted(found) == sorted(case.expected["param_names"])
    for name, norm in zip(case.expected["param_names"], case.expected["grad_norms"], strict=True):
        assert float(found[name].grad.double().norm()) == pytest.approx(norm, rel=1e-3), name
    for key, norms in case.expected.items():
        if key.startswith("grad_qkv."):
            thirds = found[key.removeprefix("grad_qkv.")].grad.double().chunk(3)
            for place, (third, norm) in enumerate(zip(thirds, norms, strict=True)):
                assert place == KEY_BIAS or float(third.norm()) == pytest.approx(norm, rel=1e-3), (key, place)
        elif key.startswith("grad_rownorm."):
            rows = found[key.removeprefix("grad_rownorm.")].grad.double().norm(dim=1).cpu()
            np.testing.assert_allclose(rows, norms, rtol=1e-3, atol=1e-6 * norms.max())
            np.testing.assert_array_equal(rows > 0, norms > 0)


def test_three_training_steps(case):
    """With AdamW's defaults and the rate that the recipe states."""
    method = case.method().train()
    found = parameters_by_reference_name(method)
    start = {name: parameter.detach().clone() for name, parameter in found.items()}
    optimiser = torch.optim.AdamW(
        [p for g in method.groups().values() for p in g], lr=GOLDEN.load.LR, weight_decay=GOLDEN.load.WEIGHT_DECAY
    )
    for step, losses in enumerate(case.expected["losses"]):
        terms = method.loss(case.batch(method, step))
        assert_losses(terms, losses, case)
        optimiser.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        optimiser.step()
    for i, name in enumerate(case.expected["param_names"]):
        now = found[name].detach()
        # A third of this bias is the key's, which round-off moves by the learning rate.
        near = 1e-2 if name.endswith("in_proj_bias") else RTOL
        assert float(now.double().norm()) == pytest.approx(case.expected["step3_norms"][i], rel=near), name
        moved = (now - start[name]).double()
        if not name.endswith("in_proj_bias"):
            assert float(moved.norm()) == pytest.approx(case.expected["step3_delta_norms"][i], rel=1e-2), name
            continue
        for place, (third, norm) in enumerate(
            zip(moved.chunk(3), case.expected[f"step3_delta_qkv.{name}"], strict=True)
        ):
            assert place == KEY_BIAS or float(third.norm()) == pytest.approx(norm, rel=1e-2), (name, place)


def test_scores_of_a_small_split(case):
    """Frame-level AUC and AP of both branches over videos end to end, one score for 16 frames, as the authors' test."""
    method = case.method().eval()
    videos = GOLDEN.load.e2e_set(GOLDEN.seed(case.set), case.name)
    with torch.inference_mode():
        scores = method.score(as_videos([torch.from_numpy(v["feature"]).to(case.device) for v in videos]))
    truth = np.concatenate([v["gt_frames"] for v in videos])
    for place, branch in enumerate(("coarse", "align")):
        frames = np.concatenate([s.branches[branch].cpu().numpy().repeat(16) for s in scores])
        assert roc_auc_score(truth, frames) == pytest.approx(case.expected["e2e_auc1_auc2"][place], abs=1e-4)
        assert average_precision_score(truth, frames) == pytest.approx(case.expected["e2e_ap1_ap2"][place], abs=1e-4)
    headline = {"ucf": "coarse", "xd": "align"}[case.sizes["dataset"]]
    assert all(torch.equal(s.anomaly, s.branches[headline]) for s in scores)


def test_localisation_of_a_small_split(case):
    """mAP@IoU by the authors' rule of the same videos; the tolerance is the README's, of a discrete metric."""
    method = case.method().eval()
    videos = GOLDEN.load.e2e_set(GOLDEN.seed(case.set), case.name)
    with torch.inference_mode():
        scores = method.score(as_videos([torch.from_numpy(v["feature"]).to(case.device) for v in videos]))
    localised = [
        LocalisedVideo(
            str(i),
            s.classes.cpu().numpy(),
            16 * len(s.classes),
            [
                (case.classes.id(label), int(start), int(end))
                for (start, end), label in zip(v["segments"], v["seg_labels"], strict=True)
                if label != "A"
            ],
        )
        for i, (v, s) in enumerate(zip(videos, scores, strict=True))
    ]
    whole = case.sizes["dataset"] == "xd"
    found = localise(localised, 16, case.classes.names, case.classes.normal, "vadclip", normal_segments=whole).metrics()
    values = [100 * found[key].value for key in KEYS]
    np.testing.assert_allclose(values[:-1], case.expected["e2e_dmap"], atol=0.1)
    assert values[-1] == pytest.approx(case.expected["e2e_dmap"].mean(), abs=0.1)


def test_import_takes_every_tensor(case):
    method = case.method()
    for tensor in method.state_dict().values():
        tensor.zero_()
    state = weights(case.set, case.name)
    method.import_reference(state)
    names = reference_names(method.config)
    assert set(names) == set(method.state_dict())
    assert set(names.values()) == {k for k in state if not k.startswith("clipmodel.")}
    for ours, tensor in method.state_dict().items():
        assert torch.equal(tensor.cpu(), state[names[ours]]), ours


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda s: s.pop("linear.bias"), "missing linear.bias"),
        (lambda s: s.pop("disAdj.sigma"), "missing disAdj.sigma"),
        (lambda s: s.pop("clipmodel.ln_final.bias"), "missing clipmodel.ln_final.bias"),
        (lambda s: s.update({"extra.weight": torch.zeros(1)}), "unexpected extra.weight"),
        (lambda s: s.update({"gc1.weight": torch.zeros(1)}), r"gc1.weight is \(1,\), expected"),
        (lambda s: s.clear(), "and [0-9]+ more"),
        (lambda s: s["clipmodel.ln_final.weight"].add_(1), "ln_final.weight is not that of this CLIP"),
    ],
    ids=["missing", "missing-unused", "missing-clip", "unexpected", "shape", "empty", "other-clip"],
)
def test_import_refuses_what_does_not_fit(break_it, message):
    case = Case(SETS[0], next(iter(GOLDEN.load.CONFIGS)), torch.device("cpu"))
    method = case.method()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    state = {k: v.clone() for k, v in weights(case.set, case.name).items()}
    break_it(state)
    with pytest.raises(CheckpointError, match=message):
        method.import_reference(state)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


@pytest.mark.parametrize("key", ["ucf", "xd"])
def test_published_configurations_have_the_released_shapes(key):
    """Every tensor of the real checkpoints beside CLIP has its place, and each of ours is in the checkpoint."""
    path = GOLDEN.folder / "data" / "state_dict_shapes.json"
    if not path.is_file():
        pytest.skip(f"no list of the released tensors at {path}")
    listed = json.loads(path.read_text(encoding="utf-8"))[f"real_{key}"]
    dataset, classes = DATASETS[key]
    text = TextTower(open_clip.CLIP(512, {"image_size": 8, "layers": 1, "width": 64, "patch_size": 8}, WIDE_TEXT))
    config = resolve(VadClipConfig, VadClipConfig.dataset_defaults[dataset], environment={})
    method = VadClip(config, Task(classes, 512, torch.device("cpu"), lambda: text))
    names = reference_names(config)
    found = {names[name]: list(tensor.shape) for name, tensor in method.state_dict().items()}
    assert found == {k: shape for k, shape in listed.items() if not k.startswith("clipmodel.")}
    trainable = sum(p.numel() for p in method.parameters() if p.requires_grad)
    assert trainable == {"ucf": 12_642_306, "xd": 9_489_922}[key] - 1  # sigma, which is not one here


WIDE_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 1}
