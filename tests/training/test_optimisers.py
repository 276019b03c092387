"""Optimisers and schedules against their formulas, and the groups of parameters that each of them moves."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from vadbench.base.errors import ConfigError, PluginError
from vadbench.base.method_config import MethodConfig
from vadbench.base.recipe import GroupRecipe, Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Method, Task
from vadbench.training.optimisers import Optimisers, PlannedSteps, build_optimiser, learning_rate, planned_steps

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Fire")), normal=0)
LENGTH = PlannedSteps(epochs=50, taken=500, both_lists=900)
REFINER = GroupRecipe(
    optimiser="stable-adamw", epsilon=1e-10, weight_decay=1e-4, amsgrad=True, schedule="warmup-cosine",
    schedule_unit="step", warmup_steps=100, warmup_to_peak=True, floor=0.1, planned_steps="both-lists",
)  # fmt: skip


class Layers(Method):
    """Three layers, in two groups and none."""

    def __init__(self, recipe=None):
        super().__init__(MethodConfig(recipe=recipe), Task(TABLE, 4, torch.device("cpu"), lambda: pytest.fail("text")))
        torch.manual_seed(0)
        self.body, self.refiner, self.head = nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 1)

    def groups(self):
        return {name: list(getattr(self, name).parameters()) for name in ("body", "refiner", "head")}

    def total(self, seed=1):
        rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, 4)).astype("f4"))
        return self.head(self.refiner(self.body(rows)).tanh()).square().sum()


def trained(method, recipe, steps, optimisers=None):
    """Train for some steps, ten of them an epoch, and return the optimisers."""
    optimisers = optimisers or Optimisers(method, recipe, LENGTH)
    for step in steps:
        optimisers.schedule(step // 10, step)
        optimisers.zero_grad()
        method.total(step).backward()
        optimisers.step()
    return optimisers


@pytest.mark.parametrize("planned", [2510, 1250, 100, 60])
def test_a_warm_up_to_the_peak_then_down_to_a_floor(planned):
    """At t/99 of the peak for t < 100, then 0.1 + 0.45 (1 + cos(pi (t - 100) / (T - 100))); 0.1 from T on, also where
    that cuts the ramp."""
    recipe = Recipe(learning_rate=7e-5, groups={"r": REFINER}).group("r")
    for t in range(1250):
        if t >= planned:
            expected = 0.1 * 7e-5
        elif t < 100:
            expected = 7e-5 * t / 99
        else:
            expected = 7e-5 * (0.1 + 0.45 * (1 + math.cos(math.pi * (t - 100) / (planned - 100))))
        assert learning_rate(recipe, t, planned) == pytest.approx(expected, rel=1e-14, abs=0), t


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("from_zero", [True, False])
def test_warmup_cosine_equals_its_formula(from_zero, unit):
    warm = {"warmup_epochs": 5} if unit == "epoch" else {"warmup_steps": 5}
    recipe = Recipe(learning_rate=2.0, schedule="warmup-cosine", schedule_unit=unit, warmup_from_zero=from_zero, **warm)
    e = np.arange(50)
    expected = np.where(e < 5, 2.0 * (e if from_zero else e + 1) / 5, 1 + np.cos(np.pi * (e - 5) / 45))
    np.testing.assert_allclose([learning_rate(recipe, i, 50) for i in e], expected, rtol=1e-12)


def test_steps_multiply_at_each_milestone():
    recipe = Recipe(epochs=9, learning_rate=1.0, schedule="steps", milestones=(4, 8), gamma=0.1)
    assert [learning_rate(recipe, e) for e in range(9)] == pytest.approx([1.0] * 4 + [0.1] * 4 + [0.01])
    # A list of rates, 1e-4 for 1500 steps, then 5e-5 for as many.
    options = {"learning_rate": 1e-4, "schedule": "steps", "schedule_unit": "step", "milestones": (1500,), "gamma": 0.5}
    recipe = Recipe(steps=3000, **options)
    assert [learning_rate(recipe, s, 3000) for s in range(3000)] == pytest.approx([1e-4] * 1500 + [5e-5] * 1500)


SHAPES = [(7, 5), (11,), (8, 1, 1)]


def drawn():
    """Weights, and the gradients of six steps, some much larger than those before them."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype("f4") for shape in SHAPES]
    sizes = (1.0, 10.0, 0.1, 5.0, 1e-3, 2.0)
    return weights, [[(size * rng.standard_normal(shape)).astype("f4") for shape in SHAPES] for size in sizes]


