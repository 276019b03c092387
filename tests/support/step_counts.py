"""What a training step of each method asks of a GPU, counted on a pretended one.

    python tests/support/step_counts.py                  # small sizes, as tests/cuda/test_budget.py counts
    python tests/support/step_counts.py --update         # the same, and lower tests/cuda/budget.json to it
    python tests/support/step_counts.py --raise NAME     # the same, and let this method have more than before
    python tests/support/step_counts.py --published      # the published batch on UCF-Crime, ViT-B/16's texts (minutes)

Names of methods behind it choose some. Kernels are estimates, one for most operations; copies and waits are exact.
"""

from __future__ import annotations

import argparse
import json
import linecache
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from tabulate import tabulate

from vadbench.base.config import resolve
from vadbench.clip import Clip, ClipSource, load_clip
from vadbench.plugins.registry import installed
from vadbench.testing.pretend import World, pretend
from vadbench.testing.tested_method import TestedMethod
from vadbench.training import stages
from vadbench.training.stages import TrainingLoop

BUDGET = Path(__file__).parents[1] / "cuda" / "budget.json"
METHODS = [name for name in sorted(installed().specs("method")) if installed().method_config(name)().trains]
"""The methods that the loop trains."""
BATCH = 16
"""Videos of a batch in small sizes: all that :class:`TestedMethod` makes, so an epoch is a step."""
GPU = torch.device("cuda")


@dataclass
class StepCounts:
    """What one training step asks of a GPU, its batch included."""

    kernels: int = 0
    flops: float = 0
    traffic: float = 0
    """Bytes that kernels read and write, each operand counted once."""
    peak: int = 0
    """Most bytes alive, those of the method among them; which batches are there depends on threads."""
    pinned_bytes: int = 0
    pageable_bytes: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    """Reads of values that the processor waits for, by line."""
    pageable: Counter[str] = field(default_factory=Counter)
    """Copies to the device whose memory is not pinned, by line."""

    def __sub__(self, other: StepCounts) -> StepCounts:
        numbers = {n: getattr(self, n) - getattr(other, n) for n in ("kernels", "flops", "traffic")}
        copied = {n: getattr(self, n) - getattr(other, n) for n in ("pinned_bytes", "pageable_bytes")}
        lines = {n: getattr(self, n) - getattr(other, n) for n in ("waits", "pageable")}
        return StepCounts(**numbers, **copied, **lines, peak=self.peak)

    @property
    def allowed(self) -> dict[str, Any]:
        """What the budget says of it."""
        lines = {name: dict(sorted(getattr(self, name).items())) for name in ("waits", "pageable")}
        return {"kernels": self.kernels, **lines}


def small_step(name: str, clip: Clip) -> StepCounts:
    """Count a step of a method on ``synthetic``, in a batch of sixteen."""
    kind = installed().method_config(name)
    settings = kind.dataset_defaults.get("synthetic", {})
    subject = TestedMethod(name, installed())
    subject.clip = clip
    subject.config = resolve(kind, settings, environment={}, assignments=[f"recipe.batch_size={BATCH}"])
    return counted_step(subject)


def published_step(name: str) -> StepCounts:
    """Count a step of a method under its settings for UCF-Crime, with the text tower of ViT-B/16."""
    kind = installed().method_config(name)
    subject = TestedMethod(name, installed())
    subject.clip = _published_clip()
    subject.classes = installed().dataset("ucfcrime").classes
    subject.config = resolve(kind, kind.dataset_defaults.get("ucfcrime", {}), environment={})
    return counted_step(subject)


@cache
def _published_clip() -> Clip:
    return load_clip(ClipSource("ViT-B-16-quickgelu", "random:0"))


