"""AnomalyCLIP against golden vectors: numbers the authors' code gave for weights and inputs that a recipe rebuilds.

Every folder with a ``meta.json`` below ``<golden>/anomalyclip`` is a set; ``VADBENCH_GOLDEN`` names another place.
Whatever computes is run on the CPU and, where there is one, on a GPU; the name of each such test says which.
"""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from vadbench_anomalyclip.checkpoint import reference_names
from vadbench_anomalyclip.config import AnomalyClipConfig, AnomalyClipRecipe
from vadbench_anomalyclip.method import AnomalyClip
from vadbench_anomalyclip.sampling import from_windows, to_windows, training_rows
from vadbench_anomalyclip.selector import draw_masks

from method_inputs import all_normal, as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError
from vadbench.clip import Clip, ClipSource, load_clip
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.method import Batch, Task
from vadbench.scoring.alignment import class_positives_per_row
from vadbench.training.optimisers import learning_rate

GOLDEN = Path(os.environ.get("VADBENCH_GOLDEN", Path(__file__).parents[1] / "golden")) / "anomalyclip"
SETS = sorted(p.parent.name for p in GOLDEN.glob("*/meta.json"))
CUDA_RTOL = 1e-3
LOSSES = {
    "dir_abn": "direction_abnormal",
    "dir_nor": "direction_normal",
    "topk_abn": "top_abnormal",
    "bottomk_abn": "bottom_abnormal",
    "topk_nor": "top_normal",
    "smooth": "smooth",
    "sparse": "sparse",
}


def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("anomalyclip_golden", GOLDEN / "load.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache
def golden(name: str) -> Any:
    return recipe().Golden(name, root=str(GOLDEN))


@lru_cache
def clip_tensors(name: str) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(np.array(v)) for k, v in golden(name).clip_state().items()}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Any:
    """CLIP of a set on a device, built from a weights file with OpenAI's key names."""

    @lru_cache
    def load(name: str, device: torch.device) -> Clip:
        path = tmp_path_factory.mktemp("clip") / "weights.safetensors"
        save_file(clip_tensors(name), path)
        return load_clip(ClipSource(model="", weights=str(path)), device)

    return load


@dataclass
class Case:
    """One case of a set: its golden arrays, its class table, and the method with the case's weights."""

    set: str
    name: str
    clip: Clip
    device: torch.device

    def __post_init__(self) -> None:
        self.golden = golden(self.set)
        self.meta = self.golden.meta["cases"][self.name]
        names = tuple(VideoClass(str(n)) for n in self.expected("eval")["class_names"])
        self.classes = ClassTable(names, self.meta["normal_id"])
        self.abnormal = list(self.classes.abnormal)

    def expected(self, what: str) -> dict[str, np.ndarray]:
        return self.golden.expected(f"{self.name}_{what}")

    def method(self, **settings: Any) -> AnomalyClip:
        m = self.meta
        config = AnomalyClipConfig(
            prompt_words="name",
            n_ctx=m["head_shapes"]["prompt_learner.ctx"][1],
            segments=m["num_segments"],
            segment_length=m["seg_length"],
            top_k=m["num_topk"],
            bottom_k=m["num_bottomk"],
            emb_size=m["emb_size"],
            depth=m["depth"],
            temporal_features="both" if m["concat_features"] else "features",
            recipe=AnomalyClipRecipe(
                batch_size=m["batch"], learning_rate=m["lr"], epochs=m["epochs"], warmup_epochs=m["warmup"]
            ),
            **{"segment_dropout": 0.0} | settings,
        )
        dim = self.golden.meta["clip"]["embed_dim"]
        method = AnomalyClip(config, Task(self.classes, dim, self.device, lambda: self.clip.text)).to(self.device)
        method.import_reference(self.reference_state())
        method.centroid.copy_(torch.from_numpy(self.golden.ncentroid(self.name)))
        return method

    def reference_state(self, prefix: str = "net.") -> dict[str, torch.Tensor]:
        """A checkpoint as the authors' code writes it, CLIP's own tensors included."""
        state = {k: torch.from_numpy(np.array(v)) for k, v in self.golden.head_state(self.name).items()}
        clip = clip_tensors(self.set)
        for key, value in clip.items():
            if key.startswith("visual."):
                state[f"image_encoder.{key.removeprefix('visual.')}"] = value
            elif key == "logit_scale":
                state["selector_model.logit_scale"] = value
            else:
                state[key if key == "token_embedding.weight" else f"text_encoder.{key}"] = value
        embedded = clip["token_embedding.weight"][torch.from_numpy(self.expected("eval")["tokenized_prompts"]).long()]
        state["prompt_learner.token_prefix"] = embedded[:, :1]
        state["prompt_learner.token_suffix"] = embedded[:, 1 + state["prompt_learner.ctx"].shape[1] :]
        return {prefix + k: v for k, v in state.items()}

    def batch(self, step: int) -> Batch:
        b = self.golden.train_batch(self.name, step)
        labels = torch.nn.functional.one_hot(torch.from_numpy(b["labels"]), len(self.classes)).float()
        return Batch({"features": torch.from_numpy(b["features"][:, 0]).to(self.device)}, labels.to(self.device))

    def video(self, length: int) -> torch.Tensor:
        return torch.from_numpy(self.golden.video(self.name, length)).to(self.device)


