"""A method under test: built, trained and scored on generated rows, as a run does it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vadbench.base.config import resolve
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip, load_clip
from vadbench.dataset import ClassTable
from vadbench.method import Method, Scores, Task, build_method
from vadbench.plugins.registry import Registry
from vadbench.testing.training_ground import TrainingGround
from vadbench.training.batches import Sample, weak_labels
from vadbench.training.loop import arithmetic, fit

HOME = "synthetic"
"""The data set whose settings, classes and encoder everything here uses: it is always there."""
FLOOR = "random"
"""The method that every other one must beat."""
LENGTHS = (1, 2, 15, 16, 17, 3000)
"""Rows of the videos that are scored; 16 is where windows and pooled rows have their borders."""
TRAINED_LENGTHS = (40, 1, 17, 300, 2, 16, 100, 15)
"""Rows of the videos that are trained on."""
EPOCHS = 4
FEWEST = 8
"""Training videos of each kind, or half a batch where that is more."""
NOISE = 0.05
"""Deviation of a row's every value from the class's text feature, which has length 1."""
LENGTH = 10.0
"""How long a row is, about as long as those of OpenAI's CLIPs."""


class TestedMethod:
    """A method, its settings, and videos whose rows lie near CLIP's text features of their classes.

    Args:
        method: a name, or a class.
        registry: where names are looked up.
        progress: told how far long stages are.
    """

    def __init__(self, method: str | type[Method], registry: Registry, progress: Progress = silent) -> None:
        self.method, self.registry, self.progress = method, registry, progress
        self.name = method if isinstance(method, str) else method.__name__

    @cached_property
    def kind(self) -> type[Method]:
        """The method's class."""
        return self.registry.method(self.method) if isinstance(self.method, str) else self.method

    @cached_property
    def is_floor(self) -> bool:
        """Whether it is the one method that nothing can be learnt from."""
        return self.kind is self.registry.method(FLOOR)

    @cached_property
    def config(self) -> MethodConfig:
        """Its settings for ``synthetic``; the environment and its layers have no say in a check."""
        return resolve(self.kind.Config, self.kind.dataset_defaults.get(HOME, {}), environment={})

    @property
    def recipe(self) -> Recipe | None:
        """How it is trained; ``None`` where it is not."""
        return self.config.recipe if self.config.trains else None

    @cached_property
    def classes(self) -> ClassTable:
        return self.registry.dataset(HOME).classes

    @cached_property
    def clip(self) -> Clip:
        return load_clip()

    @cached_property
    def ground(self) -> TrainingGround:
        """The method on ``synthetic``."""
        return TrainingGround(self.name, self.kind, self.config, self.registry.dataset(HOME), self.clip, self.progress)

    @cached_property
    def floor(self) -> TrainingGround:
        """``random`` on ``synthetic``."""
        kind = self.registry.method(FLOOR)
        return TrainingGround(FLOOR, kind, kind.Config(), self.registry.dataset(HOME), self.clip, self.progress)

    @cached_property
    def trained(self) -> Method:
        """The method after a short training under seed 0; only to be scored with."""
        return self.train(0)

    def build(self, seed: int) -> Method:
        """A fresh method on the CPU, its parameters drawn under ``seed``."""
        task = Task(self.classes, self.clip.dim, torch.device("cpu"), lambda: self.clip.text)
        return build_method(self.kind, self.config, task, seed)

    def train(self, seed: int) -> Method:
        """A fresh method, prepared and, if it is to be trained, trained for a few epochs on generated videos."""
        method = self.build(seed)
        self.prepare(method)
        if self.recipe is not None:
            self.fit(method, self.recipe, seed)
        return method.eval()

    def prepare(self, method: Method) -> None:
        normal = self.classes.normal
        method.prepare(s.read() for s in self.samples if s.labels[normal])

    def fit(self, method: Method, recipe: Recipe, seed: int) -> None:
        short = recipe.model_copy(update={"epochs": min(EPOCHS, recipe.epochs)})
        with tempfile.TemporaryDirectory() as folder:
            fit(method, self.samples, short, seed, Path(folder))

    @cached_property
    def samples(self) -> list[Sample]:
        """As many normal videos as abnormal ones, which are anomalous in their middle third."""
        rng, table = np.random.default_rng(0), self.classes
        count = max(FEWEST, self.recipe.batch_size // 2 if self.recipe else 0)
        samples = []
        for i in range(2 * count):
            label = table.abnormal[i % len(table.abnormal)] if i < count else table.normal
            rows = self.video(TRAINED_LENGTHS[i % len(TRAINED_LENGTHS)], label, rng).numpy()
            # As in XD-Violence, some videos carry a second class.
            second = [table.abnormal[(i + 1) % len(table.abnormal)]] if i < count and i % 3 == 0 else []
            labels, first = weak_labels([table.names[c] for c in (label, *second)], table)
            samples.append(Sample(rows.view, labels, first))
        return samples

    def video(self, length: int, label: int, rng: np.random.Generator) -> Tensor:
        """Rows ``(length, dim)`` of a video of a class: normal but for its middle third."""
        place = np.arange(length)
        classes = np.where((3 * place >= length) & (3 * place < 2 * length), label, self.classes.normal)
        noise = torch.from_numpy(rng.normal(0, NOISE, (length, self.clip.dim))).float()
        rows: Tensor = LENGTH * (self._text[torch.from_numpy(classes)] + noise)
        return rows

    def videos(self, lengths: Sequence[int] = LENGTHS, seed: int = 1) -> list[Tensor]:
        """Rows of videos of these lengths, of one abnormal class after the other."""
        rng, abnormal = np.random.default_rng(seed), self.classes.abnormal
        return [self.video(n, abnormal[i % len(abnormal)], rng) for i, n in enumerate(lengths)]

    @cached_property
    def _text(self) -> Tensor:
        with torch.no_grad():
            return normalize(self.clip.text(self.classes.words), dim=-1)

    def score(self, method: Method, videos: Sequence[Tensor]) -> list[Scores]:
        """Scores of videos ``(rows, dim)``, each a copy, all in one call as a run makes it."""
        method.eval()
        with torch.inference_mode(), arithmetic(self.recipe.precision if self.recipe else "fp32"):
            return method.score([rows.clone() for rows in videos])


def values(scores: Scores) -> dict[str, Tensor]:
    """Everything that is said of a video, by what it is."""
    classes = {} if scores.classes is None else {"class probabilities": scores.classes}
    branches = {f"scores of branch {name}": branch for name, branch in scores.branches.items()}
    return {"anomaly scores": scores.anomaly, **classes, **branches}


def furthest(one: Sequence[Scores], other: Sequence[Scores]) -> tuple[float, str]:
    """The largest difference between two scorings of the same videos, and what differs so."""
    most, what = 0.0, "scores"
    for a, b in zip(one, other, strict=True):
        found, expected = values(a), values(b)
        for name in found.keys() | expected.keys():
            if name not in found or name not in expected or found[name].shape != expected[name].shape:
                return float("inf"), name
            gap = (found[name].double() - expected[name].double()).abs().nan_to_num(float("inf"))
            if gap.numel() and float(gap.max()) > most:
                most, what = float(gap.max()), name
    return most, what
