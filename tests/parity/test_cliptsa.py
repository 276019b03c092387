"""CLIP-TSA against golden vectors: numbers the authors' code gave for weights, inputs and noise that a recipe rebuilds.

Every folder with a ``recipe.json`` below ``<golden>/cliptsa`` is a set; ``VADBENCH_GOLDEN`` names another place. In the
authors' batches normal videos come first, here the abnormal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score
from vadbench_mil.checkpoint import as_ours, cliptsa_names
from vadbench_mil.cliptsa import ClipTsa
from vadbench_mil.config import ClipTsaConfig
from vadbench_mil.magnitude import magnitudes
from vadbench_mil.selection import _Shares, members, selected_count

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
from recorded_sets import Golden
from vadbench.base.config import resolve
from vadbench.base.errors import CheckpointError
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Task
from vadbench.nn.sampling import binned_sample

GOLDEN = Golden("cliptsa")
SCORES = 2e-5
"""What the golden README suggests: of scores, absolute."""
EXACT = 1e-5
"""Of rates, shares and pooled rows, absolute; of magnitudes and scores of bags, relative."""
MARGINS = 2e-6
"""Of distances between rates, which are rounded to 1e-7."""
ROUND_OFF = "Aggregate.non_local.W.0.bias"
"""Batch norm takes it away again: its gradient is 0 but for rounding."""
DATASETS = {"ucfcrime": (800, 810, 0.95), "xdviolence": (2048, 1905, 0.9), "shanghaitech": (175, 63, 0.01)}
"""Normal and abnormal training videos, and the ratio."""


@lru_cache
def weights(name: str, config: str) -> dict[str, torch.Tensor]:
    """A checkpoint as the authors' code writes it; what the recipe leaves out because nothing reads it is made up."""
    sizes = GOLDEN.load.CONFIGS[config]
    state = {k: torch.from_numpy(v) for k, v in GOLDEN.load.weights(GOLDEN.seed(name), config).items()}
    counters = {k.replace("running_mean", "num_batches_tracked") for k in state if k.endswith("running_mean")}
    front = {"mlp.fc1.weight": (1024, sizes["width"]), "mlp.fc1.bias": (1024,)}
    front |= {"mlp.fc2.weight": (512, 1024), "mlp.fc2.bias": (512,)}
    return {k: torch.zeros(s) for k, s in front.items()} | dict.fromkeys(counters, torch.tensor(0)) | state


class Drawn:
    """A generator whose numbers are given."""

    def __init__(self, noise: np.ndarray) -> None:
        self.left = noise.ravel()

    def standard_normal(self, size: Sequence[int], dtype: type) -> np.ndarray:
        count = int(np.prod(size))
        drawn, self.left = self.left[:count], self.left[count:]
        return drawn.reshape(size).astype(dtype)


@dataclass(frozen=True, kw_only=True)
class NoisyVideo(VideoInput):
    """A video whose noise is given."""

    noise: np.ndarray

    def rng(self) -> Any:
        return Drawn(self.noise)


def noisy(bag: torch.Tensor, noise: np.ndarray) -> NoisyVideo:
    return NoisyVideo(**vars(VideoInput.of_rows(bag)), noise=noise)


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

    def method(self, **settings: Any) -> ClipTsa:
        s = self.sizes
        draws = {"draws": s["draws"]} if s["select"] else {}
        own = {"selection": {"ratio": s["ratio"], "enabled": s["select"], **draws}}
        config = resolve(ClipTsaConfig, own | settings, environment={})
        method = ClipTsa(config, Task(CLASSES, s["width"], self.device, lambda: pytest.fail("it has no text")))
        method.import_reference(weights(self.set, self.name))
        return method.to(self.device)

    def names(self, method: ClipTsa) -> dict[str, str]:
        return cliptsa_names(method.config, front=self.sizes["mlp"])

    def batch(self, method: ClipTsa, step: int) -> Batch:
        videos = GOLDEN.load.train_videos(self.seed, self.name, step)
        return batch_of(method, [v.swapaxes(0, 1) for v in videos])

    def given(self, method: ClipTsa, step: int) -> torch.Tensor:
        """The noise of a step, which the method is made to take."""
        noise = abnormal_first(torch.from_numpy(GOLDEN.load.train_noise(self.seed, self.name, step))).to(self.device)
        if method.selection is not None:
            method.selection.noise = lambda rates: noise
        return noise

    def masks(self, variant: str, step: int) -> list[np.ndarray] | None:
        return GOLDEN.load.masks(self.seed, self.name, step) if variant == "drop" else None

    def bags(self) -> list[torch.Tensor]:
        videos = GOLDEN.load.eval_videos(self.seed, self.name)
        return [torch.from_numpy(v.swapaxes(0, 1).copy()).to(self.device) for v in videos]

    def parameters(self, method: ClipTsa) -> list[torch.nn.Parameter]:
        """In the recorded order."""
        theirs = self.names(method)
        found = {theirs[name]: parameter for name, parameter in method.named_parameters()}
        assert sorted(found) == sorted(self.expected["param_names"])
        return [found[name] for name in self.expected["param_names"]]

    def buffers(self, method: ClipTsa) -> list[torch.Tensor]:
        """In the recorded order."""
        theirs = self.names(method)
        found = {theirs[n]: b for n, b in method.named_buffers() if not n.endswith("num_batches_tracked")}
        assert sorted(found) == sorted(self.expected["buffer_names"])
        return [found[name] for name in self.expected["buffer_names"]]