def literal(kind, recipe):
    """Weights after the six steps in float64, from the formulas of the optimisers."""
    (b1, b2), rate, decay = recipe.betas, recipe.learning_rate, recipe.weight_decay
    found = []
    for number, start in enumerate(drawn()[0]):
        w, m, v, u = start.astype(float), 0.0, 0.0, 0.0
        for t, gradients in enumerate(drawn()[1], 1):
            g = gradients[number].astype(float)
            if kind == "adam-l2":
                g = g + decay * w
            else:
                w = w * (1 - rate * decay)
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            u = np.maximum(u, v) if recipe.amsgrad else v
            den = np.sqrt(u) / math.sqrt(1 - b2**t) + recipe.epsilon
            excess = max(1.0, np.linalg.norm(g / den) / math.sqrt(g.size)) if kind == "stable-adamw" else 1.0
            w = w - rate / ((1 - b1**t) * excess) * m / den
        found.append(w)
    return found


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize(("epsilon", "decay"), [(1e-8, 5e-3), (1e-2, 0.5)])
@pytest.mark.parametrize("kind", ["adamw", "adam-l2", "stable-adamw"])
def test_optimisers_equal_their_formulas(kind, epsilon, decay, amsgrad):
    recipe = Recipe(
        optimiser=kind, learning_rate=0.01, betas=(0.8, 0.95), epsilon=epsilon, weight_decay=decay, amsgrad=amsgrad
    )
    weights, gradients = drawn()
    parameters = [nn.Parameter(torch.from_numpy(w)) for w in weights]
    optimiser = build_optimiser(parameters, recipe)
    for given in gradients:
        for parameter, gradient in zip(parameters, given, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimiser.step()
    by_kind = {k: literal(k, recipe) for k in ("adamw", "adam-l2", "stable-adamw")}
    for number, parameter in enumerate(parameters):
        for other, expected in by_kind.items():
            gap = np.abs(parameter.detach().numpy() - expected[number]).max()
            assert gap < 2e-6 if other == kind else gap > 1e-5, (other, number)
    # The two numbers, and the largest second moment, are seen to count.
    for name, value in (("epsilon", 0.5), ("weight_decay", 0.2), ("amsgrad", not amsgrad)):
        changed = literal(kind, recipe.model_copy(update={name: value}))
        assert max(np.abs(a - b).max() for a, b in zip(changed, by_kind[kind], strict=True)) > 1e-5, name


def test_one_group_under_adamw_is_torchs_own_to_the_bit():
    recipe = Recipe(learning_rate=0.02, weight_decay=0.3, schedule="warmup-cosine", warmup_epochs=2)
    method, other = Layers(), Layers()
    optimisers = trained(method, recipe, range(30))
    assert optimisers.names == ("default",)
    options = {"lr": 0.02, "betas": recipe.betas, "eps": recipe.epsilon, "weight_decay": 0.3, "fused": True}
    # Groups without settings of their own in the recipe; how torch groups them changes nothing.
    optimiser = torch.optim.AdamW([{"params": list(group)} for group in other.groups().values()], **options)
    for step in range(30):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step // 10)
        optimiser.zero_grad(set_to_none=True)
        other.total(step).backward()
        optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(method.parameters(), other.parameters(), strict=True))


