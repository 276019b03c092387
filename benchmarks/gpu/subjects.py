"""The methods that are checked and timed: small on ``synthetic``, or at the published size of UCF-Crime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.config import resolve
from vadbench.base.method_config import MethodConfig
from vadbench.clip import Clip, ClipSource, load_clip
from vadbench.dataset import ClassTable
from vadbench.inputs import TrainingData, TrainingVideo
from vadbench.plugins.registry import installed
from vadbench.testing.footage import drawn_anchors
from vadbench.testing.tested_method import TestedMethod

PUBLISHED = "ucfcrime"
"""Data set whose settings and classes the published size has."""
FRAMES = 7300
"""Of a training video of UCF-Crime, about their mean."""
DISTINCT = 8
"""Videos that are drawn; those of a training share their rows."""


class PublishedMethod(TestedMethod):
    """A method with the settings for UCF-Crime and a text tower of ViT-B/16's size with random weights.

    Its videos are drawn, of the mean length of UCF-Crime's training videos.
    """

    @cached_property
    def config(self) -> MethodConfig:
        settings = self.kind.Config
        return resolve(settings, settings.dataset_defaults.get(PUBLISHED, {}), environment={})

    @cached_property
    def classes(self) -> ClassTable:
        return self.registry.dataset(PUBLISHED).classes

    @cached_property
    def clip(self) -> Clip:
        return _published_clip()

    def anchors(self, classes: ClassTable, widths: Any) -> dict[str, NDArray[np.float32]]:
        return {name: drawn_anchors(len(classes), width, i) for i, (name, width) in enumerate(widths.items())}

    def training(self, count: int) -> TrainingData:
        """Return training videos, the first half of them abnormal, that share the rows of a few."""
        table = self.classes
        length = self.footage.lengths([FRAMES // self.config.rows.stride])[0]
        kept = [self.footage.video(length, table.normal, seed) for seed in range(DISTINCT)]
        made: list[TrainingVideo] = []
        for i in range(count):
            label = table.abnormal[i % len(table.abnormal)] if 2 * i < count else table.normal
            made.append(self.footage.sample(replace(kept[i % DISTINCT], name=f"video-{i}"), [table.names[label]]))
        return self.learnt(made)


class SmallMethod(TestedMethod):
    """A method with the settings for ``synthetic`` and the small CLIP, as the checks of methods take it."""

    def training(self, count: int) -> TrainingData:
        """Return the training videos of the checks, repeated under other names up to a number."""
        own: Sequence[TrainingVideo] = self.samples
        made = [replace(own[i % len(own)], name=f"video-{i}") for i in range(count)]
        return self.learnt(made)


@cache
def _published_clip() -> Clip:
    return load_clip(ClipSource("ViT-B-16-quickgelu", "random:0"))


def trained(names: Iterable[str], small: bool) -> Iterator[tuple[str, SmallMethod | PublishedMethod]]:
    """Yield those of the methods that the loop trains, with their names, small or at the published size."""
    registry = installed()
    for name in names:
        if registry.method_config(name)().trains:
            yield name, (SmallMethod if small else PublishedMethod)(name, registry)