@pytest.fixture(params=GOLDEN.cases)
def case(request, device) -> Case:
    return Case(*request.param, device)


def near(found: torch.Tensor, expected: Any, *, rtol: float = 0, atol: float = 0) -> None:
    values = found.detach().cpu().numpy()
    assert values.shape == np.shape(expected)
    more = slack(found.device)
    np.testing.assert_allclose(values, expected, rtol=more * rtol, atol=more * atol)


def margin(rates: torch.Tensor, noise: torch.Tensor, sigma: float, count: int) -> torch.Tensor:
    """The smallest gap between the last selected row and the next over all draws; infinite if all are selected."""
    if count == rates.shape[-1]:
        return torch.tensor(torch.inf)
    values = (rates[..., None, :] + sigma * noise).sort(-1, descending=True).values
    return (values[..., count - 1] - values[..., count]).min()


def test_there_is_a_recorded_set():
    assert GOLDEN.sets, f"no folder with a recipe.json in {GOLDEN.folder}"


@pytest.mark.parametrize("name", GOLDEN.sets)
def test_recipe_rebuilds_the_weights_inputs_and_noise(name):
    load, seed = GOLDEN.load, GOLDEN.seed(name)
    for config in load.CONFIGS:
        want = GOLDEN.arrays(name, f"model_{config}")
        np.testing.assert_allclose(load.checksums(seed, config), want["check"], rtol=1e-9)
        if "check_e2e" in want:
            drawn = [v[key] for v in load.e2e_set(seed, config) for key in ("rows", "gt", "noise")]
            np.testing.assert_allclose(load.checksum(drawn), want["check_e2e"], rtol=1e-9)
    np.testing.assert_allclose(
        load.checksum(load.pool_inputs(seed)), GOLDEN.arrays(name, "tools")["check_pool"], rtol=1e-9
    )


@pytest.mark.parametrize("name", GOLDEN.sets)
def test_pooling(name):
    inputs = GOLDEN.load.pool_inputs(GOLDEN.seed(name))
    for n, rows in zip(GOLDEN.load.POOL_LENGTHS, inputs, strict=True):
        found = binned_sample(rows, GOLDEN.load.SEGMENTS, rounded=True)
        np.testing.assert_allclose(found, GOLDEN.arrays(name, "tools")[f"pool_n{n}"], atol=EXACT, err_msg=str(n))


TOP_K = [(7, 1, 3, 0.95), (7, 2, 3, 0.95), (4, 1, 1, 0.95), (5, 1, 32, 0.01), (5, 1, 40, 0.7), (5, 1, 33, 1.0)]
TOP_K += [(5, 1, 33, 1.5), (4, 1, 1200, 0.95), (4, 2, 1200, 0.95), (4, 1, 1053, 0.95), (4, 1, 1052, 0.95)]
"""Draws, sequences, rows and ratio, as the golden README lists them."""


