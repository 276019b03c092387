"""RTFM against golden vectors: numbers the authors' code gave for weights and inputs that a recipe rebuilds.

Every folder with a ``recipe.json`` below ``<golden>/rtfm`` is a set; ``VADBENCH_GOLDEN`` names another place. In the
authors' batches normal videos come first, here the abnormal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score
from vadbench_mil.checkpoint import as_ours, rtfm_names
from vadbench_mil.config import RtfmConfig
from vadbench_mil.losses import weighted_terms
from vadbench_mil.magnitude import magnitudes, rows_at
from vadbench_mil.rtfm import Rtfm

from magnitude_golden import (
    CLASSES,
    abnormal_first,
    batch_of,
    count_of_looks,
    dropping,
    looks,
    norms,
    optimiser_of,
    restarts,
    slack,
)
from method_inputs import as_videos
from recorded_sets import Golden
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError
from vadbench.method import Batch, Task
from vadbench.nn.sampling import binned_sample
from vadbench.training.optimisers import learning_rate

GOLDEN = Golden("rtfm")
ATOL, RTOL = 1e-5, 1e-5
"""What the golden README suggests: of scores, and of magnitudes and losses."""
ROUND_OFF = "Aggregate.non_local.W.0.bias"
"""Batch norm takes it away again: its gradient is 0 but for rounding."""
DATASETS = {"ucf": (800, 810), "shanghai": (175, 63)}
"""Normal and abnormal training videos."""


@lru_cache
def weights(name: str, config: str) -> dict[str, torch.Tensor]:
    """A checkpoint as the authors' code writes it, with the counters that the recipe leaves out."""
    state = {k: torch.from_numpy(v) for k, v in GOLDEN.load.weights(GOLDEN.seed(name), config).items()}
    counters = {k.replace("running_mean", "num_batches_tracked") for k in state if k.endswith("running_mean")}
    return state | dict.fromkeys(counters, torch.tensor(0))


@dataclass
class Case:
    """One configuration of a set: what was computed with it, and the method with its weights."""

    set: str
    name: str
    device: torch.device

    def __post_init__(self) -> None:
        self.sizes = GOLDEN.load.CONFIGS[self.name]
        self.expected = GOLDEN.arrays(self.set, f"model_{self.name}")
        self.seed = GOLDEN.seed(self.set)

    def method(self, **settings: Any) -> Rtfm:
        own = {"branch_width": self.sizes["branch"], "hidden": GOLDEN.load.HIDDEN}
        config = resolve(RtfmConfig, own | settings, environment={})
        method = Rtfm(config, Task(CLASSES, self.sizes["dim"], self.device, lambda: pytest.fail("it has no text")))
        method.import_reference(weights(self.set, self.name))
        return method.to(self.device)

    def batch(self, method: Rtfm, step: int) -> Batch:
        return batch_of(method, GOLDEN.load.train_batch(self.seed, self.name, step)[0])

    def masks(self, variant: str, step: int) -> list[np.ndarray] | None:
        return GOLDEN.load.dropout_masks(self.seed, self.name, step) if variant == "full" else None

    def videos(self) -> list[torch.Tensor]:
        return [torch.from_numpy(v).to(self.device) for v in GOLDEN.load.eval_videos(self.seed, self.name)]

    def parameters(self, method: Rtfm) -> list[torch.nn.Parameter]:
        """In the recorded order."""
        theirs = rtfm_names(method.config)
        found = {theirs[name]: parameter for name, parameter in method.named_parameters()}
        assert sorted(found) == sorted(self.expected["param_names"])
        return [found[name] for name in self.expected["param_names"]]

    def buffers(self, method: Rtfm) -> list[torch.Tensor]:
        """In the recorded order."""
        theirs = rtfm_names(method.config)
        found = {theirs[n]: b for n, b in method.named_buffers() if not n.endswith("num_batches_tracked")}
        assert sorted(found) == sorted(self.expected["buffer_names"])
        return [found[name] for name in self.expected["buffer_names"]]


@pytest.fixture(params=GOLDEN.cases)
def case(request, device) -> Case:
    return Case(*request.param, device)


def near(found: torch.Tensor, expected: np.ndarray, *, rtol: float = RTOL, atol: float = ATOL) -> None:
    values = found.detach().cpu().numpy()
    assert values.shape == np.shape(expected)
    more = slack(found.device)
    np.testing.assert_allclose(values, expected, rtol=more * rtol, atol=more * atol)


def test_there_is_a_recorded_set():
    assert GOLDEN.sets, f"no folder with a recipe.json in {GOLDEN.folder}"


