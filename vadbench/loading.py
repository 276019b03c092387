"""From training videos to batches on the device: which videos meet, and reading them while the model is at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vadbench.config import Recipe
from vadbench.errors import ConfigError
from vadbench.method import Batch, Method


@dataclass(frozen=True)
class Sample:
    """A training video, or one crop of it.

    ``read`` gives its rows ``(rows, dim)``, mapped afresh at each call: a data set has more files than a process may
    hold open. ``labels`` ``(classes,)`` are its weak labels as in a batch.
    """

    read: Callable[[], NDArray[np.floating[Any]]]
    labels: NDArray[np.float32]


def loaded(method: Method, samples: Sequence[Sample], recipe: Recipe, rng: np.random.Generator) -> Iterator[Batch]:
    """The batches of one epoch on the method's device, each assembled while the one before is trained on.

    One thread makes all views, in the order of the batches, so it changes no number of a view that draws from nothing
    but what it is given. On a GPU it hands over pinned memory, for whose copy the processor does not wait.

    Raises:
        ConfigError: too few videos for a half batch.
    """
    labels = np.stack([s.labels for s in samples])
    chosen = batches(labels, method.task.classes.normal, recipe, rng)

    def assemble() -> Batch | None:
        indices = next(chosen, None)
        return None if indices is None else _assemble(method, [samples[i] for i in indices], rng)

    with ThreadPoolExecutor(1, "vadbench-batches") as thread:
        coming = thread.submit(assemble)
        while (batch := coming.result()) is not None:
            coming = thread.submit(assemble)
            yield batch


def batches(labels: NDArray[np.float32], normal: int, recipe: Recipe, rng: np.random.Generator) -> Iterator[list[int]]:
    """Video indices of each batch of one epoch.

    ``balanced``: half abnormal videos, then half normal ones; an epoch is one pass over the longer list while the
    shorter one is shuffled and started again; what does not fill a half batch is dropped. ``paired``: the same, but
    the epoch ends with the shorter list. ``mixed``: all videos, the last batch as large as what is left.

    Raises:
        ConfigError: too few videos for a half batch.
    """
    if recipe.sampler == "mixed":
        order = rng.permutation(len(labels))
        yield from (order[i : i + recipe.batch_size].tolist() for i in range(0, len(order), recipe.batch_size))
        return
    half = recipe.batch_size // 2
    is_normal = labels[:, normal] > 0
    groups = [np.flatnonzero(~is_normal), np.flatnonzero(is_normal)]
    fewest = min(len(g) for g in groups)
    if fewest < half:
        remedy = (
            f"use --set recipe.batch_size={2 * fewest} or less" if fewest else "the training split needs both kinds"
        )
        raise ConfigError(
            f"recipe.batch_size={recipe.batch_size} needs {half} abnormal and {half} normal training videos, found"
            f" {len(groups[0])} and {len(groups[1])}; {remedy}"
        )
    steps = (min if recipe.sampler == "paired" else max)(len(g) // half for g in groups)
    streams = [_endless(g, half, rng) for g in groups]
    for _ in range(steps):
        yield [*next(streams[0]), *next(streams[1])]


def _endless(indices: NDArray[np.intp], size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    while True:
        order = rng.permutation(indices)
        yield from (order[i : i + size].tolist() for i in range(0, len(order) - size + 1, size))


def _assemble(method: Method, chosen: Sequence[Sample], rng: np.random.Generator) -> Batch:
    device = method.task.device

    def placed(arrays: list[NDArray[Any]]) -> torch.Tensor:
        tensor = torch.from_numpy(np.stack(arrays))
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        tensor = tensor.to(device, non_blocking=True)
        # Features may be stored in float16; weights are float32.
        return tensor.float() if tensor.dtype == torch.float16 else tensor

    views = [method.view(s.read(), rng) for s in chosen]
    return Batch({name: placed([v[name] for v in views]) for name in views[0]}, placed([s.labels for s in chosen]))
