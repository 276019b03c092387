"""CLIP-TSA's behaviour: its selection against slow references, noise that belongs to a video, and every ablation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from vadbench_mil.cliptsa import ClipTsa, fits
from vadbench_mil.config import ClipTsaConfig, SelectionSettings
from vadbench_mil.rtfm import Rtfm
from vadbench_mil.selection import TemporalSelection, members, selected_count

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Scores, Task
from vadbench.training.loop import autocast

DIM = 24
CPU = torch.device("cpu")
CLASSES = ClassTable(tuple(map(VideoClass, ("Arson", "Normal", "Fighting"))), 1)
SMALL: dict[str, Any] = {"segments": 8, "top_k": 2}
TERMS = {"classification", "magnitude", "smoothness", "sparsity"}

ABLATIONS: list[dict[str, Any]] = [
    {},
    {"selection": {"enabled": False}},
    {"selection": {"gradient": "standard"}},
    {"selection": {"noise": "none"}},
    {"selection": {"ratio": 0.01}},
    {"selection": {"ratio": 0.5, "draws": 7, "sigma": 0.5, "cap": 0, "repeats": 3}},
    {"branches": "dilated"},
]


def no_text() -> Any:
    raise AssertionError("the text tower was asked for")


def build(dim: int = DIM, **settings: Any) -> ClipTsa:
    torch.manual_seed(1)
    return ClipTsa(ClipTsaConfig(**SMALL | settings), Task(CLASSES, dim, CPU, no_text))


def features(*shape: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((*shape, dim)).astype(np.float32)


def score(method: ClipTsa, *videos: VideoInput) -> list[Scores]:
    with torch.inference_mode():
        return list(method.eval().score(videos))


def video(rows: np.ndarray, name: str = "video", seed: int = 0) -> VideoInput:
    return VideoInput.of_rows(torch.from_numpy(rows), name, seed=seed)


@pytest.mark.parametrize("settings", ABLATIONS, ids=str)
def test_every_ablation_trains_and_scores(batch, settings):
    method = build(**settings)
    if method.temporal.non_local is not None:
        torch.nn.init.ones_(method.temporal.non_local.norm.weight)
    found = method.train().loss(batch(method))
    assert set(found) == TERMS
    sum(found.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in method.parameters())
    lengths = (1, 2, 3, 17, 100)
    with torch.inference_mode():
        scored = method.eval().score(as_videos([torch.from_numpy(features(n)) for n in lengths]))
    for rows, scores in zip(lengths, scored, strict=True):
        assert scores.anomaly.shape == (rows,)
        assert scores.anomaly.min() >= 0 and scores.anomaly.max() <= 1
        assert scores.extras.keys() == ({"spread"} if settings.get("selection", {}).get("repeats") else set())


@pytest.mark.parametrize("ratio", [0.95, 0.3])
def test_noise_belongs_to_the_run_and_the_video(ratio):
    """Whatever is scored with it, and whenever; another seed or another name is other noise."""
    method = build(selection={"ratio": ratio, "draws": 10})
    rows = features(40)
    (first,) = score(method, video(rows))
    others = [video(features(n, seed=n), f"other{n}") for n in (1, 300)]
    torch.manual_seed(99)
    assert torch.equal(score(method, others[0], video(rows), others[1])[1].anomaly, first.anomaly)
    for changed in (video(rows, seed=1), video(rows, "another name")):
        assert not torch.equal(score(method, changed)[0].anomaly, first.anomaly)
    method = build(selection={"ratio": ratio, "noise": "none"})
    assert torch.equal(score(method, video(rows, seed=1))[0].anomaly, score(method, video(rows))[0].anomaly)


def test_without_noise_the_highest_rates_are_taken():
    method = build(selection={"ratio": 0.3, "noise": "none"})
    rates = torch.rand(2, 20)
    shares = method.selection.scoring_shares(rates, np.random.default_rng(0))
    assert torch.equal(shares, members(rates, 6)) and shares.sum(1).tolist() == [6, 6]


def test_repeats_average_scorings_with_further_draws():
    rows, settings = features(30), {"ratio": 0.5, "draws": 4}
    (several,) = score(build(selection={**settings, "repeats": 3}), video(rows))
    method = build(selection=settings)
    rng = video(rows).rng()
    with torch.inference_mode():
        bag = torch.from_numpy(rows)[None]
        rates = method.eval().selection.rates(bag)
        single = []
        for _ in range(3):
            share = np.zeros(30)
            for _ in range(4):
                disturbed = rates[0].numpy() + 0.05 * rng.standard_normal(30, np.float32)
                share[np.argsort(-disturbed)[:15]] += 1 / 4
            selected = bag * torch.from_numpy(share).float()[:, None]
            single.append(method(method.temporal(selected))[0][0])
    torch.testing.assert_close(several.anomaly, torch.stack(single).mean(0))
    torch.testing.assert_close(several.extras["spread"], torch.stack(single).std(0))


def test_crops_have_noise_of_their_own():
    """Two equal crops are selected otherwise."""
    method = build(selection={"ratio": 0.5, "draws": 3})
    rates = torch.rand(1, 40).expand(2, -1)
    shares = method.selection.scoring_shares(rates, np.random.default_rng(0))
    assert not torch.equal(shares[0], shares[1])
    assert shares.sum(1).tolist() == pytest.approx([20, 20])


@pytest.mark.parametrize("crops, capped", [(1, True), (2, False)])
def test_the_cap_is_of_a_video_of_one_crop(crops, capped):
    selection = TemporalSelection(4, SelectionSettings(cap=10, draws=2))
    shares = selection.scoring_shares(torch.rand(crops, 100), np.random.default_rng(0))
    assert shares.sum(1).tolist() == pytest.approx([10 if capped else 95] * crops)
    free = TemporalSelection(4, SelectionSettings(cap=0, draws=2))
    assert free.scoring_shares(torch.rand(1, 100), np.random.default_rng(0)).sum() == pytest.approx(95)


@pytest.mark.parametrize("gradient", ["authors", "standard"])
def test_the_gradient_of_the_selection_against_loops(gradient):
    rng = np.random.default_rng(0)
    selection = TemporalSelection(4, SelectionSettings(ratio=0.5, draws=3, gradient=gradient))
    rows, noise, outer = rng.random((2, 6, 4)), rng.standard_normal((2, 3, 6)), rng.standard_normal((2, 6))
    selection.noise = lambda rates: torch.from_numpy(noise).float()
    seen: list[torch.Tensor] = []
    selection.rates = lambda given: seen.append(given.sum(-1).requires_grad_()) or seen[0]
    shares = selection(torch.from_numpy(rows).float())
    shares.backward(torch.from_numpy(outer).float())
    wanted, share = np.zeros((2, 6)), np.zeros((2, 6))
    for s in range(2):
        for n in range(3):
            top = np.argsort(-(rows[s].sum(-1) + 0.05 * noise[s, n]))[:3]
            share[s, top] += 1 / 3
            for t in range(6):
                for u in range(6):
                    first, second = (t in top, noise[s, n, u]) if gradient == "authors" else (u in top, noise[s, n, t])
                    wanted[s, t] += first * second * outer[s, u] / (3 * 0.05)
    np.testing.assert_allclose(shares.detach(), share, atol=1e-6)
    np.testing.assert_allclose(seen[0].grad, wanted, atol=1e-4)


def test_both_estimates_have_the_mean_that_differences_have():
    """Of many draws, against how the mean share moves when a rate does, by the same draws."""
    noise = torch.randn(1, 400_000, 4, generator=torch.Generator().manual_seed(0))
    rates, outer = torch.tensor([[0.5, 0.52, 0.55, 0.47]]), torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    found = {}
    for gradient in ("authors", "standard"):
        selection = TemporalSelection(4, SelectionSettings(ratio=0.5, gradient=gradient))
        selection.noise = lambda _: noise
        given = rates.clone().requires_grad_()
        selection.rates = lambda _, given=given: given
        selection(rates[..., None]).backward(outer)
        found[gradient] = given.grad[0]
    step = 0.005
    wanted = [
        sum(
            sign * float((members(rates + sign * step * torch.eye(4)[t] + 0.05 * noise[0], 2).mean(0) * outer).sum())
            for sign in (1, -1)
        )
        / (2 * step)
        for t in range(4)
    ]
    for estimate in found.values():
        np.testing.assert_allclose(estimate, wanted, atol=0.03 * np.abs(wanted).max())


def test_without_the_selection_it_is_rtfm():
    method = build(selection={"enabled": False})
    other = Rtfm(Rtfm.Config(**SMALL, hidden=(6, 1)), Task(CLASSES, DIM, CPU, no_text))
    other.load_state_dict(method.state_dict())
    rows = video(features(50))
    with torch.inference_mode():
        assert torch.equal(score(method, rows)[0].anomaly, other.eval().score([rows])[0].anomaly)


def test_long_rows_of_training_are_scaled_as_those_of_scoring_only_from_a_share_on():
    """The shares of a video sum to the rows that are selected, so a small ratio scales a long video's rows down."""
    assert [selected_count(n, 0.01) / n for n in (32, 199)] == [1 / 32, 1 / 199]
    assert [selected_count(n, 1 / 32) / n for n in (32, 320)] == [1 / 32, 1 / 32]
    assert selected_count(1, 0.01) == selected_count(1, 0.95) == 1