@pytest.mark.parametrize("name", GOLDEN.sets)
def test_recipe_rebuilds_the_weights_inputs_and_draws(name):
    for config in GOLDEN.load.CONFIGS:
        want = GOLDEN.arrays(name, f"model_{config}")
        for key, sums in GOLDEN.load.input_checksums(GOLDEN.seed(name), config).items():
            np.testing.assert_allclose(sums, want[key], rtol=1e-9, atol=1e-6)
    seed = GOLDEN.seed(name)
    drawn = [GOLDEN.load.pool_input(seed, n) for n in GOLDEN.load.POOL_LENGTHS]
    drawn += [GOLDEN.load.loss_input(seed, case)["scores"] for case in range(2)]
    np.testing.assert_allclose(GOLDEN.load.checksum(drawn), GOLDEN.arrays(name, "tools")["check_inputs"], rtol=1e-9)


@pytest.mark.parametrize("name", GOLDEN.sets)
def test_pooling(name):
    for n in GOLDEN.load.POOL_LENGTHS:
        rows = GOLDEN.load.pool_input(GOLDEN.seed(name), n)
        found = binned_sample(rows, GOLDEN.load.SEGMENTS, rounded=True)
        wanted = GOLDEN.arrays(name, "tools")[f"pool_n{n}"]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6, err_msg=str(n))


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("name", GOLDEN.sets)
def test_losses_alone(name, case):
    expected = GOLDEN.arrays(name, "tools")
    given = GOLDEN.load.loss_input(GOLDEN.seed(name), case)
    leaves = {k: torch.from_numpy(v).requires_grad_() for k, v in given.items()}
    half = len(leaves["scores"]) // 2
    terms = weighted_terms(
        leaves["scores"][half:],
        (leaves["score_abnormal"], leaves["score_normal"]),
        (leaves["features_abnormal"], leaves["features_normal"]),
        RtfmConfig(),
    )
    sum(terms.values()).backward()
    assert_losses(terms, expected[f"loss_{case}"])
    for key, norm in zip(expected["loss_grad_names"], expected[f"loss_{case}_grad_norms"], strict=True):
        # At probabilities of exactly 0 and 1 it is torch's guard that is measured.
        if case == 0 or not key.startswith("score_"):
            assert norms([leaves[key].grad])[0] == pytest.approx(norm, rel=1e-3), key


def assert_losses(terms: Any, expected: np.ndarray, rtol: float = RTOL) -> None:
    """The recorded magnitude still lacks its weight."""
    *parts, total = expected.tolist()
    wanted = dict(zip(GOLDEN.load.LOSSES, parts, strict=False))
    wanted["magnitude"] *= GOLDEN.load.ALPHA
    rtol *= slack(terms["magnitude"].device)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(wanted, rel=rtol)
    assert sum(terms.values()).item() == pytest.approx(total, rel=rtol)


def test_evaluation(case):
    """Of all lengths; the authors' code stops at one and two rows, where a choice is made that no score needs."""
    method = case.method().eval()
    videos = case.videos()
    with torch.inference_mode():
        found = method.score(as_videos(videos))
        for video, scores in zip(videos, found, strict=True):
            n = video.shape[1]
            near(scores.anomaly, case.expected[f"eval_n{n}"])
            of_crops, rows = method(method.related(video))
            if f"eval_n{n}_crops" in case.expected:
                near(of_crops, case.expected[f"eval_n{n}_crops"])
            near(magnitudes(rows[None])[0], case.expected[f"eval_n{n}_magnitudes"], atol=0)
    assert all(case.expected[key] == 1 for key in case.expected if key.startswith("crash_"))


@pytest.mark.parametrize("name", GOLDEN.sets)
def test_ten_crops_of_clip_rows(name, device):
    case = Case(name, "clip", device)
    method = case.method().eval()
    video = torch.from_numpy(GOLDEN.load.ten_crop_video(case.seed)).to(device)
    with torch.inference_mode():
        near(method.score(as_videos([video]))[0].anomaly, case.expected["eval_crops10_n37"])
        rows = method(method.related(video))[1]
        near(magnitudes(rows[None])[0], case.expected["eval_crops10_n37_magnitudes"], atol=0)


def test_what_is_inside(case):
    """Of the first crop, with running statistics."""
    recorded = {k: v for k, v in case.expected.items() if k.startswith("mid_")}
    assert bool(recorded) == (case.name in ("tiny", "one"))
    method = case.method().eval()
    network = method.temporal
    with torch.inference_mode():
        for video in case.videos():
            rows = video[:1]
            reduced = F.relu(network.reduce(rows))
            inside = {f"conv_{i + 1}": part(rows) for i, part in enumerate(network.dilated)}
            inside |= {"conv_4": reduced, "non_local": network.non_local(reduced), "temporal": network(rows)}
            for key, values in inside.items():
                if (wanted := recorded.pop(f"mid_n{video.shape[1]}_{key}", None)) is not None:
                    near(values[0], wanted)
    assert not recorded


