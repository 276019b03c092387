"""Batches of training videos: which of them meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import ConfigError
from vadbench.base.method_config import Recipe
from vadbench.base.recipe_rules import batch_problem
from vadbench.base.seeds import MAIN_STAGE, Purpose, generator
from vadbench.dataset import ClassTable
from vadbench.inputs import TrainingVideo

VideoList = tuple[NDArray[np.intp], int]
"""Indices of videos, and how many of them are in a batch."""


def weak_labels(names: Sequence[str], classes: ClassTable) -> tuple[NDArray[np.float32], int]:
    """Return a video's classes as in a batch: ``(classes,)``, 1 for each that it carries, and the id of the first.

    Args:
        names: the classes that the video carries, at least one, by official name or alias.
        classes: the table that gives their ids.
    """
    ids = [classes.id(name) for name in names]
    labels = np.zeros(len(classes), np.float32)
    labels[ids] = 1
    return labels, ids[0]


def batches(
    samples: Sequence[TrainingVideo], normal: int, recipe: Recipe, seed: int, epoch: int, stage: int = MAIN_STAGE
) -> Iterator[list[int]]:
    """Indices of the samples of each batch of one epoch, which need no epoch before it.

    ``balanced``: half abnormal videos, then half normal ones; an epoch is one pass over the longer list while the
    shorter one is shuffled and started again; a rest that fills no half batch is dropped. ``paired``: the same, but
    the epoch ends with the shorter list. ``cycled``: the same halves, but each list goes on from epoch to epoch and is
    shuffled and started again when it is used up. ``mixed``: all videos, the last batch as large as what is left.

    Where the recipe counts steps in all, the epoch in which they end is cut short, and those after it are empty.

    Raises:
        ConfigError: too few videos for a half batch.
    """
    lists = _lists(samples, normal, recipe)
    each = _epoch_steps(lists, recipe)
    steps = min(each, max(0, recipe.steps - epoch * each)) if recipe.steps else each
    halves = [
        _cycled(indices, size, epoch * each, partial(generator, Purpose.CYCLE, seed, stage, number))
        if recipe.sampler == "cycled"
        else _endless(indices, size, recipe.sampler == "mixed", generator(Purpose.ORDER, seed, stage, epoch, number))
        for number, (indices, size) in enumerate(lists)
    ]
    for _ in range(steps):
        yield [index for half in halves for index in next(half)]


def step_counts(samples: Sequence[TrainingVideo], normal: int, recipe: Recipe) -> tuple[int, int]:
    """Return the training steps of a whole epoch, and those of a pass over one list of videos and over the other.

    Raises:
        ConfigError: too few videos for a half batch.
    """
    lists = _lists(samples, normal, recipe)
    return _epoch_steps(lists, recipe), sum(_pass_steps(lists, recipe))


def _epoch_steps(lists: Sequence[VideoList], recipe: Recipe) -> int:
    return recipe.epoch_steps or (min if recipe.sampler == "paired" else max)(_pass_steps(lists, recipe))


def _pass_steps(lists: Sequence[VideoList], recipe: Recipe) -> list[int]:
    return [len(indices) // size + (recipe.sampler == "mixed" and len(indices) % size > 0) for indices, size in lists]


def _lists(samples: Sequence[TrainingVideo], normal: int, recipe: Recipe) -> list[VideoList]:
    """Return the lists that batches are made from: abnormal and normal videos, or all."""
    if not samples:
        raise ConfigError("the training split has no videos to train on, expected at least one; set recipe.epochs=0")
    if recipe.sampler == "mixed":
        return [(np.arange(len(samples)), recipe.batch_size)]
    half = recipe.batch_size // 2
    is_normal = np.array([s.labels[normal] > 0 for s in samples])
    groups = [np.flatnonzero(~is_normal), np.flatnonzero(is_normal)]
    if problem := batch_problem(recipe.batch_size, *map(len, groups)):
        raise ConfigError(problem)
    return [(group, half) for group in groups]


def _endless(indices: NDArray[np.intp], size: int, rest: bool, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield batches from one pass after the other; ``rest``: also what is left at the end of a pass."""
    while True:
        order = rng.permutation(indices)
        yield from (order[i : i + size].tolist() for i in range(0, len(order) - (0 if rest else size - 1), size))


def _cycled(
    indices: NDArray[np.intp], size: int, first: int, rng: Callable[[int], np.random.Generator]
) -> Iterator[list[int]]:
    """Yield batches from the one numbered ``first`` on; ``rng`` gives the generator of a pass."""
    number, place = divmod(first, len(indices) // size)
    for this_pass in count(number):
        order = rng(this_pass).permutation(indices)
        yield from (order[i : i + size].tolist() for i in range(place * size, len(order) - size + 1, size))
        place = 0
