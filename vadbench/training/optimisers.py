"""The optimisers of a training, one for each group of parameters, and their schedules of learning rates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vadbench.base.errors import ConfigError, PluginError, did_you_mean
from vadbench.base.recipe import DEFAULT_GROUP, Recipe
from vadbench.inputs import TrainingVideo
from vadbench.method import Method
from vadbench.training.batches import step_counts
from vadbench.training.stable_adamw import StableAdamW


class PlannedSteps(NamedTuple):
    """The length of a stage of training.

    Args:
        epochs: those that are begun.
        taken: training steps of all epochs.
        both_lists: those of as many passes over one list of videos, and over the other.
    """

    epochs: int
    taken: int
    both_lists: int


def planned_steps(recipe: Recipe, samples: Sequence[TrainingVideo], normal: int) -> PlannedSteps:
    """Return how long a stage will be.

    Args:
        recipe: of the stage.
        samples: its training videos.
        normal: id of the normal class.

    Raises:
        ConfigError: the videos do not fill a batch.
    """
    each, both = step_counts(samples, normal, recipe)
    epochs = math.ceil(recipe.steps / each) if recipe.steps else recipe.epochs
    return PlannedSteps(epochs, recipe.steps or epochs * each, epochs * both)


def learning_rate(recipe: Recipe, place: int, length: int | None = None) -> float:
    """Return the learning rate of an epoch or a step, as the unit of the schedule is.

    ``warmup-cosine``, with w epochs or steps of warm-up and the rest down to a share f of the peak: ``peak * e / w``
    for ``e < w`` (or ``(e + 1) / w``, or ``e / (w - 1)``, as the recipe says), then
    ``f * peak + (1 - f) * peak * (1 + cos(pi * (e - w) / (E - w))) / 2``, and ``f * peak`` from E on.

    Args:
        recipe: of the group of parameters.
        place: number of the epoch or step, counted from 0.
        length: E, after how many the cosine has ended; by default the recipe's epochs.

    >>> [round(learning_rate(Recipe(epochs=4, schedule="warmup-cosine", warmup_epochs=1), e), 6) for e in range(4)]
    [0.0, 0.0001, 7.5e-05, 2.5e-05]
    """
    peak, length = recipe.learning_rate, recipe.epochs if length is None else length
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "steps":
        return peak * recipe.gamma ** sum(place >= m for m in recipe.milestones)
    warmup = recipe.warmup_steps if recipe.schedule_unit == "step" else recipe.warmup_epochs
    if place >= length:
        return peak * recipe.floor
    if place < warmup:
        if recipe.warmup_to_peak:
            return peak * place / (warmup - 1)
        return peak * (place if recipe.warmup_from_zero else place + 1) / warmup
    cosine = math.cos(math.pi * min(1.0, (place - warmup) / max(1, length - warmup)))
    return peak * recipe.floor + (1 - recipe.floor) * peak * (1 + cosine) / 2


class Optimisers:
    """The optimisers of a stage, by name, each with its schedule.

    They are those that the method makes (:meth:`vadbench.method.Method.optimisers`), or else one for each group of its
    parameters that the recipe names and one, ``default``, for all others.

    Args:
        method: whose parameters are trained.
        recipe: of the stage.
        planned: the length of the stage.

    Raises:
        ConfigError: the recipe names a group that the method does not have.
        PluginError: a parameter is in several groups, or nothing is to be trained.
    """

    def __init__(self, method: Method, recipe: Recipe, planned: PlannedSteps) -> None:
        own = method.optimisers(recipe)
        self._made = dict(_from_groups(method, recipe)) if own is None else dict(own)
        if own is not None:
            _require_known(recipe, own, "an optimiser")
        if not self._made:
            raise PluginError("there is no parameter to train; name those that are trained in groups()")
        self._recipes = {n: recipe.group(n) for n in self._made if n in recipe.groups or n == DEFAULT_GROUP}
        self._begun = {n: [group["lr"] for group in o.param_groups] for n, o in self._made.items()}
        self._planned = planned

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the optimisers, in the order of their steps."""
        return tuple(self._made)

    def schedule(self, epoch: int, step: int) -> dict[str, float]:
        """Set the learning rates of a step, and return them by name.

        Args:
            epoch: counted from 0.
            step: finished steps of the stage.
        """
        for name, recipe in self._recipes.items():
            if recipe.schedule == "constant":
                continue
            rate = learning_rate(recipe, *self._place(recipe, epoch, step))
            for group, begun in zip(self._made[name].param_groups, self._begun[name], strict=True):
                group["lr"] = rate * (begun / recipe.learning_rate)
        return {name: float(optimiser.param_groups[0]["lr"]) for name, optimiser in self._made.items()}

    def zero_grad(self) -> None:
        """Take all gradients away: a parameter that gets none is neither moved nor decayed by a step."""
        for optimiser in self._made.values():
            optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Let each optimiser take a step: ``default`` first, then the others in the order of the groups."""
        for optimiser in self._made.values():
            optimiser.step()

    def state(self) -> dict[str, Tensor]:
        """Return all state: ``NAME.INDEX.KEY`` of a parameter, and ``NAME.group INDEX.KEY`` of the numbers of a group
        of an optimiser's parameters; ``INDEX#`` where a state is a number and no tensor."""
        tensors: dict[str, Tensor] = {}
        for name, optimiser in self._made.items():
            found = optimiser.state_dict()
            for index, state in found["state"].items():
                for key, value in state.items():
                    if isinstance(value, Tensor):
                        tensors[f"{name}.{index}.{key}"] = value
                    elif value is not None:
                        tensors[f"{name}.{index}#.{key}"] = _as_tensor(value, name, key)
            for index, group in enumerate(found["param_groups"]):
                numbers = {k: v for k, v in group.items() if isinstance(v, int | float) and not isinstance(v, bool)}
                tensors |= {f"{name}.group {index}.{k}": _as_tensor(v, name, k) for k, v in numbers.items()}
        return tensors

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` of optimisers made in the same way returned."""
        for name, optimiser in self._made.items():
            groups: list[dict[str, Any]] = [dict(group) for group in optimiser.state_dict()["param_groups"]]
            states: dict[int, dict[str, Any]] = {}
            for full, value in state.items():
                whose, index, key = full.rsplit(".", 2)
                if whose != name:
                    continue
                if index.startswith("group "):
                    groups[int(index.removeprefix("group "))][key] = value.item()
                else:
                    kept: Any = value.item() if index.endswith("#") else value
                    states.setdefault(int(index.removesuffix("#")), {})[key] = kept
            optimiser.load_state_dict({"state": states, "param_groups": groups})

    def _place(self, recipe: Recipe, epoch: int, step: int) -> tuple[int, int]:
        if recipe.schedule_unit == "epoch":
            return epoch, self._planned.epochs
        if isinstance(recipe.planned_steps, int):
            return step, recipe.planned_steps
        return step, self._planned.both_lists if recipe.planned_steps == "both-lists" else self._planned.taken


def build_optimiser(
    parameters: Sequence[nn.Parameter], recipe: Recipe, fused: bool | None = True
) -> torch.optim.Optimizer:
    """Return the optimiser of a group of parameters at the peak of its learning rate.

    Args:
        parameters: what it moves.
        recipe: of the group.
        fused: whether torch does a step in one operation, which changes last digits; StableAdamW knows only one way.
    """
    options: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "betas": recipe.betas,
        "eps": recipe.epsilon,
        "weight_decay": recipe.weight_decay,
        "amsgrad": recipe.amsgrad,
    }
    if recipe.optimiser == "stable-adamw":
        return StableAdamW(parameters, **options)
    kind = torch.optim.Adam if recipe.optimiser == "adam-l2" else torch.optim.AdamW
    return kind(parameters, **options, fused=fused)


def _from_groups(method: Method, recipe: Recipe) -> Iterator[tuple[str, torch.optim.Optimizer]]:
    groups = method.groups()
    _require_known(recipe, groups, "a group of parameters")
    twice = [n for n, count in Counter(id(p) for group in groups.values() for p in group).items() if count > 1]
    if twice:
        names = [name for name, group in groups.items() if any(id(p) == twice[0] for p in group)]
        raise PluginError(
            f"groups() names a parameter several times, in {' and '.join(names)}; name every trainable parameter in one"
        )
    others = [p for name, group in groups.items() if name not in recipe.groups for p in group]
    named = {name: list(groups[name]) for name in groups if name in recipe.groups}
    for name, parameters in {DEFAULT_GROUP: others, **named}.items():
        if parameters:
            yield name, build_optimiser(parameters, recipe.group(name))


def _require_known(recipe: Recipe, known: Mapping[str, Any], what: str) -> None:
    for name in recipe.groups:
        if name not in known:
            raise ConfigError(f"recipe.groups.{name} is not {what} of the method{did_you_mean(name, known)}")


def _as_tensor(value: Any, name: str, key: str) -> Tensor:
    if not isinstance(value, int | float):
        raise PluginError(
            f"optimiser '{name}' keeps '{key}' as {type(value).__name__}, which a checkpoint cannot hold; use one whose"
            " state is of tensors and numbers"
        )
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)