def margins(lengths: torch.Tensor, masks: list[np.ndarray] | None) -> torch.Tensor:
    """The smallest relative gap between the third and the fourth magnitude ``(videos, T)`` of each half of a batch."""
    kept = torch.ones_like(lengths) if masks is None else torch.cat([torch.from_numpy(m) for m in masks[3:]])
    values = (lengths * kept.to(lengths)).sort(1, descending=True).values
    return ((values[:, 2] - values[:, 3]) / values[:, 2]).view(2, -1).amin(1)


@pytest.mark.parametrize("variant", GOLDEN.variants)
def test_training_step(case, variant):
    """Scores, choice, losses, gradients and running statistics of the first batch."""
    expected = {k.removeprefix(f"{variant}_"): v for k, v in case.expected.items()}
    method = case.method().train()
    batch = case.batch(method, 0)
    pooled = batch.views["rows"]
    assert tuple(pooled.shape) == tuple(case.expected["train_shape"])
    np.testing.assert_allclose(
        GOLDEN.load.checksum([pooled.cpu().numpy()]), case.expected["check_pooled"], rtol=1e-6, atol=1e-3
    )
    masks = case.masks(variant, 0)
    half = len(pooled) // 2
    with torch.no_grad(), dropping(masks, case.device):
        scores, rows = (x.unflatten(0, pooled.shape[:2]) for x in method.forward(method.related(pooled.flatten(0, 1))))
        scores, lengths = scores.mean(1), magnitudes(rows)
        places = method.choose(scores, lengths)
    near(abnormal_first(scores), expected["scores"])
    near(abnormal_first(lengths), expected["magnitudes"], atol=0)
    chosen = rows_at(rows, places)
    near(margins(lengths, masks), expected["margin"], rtol=1e-2)
    for number, kind in enumerate(("abnormal", "normal")):
        own = slice(number * half, (number + 1) * half)
        np.testing.assert_array_equal(places[own].sort(1).values.cpu(), np.sort(expected[f"index_{kind}"], 1))
        near(scores.gather(1, places).mean(1)[own], expected[f"score_{kind}"])
        near(chosen[own].mean(2).norm(dim=-1).T, expected[f"selected_norm_{kind}"], atol=0)

    method = case.method().train()
    with dropping(masks, case.device):
        terms = method.loss(batch)
    assert_losses(terms, expected["losses"])
    sum(terms.values()).backward()
    found = norms([p.grad for p in case.parameters(method)])
    for key, norm, wanted in zip(case.expected["param_names"], found, expected["grad_norms"], strict=True):
        assert key == ROUND_OFF or norm == pytest.approx(wanted, rel=1e-3), key
    np.testing.assert_allclose(norms(case.buffers(method)), expected["buffer_norms"], rtol=1e-5)


@pytest.mark.parametrize("variant", GOLDEN.variants)
def test_three_steps_of_the_recipe(case, variant):
    """With the optimiser of the recipe's defaults."""
    if GOLDEN.load.STEPS[case.name] == 1:
        assert f"{variant}_step_losses" not in case.expected
        return
    expected = {k.removeprefix(f"{variant}_"): v for k, v in case.expected.items()}
    method = case.method().train()
    parameters = case.parameters(method)
    start = [p.detach().clone() for p in parameters]
    optimiser, choose, gaps, lengths = optimiser_of(method), method.choose, [], []
    method.choose = lambda scores, found: lengths.append(found) or choose(scores, found)
    for step, losses in enumerate(expected["step_losses"]):
        with dropping(case.masks(variant, step), case.device):
            terms = method.loss(case.batch(method, step))
        gaps.append(margins(lengths.pop(), case.masks(variant, step)).min())
        found = [sum(terms.values()).item(), terms["smoothness"].item(), terms["sparsity"].item()]
        assert found == pytest.approx(losses.tolist(), rel=1e-4 * slack(case.device))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    np.testing.assert_allclose(norms(parameters), expected["step3_norms"], rtol=1e-3)
    moved = [now - then for now, then in zip(parameters, start, strict=True)]
    np.testing.assert_allclose(norms(moved), expected["step3_delta_norms"], rtol=1e-2)
    np.testing.assert_allclose(norms(case.buffers(method)), expected["step3_buffer_norms"], rtol=1e-3)
    near(torch.stack(gaps).min(), expected["step_margin"], rtol=1e-2)