def test_each_group_is_moved_by_its_own_optimiser_and_schedule():
    recipe = Recipe(
        learning_rate=0.02,
        schedule="warmup-cosine",
        groups={"refiner": REFINER, "head": GroupRecipe(learning_rate=0.5, schedule="constant")},
    )
    method = Layers()
    optimisers = Optimisers(method, recipe, LENGTH)
    assert optimisers.names == ("default", "refiner", "head")
    for step in (0, 1, 99, 100, 499):
        main = 0.02 * (1 + math.cos(math.pi * (step // 10) / 50)) / 2
        warm = step / 99 if step < 100 else 0.1 + 0.45 * (1 + math.cos(math.pi * (step - 100) / 800))
        expected = {"default": main, "refiner": 0.02 * warm, "head": 0.5}
        assert optimisers.schedule(step // 10, step) == pytest.approx(expected, rel=1e-12)
    # Literally: three optimisers over disjoint parameters, one backward pass.
    trained(method, recipe, range(20), optimisers)
    other, parts = Layers(), []
    for name, group in (("body", "default"), ("refiner", "refiner"), ("head", "head")):
        parts.append((recipe.group(group), build_optimiser(other.groups()[name], recipe.group(group)), group))
    for step in range(20):
        other.zero_grad(set_to_none=True)
        other.total(step).backward()
        for settings, optimiser, group in parts:
            place = (step, 900) if group == "refiner" else (step // 10, 50)
            optimiser.param_groups[0]["lr"] = learning_rate(settings, *place)
            optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(method.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("planned", "length"), [("taken", 500), ("both-lists", 900), (77, 77)])
def test_what_a_schedule_per_step_is_planned_for(planned, length):
    recipe = Recipe(schedule="warmup-cosine", schedule_unit="step", planned_steps=planned, floor=0.5)
    optimisers = Optimisers(Layers(), recipe, LENGTH)
    for step in (0, 40, 76, 77, 300, 499, 899, 900):
        share = 0.5 + 0.25 * (1 + math.cos(math.pi * min(1, step / length)))
        assert optimisers.schedule(7, step)["default"] == pytest.approx(1e-4 * share, rel=1e-12)


def test_the_length_of_a_stage():
    samples = [SimpleNamespace(labels=np.eye(2)[int(i < 8)]) for i in range(17)]  # 8 abnormal, 9 normal

    def length(**settings):
        return planned_steps(Recipe(batch_size=4, **settings), samples, 0)

    assert length(epochs=3) == (3, 12, 24)
    assert length(epochs=3, sampler="paired") == (3, 12, 24)
    assert length(epochs=3, sampler="mixed") == (3, 15, 15)
    assert length(sampler="cycled", steps=10) == (3, 10, 24)
    assert length(sampler="cycled", epoch_steps=5, steps=10) == (2, 10, 16)
    assert length(sampler="cycled", epoch_steps=5, epochs=3) == (3, 15, 24)
    assert length(epochs=0) == (0, 0, 0)
    with pytest.raises(ConfigError, match=r"set recipe\.batch_size=16"):
        planned_steps(Recipe(batch_size=32), samples, 0)


@pytest.mark.parametrize("kind", ["adamw", "adam-l2", "stable-adamw"])
def test_a_parameter_without_a_gradient_is_neither_moved_nor_decayed(kind):
    method = Layers()
    method.unused = nn.Parameter(torch.ones(3))
    method.groups = lambda: {"all": list(method.parameters())}
    bias = method.head.bias.detach().clone()
    optimisers = Optimisers(method, Recipe(optimiser=kind, learning_rate=0.1, weight_decay=0.5), LENGTH)
    for step in range(3):
        optimisers.zero_grad()
        method.total(step).backward()
        method.head.bias.grad = None
        optimisers.step()
    assert torch.equal(method.unused, torch.ones(3)) and torch.equal(method.head.bias, bias)
    assert not torch.equal(method.body.weight, Layers().body.weight)
    optimisers.zero_grad()
    assert all(p.grad is None for p in method.parameters())


class OwnOptimisers(Layers):
    """Optimisers that no recipe can name: momentum, a number as state, and one that counts in its groups."""

    def optimisers(self, recipe):
        return {
            "default": torch.optim.SGD(
                [{"params": self.body.parameters()}, {"params": self.refiner.parameters(), "lr": 0.01}], 0.02, 0.9
            ),
            "head": Counting(list(self.head.parameters())),
        }


class Counting(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.5, "calls": 0})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            group["calls"] += 1
            for p in group["params"]:
                state = self.state[p]
                state["seen"] = state.get("seen", 0) + 1
                state["size"] = 0.5 * state.get("size", 1.0) + float(p.grad.abs().mean())
                state["nothing"] = None
                p.sub_(group["lr"] * p.grad / (group["calls"] * state["seen"] + state["size"]))


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        (Layers, Recipe(learning_rate=0.02)),
        (Layers, Recipe(learning_rate=0.02, optimiser="adam-l2", amsgrad=True)),
        (Layers, Recipe(learning_rate=0.02, schedule="warmup-cosine", groups={"refiner": REFINER})),
        (OwnOptimisers, Recipe(learning_rate=0.02, schedule="warmup-cosine")),
        (OwnOptimisers, Recipe(groups={"head": GroupRecipe(schedule="steps", milestones=(2,))})),
    ],
)
def test_state_goes_on_to_the_same_bits(kind, recipe):
    whole = kind()
    trained(whole, recipe, range(40))
    half = kind()
    state = trained(half, recipe, range(23)).state()
    assert all(isinstance(v, torch.Tensor) for v in state.values())
    again = kind()
    again.load_state_dict(half.state_dict())
    optimisers = Optimisers(again, recipe, LENGTH)
    assert not optimisers.state().keys() >= state.keys()
    optimisers.load({name: value.clone() for name, value in state.items()})
    assert optimisers.state().keys() == state.keys()
    trained(again, recipe, range(23, 40), optimisers)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    # Without it the end is another.
    lost = kind()
    lost.load_state_dict(half.state_dict())
    trained(lost, recipe, range(23, 40))
    assert not all(torch.equal(a, b) for a, b in zip(whole.parameters(), lost.parameters(), strict=True))


def test_rates_of_a_methods_own_optimisers_are_kept_unless_the_recipe_schedules_them():
    optimisers = Optimisers(OwnOptimisers(), Recipe(learning_rate=7.0), LENGTH)
    assert optimisers.names == ("default", "head")
    assert optimisers.schedule(3, 30) == {"default": 0.02, "head": 0.5}
    recipe = Recipe(learning_rate=0.02, schedule="warmup-cosine", warmup_epochs=10)
    method = OwnOptimisers()
    optimisers = Optimisers(method, recipe, LENGTH)
    # Half of the warm-up: each of its two rates is halved; the optimiser without settings in the recipe keeps its own.
    assert optimisers.schedule(5, 50) == pytest.approx({"default": 0.01, "head": 0.5})
    assert [v.item() for n, v in optimisers.state().items() if n.endswith(".lr")] == pytest.approx([0.01, 0.005, 0.5])


@pytest.mark.parametrize(
    ("method", "recipe", "error", "words"),
    [
        (Layers, {"refner": REFINER}, ConfigError, r"recipe\.groups\.refner is not a group .* did you mean 'refiner'"),
        (OwnOptimisers, {"refiner": REFINER}, ConfigError, "refiner is not an optimiser of the method; known: default"),
    ],
)
def test_a_group_that_the_method_does_not_have_is_refused(method, recipe, error, words):
    with pytest.raises(error, match=words):
        Optimisers(method(), Recipe(groups=recipe), LENGTH)


def test_groups_that_cannot_be_trained_are_refused():
    method = Layers()
    method.groups = lambda: {"a": list(method.body.parameters()), "b": [method.head.bias, method.body.bias]}
    with pytest.raises(PluginError, match="several times, in a and b"):
        Optimisers(method, Recipe(), LENGTH)
    method.groups = lambda: {"a": []}
    with pytest.raises(PluginError, match="no parameter to train"):
        Optimisers(method, Recipe(), LENGTH)
    method.groups = lambda: {"a": [], "b": list(method.body.parameters())}
    assert Optimisers(method, Recipe(groups={"a": REFINER, "b": REFINER}), LENGTH).names == ("b",)


def test_state_that_no_checkpoint_can_hold_is_refused():
    method = Layers()
    optimiser = torch.optim.LBFGS(method.parameters())
    method.optimisers = lambda recipe: {"default": optimiser}
    optimisers = Optimisers(method, Recipe(), LENGTH)
    method.total().backward()
    optimiser.step(lambda: method.total())
    with pytest.raises(PluginError, match=r"optimiser 'default' keeps '.*' as list"):
        optimisers.state()
