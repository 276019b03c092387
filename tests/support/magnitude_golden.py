"""What the parity tests of RTFM and CLIP-TSA share: batches in our order, dropout with given masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor

from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import Batch, TrainingVideo, VideoInput
from vadbench.method import Method, Task
from vadbench.training.batches import batches, weak_labels
from vadbench.training.optimisers import Optimisers, PlannedSteps
from vadbench.training.stages import TrainingLoop

CLASSES = ClassTable((VideoClass("Normal"), VideoClass("Abnormal")), 0)


def slack(device: torch.device) -> int:
    """How much more than on a CPU the golden READMEs allow scores, magnitudes and losses to be off."""
    return 1 if device.type == "cpu" else 10


def abnormal_first(values: Any) -> Any:
    """The halves of a batch in the other order: the authors put normal videos first."""
    half = len(values) // 2
    return torch.cat([values[half:], values[:half]]) if isinstance(values, Tensor) else values[half:] + values[:half]


def batch_of(method: Method, videos: Sequence[np.ndarray]) -> Batch:
    """Videos ``(crops, rows, dim)``, normal ones first, as a batch of ours."""
    rng = np.random.default_rng(0)
    views = [method.view(VideoInput.of_rows(v), rng)["rows"] for v in abnormal_first(list(videos))]
    labels = [[0.0, 1.0]] * (len(videos) // 2) + [[1.0, 0.0]] * (len(videos) // 2)
    device = method.task.device
    return Batch({"rows": torch.from_numpy(np.stack(views)).to(device)}, torch.tensor(labels, device=device))


@contextmanager
def dropping(masks: Sequence[np.ndarray] | None, device: torch.device) -> Iterator[None]:
    """Let dropout multiply by masks of the authors' forward pass, or by nothing: those of rows, of both hidden layers,
    of the abnormal half's magnitudes and of the normal half's."""
    ours: list[Tensor] = []
    if masks is not None:
        *rows, abnormal, normal = (torch.from_numpy(m).to(device) for m in masks)
        ours = [*map(abnormal_first, rows), torch.cat([abnormal, normal])]

    def mask(values: Tensor, p: float) -> Tensor:
        assert p == 0.7
        return torch.ones_like(values) if masks is None else ours.pop(0)

    with patch("vadbench.nn.dropout.mask", mask):
        yield
    assert not ours, "masks that nothing asked for"


def optimiser_of(method: Method) -> Optimisers:
    """The optimiser of the method's recipe, as the training loop makes it."""
    recipe = method.config.recipe
    return Optimisers(method, recipe, PlannedSteps(1, recipe.steps, recipe.steps))


def norms(tensors: Sequence[Tensor]) -> np.ndarray:
    return np.array([float(t.detach().double().norm()) for t in tensors])


def restarts(recipe: Recipe, normal: int, abnormal: int, steps: int) -> tuple[list[int], list[int]]:
    """The steps, from 1, at which the list of normal videos and that of abnormal ones began anew in the sampler."""
    kinds = [["Abnormal"]] * abnormal + [["Normal"]] * normal
    samples = [_sample(carried) for carried in kinds]
    half, found = recipe.batch_size // 2, ([1], [1])
    seen: list[set[int]] = [set(), set()]
    begun = recipe.model_copy(update={"steps": steps})
    step = 0
    for epoch in range(steps):
        for indices in batches(samples, CLASSES.normal, begun, 0, epoch):
            step += 1
            for number, own in enumerate((indices[half:], indices[:half])):
                assert len(set(own)) == half
                # Within a pass no video is there twice, and a pass ends where no whole batch is left.
                size = (normal, abnormal)[number]
                if seen[number] and (len(seen[number]) + half > size):
                    found[number].append(step)
                    seen[number].clear()
                assert not seen[number] & set(own), "a video twice in a pass"
                seen[number] |= set(own)
        if step >= steps:
            break
    return found


@lru_cache
def _labels(carried: str) -> tuple[np.ndarray, int]:
    return weak_labels([carried], CLASSES)


def _sample(carried: Sequence[str]) -> TrainingVideo:
    labels, first = _labels(carried[0])
    video = VideoInput.of_rows(np.zeros((1, 1), np.float32))
    return TrainingVideo(**vars(video), labels=labels, first_class=first)


class _Counting(Method):
    """A method that counts its steps."""

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps = 0

    def view(self, video: VideoInput, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"rows": np.zeros(1, np.float32)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        self.steps += 1
        return {"nothing": self.weight.sum()}


def looks(recipe: Recipe, steps: int, folder: Path) -> list[int]:
    """The steps after which the training loop looks at a model, in the first steps of a training."""
    method = _Counting(MethodConfig(), Task(CLASSES, 1, torch.device("cpu"), lambda: pytest.fail("no text")))
    seen: list[int] = []
    samples = [_sample([name]) for name in CLASSES.names]
    short = recipe.model_copy(update={"steps": steps, "epoch_steps": 50, "batch_size": 2})
    TrainingLoop(0, folder, judge=lambda _: seen.append(method.steps) or 0.0).run(method, samples, short)
    return seen


def count_of_looks(recipe: Recipe) -> int:
    """The looks of a whole training, if those after the first come as regularly as the first do."""
    return (recipe.steps - recipe.look_from) // recipe.look_every + 1
