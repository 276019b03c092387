"""Methods with several optimisers: losses, schedules, logs and looks, and the same bits after an interruption."""

import json
import math
import shutil

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from staged import SEED, build, drawing_judge, loop_in, training_videos
from vadbench.base.errors import PluginError
from vadbench.base.method_config import Recipe
from vadbench.training.prefetching import BatchLoader
from vadbench.training.views import BatchPlan

DATA = training_videos()
STEPS = 3
"""Training steps of an epoch of these videos."""


@pytest.fixture(autouse=True)
def saved_at_every_epoch(monkeypatch):
    monkeypatch.setattr("vadbench.training.stages.SAVE_SECONDS", 0)


def trained(kind, folder, stop=None, judge=None, **changes):
    method = build("own_optimisers", kind)
    inner, calls = method.loss, 0

    def loss(batch):
        nonlocal calls
        calls += 1
        if stop is not None and calls > stop:
            raise KeyboardInterrupt
        return inner(batch)

    recipe = method.config.recipe.model_copy(update=changes)
    if stop is None:
        loop_in(folder, judge=judge).run(method, DATA.videos, recipe, loss=loss)
    else:
        with pytest.raises(KeyboardInterrupt):
            loop_in(folder, judge=judge).run(method, DATA.videos, recipe, loss=loss)
    return method


def batches(method):
    with BatchLoader(method, BatchPlan(DATA.videos, 0, method.config.recipe, SEED)) as loader:
        return [(epoch, batch) for epoch in range(4) for batch in loader.epoch(epoch)]


def test_groups_learn_from_their_own_losses_with_their_own_rates(tmp_path):
    """Beside a plain loop with torch's optimisers, each parameter's gradient taken by itself."""
    found = trained("TwoGroups", tmp_path)
    expected = build("own_optimisers", "TwoGroups")
    body, head = list(expected.body.parameters()), list(expected.head.parameters())
    quick = torch.optim.AdamW(body, lr=0.02, weight_decay=0.01)
    slow = torch.optim.Adam(head, lr=0.05, weight_decay=0.01)
    for step, (epoch, batch) in enumerate(batches(expected)):
        inner, target = torch.tanh(expected.body(batch.views["rows"])), 1 - batch.labels[:, 0]
        of_body = torch.autograd.grad(cross_entropy(inner.mean(-1).amax(1), target), body)
        of_head = torch.autograd.grad(cross_entropy(expected.head(inner.detach())[..., 0].amax(1), target), head)
        for parameter, gradient in zip([*body, *head], [*of_body, *of_head], strict=True):
            parameter.grad = gradient
        quick.param_groups[0]["lr"] = 0.02 if epoch < 2 else 0.002
        cosine = (1 + math.cos(math.pi * (step - 4) / (4 * STEPS - 4))) / 2
        slow.param_groups[0]["lr"] = 0.05 * (step / 4 if step < 4 else cosine)
        quick.step()
        slow.step()
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-6, atol=1e-7)


def test_the_log_has_the_rates_and_the_terms_of_each_group(tmp_path):
    trained("TwoGroups", tmp_path)
    found = [json.loads(line) for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    # Those of the first step of each epoch.
    rates = [line["learning_rate"] for line in found]
    assert [r["default"] for r in rates] == pytest.approx([0.02, 0.02, 0.002, 0.002])
    assert [r["head"] for r in rates][:2] == pytest.approx([0, 0.05 * 3 / 4])
    assert set(found[0]["loss"]) == {"default/mean", "head/bce", "total"}
    loss = found[0]["loss"]
    assert loss["total"] == pytest.approx(loss["default/mean"] + loss["head/bce"])


@pytest.mark.parametrize("kind", ["TwoGroups", "OwnOptimisers"])
@pytest.mark.parametrize("stop", [4, 7, 11])
def test_all_optimisers_go_on_after_an_interruption_to_the_same_bits(tmp_path, kind, stop):
    whole = trained(kind, tmp_path / "whole")
    trained(kind, tmp_path / "stopped", stop)
    again = trained(kind, tmp_path / "stopped")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    one, other = ((tmp_path / side / "training.jsonl").read_text() for side in ("whole", "stopped"))
    assert one == other


def test_optimisers_of_the_method_step_as_they_were_made(tmp_path):
    found = trained("OwnOptimisers", tmp_path)
    expected = build("own_optimisers", "OwnOptimisers")
    made = expected.optimisers(expected.config.recipe)
    for step, (_, batch) in enumerate(batches(expected)):
        for optimiser in made.values():
            optimiser.zero_grad()
        expected.loss(batch)["bce"].backward()
        for optimiser in made.values():
            optimiser.step()
        with torch.no_grad():
            for slow, quick in zip(expected.slow.parameters(), expected.body.parameters(), strict=True):
                slow.lerp_(quick, 1 / (step + 2))
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-6, atol=1e-7)
    assert not torch.equal(found.slow.weight, found.body.weight)


