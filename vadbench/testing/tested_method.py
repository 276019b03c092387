"""Method under test: built, trained and scored on generated rows as in a run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vadbench.base.config import resolve
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip, load_clip
from vadbench.dataset import ClassTable
from vadbench.harness.training import score_alone
from vadbench.inputs import TrainingData, TrainingVideo, VideoInput
from vadbench.method import Method, Scores, Task, build_method
from vadbench.plugins.registry import Registry
from vadbench.testing.training_ground import TrainingGround
from vadbench.training.batches import weak_labels
from vadbench.training.loop import arithmetic
from vadbench.training.stages import MAIN, TrainingLoop

HOME = "synthetic"
"""Data set whose settings, classes and encoder the checks use, as it is always available."""
FLOOR = "random"
"""Method that every other one must beat."""
LENGTHS = (1, 2, 15, 16, 17, 3000)
"""Lengths in rows of the videos to score; windows and pooled rows have their borders at 16."""
TRAINED_LENGTHS = (40, 1, 17, 300, 2, 16, 100, 15)
"""Lengths in rows of the training videos."""
EPOCHS = 4
FEWEST = 8
"""Training videos of each kind, or half a batch if that is more."""
NOISE = 0.05
"""Deviation of each value of a row from the class's text feature, which has length 1."""
LENGTH = 10.0
"""Length of a row as a vector, about that of OpenAI's CLIPs."""


class _ShortLoop(TrainingLoop):
    """A loop whose stages have a few epochs."""

    def run(
        self, method: Method, videos: Sequence[TrainingVideo], recipe: Recipe, stage: str = MAIN, **options: Any
    ) -> None:
        short = recipe.model_copy(update={"epochs": min(EPOCHS, recipe.epochs), "steps": 0})
        super().run(method, videos, short, stage, **options)