@pytest.mark.parametrize("name", GOLDEN.sets)
def test_disturbed_top_k_alone(name):
    """A single sequence is capped; the authors' code caps it in training as well, where there is never only one."""
    expected = GOLDEN.arrays(name, "tools")
    rng = np.random.RandomState(GOLDEN.seed(name) + 9500)
    for draws, sequences, rows, ratio in TOP_K:
        key = f"topk_b{sequences}_d{rows}_r{ratio}"
        rates = rng.uniform(0.3, 0.7, (sequences, rows)).astype(np.float32)
        noise = rng.standard_normal((sequences, draws, rows)).astype(np.float32)
        outer = rng.standard_normal((sequences, rows)).astype(np.float32)
        count = selected_count(rows, ratio, 1000 if sequences == 1 else 0)
        assert count == expected[f"{key}_k"]
        given = torch.from_numpy(rates).requires_grad_()
        shares = _Shares.apply(given, torch.from_numpy(noise), count, 0.05, True)
        near(shares, expected[f"{key}_share"], atol=1e-6)
        shares.backward(torch.from_numpy(outer))
        if f"{key}_grad" in expected:
            near(given.grad, expected[f"{key}_grad"], rtol=1e-4, atol=1e-4)
    assert {k.rsplit("_", 1)[0] for k in expected if k.startswith("topk_")} == {
        f"topk_b{b}_d{t}_r{r}" for _, b, t, r in TOP_K
    }


def test_evaluation(case):
    load = GOLDEN.load
    method = case.method().eval()
    for bag, noise in zip(case.bags(), load.eval_noise(case.seed, case.name), strict=True):
        want = {k.removeprefix(f"eval_n{bag.shape[1]}_"): v for k, v in case.expected.items()}
        with torch.inference_mode():
            (found,) = method.score([noisy(bag, noise)])
            rows, shares = method.narrowed(bag), torch.ones(bag.shape[:2], device=case.device)
            if method.selection is not None:
                rates = method.selection.rates(rows)
                shares = method.selection.scoring_shares(rates, Drawn(noise))
                near(rates, want["select"], atol=EXACT)
                near(shares, want["share"], atol=EXACT)
                count = selected_count(bag.shape[1], case.sizes["ratio"], 1000 if len(bag) == 1 else 0)
                given = torch.from_numpy(noise).to(case.device)
                near(margin(rates, given, 0.05, count), want["margin"], atol=MARGINS)
            scores, long = method(method.temporal(rows * shares[..., None]))
            lengths = magnitudes(long[None])[0]
        near(found.anomaly, want["scores"], atol=SCORES)
        near(scores.mean(0), want["scores"], atol=SCORES)
        near(lengths, want["magnitudes"], rtol=EXACT)
        near(found.anomaly[lengths.topk(load.TOP).indices].mean(), want["bag_score"], rtol=EXACT)


@pytest.mark.parametrize("variant", GOLDEN.variants)
def test_training_step(case, variant):
    """Shares, scores, choice, losses and gradients of the first batch, before any step."""
    expected = {k.removeprefix(f"{variant}_"): v for k, v in case.expected.items()}
    method = case.method().train()
    batch = case.batch(method, 0)
    noise, masks = case.given(method, 0), case.masks(variant, 0)
    bags = batch.views["rows"]
    half, crops = len(bags) // 2, bags.shape[1]
    with torch.no_grad(), dropping(masks, case.device):
        if method.selection is not None:
            rows = method.narrowed(bags.flatten(0, 1))
            near(abnormal_first(method.selection(rows)), case.expected["train_share"], atol=EXACT)
            count = selected_count(rows.shape[1], case.sizes["ratio"])
            found = margin(method.selection.rates(rows), noise, 0.05, count)
            near(found, expected["margin"][0], atol=MARGINS)
        scores, long = (x.unflatten(0, bags.shape[:2]) for x in method(method.related(bags.flatten(0, 1))))
        scores, lengths = scores.mean(1), magnitudes(long)
        places = method.choose(scores, lengths)
    near(abnormal_first(scores), expected["scores"], atol=SCORES)
    near(abnormal_first(lengths), expected["magnitudes"], rtol=EXACT)
    near(abnormal_first(scores.gather(1, places).mean(1)), expected["bag_scores"], rtol=EXACT)
    for number, kind in enumerate(("abnormal", "normal")):
        own = places[number * half : (number + 1) * half].sort(1).values.cpu()
        np.testing.assert_array_equal(own, np.sort(expected[f"top_{kind}"], 1))
    kept = torch.ones_like(lengths) if masks is None else torch.cat([torch.from_numpy(m) for m in masks[3:]])
    values = (lengths * kept.to(lengths)).sort(1, descending=True).values
    near((values[:, 2] - values[:, 3]).min(), expected["top_margin"], rtol=1e-3, atol=1e-4)
    assert crops == case.sizes["crops"]

    with dropping(masks, case.device):
        terms = method.loss(batch)
    assert_losses(terms, expected["losses"][0])
    sum(terms.values()).backward()
    near_enough = 5e-3 if case.name == "i3d_r" else 1e-3
    found = norms([p.grad for p in case.parameters(method)])
    for key, norm, wanted in zip(case.expected["param_names"], found, expected["grad_norms"], strict=True):
        assert key == ROUND_OFF or norm == pytest.approx(wanted, rel=near_enough), key
    if method.selection is not None:
        want = expected["grad_select"]
        near(method.selection.rate[2].weight.grad[0], want, atol=near_enough * np.abs(want).max())


