"""Method under test: built, trained and scored on generated rows as in a run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from vadbench.base.arithmetic import arithmetic
from vadbench.base.config import resolve
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.needs import Facts, Needs
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip, TextTower, load_clip
from vadbench.dataset import ClassTable, Dataset
from vadbench.inputs import TrainingData, TrainingVideo, VideoInput
from vadbench.method import Method, Scores, Task, build_method
from vadbench.plugins.registry import Registry
from vadbench.testing.footage import Footage, drawn_anchors, folder_of
from vadbench.testing.guards import CHECKS_FOLDER
from vadbench.testing.rehearsal import EPOCHS, Rehearsal
from vadbench.testing.training_ground import TrainingGround
from vadbench.training.stage_state import place

CPU = torch.device("cpu")
HOME = "synthetic"
"""Data set whose settings, classes and encoder the checks use, as it is always available."""
FLOOR = "random"
"""Method that every other one must beat."""
LENGTHS = (1, 2, 15, 16, 17, 3000)
"""Lengths in rows of the videos to score; windows and pooled rows have their borders at 16."""
TRAINED_LENGTHS = (40, 1, 17, 300, 2, 16, 100, 15)
"""Lengths in rows of the training videos."""
FEWEST = 8
"""Training videos of each kind, or half a batch if that is more."""
WIDTHS = (24, 40, 16)
"""Widths of the streams beside the first, in turn."""


class TestedMethod:
    """Method, its settings, and videos of the kind that it reads; rows are near CLIP's text features of their classes.

    Args:
        method: a name, or a class.
        registry: registry to look names up in.
        progress: called with the progress of long stages.
    """

    def __init__(self, method: str | type[Method], registry: Registry, progress: Progress = silent) -> None:
        self.method, self.registry, self.progress = method, registry, progress
        self.name = method if isinstance(method, str) else method.__name__
        self.asked_for_text = False
        """True once the method asked for CLIP's text tower."""

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

    @cached_property
    def needs(self) -> Needs:
        return self.config.needs()

    @property
    def recipe(self) -> Recipe | None:
        """Recipe of its training; ``None`` if it is not trained."""
        return self.config.recipe if self.config.trains else None

    @property
    def precision(self) -> str:
        return self.config.recipe.precision if self.config.recipe else "fp32"

    @cached_property
    def classes(self) -> ClassTable:
        """Classes of the videos: those of ``synthetic``, or of the first table that the method fits."""
        tables = (self.home.classes, two_classes(self.home.classes))
        fitting = [table for table in tables if not self.config.unfit(Facts(HOME, table))]
        return (fitting or tables)[0]

    @cached_property
    def unfit(self) -> str:
        """Why the method cannot run on ``synthetic``; empty if it can."""
        table = self.home.classes
        return self.config.unfit(
            Facts(HOME, table, splits=tuple(self.home.expected), truth=True, files=True, text=True)
        )

    @cached_property
    def home(self) -> type[Dataset]:
        """Class of ``synthetic``."""
        return self.registry.dataset(HOME)

    @cached_property
    def clip(self) -> Clip:
        return load_clip()

    @cached_property
    def ground(self) -> TrainingGround:
        """Training of the method on ``synthetic``."""
        return TrainingGround(self.name, self.kind, self.config, self.home, lambda: self.clip, self.progress)

    @cached_property
    def floor(self) -> TrainingGround:
        """Training of ``random`` on ``synthetic``."""
        kind = self.registry.method(FLOOR)
        return TrainingGround(FLOOR, kind, kind.Config(), self.home, lambda: self.clip, self.progress)

    @cached_property
    def footage(self) -> Footage:
        """Videos of the kind that the method reads."""
        return Footage(self.config, self.classes, self.anchors(self.classes, self.widths))

    @cached_property
    def widths(self) -> dict[str, int]:
        """Widths of the method's streams."""
        first, others = self.needs.streams[:1], self.needs.streams[1:]
        return {name: self.clip.dim for name in first} | {n: WIDTHS[i % len(WIDTHS)] for i, n in enumerate(others)}

    def anchors(self, classes: ClassTable, widths: Mapping[str, int]) -> dict[str, NDArray[np.float32]]:
        """Return anchors for :class:`Footage`: text features of the classes where the width is CLIP's, else drawn."""
        return {
            name: self._text(classes) if i == 0 and width == self.clip.dim else drawn_anchors(len(classes), width, i)
            for i, (name, width) in enumerate(widths.items())
        }

    def _text(self, classes: ClassTable) -> NDArray[np.float32]:
        with torch.no_grad():
            return normalize(self.clip.text(classes.words), dim=-1).numpy()

    @cached_property
    def trained(self) -> Method:
        """Method after a short training under seed 0, only for scoring."""
        return self.train(0)

    def build(
        self,
        seed: int,
        widths: Mapping[str, int] | None = None,
        run: int | None = None,
        device: torch.device = CPU,
    ) -> Method:
        """Build a new method.

        Args:
            seed: its parameters are drawn under it.
            widths: of its streams, where they are not the usual ones.
            run: seed of the run, where that is another.
            device: where it lives.
        """
        dims = self.widths if widths is None else widths
        spacings = {name: own.spacing for name, own in self.footage.video(1, self.classes.normal, 0).streams.items()}
        cache = self._cache if self.needs.writes else None
        task = Task(
            self.classes,
            dims,
            device,
            # Elsewhere it gets a tower of its own: moving the one of the CPU would take it away from there.
            self._load_text if device == CPU else lambda: deepcopy(self._load_text()),
            spacings=spacings,
            cache=cache,
            seed=seed if run is None else run,
        )
        return build_method(self.kind, self.config, task, seed)

    def _load_text(self) -> TextTower:
        self.asked_for_text = True
        return self.clip.text

    @cached_property
    def _cache(self) -> Path:
        return folder_of(self, "vadbench-cache-")

    def train(self, seed: int, data: TrainingData | None = None) -> Method:
        """Return a new method after its ``fit`` on a few videos, of a few epochs a stage."""
        return self.rehearse(seed, self.build(seed), data).method.eval()

    def rehearse(self, seed: int, method: Method, data: TrainingData | None = None, epochs: int = EPOCHS) -> Rehearsal:
        """Fit a method on a few videos, of a few epochs a stage, and return what was seen of it."""
        with tempfile.TemporaryDirectory(prefix=CHECKS_FOLDER) as folder:
            rehearsal = Rehearsal(method, seed, Path(folder), self.precision, epochs=epochs)
            method.fit(self.data if data is None else data, rehearsal)
        place(method)
        return rehearsal

    @cached_property
    def data(self) -> TrainingData:
        """Training videos, as the method is given them."""
        return self.learnt(self.samples)

    def learnt(self, samples: Sequence[TrainingVideo]) -> TrainingData:
        """Return training videos as the harness gives them: normal ones alone for a method of one class."""
        data = TrainingData(samples, self.classes)
        return TrainingData(data.normal, self.classes) if self.needs.supervision == "one-class" else data

    @cached_property
    def samples(self) -> list[TrainingVideo]:
        """Training videos, half normal and half abnormal, which are anomalous in their middle third."""
        return self.made_samples(self.footage)

    def made_samples(self, footage: Footage) -> list[TrainingVideo]:
        table, lengths = self.classes, footage.lengths(TRAINED_LENGTHS)
        count = max(FEWEST, self.recipe.batch_size // 2 if self.recipe else 0)
        samples = []
        for i in range(2 * count):
            label = table.abnormal[i % len(table.abnormal)] if i < count else table.normal
            video = footage.video(lengths[i % len(lengths)], label, i, f"video-{i}")
            # As in XD-Violence, some videos have a second class.
            second = [table.abnormal[(i + 1) % len(table.abnormal)]] if i < count and i % 3 == 0 else []
            samples.append(footage.sample(video, [table.names[c] for c in dict.fromkeys((label, *second))]))
        return samples

    def videos(self, lengths: Sequence[int] = LENGTHS) -> list[VideoInput]:
        """Return videos of about these lengths, of one abnormal class after the other."""
        abnormal, own = self.classes.abnormal, self.footage.lengths(lengths)
        return [self.footage.video(n, abnormal[i % len(abnormal)], 1000 + i, f"video-{i}") for i, n in enumerate(own)]

    def score(self, method: Method, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the scores of videos, each a copy, in one call as in a run."""
        method.eval()
        given = [_placed(video, method.task.device) for video in videos]
        # One that scores in company is given an iterator in a run.
        asked = iter(given) if self.needs.company == "split" else given
        with torch.inference_mode(), arithmetic(self.precision, method.task.device):
            return list(method.score(cast(Sequence[VideoInput], asked)))


def two_classes(table: ClassTable) -> ClassTable:
    """Return a table of the normal class and the first abnormal one."""
    return ClassTable((table.classes[table.normal], table.classes[table.abnormal[0]]), 0)


def _placed(video: VideoInput, device: torch.device) -> VideoInput:
    """Return a video with its streams as tensors on a device, each a copy of its own."""

    def tensors(read: Callable[[], Any]) -> Callable[[], Tensor]:
        return cache(lambda: torch.from_numpy(np.array(read(), np.float32)).to(device))

    streams = {name: replace(own, read=tensors(own.read)) for name, own in video.streams.items()}
    return replace(video, streams=streams, decode=copy(video.decode))


def values(scores: Scores) -> dict[str, Tensor]:
    """Return all tensors of a video's scores, by their description."""
    classes = {} if scores.classes is None else {"class probabilities": scores.classes}
    branches = {f"scores of branch {name}": branch for name, branch in scores.branches.items()}
    return {"anomaly scores": scores.anomaly, **classes, **branches}


def everything(scores: Scores) -> dict[str, Tensor]:
    """Return all tensors of a video's scores and of what goes with them, by their description."""
    of_video = scores.video if isinstance(scores.video, Mapping) else {"": scores.video}
    extras = {f"values of {name}": extra for name, extra in scores.extras.items()}
    rules = {f"scores {rule} of the video": own for rule, own in of_video.items() if own is not None}
    return {**values(scores), **extras, **rules}


def furthest(
    one: Sequence[Scores], other: Sequence[Scores], of: Callable[[Scores], Mapping[str, Tensor]] = everything
) -> tuple[float, str]:
    """Return the largest difference between two scorings of the same videos, and what differs.

    Of values that exceed 1 it is a share of the largest.
    """
    most, what = 0.0, "scores"
    for a, b in zip(one, other, strict=True):
        found, expected = of(a), of(b)
        for name in found.keys() | expected.keys():
            if name not in found or name not in expected or found[name].shape != expected[name].shape:
                return float("inf"), name
            first, second = found[name].double(), expected[name].double()
            gap = (first - second).abs().nan_to_num(float("inf"))
            share = float(gap.max()) / max(1.0, float(second.abs().max())) if gap.numel() else 0.0
            if share > most:
                most, what = share, name
    return most, what