def test_a_place_without_sets_has_no_cases():
    nowhere = Golden("no-such-method")
    assert nowhere.sets == nowhere.cases == nowhere.variants == []


@pytest.mark.parametrize("name", GOLDEN.sets)
def test_scores_of_a_small_split(name, device):
    """One score for 16 frames; area under the precision-recall curve by trapezoids, as the authors measure."""
    case, expected = Case(name, "tiny", device), GOLDEN.arrays(name, "tools")
    videos = GOLDEN.load.e2e_set(case.seed, "tiny")
    method = case.method().eval()
    with torch.inference_mode():
        found = method.score(as_videos([torch.from_numpy(v["feature"]).to(device) for v in videos]))
    scores = torch.cat([s.anomaly for s in found])
    near(scores, expected["e2e_scores"])
    truth, frames = np.concatenate([v["gt"] for v in videos]), scores.cpu().numpy().repeat(16)
    assert [len(truth), truth.sum()] == expected["e2e_frames_positive"].tolist()
    precision, recall, _ = precision_recall_curve(truth, frames)
    measured = [roc_auc_score(truth, frames), auc(recall, precision)]
    np.testing.assert_allclose(measured, expected["e2e_auc_ap"], atol=1e-6)
    assert average_precision_score(truth, frames) == pytest.approx(float(expected["e2e_step_ap"]), abs=1e-6)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", GOLDEN.sets)
def test_looks_and_restarts_of_the_lists(name, dataset, tmp_path):
    expected, recipe = GOLDEN.arrays(name, "tools"), RtfmConfig().recipe
    first, *candidates = expected[f"loop_{dataset}_looks"].tolist()
    assert first == 0, "before the first step, which chooses nothing"
    assert looks(recipe, 260, tmp_path) == [step for step in candidates if step <= 260]
    assert candidates == list(range(recipe.look_from, recipe.steps + 1, recipe.look_every))
    assert count_of_looks(recipe) == len(candidates) == 2960
    recorded = [expected[f"loop_{dataset}_{kind}_restarts"].tolist() for kind in ("normal", "abnormal")]
    found = restarts(recipe, *DATASETS[dataset], steps=max(map(max, recorded)))
    for ours, theirs in zip(found, recorded, strict=True):
        assert ours[: len(theirs)] == theirs


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", GOLDEN.sets)
def test_rates_of_a_list_that_changes(name, dataset):
    """The recorded loop ran with another list of rates than the published one, to show when they change."""
    at, rates = GOLDEN.arrays(name, "tools")[f"loop_{dataset}_rates"]
    milestones = [int(step) - 1 for step in at[1:]]
    settings = {"recipe": {"schedule": "steps", "schedule_unit": "step", "milestones": milestones}}
    recipe = resolve(RtfmConfig, settings, environment={}).recipe
    for step, rate in zip(at, rates, strict=True):
        assert learning_rate(recipe, int(step) - 1) == pytest.approx(rate)
        if step > 1:
            assert learning_rate(recipe, int(step) - 2) > rate * 1.5


def test_import_takes_every_tensor(case):
    method = case.method()
    for tensor in method.state_dict().values():
        tensor.zero_()
    state = weights(case.set, case.name)
    method.import_reference(state)
    names = rtfm_names(method.config)
    assert set(names) == set(method.state_dict()) and set(names.values()) == set(state)
    for ours, tensor in method.state_dict().items():
        assert torch.equal(tensor.cpu(), as_ours(state[names[ours]])), ours


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda s: s.pop("fc3.bias"), "missing fc3.bias"),
        (lambda s: s.update({"extra.weight": torch.zeros(1)}), "unexpected extra.weight"),
        (lambda s: s.update({"fc2.weight": torch.zeros(1)}), r"fc2.weight is \(1,\), expected"),
        (lambda s: s.clear(), "and [0-9]+ more"),
    ],
    ids=["missing", "unexpected", "shape", "empty"],
)
def test_import_refuses_what_does_not_fit(break_it, message):
    case = Case(GOLDEN.sets[0], "tiny", torch.device("cpu"))
    method = case.method()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    state = dict(weights(case.set, case.name))
    break_it(state)
    with pytest.raises(CheckpointError, match=message):
        method.import_reference(state)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_the_published_network_has_as_many_parameters():
    """With rows of the width that the authors have (section 1.1 of the specification), and of CLIP's."""
    for dim, count in ((2048, 24_718_849), (512, 1_805_761)):
        method = Rtfm(RtfmConfig(), Task(CLASSES, dim, torch.device("meta"), lambda: None))
        assert sum(p.numel() for p in method.parameters()) == count