def counted_step(subject: TestedMethod) -> StepCounts:
    """Count a step: an epoch has one, and a fit of three epochs asks for one more than a fit of two.

    Batches are made in a thread of their own, so that it is not known in which step one is copied; that there is one
    more is.
    """
    assert subject.recipe is not None
    data = subject.data
    with patch.object(stages, "SAVE_SECONDS", float("inf")):
        two, three = (_fit(subject, data, epochs) for epochs in (2, 3))
    return three - two


def _fit(subject: TestedMethod, data: Any, epochs: int) -> StepCounts:
    recipe = subject.recipe.model_copy(
        update={"epochs": epochs, "steps": 0, "epoch_steps": min(1, subject.recipe.epoch_steps), "compile": False}
    )
    with pretend() as world, tempfile.TemporaryDirectory() as folder:
        method = subject.build(0, device=GPU)
        method.prepare(data)
        world.reset()
        TrainingLoop(0, Path(folder)).run(method, data.videos, recipe)
        return _counts(world)


def _counts(world: World) -> StepCounts:
    waits, pageable = Counter[str](), Counter[str]()
    for (kind, _, line), number in world.events.items():
        if kind in ("d2h", "sync"):
            waits[_text(line)] += number
        elif kind == "h2d-pageable":
            pageable[_text(line)] += number
    copied = world.copied
    return StepCounts(
        world.kernels, world.flops, world.traffic, world.peak, copied["h2d-pinned"], copied["h2d-pageable"], waits,
        pageable,
    )  # fmt: skip


def _text(line: str) -> str:
    """Return a line by its text, which stays where lines before it are added."""
    name, _, number = line.rpartition(":")
    package = name.partition("/")[0]
    if package not in sys.modules:
        return line
    path = Path(sys.modules[package].__file__ or "").parent.parent / name
    return f"{name}: {linecache.getline(str(path), int(number)).strip()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="methods; by default all that are trained")
    parser.add_argument("--update", action="store_true", help="lower the budget")
    parser.add_argument("--raise", action="store_true", dest="more", help="let the named methods have more")
    parser.add_argument("--published", action="store_true", help="the published batch")
    options = parser.parse_args()
    if options.more and not options.names:
        parser.error("--raise needs names of methods")
    torch.set_num_threads(1)
    found: dict[str, StepCounts] = {}
    clip = load_clip()
    for name in options.names or METHODS:
        print(f"counting {name}", file=sys.stderr)
        found[name] = published_step(name) if options.published else small_step(name, clip)
    print(_table(found))
    if options.update or options.more:
        write_budget(found, options.more)


def _table(found: dict[str, StepCounts]) -> str:
    columns = ["method", "kernels", "GFLOP", "traffic MB", "peak MiB", "waits", "pageable", "pinned MB", "pageable kB"]
    rows = [
        [
            name, step.kernels, step.flops / 1e9, step.traffic / 1e6, step.peak / 2**20, step.waits.total(),
            step.pageable.total(), step.pinned_bytes / 1e6, step.pageable_bytes / 1e3,
        ]
        for name, step in found.items()
    ]  # fmt: skip
    lines = [
        f"{name}: {what} {n} x {line}"
        for name, step in found.items()
        for what, counter in (("waits", step.waits), ("pageable", step.pageable))
        for line, n in sorted(counter.items())
    ]
    return tabulate(rows, columns, floatfmt=",.1f", intfmt=",") + "\n\n" + "\n".join(lines)


def write_budget(found: dict[str, StepCounts], more: bool) -> None:
    """Write the budget, which grows only if ``more`` is asked for."""
    budget = json.loads(BUDGET.read_text(encoding="utf-8")) if BUDGET.is_file() else {}
    for name, step in found.items():
        before, now = budget.get(name), step.allowed
        if before and not more:
            now["kernels"] = min(before["kernels"], now["kernels"])
            for what in ("waits", "pageable"):
                now[what] = {line: min(n, before[what][line]) for line, n in now[what].items() if line in before[what]}
        budget[name] = now
    BUDGET.write_text(json.dumps(dict(sorted(budget.items())), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