def test_steps_are_told_after_each_and_without_gradients(tmp_path):
    method, seen = build("own_optimisers", "OwnOptimisers"), []
    method.stepped = lambda step: seen.append((step, torch.is_grad_enabled()))
    loop_in(tmp_path).run(method, DATA.videos, method.config.recipe)
    assert seen == [(step, False) for step in range(1, 4 * STEPS + 1)]


def test_a_group_without_a_loss_of_its_own_stays(tmp_path):
    method = build("own_optimisers", "TwoGroups")
    before = method.head.weight.detach().clone()
    inner = method.loss
    loop_in(tmp_path).run(
        method, DATA.videos, method.config.recipe, loss=lambda batch: {"default": inner(batch)["default"]}
    )
    assert torch.equal(method.head.weight, before)


def test_terms_of_an_unknown_group_and_beside_groups_are_refused(tmp_path):
    method = build("own_optimisers", "TwoGroups")
    recipe, inner = method.config.recipe, method.loss
    with pytest.raises(PluginError, match=r"the group 'heads', which TwoGroups.groups\(\) lacks; did you mean 'head'"):
        loop_in(tmp_path).run(method, DATA.videos, recipe, loss=lambda batch: {"heads": inner(batch)["head"]})
    with pytest.raises(PluginError, match=r"gives terms by group, and beside them 'bce'"):
        loop_in(tmp_path).run(
            method,
            DATA.videos,
            recipe,
            loss=lambda batch: {"default": inner(batch)["default"], "bce": inner(batch)["head"]["bce"]},
        )


def looks(folder, judge, **changes):
    method = build("two_stage", "TwoStage")
    recipe = Recipe(epochs=4, batch_size=4, **changes)
    loop_in(folder, judge=judge).run(method, DATA.videos, recipe)
    return method, [json.loads(line).get("looks", []) for line in (folder / "training.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 1, 1, 1]),
        ({"look_every": 2}, [1, 1, 1, 1]),  # after step 3 of each epoch
        ({"look_every": 1}, [2, 2, 2, 2]),
        ({"look_every": 5, "look_count": "run"}, [0, 1, 0, 1]),  # after 5 and 10 steps
        ({"look_every": 2, "look_count": "run", "look_from": 5}, [0, 1, 1, 2]),  # 6, 8, 10 and 12
        ({"look_every": 50, "look_count": "run"}, [0, 0, 0, 1]),  # too few steps for one: at the end
    ],
)
def test_looks_are_counted_in_each_epoch_or_from_the_beginning(tmp_path, changes, expected):
    _, found = looks(tmp_path, drawing_judge, **changes)
    assert [len(own) for own in found] == expected


@pytest.mark.parametrize(("ties", "chosen"), [("first", 1), ("last", 2)])
def test_of_equal_looks_the_first_or_the_last_is_kept(tmp_path, ties, chosen):
    seen, values = [], [0.1, 0.7, 0.7, 0.3]

    def judge(method):
        seen.append(method.first.weight.detach().clone())
        return values[len(seen) - 1]

    method, _ = looks(tmp_path, judge, look_ties=ties)
    assert torch.equal(method.first.weight, seen[chosen])
    assert not torch.equal(seen[1], seen[2])


def test_steps_instead_of_epochs_end_with_a_short_one(tmp_path):
    method = build("two_stage", "TwoStage")
    loop_in(tmp_path).run(method, DATA.videos, Recipe(steps=7, batch_size=4))
    found = [json.loads(line)["steps"] for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert found == [3, 3, 1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("read", ["names", "keys", "step"])
def test_compiled_losses_must_not_read_what_differs_in_every_batch(tmp_path, read):
    method = build("two_stage", "TwoStage")
    recipe = Recipe(epochs=1, batch_size=4, compile=True)

    def loss(batch):
        getattr(batch, read)
        return {"a": method.first(batch.views["rows"]).mean() * (batch.epoch + 1)}

    with pytest.raises(PluginError, match=r"batch.names, batch.keys or batch.step cannot be compiled"):
        loop_in(tmp_path).run(method, DATA.videos, recipe, loss=loss)
