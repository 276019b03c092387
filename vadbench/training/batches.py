"""Batches of training videos: which of them meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import ConfigError
from vadbench.base.method_config import Recipe
from vadbench.base.seeds import MAIN_STAGE, Purpose, generator
from vadbench.dataset import ClassTable
from vadbench.inputs import TrainingVideo


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
    """Indices of the samples of each batch of one epoch.

    ``balanced``: half abnormal videos, then half normal ones; an epoch is one pass over the longer list while the
    shorter one is shuffled and started again; a rest that fills no half batch is dropped. ``paired``: the same, but
    the epoch ends with the shorter list. ``mixed``: all videos, the last batch as large as what is left.

    Raises:
        ConfigError: too few videos for a half batch.
    """
    if recipe.sampler == "mixed":
        order = generator(Purpose.ORDER, seed, stage, epoch, 0).permutation(len(samples))
        yield from (order[i : i + recipe.batch_size].tolist() for i in range(0, len(order), recipe.batch_size))
        return
    half = recipe.batch_size // 2
    is_normal = np.array([s.labels[normal] > 0 for s in samples])
    groups = [np.flatnonzero(~is_normal), np.flatnonzero(is_normal)]
    fewest = min(len(g) for g in groups)
    if fewest < half:
        remedy = f"set recipe.batch_size={2 * fewest} or less" if fewest else "the training split needs both kinds"
        raise ConfigError(
            f"recipe.batch_size={recipe.batch_size} needs {half} abnormal and {half} normal training videos, found"
            f" {len(groups[0])} and {len(groups[1])}; {remedy}"
        )
    steps = (min if recipe.sampler == "paired" else max)(len(g) // half for g in groups)
    abnormal, ordinary = (
        _endless(g, half, generator(Purpose.ORDER, seed, stage, epoch, i)) for i, g in enumerate(groups)
    )
    for _ in range(steps):
        yield [*next(abnormal), *next(ordinary)]


def _endless(indices: NDArray[np.intp], size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    while True:
        order = rng.permutation(indices)
        yield from (order[i : i + size].tolist() for i in range(0, len(order) - size + 1, size))
