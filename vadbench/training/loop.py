"""The training loop: epochs, steps, learning rates, looks, and the end of a stage.

Every random draw of an epoch comes from generators seeded for it, so an interrupted training needs no random state to
go on: the weights after the last epoch that was stored are enough, and the end is bit-identical.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from vadbench.base.arithmetic import arithmetic
from vadbench.base.errors import PluginError, TrainingError, did_you_mean
from vadbench.base.seeds import MAIN_STAGE, Purpose, torch_draws, torch_seed
from vadbench.base.types import Progress
from vadbench.inputs import Batch, LossTerms
from vadbench.method import Method
from vadbench.training.optimisers import Optimisers, planned_steps
from vadbench.training.prefetching import BatchLoader
from vadbench.training.stage_state import StageState, load_state
from vadbench.training.views import BatchPlan

Judge = Callable[[Method], float]
"""A measure of how good a method is now; larger is better. Must leave it unchanged, except for its training mode."""


class StageTraining:
    """The training of one stage from where its state stands; the state follows.

    With a judge it ends with the weights of the best look, otherwise with the last. The recipe says when to look, and
    whether every epoch begins from the best weights so far: the optimisers are not set back.

    Args:
        method: trained in place.
        plan: says which videos form the batches.
        loss: called with each batch.
        state: where the stage stands.
        judge: of the weights, if any may be selected.
    """

    def __init__(
        self,
        method: Method,
        plan: BatchPlan,
        loss: Callable[[Batch], LossTerms],
        state: StageState,
        judge: Judge | None,
    ) -> None:
        self.method, self.plan, self.recipe, self.state, self.judge = method, plan, plan.recipe, state, judge
        self.step = sum(line["steps"] for line in state.lines)
        self._loss: Callable[[Batch], LossTerms] = torch.compile(loss) if self.recipe.compile else loss
        self._planned = planned_steps(self.recipe, plan.samples, plan.normal)
        self.optimisers = Optimisers(method, self.recipe, self._planned)
        if state.lines:
            load_state(method, state.tensors)
            self.optimisers.load(state.optimisers)

    def run(self, loader: BatchLoader, save: Callable[[], None], progress: Progress, told: str) -> None:
        """Train to the end.

        Args:
            loader: gives the batches.
            save: called after each epoch but the last, when the state stands for it.
            progress: told how many epochs are done.
            told: the stage in words, for ``progress``.

        Raises:
            TrainingError: the loss stopped being finite; says which term and when.
            ConfigError: the batch does not fit the data.
        """
        epochs = self._planned.epochs
        for epoch in range(len(self.state.lines), epochs):
            progress(told, epoch, epochs)
            self.state.lines.append(self._epoch(loader, epoch))
            if epoch + 1 < epochs:
                self.state.tensors, self.state.optimisers = self.method.state_dict(), self.optimisers.state()
                save()
        progress(told, epochs, epochs)
        self._end()

    def _end(self) -> None:
        lines = self.state.lines
        if self.judge is not None and lines and not any("looks" in line for line in lines):
            # There were too few steps for one.
            lines[-1]["looks"] = [self._look(lines[-1]["epoch"], lines[-1]["steps"])]
        if self.state.best:
            load_state(self.method, self.state.best)
        self.method.eval()
        self.state.tensors, self.state.optimisers, self.state.best = self.method.state_dict(), {}, {}
        self.state.finished = True

    def _epoch(self, loader: BatchLoader, epoch: int) -> dict[str, Any]:
        """Train an epoch and return its line of the log."""
        stage = [] if self.plan.stage == MAIN_STAGE else [self.plan.stage]
        torch.manual_seed(torch_seed([self.plan.seed, epoch, *stage]))
        self.method.train()
        rates: Mapping[str, float] = {}
        sums: dict[str, float] = {}
        looks: list[float] = []
        steps = 0
        for batch in loader.epoch(epoch, self.step):
            now = self.optimisers.schedule(epoch, self.step)
            rates = rates or now
            for name, value in self._train(batch, steps).items():
                sums[name] = sums.get(name, 0.0) + value
            self.step += 1
            if self._looks_after(steps):
                looks.append(self._look(epoch, steps))
            steps += 1
        line = {
            "epoch": epoch,
            "learning_rate": next(iter(rates.values())) if len(rates) == 1 else dict(rates),
            "steps": steps,
            "loss": {name: value / steps for name, value in sums.items()},
        }
        if self.judge is None:
            return line
        if not looks and self.recipe.look_count == "epoch":
            looks = [self._look(epoch, steps)]
        if self.recipe.rollback and self.state.best:
            load_state(self.method, self.state.best)
        return line | ({"looks": looks} if looks else {})

    def _train(self, batch: Batch, step: int) -> dict[str, float]:
        """Take a step and return the loss: each term, and their sum as ``total``."""
        precision, device = self.recipe.precision, self.method.task.device
        with arithmetic(precision, device, self.recipe.deterministic):
            with autocast(precision, device):
                terms = self._loss(_CompiledBatch(batch) if self.recipe.compile else batch)
            self.optimisers.zero_grad()
            names, losses = self._backward(terms)
        read = _reader(names, losses.detach())
        if device.type == "cpu":
            _require_finite(read(), batch.epoch, step)
        self.optimisers.step()
        with torch.no_grad():
            self.method.stepped(batch.step + 1)
        # The only wait of a step for a GPU, behind all that it can be given. A step from losses that are not finite is
        # taken there, but it is the last, and its weights go nowhere.
        values = read()
        _require_finite(values, batch.epoch, step)
        return {**values, "total": math.fsum(values.values())}

    def _backward(self, terms: LossTerms) -> tuple[list[str], Tensor]:
        """Add to the gradients, and return the names of the terms and their values.

        Terms by group: the gradient of a group's terms reaches the parameters of that group alone.

        Raises:
            PluginError: only some terms are by group, or ``groups()`` does not name a group.
        """
        by_group = {group: own for group, own in terms.items() if isinstance(own, Mapping)}
        if not by_group:
            losses = _stacked(cast(Mapping[str, Tensor], terms))
            losses.sum().backward()  # type: ignore[no-untyped-call]
            return list(terms), losses
        kind, groups = type(self.method).__name__, self.method.groups()
        if alone := [name for name in terms if name not in by_group]:
            raise PluginError(
                f"{kind}.loss() gives terms by group, and beside them '{alone[0]}'; put every term under its group"
            )
        names: list[str] = []
        parts: list[Tensor] = []
        for group, own in by_group.items():
            if group not in groups:
                raise PluginError(
                    f"{kind}.loss() gives terms of the group '{group}', which {kind}.groups() lacks"
                    f"{did_you_mean(group, groups)}"
                )
            losses = _stacked(own)
            # The groups share a graph, which the last of them may free.
            last = len(parts) + 1 == len(by_group)
            torch.autograd.backward([losses.sum()], inputs=list(groups[group]), retain_graph=not last)
            names += [f"{group}/{name}" for name in own]
            parts.append(losses)
        return names, torch.cat(parts)

    def _looks_after(self, before: int) -> bool:
        """Return True if there is a look after a step that had ``before`` others before it in its epoch."""
        recipe = self.recipe
        if self.judge is None or not recipe.look_every:
            return False
        if recipe.look_count == "run":
            return bool(self.step >= recipe.look_from) and self.step % recipe.look_every == 0
        return before > 0 and before % recipe.look_every == 0

    def _look(self, epoch: int, steps: int) -> float:
        assert self.judge is not None
        plan = self.plan
        # A method that draws while it scores must not change what the training draws next.
        with torch_draws(self.method.task.device, Purpose.LOOK, plan.seed, plan.stage, epoch, steps):
            value = self.judge(self.method)
        self.method.train()
        if value > self.state.value or (value == self.state.value and self.recipe.look_ties == "last"):
            self.state.value = value
            self.state.best = {name: tensor.clone() for name, tensor in self.method.state_dict().items()}
        return value


class _CompiledBatch(Batch):
    """A batch without what differs in every one: compiled code that reads it would be compiled anew each time."""

    def __init__(self, batch: Batch) -> None:
        for name in ("views", "labels", "first", "epoch"):
            object.__setattr__(self, name, getattr(batch, name))

    def _refused(self) -> NoReturn:
        raise PluginError(
            "a loss that reads batch.names, batch.keys or batch.step cannot be compiled; set recipe.compile=false"
        )

    names = keys = step = property(_refused)


def _stacked(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([t.float().reshape(()) for t in terms.values()])


def _reader(names: Sequence[str], losses: Tensor) -> Callable[[], dict[str, float]]:
    """Return what gives the losses by name; those of a GPU are on their way from now on, and waited for when called."""
    if losses.device.type != "cuda":
        return lambda: dict(zip(names, losses.tolist(), strict=True))
    here, copied = losses.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def read() -> dict[str, float]:
        copied.synchronize()
        return dict(zip(names, here.tolist(), strict=True))

    return read


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass: bfloat16 where the recipe says so."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _require_finite(values: Mapping[str, float], epoch: int, step: int) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise TrainingError(
            f"loss term {', '.join(bad)} is not finite at epoch {epoch}, step {step}; lower recipe.learning_rate"
        )