@pytest.mark.parametrize("dim, taken", [(512, True), (64, True), (24, True), (300, False), (768, False), (8, False)])
def test_rows_of_other_widths_are_narrowed(batch, dim, taken):
    assert fits(dim) == taken
    method = build(dim)
    assert (method.front is None) == taken
    (scores,) = score(method, video(features(5, dim=dim)))
    assert scores.anomaly.shape == (5,)
    view = method.view(VideoInput.of_rows(features(20, dim=dim)), np.random.default_rng(0))["rows"]
    narrowed = method.narrowed(torch.from_numpy(view)[None]).detach()
    assert narrowed.shape == (1, 8, dim if taken else 512)
    if not taken:
        assert float(narrowed.min()) > 0 and float(narrowed.max()) < 1


@pytest.mark.parametrize("dim", [DIM, 13])
def test_the_selection_is_float32_in_bfloat16(monkeypatch, dim):
    """Shares of bfloat16 rates would differ from each other only by multiples of 1/256, and their sums be rounded."""
    method, rows = build(dim, selection={"ratio": 0.5}), features(2, 300, dim=dim)
    shares, inputs = [], []
    drawn = method.selection.scoring_shares
    monkeypatch.setattr(method.selection, "scoring_shares", lambda *a: shares.append((a[0], drawn(*a))) or shares[0][1])
    method.temporal.register_forward_pre_hook(lambda _, given: inputs.append(given[0].dtype))
    with autocast("bf16", CPU):
        score(method, video(rows))
    ((rates, found),) = shares
    assert {rates.dtype, found.dtype, *inputs} == {torch.float32}
    assert len(rates.unique()) > 500
    torch.testing.assert_close(found.sum(1), torch.full((2,), 150.0))