def assert_losses(terms: Any, expected: np.ndarray) -> None:
    """The recorded magnitude still lacks its weight."""
    *parts, total = expected.tolist()
    wanted = dict(zip(("classification", "magnitude", "smoothness", "sparsity"), parts, strict=True))
    wanted["magnitude"] *= 1e-4
    rtol = 1e-4 * slack(terms["magnitude"].device)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(wanted, rel=rtol)
    assert sum(terms.values()).item() == pytest.approx(total, rel=rtol)


@pytest.mark.parametrize("variant", GOLDEN.variants)
def test_three_steps_of_the_recipe(case, variant):
    """With the optimiser of the recipe's defaults."""
    expected = {k.removeprefix(f"{variant}_"): v for k, v in case.expected.items()}
    if case.sizes["steps"] == 1:
        assert "step3_norms" not in expected and len(expected["losses"]) == 1
        return
    method = case.method().train()
    assert (method.config.recipe.learning_rate, method.config.recipe.weight_decay) == (
        GOLDEN.load.RATE,
        GOLDEN.load.DECAY,
    )
    parameters = case.parameters(method)
    start = [p.detach().clone() for p in parameters]
    optimiser = optimiser_of(method)
    for step, losses in enumerate(expected["losses"]):
        batch, noise = case.batch(method, step), case.given(method, step)
        if method.selection is not None:
            with torch.no_grad():
                rates = method.selection.rates(method.narrowed(batch.views["rows"].flatten(0, 1)))
            count = selected_count(rates.shape[1], case.sizes["ratio"])
            near(margin(rates, noise, 0.05, count), expected["margin"][step], atol=5 * MARGINS)
        with dropping(case.masks(variant, step), case.device):
            terms = method.loss(batch)
        assert_losses(terms, losses)
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    np.testing.assert_allclose(norms(parameters), expected["step3_norms"], rtol=1e-4)
    moved = [now - then for now, then in zip(parameters, start, strict=True)]
    np.testing.assert_allclose(norms(moved), expected["step3_delta_norms"], rtol=1e-2)
    np.testing.assert_allclose(norms(case.buffers(method)), expected["step3_buffer_norms"], rtol=1e-3)


def test_what_gets_no_gradient_is_not_there(case):
    """The authors' checkpoints hold layers that nothing reads; here they are left out, so that nothing moves them."""
    method = case.method()
    trained = {self_name for name, self_name in case.names(method).items() if name in dict(method.named_parameters())}
    everything = {k for k in weights(case.set, case.name) if "running_" not in k and "num_batches" not in k}
    assert trained == set(case.expected["param_names"])
    assert everything - trained == set(case.expected["no_grad_names"])


def test_scores_of_a_small_split(case):
    """One score for 16 frames; on XD-Violence the area under the precision-recall curve by trapezoids."""
    if "e2e_auc_aptrapezoid" not in case.expected:
        assert case.name == "cap_s"
        return
    method = case.method().eval()
    videos = GOLDEN.load.e2e_set(case.seed, case.name)
    bags = [torch.from_numpy(v["rows"].swapaxes(0, 1).copy()).to(case.device) for v in videos]
    with torch.inference_mode():
        found = method.score([noisy(bag, v["noise"]) for bag, v in zip(bags, videos, strict=True)])
    sums = [float(s.anomaly.double().sum()) for s in found]
    np.testing.assert_allclose(sums, case.expected["e2e_score_sum"], atol=SCORES * 90 * slack(case.device))
    truth = np.concatenate([v["gt"] for v in videos])
    frames = torch.cat([s.anomaly for s in found]).cpu().numpy().repeat(16)
    precision, recall, _ = precision_recall_curve(truth, frames)
    measured = [roc_auc_score(truth, frames), auc(recall, precision)]
    np.testing.assert_allclose(measured, case.expected["e2e_auc_aptrapezoid"], atol=1e-3)
    assert average_precision_score(truth, frames) == pytest.approx(float(case.expected["extra_e2e_apstep"]), abs=1e-3)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", GOLDEN.sets)