def all_cases() -> list[Any]:
    return [pytest.param((s, c), id=f"{s}-{c}") for s in SETS for c in golden(s).meta["cases"]]


@pytest.fixture(params=all_cases())
def case(request, clips, device) -> Case:
    return Case(*request.param, clips(request.param[0], device), device)


@pytest.fixture(params=all_cases())
def cpu_case(request, clips) -> Case:
    """For what does not compute anything on a device."""
    cpu = torch.device("cpu")
    return Case(*request.param, clips(request.param[0], cpu), cpu)


def tolerance(device: torch.device, rtol: float) -> float:
    """The golden README's tolerance, or a GPU's where that is wider."""
    return max(rtol, CUDA_RTOL) if device.type == "cuda" else rtol


def assert_close(found: torch.Tensor, expected: np.ndarray, rtol: float) -> None:
    """Largest difference within ``rtol`` of the largest expected value, and of each value that is not near zero."""
    rtol = tolerance(found.device, rtol)
    found = found.detach().cpu().numpy()
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def padded_forward(method: AnomalyClip, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Similarity and scores of all rows of the padded line, which the method itself drops again."""
    grid = (method.config.segments, method.config.segment_length)
    features = rows - method.centroid
    similarity = method.selector(features, method.directions(method.centroid), batch_statistics=False)
    windows = to_windows(method.temporal.projection(method._inputs(features, similarity)), *grid)
    total = len(windows) * grid[0] * grid[1]
    index = torch.arange(total) % len(rows)
    return similarity[index], from_windows(method.temporal(windows).sigmoid(), total)


@pytest.mark.parametrize("name", SETS)
def test_recipe_rebuilds_the_weights_and_inputs(name):
    g, module = golden(name), recipe()
    want = g.expected("recipe")
    pairs = [(g.clip_state(), want["clip"])]
    for case in g.meta["cases"]:
        pairs += [(g.head_state(case), want[f"head_{case}"]), (g.train_batch(case, 0), want[f"batch_{case}"])]
    for arrays, expected in pairs:
        np.testing.assert_allclose(module.fingerprint(arrays), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SETS)
def test_sampling(name):
    spec = golden(name).meta["sampling"]
    expected = golden(name).expected("sampling")
    segments, length = spec["num_segments"], spec["seg_length"]
    random = np.random.RandomState(spec["np_seed"])
    for video, start, end in spec["rows"]:
        rows = end - start + 1
        index = training_rows(rows, segments, length, lambda high, size: random.randint(high, size=size))
        np.testing.assert_array_equal(index, expected[f"train_{video}"])
        windows = to_windows(torch.arange(rows)[:, None], segments, length)
        line = from_windows(windows.squeeze(-1), len(expected[f"test_{video}"]))
        np.testing.assert_array_equal(line, expected[f"test_{video}"])
        assert len(windows) == expected[f"segsize_{video}"]


@pytest.mark.parametrize("name", SETS)
def test_frame_labels(name):
    """Annotated bounds are inclusive and count from the annotation's own start frame (spec 1.4).

    Which id is the normal one is not told here: it is one, and no annotated frame has it.
    """
    spec = golden(name).meta["sampling"]
    classes = ClassTable((VideoClass("Normal"), VideoClass("Z")), 0)
    normal, abnormal = set(), set()
    for (video, start, end), line in zip(spec["rows"], spec["temporal_lines"], strict=True):
        bounds = [int(b) - start for b in line.split()[2:] if int(b) >= 0]
        pairs = zip(bounds[::2], bounds[1::2], strict=True)
        segments = [Segment("Z", max(s, 0), e + 1) for s, e in pairs]
        rows = end - start + 1
        found = class_positives_per_row(Video("v", (), segments=tuple(segments)), classes, rows, 1, rows)
        labels = golden(name).expected("sampling")[f"labels_{video}"]
        assert len(labels) == rows
        annotated = found.argmax(1) == 1
        normal |= set(labels[~annotated].tolist())
        abnormal |= set(labels[annotated].tolist())
    assert len(normal) == 1
    assert abnormal
    assert not normal & abnormal


@pytest.mark.parametrize("name", SETS)
def test_image_tower(name, clips, device):
    size, dim = (golden(name).meta["clip"][key] for key in ("image_resolution", "embed_dim"))
    clip = clips(name, device)
    assert (clip.image_size, clip.dim, clip.activation) == (size, dim, "quickgelu")
    images = recipe().draw(golden(name).seed, "clip", "image", (3, 3, size, size)).astype(np.float32)
    with torch.no_grad():
        found = clip.visual(torch.from_numpy(images).to(device))
    assert_close(found, golden(name).expected("image")["features"], 1e-5)


@pytest.mark.parametrize("name", SETS)
def test_centroid(name, clips, device):
    """The recipe draws these videos under the name "ucf", whatever cases the set has; any of its methods will do."""
    method = Case(name, next(iter(golden(name).meta["cases"])), clips(name, device), device).method()
    videos = [golden(name).video("ucf", length) for length in golden(name).meta["ncentroid_lengths"]]
    method.prepare(all_normal(videos, method.task.classes))
    assert_close(method.centroid, golden(name).expected("ncentroid")["ncentroid"], 1e-5)


def test_prompts_and_text_features(case):
    method = case.method()
    expected = case.expected("eval")
    np.testing.assert_array_equal(method.directions.tokens.cpu(), expected["tokenized_prompts"])
    assert_close(method.directions.text_features(), expected["text_features"][case.abnormal], 1e-5)


def test_evaluation(case):
    method = case.method().eval()
    expected = case.expected("eval")
    lengths = case.meta["eval_lengths"]
    with torch.inference_mode():
        together = method.score(as_videos([case.video(length) for length in lengths]))
        for length, scores in zip(lengths, together, strict=True):
            similarity, padded = padded_forward(method, case.video(length))
            assert_close(similarity, expected[f"v{length}_similarity"], 1e-5)
            assert_close(padded, expected[f"v{length}_scores"], 1e-5)
            assert_close(scores.anomaly, expected[f"v{length}_scores"][:length], 1e-5)
            assert_close(scores.classes, expected[f"v{length}_class_probs"], 1e-5)


def test_evaluation_labels(cpu_case):
    case = cpu_case
    label = (case.meta["normal_id"] + 1) % len(case.classes)
    for length in case.meta["eval_lengths"]:
        segment = Segment(case.classes.names[label], length // 4, length // 2 + 1)
        found = class_positives_per_row(Video("v", (), segments=(segment,)), case.classes, length, 1, length).argmax(1)
        np.testing.assert_array_equal(found, case.expected("eval")[f"v{length}_labels"])


def test_training_forward(case):
    method = case.method().train()
    expected = case.expected("train")
    batch = case.batch(0)
    grid = (case.meta["num_segments"], case.meta["seg_length"])
    features = batch.views["features"].unflatten(1, grid) - method.centroid
    directions = method.directions(method.centroid)
    similarity, logits = method(features, directions)
    assert_close(similarity.flatten(0, 2), expected["similarity"], 1e-5)
    assert_close(logits.sigmoid().flatten(), expected["scores"], 1e-5)
    columns = method.columns(batch.first)
    chosen = method.choose(features, directions, similarity, columns)
    np.testing.assert_array_equal(chosen.top_abnormal.cpu(), expected["idx_topk_abn"])
    np.testing.assert_array_equal(chosen.bottom_abnormal.cpu(), expected["idx_bottomk_abn"])
    np.testing.assert_array_equal(chosen.top_normal.cpu(), expected["idx_topk_nor"])
    half = len(columns)
    videos = torch.arange(half, device=case.device)[:, None]
    picked = [similarity[:half][videos, chosen.top_abnormal], similarity[half:][videos, chosen.top_normal]]
    assert_close(torch.cat(picked).flatten(0, 2), expected["similarity_topk"], 1e-5)


def assert_losses(terms: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    for name, value in zip(expected["loss_names"], expected["losses"], strict=True):
        found = sum(terms.values()) if name == "total" else terms[LOSSES[name]]
        assert found.item() == pytest.approx(value, rel=tolerance(found.device, 1e-5)), name


def test_losses_gradients_and_statistics(case):
    method = case.method().train()
    expected = case.expected("train")
    terms = method.loss(case.batch(0))
    assert set(terms) == set(LOSSES.values())
    assert_losses(terms, expected)
    sum(terms.values()).backward()

    near = tolerance(case.device, 1e-4)
    ours = {theirs: name for name, theirs in reference_names(method.config).items()}
    parameters = dict(method.named_parameters())
    assert {ours[n] for n in expected["grad_names"]} | {"directions.text_projection"} == set(parameters)
    for name, norm in zip(expected["grad_names"], expected["grad_norms"], strict=True):
        assert float(parameters[ours[name]].grad.norm()) == pytest.approx(norm, rel=near), name
    for name in expected["no_grad_names"]:
        assert ours[name] in dict(method.named_buffers())
    groups = method.groups()
    for name, norm in zip(expected["group_names"], expected["group_grad_norms"], strict=True):
        key = {"temporal_model": "temporal", "prompt_learner": "directions"}.get(name, name.split(".")[-1])
        total = sum(float(p.grad.square().sum()) for p in groups.get(key, []))
        assert total**0.5 == pytest.approx(norm, rel=near), name

    body = method.temporal.body
    grads = {
        "grad_ctx": method.directions.ctx.grad,
        "grad_projection_weight": method.temporal.projection.weight.grad,
        "grad_text_projection": method.directions.text_projection.grad,
        "grad_pos_emb_0": body.segment_position.grad.movedim(-1, 1),
        "grad_pos_emb_1": body.row_position.grad.movedim(-1, 1),
    }
    for name, grad in grads.items():
        assert_close(grad, expected[name], 1e-4)
    assert not method.directions.ctx.grad[case.meta["normal_id"]].any()
    assert_close(method.selector.bn.running_mean, expected["bn_running_mean"], 1e-5)
    assert_close(method.selector.bn.running_var, expected["bn_running_var"], 1e-5)
    assert int(method.selector.bn.num_batches_tracked) == expected["bn_num_batches_tracked"]


def test_three_training_steps(case):
    """Weights after each step of our optimiser groups under our schedule, and the scores they give."""
    method = case.method().train()
    expected = case.expected("steps")
    recipe = method.config.recipe
    optimiser = torch.optim.AdamW(
        [p for g in method.groups().values() for p in g],
        betas=recipe.betas,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
    )
    ours = {theirs: name for name, theirs in reference_names(method.config).items()}
    names = [ours[n] for n in expected["param_names"]]
    start = {n: method.state_dict()[n].clone() for n in names}
    for step, (rates, loss) in enumerate(zip(expected["lrs"], expected["losses"], strict=True)):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step)
            assert group["lr"] == pytest.approx(rates[0], rel=1e-12)
        terms = method.loss(case.batch(step))
        assert sum(terms.values()).item() == pytest.approx(loss, rel=tolerance(case.device, 1e-5))
        optimiser.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        optimiser.step()
        now = method.state_dict()
        assert_close(torch.stack([now[n].norm() for n in names]), expected["param_norms"][step], 1e-5)
        moved = np.array([float((now[n] - start[n]).norm()) for n in names])
        np.testing.assert_allclose(moved, expected["delta_norms"][step], rtol=2e-3, atol=1e-12)
    assert_close(method.selector.bn.running_mean, expected["bn_running_mean"], 1e-5)
    assert_close(method.selector.bn.running_var, expected["bn_running_var"], 1e-5)
    length = int(expected["eval_length"])
    method.eval()
    with torch.inference_mode():
        similarity, _ = padded_forward(method, case.video(length))
        (scores,) = method.score(as_videos([case.video(length)]))
    assert_close(similarity[:length], expected["eval_similarity"], 1e-5)
    assert_close(scores.anomaly, expected["eval_scores"], 1e-5)


@pytest.mark.parametrize(
    "case",
    [p for p in all_cases() if (GOLDEN / p.values[0][0] / f"{p.values[0][1]}_dropout.npz").is_file()],
    indirect=True,
)
def test_segment_dropout(case):
    """The second of two draws hides segments from both choices."""
    expected = case.expected("dropout")
    method = case.method(segment_dropout=float(expected["p"])).train()
    seed = int(expected["torch_seed"])
    torch.manual_seed(seed)
    masks = draw_masks(case.meta["batch"], method.config, torch.device("cpu"))
    np.testing.assert_array_equal(masks.top, expected["mask"].astype(bool))
    np.testing.assert_array_equal(masks.bottom, expected["mask"].astype(bool))
    torch.manual_seed(seed)
    assert_losses(method.loss(case.batch(0)), expected)


def test_schedule(cpu_case):
    recipe = cpu_case.method().config.recipe
    rates = [learning_rate(recipe, epoch) for epoch in range(recipe.epochs)]
    np.testing.assert_allclose(rates, cpu_case.expected("schedule")["lr_per_epoch"], rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("prefix", ["", "net."])
def test_import_takes_every_tensor(case, prefix):
    method = case.method()
    for tensor in method.state_dict().values():
        tensor.zero_()
    method.import_reference(case.reference_state(prefix))
    state = method.state_dict()
    head = case.golden.head_state(case.name)
    for ours, theirs in reference_names(method.config).items():
        expected = head[theirs] if theirs in head else clip_tensors(case.set)[theirs.split(".")[-1]].numpy()
        if theirs.endswith((".param_0", ".param_1", ".g", ".b")):  # channels second there, last here
            expected = np.moveaxis(expected, 1, -1).reshape(state[ours].shape)
        np.testing.assert_array_equal(state[ours].cpu(), expected, err_msg=ours)


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda s: s.pop("net.temporal_model.projection.bias"), "missing temporal_model.projection.bias"),
        (lambda s: s.update({"net.extra.weight": torch.zeros(1)}), "unexpected extra.weight"),
        (lambda s: s.update({"net.prompt_learner.ctx": torch.zeros(1)}), "prompt_learner.ctx is"),
        (lambda s: s["net.text_encoder.ln_final.weight"].add_(1), "ln_final.weight is not that of this CLIP"),
        (
            lambda s: s.update({"net.prompt_learner.token_suffix": s["net.prompt_learner.token_suffix"].flip(0)}),
            "token_suffix is not that of this CLIP and these classes",
        ),
    ],
    ids=["missing", "unexpected", "shape", "other-clip", "other-class-order"],
)
def test_import_refuses_what_does_not_fit(clips, break_it, message):
    cpu = torch.device("cpu")
    case = Case(SETS[0], next(iter(golden(SETS[0]).meta["cases"])), clips(SETS[0], cpu), cpu)
    state = {k: v.clone() for k, v in case.reference_state().items()}
    break_it(state)
    with pytest.raises(CheckpointError, match=message):
        case.method().import_reference(state)


class WideText:
    """Just enough of a text tower of ViT-B/16's size to build a method's layers."""

    dim, width, context_length = 512, 512, 77
    text_projection = torch.zeros(512, 512)

    def to(self, device):
        return self

    def tokenize(self, texts):
        return open_clip.tokenize(texts)

    def embed(self, tokens):
        return torch.zeros(*tokens.shape, self.width)


@pytest.mark.parametrize(
    "dataset, key, classes, normal",
    [("ucfcrime", "ucf", 14, 7), ("xdviolence", "xd", 7, 4), ("shanghaitech", "sht", 18, 8)],
)
def test_published_configurations_have_the_released_shapes(dataset, key, classes, normal):
    """Every head tensor of the real checkpoints has its place, and each of ours is in the checkpoint."""
    config = resolve(AnomalyClipConfig, AnomalyClipConfig.dataset_defaults[dataset], environment={})
    table = ClassTable(tuple(VideoClass(f"class {i}") for i in range(classes)), normal)
    method = AnomalyClip(config, Task(table, 512, torch.device("cpu"), lambda: WideText()))
    listed = json.loads((GOLDEN / "real_state_dict_keys.json").read_text(encoding="utf-8"))[key]
    clip = ("image_encoder.", "text_encoder.", "token_embedding.", "prompt_learner.token_")
    head = {k.removeprefix("net."): shape for k, (shape, _) in listed.items()}
    head = {k: s for k, s in head.items() if not k.startswith(clip) or k == "text_encoder.text_projection"}
    names = reference_names(config)
    state = method.state_dict()
    assert set(names.values()) == set(head)
    assert set(names) == set(state) - {"centroid"}
    for ours, theirs in names.items():
        assert state[ours].numel() == np.prod(head[theirs]), ours