class TestedMethod:
    """Method, its settings, and videos whose rows are near CLIP's text features of their classes.

    Args:
        method: a name, or a class.
        registry: registry to look names up in.
        progress: called with the progress of long stages.
    """

    def __init__(self, method: str | type[Method], registry: Registry, progress: Progress = silent) -> None:
        self.method, self.registry, self.progress = method, registry, progress
        self.name = method if isinstance(method, str) else method.__name__

    @cached_property
    def kind(self) -> type[Method]:
        """Class of the method."""
        return self.registry.method(self.method) if isinstance(self.method, str) else self.method

    @cached_property
    def is_floor(self) -> bool:
        """``True`` for the random method, which cannot learn."""
        return self.kind is self.registry.method(FLOOR)

    @cached_property
    def config(self) -> MethodConfig:
        """Settings for ``synthetic``; the environment does not change a check."""
        settings = self.kind.Config
        return resolve(settings, settings.dataset_defaults.get(HOME, {}), environment={})

    @property
    def recipe(self) -> Recipe | None:
        """Recipe of its training; ``None`` if it is not trained."""
        return self.config.recipe if self.config.trains else None

    @cached_property
    def classes(self) -> ClassTable:
        return self.registry.dataset(HOME).classes

    @cached_property
    def clip(self) -> Clip:
        return load_clip()

    @cached_property
    def ground(self) -> TrainingGround:
        """Training of the method on ``synthetic``."""
        return TrainingGround(self.name, self.kind, self.config, self.registry.dataset(HOME), self.clip, self.progress)

    @cached_property
    def floor(self) -> TrainingGround:
        """Training of ``random`` on ``synthetic``."""
        kind = self.registry.method(FLOOR)
        return TrainingGround(FLOOR, kind, kind.Config(), self.registry.dataset(HOME), self.clip, self.progress)

    @cached_property
    def trained(self) -> Method:
        """Method after a short training under seed 0, only for scoring."""
        return self.train(0)

    def build(self, seed: int) -> Method:
        """Build a new method on the CPU, its parameters drawn under ``seed``."""
        task = Task(self.classes, self.clip.dim, torch.device("cpu"), lambda: self.clip.text)
        return build_method(self.kind, self.config, task, seed)

    def train(self, seed: int) -> Method:
        """Build a new method and fit it to generated videos, for a few epochs where it has a recipe."""
        method = self.build(seed)
        self.fit(method, seed)
        return method.eval()

    def fitted(self, videos: Sequence[TrainingVideo]) -> Method:
        """Return a new method after its ``fit`` on some videos, without a recipe that would train it."""
        method = self.build(0)
        with tempfile.TemporaryDirectory() as folder:
            method.fit(TrainingData(videos, self.classes), TrainingLoop(0, Path(folder)))
        return method

    def fit(self, method: Method, seed: int) -> None:
        """Fit a method to generated videos."""
        data = TrainingData(self.samples, self.classes)
        if self.config.needs().supervision == "one-class":
            data = TrainingData(data.normal, self.classes)
        precision = self.recipe.precision if self.recipe else "fp32"
        with tempfile.TemporaryDirectory() as folder:
            method.fit(data, _ShortLoop(seed, Path(folder), scorer=partial(score_alone, precision=precision)))

    @cached_property
    def samples(self) -> list[TrainingVideo]:
        """Training videos, half normal and half abnormal, which are anomalous in their middle third."""
        rng, table = np.random.default_rng(0), self.classes
        count = max(FEWEST, self.recipe.batch_size // 2 if self.recipe else 0)
        samples = []
        for i in range(2 * count):
            label = table.abnormal[i % len(table.abnormal)] if i < count else table.normal
            rows = self.video(TRAINED_LENGTHS[i % len(TRAINED_LENGTHS)], label, rng).numpy()
            # As in XD-Violence, some videos have a second class.
            second = [table.abnormal[(i + 1) % len(table.abnormal)]] if i < count and i % 3 == 0 else []
            labels, first = weak_labels([table.names[c] for c in (label, *second)], table)
            own = VideoInput.of_rows(rows, f"video-{i}", self.config.rows.stride)
            samples.append(TrainingVideo(**vars(own), labels=labels, first_class=first))
        return samples

    def video(self, length: int, label: int, rng: np.random.Generator) -> Tensor:
        """Return rows ``(length, dim)`` of a video of a class, normal except for its middle third."""
        place = np.arange(length)
        classes = np.where((3 * place >= length) & (3 * place < 2 * length), label, self.classes.normal)
        noise = torch.from_numpy(rng.normal(0, NOISE, (length, self.clip.dim))).float()
        rows: Tensor = LENGTH * (self._text[torch.from_numpy(classes)] + noise)
        return rows

    def videos(self, lengths: Sequence[int] = LENGTHS, seed: int = 1) -> list[Tensor]:
        """Return rows of videos of these lengths, of one abnormal class after the other."""
        rng, abnormal = np.random.default_rng(seed), self.classes.abnormal
        return [self.video(n, abnormal[i % len(abnormal)], rng) for i, n in enumerate(lengths)]

    @cached_property
    def _text(self) -> Tensor:
        with torch.no_grad():
            return normalize(self.clip.text(self.classes.words), dim=-1)

    def score(self, method: Method, videos: Sequence[Tensor]) -> list[Scores]:
        """Return the scores of videos ``(rows, dim)``, each a copy, in one call as in a run."""
        method.eval()
        stride = self.config.rows.stride
        with torch.inference_mode(), arithmetic(self.recipe.precision if self.recipe else "fp32"):
            return list(method.score([VideoInput.of_rows(rows.clone(), stride=stride) for rows in videos]))


def values(scores: Scores) -> dict[str, Tensor]:
    """Return all tensors of a video's scores, by their description."""
    classes = {} if scores.classes is None else {"class probabilities": scores.classes}
    branches = {f"scores of branch {name}": branch for name, branch in scores.branches.items()}
    return {"anomaly scores": scores.anomaly, **classes, **branches}


def furthest(one: Sequence[Scores], other: Sequence[Scores]) -> tuple[float, str]:
    """Return the largest difference between two scorings of the same videos, and what differs."""
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