def test_crops_beyond_a_number_of_rows_are_scored_one_after_the_other(monkeypatch):
    method, rows = build(selection={"ratio": 0.5, "draws": 5, "repeats": 2}), video(features(5, 30))
    (whole,), seen = score(method, rows), []
    monkeypatch.setattr("vadbench.nn.parts.ROWS_AT_ONCE", 60)
    method.temporal.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    (in_parts,) = score(method, rows)
    assert seen == [2, 2, 1] * 2
    torch.testing.assert_close(in_parts.anomaly, whole.anomaly)
    torch.testing.assert_close(in_parts.extras["spread"], whole.extras["spread"])


def test_training_draws_from_torch(batch):
    method = build(dropout=0.0, selection_dropout=0.0, selection={"ratio": 0.5, "draws": 5}).train()
    totals = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        totals.append(sum(method.loss(batch(method)).values()).item())
    assert totals[0] == totals[1] != totals[2]


def test_published_settings_per_data_set():
    found = {}
    for name in ("ucfcrime", "xdviolence", "shanghaitech"):
        config = resolve(ClipTsaConfig, ClipTsaConfig.dataset_defaults.get(name, {}), environment={})
        found[name] = (config.selection.ratio, config.recipe.steps)
        assert (config.selection.draws, config.selection.sigma, config.recipe.batch_size) == (100, 0.05, 32)
    assert found == {"ucfcrime": (0.95, 4000), "xdviolence": (0.9, 4000), "shanghaitech": (0.01, 35_000)}


@pytest.mark.parametrize("other", ["selection.noise=none", "selection.enabled=false"])
def test_settings_without_effect_are_refused(other):
    with pytest.raises(ConfigError, match="no effect without draws in scoring"):
        resolve(ClipTsaConfig, {}, assignments=[other, "selection.repeats=2"], environment={})


@pytest.mark.parametrize("setting", ["draws=7", "sigma=0.5", "gradient=standard", "cap=0", "noise=none"])
def test_without_the_selection_its_settings_are_refused(setting):
    name = setting.split("=")[0]
    with pytest.raises(ConfigError, match=f"'selection.{name}'.*no effect with enabled=false"):
        resolve(ClipTsaConfig, {}, assignments=["selection.enabled=false", f"selection.{setting}"], environment={})
    for_xd = resolve(ClipTsaConfig, {"selection": {"ratio": 0.9, "enabled": False}}, environment={})
    assert for_xd.selection.ratio == 0.9


def test_a_window_of_a_long_video_has_noise_of_its_own():
    method = build(selection={"ratio": 0.5, "draws": 3})
    rows = np.repeat(features(1), 40, 0)
    whole = video(rows)
    first, second = score(method, whole.window(0, 20), replace(whole.window(20, 40)))
    assert not torch.equal(first.anomaly, second.anomaly)
