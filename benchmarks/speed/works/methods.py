"""Methods at their published sizes: UCF-Crime's 14 classes, a text tower of ViT-B/16's size with random weights, and
random features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from vadbench_ucfcrime.dataset import UcfCrime

from vadbench.base.arithmetic import arithmetic
from vadbench.base.config import resolve
from vadbench.clip import ClipSource, load_clip
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Method, Task
from vadbench.plugins.registry import installed
from vadbench.training.loop import autocast
from vadbench.training.optimisers import build_optimiser

VIDEOS, FRAMES = 290, 1_111_808
"""Size of UCF-Crime's test split."""
SMALL_BATCH = {"anomalyclip": 8, "vadclip": 16, "rtfm": 8, "clip-tsa": 8, "urdmu": 8}


@dataclass(frozen=True)
class Sizes:
    """Sizes of the work.

    Args:
        clip: whose text tower is used.
        dim: width of its features.
        settings: data set whose defaults the methods take.
        video: frames of the video that is scored alone.
        split: number of videos and frames of the split that is scored.
    """

    clip: ClipSource
    dim: int
    settings: str
    video: int
    split: tuple[int, int]


PUBLISHED = Sizes(ClipSource("ViT-B-16-quickgelu", "random:0"), 512, "ucfcrime", 5000, (VIDEOS // 10, FRAMES // 10))
QUICK = Sizes(ClipSource("small"), 64, "ucfcrime", 100, (3, 600))


def build(name: str, sizes: Sizes, device: str = "cpu") -> Method:
    """Return a method with random weights; the text tower is loaded if it is used."""
    method = installed().method(name)
    config = resolve(method.Config, method.Config.dataset_defaults.get(sizes.settings, {}), environment={})
    return method(
        config, Task(UcfCrime.classes, sizes.dim, torch.device(device), cache(lambda: load_clip(sizes.clip).text))
    ).to(device)


def batch_of(method: Method, videos: int) -> Batch:
    """Return a training batch of random features, the first half of its videos abnormal."""
    rng, device = np.random.default_rng(0), method.task.device
    views = [
        method.view(VideoInput.of_rows(rng.standard_normal((600, method.task.dim), np.float32)), rng)
        for _ in range(videos)
    ]
    stacked = {key: torch.from_numpy(np.stack([v[key] for v in views])).to(device) for key in views[0]}
    return Batch(stacked, labels_of(method, videos).to(device))


def labels_of(method: Method, videos: int) -> Tensor:
    """Return labels ``(videos, classes)``; the first half of the videos is abnormal, with the classes in turn."""
    classes = method.task.classes
    labels = torch.zeros(videos, len(classes))
    for i in range(videos):
        labels[i, classes.abnormal[i % len(classes.abnormal)] if i < videos // 2 else classes.normal] = 1
    return labels


def step(
    method: Method, loss: Callable[[], Tensor], precision: str = "fp32", fused: bool | None = True
) -> Callable[[], None]:
    """Return a training step as in :func:`vadbench.training.loop.fit`: loss, gradients, AdamW."""
    method.train()
    optimiser = build_optimiser([p for g in method.groups().values() for p in g], method.config.recipe, fused)

    def run() -> None:
        with arithmetic(precision, method.task.device):
            with autocast(precision, method.task.device):
                total = loss()
            optimiser.zero_grad(set_to_none=True)
            total.backward()
        optimiser.step()

    return run


def own_step(method: Method, videos: int, precision: str) -> Callable[[], None]:
    """Return a training step of the method's own loss on a number of videos."""
    batch = batch_of(method, videos)
    return step(method, lambda: torch.stack(list(method.loss(batch).values())).sum(), precision)


def lengths(videos: int, frames: int) -> list[int]:
    """Return the number of frames of each video of a split: a few are long, most are short, as in UCF-Crime."""
    share = np.random.default_rng(0).dirichlet(np.full(videos, 0.7))
    return [160 + int(s * (frames - 160 * videos)) for s in share]
