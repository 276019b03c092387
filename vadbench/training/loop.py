"""The one training loop: seeds, schedule, checkpoints every epoch and resuming from them.

Every random draw of an epoch comes from generators seeded for it, so an interrupted training needs no random state to
go on: the weights after the last finished epoch are enough, and the end is bit-identical.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vadbench.base.errors import CheckpointError, TrainingError
from vadbench.base.files import write_tensors, write_text
from vadbench.base.locations import TRAINING_LOG
from vadbench.base.method_config import Recipe
from vadbench.base.seeds import MAIN_STAGE, Purpose, torch_draws, torch_seed
from vadbench.base.types import Progress, silent
from vadbench.inputs import TrainingVideo
from vadbench.method import Method
from vadbench.training.batches import prefetched
from vadbench.training.optimisers import Optimisers, planned_steps

STATE = "training.safetensors"


def fit(
    method: Method,
    samples: Sequence[TrainingVideo],
    recipe: Recipe,
    seed: int,
    folder: Path,
    progress: Progress = silent,
    judge: Judge | None = None,
) -> None:
    """Train ``method`` in place, resuming from ``folder`` where an earlier call was interrupted.

    With a judge it ends with the weights of the best look, otherwise with the last. The recipe says when to look, and
    whether every epoch begins from the best weights so far, as VadCLIP's authors' does: the optimiser is not set back.

    Leaves ``training.jsonl`` (one line an epoch: learning rate, mean of each loss term, value of each look) and
    ``training.safetensors`` (weights and optimiser after the last finished epoch) in ``folder``.

    Raises:
        TrainingError: the loss stopped being finite; says which term and when.
        ConfigError: the batch does not fit the data.
    """
    device = method.task.device
    planned = planned_steps(recipe, samples, method.task.classes.normal)
    optimisers = Optimisers(method, recipe, planned)
    loss = torch.compile(method.loss) if recipe.compile else method.loss
    log, best = _resume(method, optimisers, folder / STATE, device)
    done = sum(line["steps"] for line in log)

    def look(epoch: int, steps: int) -> float:
        assert judge is not None
        # A method that draws while it scores must not change what the training draws next.
        with torch_draws(device, Purpose.LOOK, seed, MAIN_STAGE, epoch, steps):
            return best.look(method, judge)

    for epoch in range(len(log), planned.epochs):
        progress("training", epoch, planned.epochs)
        rates: dict[str, float] = {}
        torch.manual_seed(torch_seed([seed, epoch]))
        sums: dict[str, float] = {}
        looks: list[float] = []
        steps = 0
        method.train()
        for batch in prefetched(method, samples, recipe, seed, epoch):
            now = optimisers.schedule(epoch, done + steps)
            rates = rates or now
            with arithmetic(recipe.precision):
                with autocast(recipe.precision, device):
                    terms = loss(batch)
                losses = torch.stack([t.float().reshape(()) for t in terms.values()])  # type: ignore[union-attr]
                optimisers.zero_grad()
                losses.sum().backward()  # type: ignore[no-untyped-call]
            # Read once a step, and behind the backward pass, which a GPU would have to be given late otherwise.
            values = dict(zip(terms, losses.tolist(), strict=True))
            _require_finite(values, epoch, steps)
            optimisers.step()
            for name, value in {**values, "total": math.fsum(values.values())}.items():
                sums[name] = sums.get(name, 0.0) + value
            if judge and recipe.look_every and steps and steps % recipe.look_every == 0:
                looks.append(look(epoch, steps))
            steps += 1
        done += steps
        line = {
            "epoch": epoch,
            "learning_rate": next(iter(rates.values())) if len(rates) == 1 else rates,
            "steps": steps,
            "loss": {k: v / steps for k, v in sums.items()},
        }
        if judge:
            looks = looks or [look(epoch, steps)]
            if recipe.rollback:
                method.load_state_dict(best.weights)
        log.append(line | ({"looks": looks} if judge else {}))
        _save(method, optimisers, log, best, folder / STATE)
        write_text(folder / TRAINING_LOG, "".join(json.dumps(line) + "\n" for line in log))
    progress("training", planned.epochs, planned.epochs)
    if best.weights:
        method.load_state_dict(best.weights)
    method.eval()


Judge = Callable[[Method], float]
"""A measure of how good a method is now; larger is better. Must leave it unchanged, except for its training mode."""


@dataclass
class _Best:
    """The best weights that a judge has seen."""

    value: float = -math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)

    def look(self, method: Method, judge: Judge) -> float:
        value = judge(method)
        method.train()
        if value > self.value:
            self.value, self.weights = value, {k: v.clone() for k, v in method.state_dict().items()}
        return value


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Run matrix products and convolutions at the recipe's precision in the block; settings are restored after it."""
    # On a GPU, fp32 convolutions are TF32 by default, and both settings are the process's: state them, then restore.
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=precision == "tf32"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass: bfloat16 where the recipe says so."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _require_finite(values: Mapping[str, float], epoch: int, step: int) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise TrainingError(
            f"loss term {', '.join(bad)} is not finite at epoch {epoch}, step {step}; lower recipe.learning_rate"
        )


def _save(method: Method, optimisers: Optimisers, log: list[dict[str, Any]], best: _Best, path: Path) -> None:
    tensors = {f"method.{k}": v for k, v in method.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.weights.items()}
    tensors |= {f"optimiser.{k}": v for k, v in optimisers.state().items()}
    write_tensors(path, tensors, {"log": json.dumps(log), "best": repr(best.value)})


def _resume(
    method: Method, optimisers: Optimisers, path: Path, device: torch.device
) -> tuple[list[dict[str, Any]], _Best]:
    if not path.is_file():
        return [], _Best()
    try:
        with safe_open(os.fspath(path), "pt", device="cpu") as file:
            log: list[dict[str, Any]] = json.loads(file.metadata()["log"])
            value = float(file.metadata()["best"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; delete it and run again") from error
    method.load_state_dict({k.removeprefix("method."): v for k, v in tensors.items() if k.startswith("method.")})
    best = {k.removeprefix("best."): v.to(device) for k, v in tensors.items() if k.startswith("best.")}
    optimisers.load({k.removeprefix("optimiser."): v for k, v in tensors.items() if k.startswith("optimiser.")})
    return log, _Best(value, best)