def test_looks_and_lists(name, dataset, tmp_path):
    """Steps and looks per data set; each list starts again when it is used up (section 5 of the specification)."""
    *videos, ratio = DATASETS[dataset]
    config = resolve(ClipTsaConfig, ClipTsaConfig.dataset_defaults.get(dataset, {}), environment={})
    recipe = config.recipe
    assert config.selection.ratio == ratio
    first, last, count = GOLDEN.arrays(name, "tools")[f"looks_{recipe.steps}"].tolist()
    assert recipe.steps == {"shanghaitech": 35_000}.get(dataset, 4_000)
    assert looks(recipe, 180, tmp_path) == list(range(first, 181, 5))
    assert last == recipe.steps and count_of_looks(recipe) == count
    passes = [size // 16 for size in videos]
    for begun, each in zip(restarts(recipe, *videos, steps=300), passes, strict=True):
        assert begun == list(range(1, 301, each))


def test_import_takes_every_tensor(case):
    method = case.method()
    for tensor in method.state_dict().values():
        tensor.zero_()
    state, names = weights(case.set, case.name), case.names(method)
    method.import_reference(state)
    assert set(names) == set(method.state_dict())
    unread = set(state) - set(names.values())
    assert unread == {k for k in case.expected["no_grad_names"]}
    for ours, tensor in method.state_dict().items():
        assert torch.equal(tensor.cpu(), as_ours(state[names[ours]])), ours


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda s: s.pop("fc3.bias"), "missing fc3.bias"),
        (lambda s: s.pop("mlp.fc2.bias"), "missing mlp.fc2.bias"),
        (lambda s: s.update({"extra.weight": torch.zeros(1)}), "unexpected extra.weight"),
        (lambda s: s.update({"hard_attention.scorer.fc1.bias": torch.zeros(1)}), r"fc1.bias is \(1,\), expected"),
        (lambda s: s.clear(), "and [0-9]+ more"),
    ],
    ids=["missing", "missing-unread", "unexpected", "shape", "empty"],
)
def test_import_refuses_what_does_not_fit(break_it, message):
    case = Case(GOLDEN.sets[0], "ucf_s", torch.device("cpu"))
    method = case.method()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    state = dict(weights(case.set, case.name))
    break_it(state)
    with pytest.raises(CheckpointError, match=message):
        method.import_reference(state)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_the_published_network_has_as_many_parameters():
    """Section 2.5 of the specification; beside them the layers in front, which rows of 512 do not need."""
    method = ClipTsa(ClipTsaConfig(), Task(CLASSES, 512, torch.device("meta"), lambda: None))
    assert sum(p.numel() for p in method.parameters()) == 1_678_722
    unread = [s for key, s in weights(GOLDEN.sets[0], "ucf_r").items() if key.startswith("mlp.")]
    assert 1_678_722 + sum(t.numel() for t in unread) == 2_728_834


def test_noise_in_pieces_is_the_same_noise(monkeypatch):
    """A long video's noise is never there at once; a piece goes on where the one before ended."""
    case = Case(GOLDEN.sets[0], "sh_s", torch.device("cpu"))
    method, (bag, *_) = case.method().eval(), case.bags()
    video = replace(VideoInput.of_rows(bag), name="a", seed=3)
    with torch.inference_mode():
        whole = method.score([video])[0].anomaly
        monkeypatch.setattr("vadbench_mil.selection.AT_ONCE", 2 * bag.shape[1])
        in_pieces = method.score([video])[0].anomaly
        again = members(torch.tensor([[0.1, 0.3, 0.2]]), 2)
    assert torch.equal(whole, in_pieces)
    assert again.tolist() == [[0.0, 1.0, 1.0]]
