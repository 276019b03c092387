"""Random numbers: every draw has a generator of its own, named by its purpose and its place.

Nothing is drawn from one generator in sequence, so a draw does not depend on how many came before it: several processes
can build the batches of an epoch, a training can resume at any of them, and a stage can be added without changing a
number of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MAIN_STAGE = 1
"""The number of a training's first stage."""


class Purpose(IntEnum):
    """The purpose of a generator. Never 0, because NumPy seeds ``[5, 3]`` and ``[5, 3, 0]`` with the same stream."""

    ORDER = 1
    """The order of videos in an epoch: ``stage, epoch, list``, list 0 being the abnormal videos or all."""
    VIEW = 2
    """A training sample: ``stage, epoch, place``, the place counting the samples of the epoch."""
    HOLD_OUT = 3
    """The choice of training videos held out for selection; takes no place."""
    SCORE = 4
    """The scoring of the test videos of a run; takes no place."""
    THRESHOLD = 5
    """The choice of normal videos that the event threshold is measured on, and their scores: ``stage``."""
    LOOK = 6
    """A look at the model under a selection rule: ``stage, epoch, steps done``."""
    STAGES = 7
    """Torch's own draws of a method between the stages of its training: what came before, and its number or name."""
    CYCLE = 8
    """The order of a list that goes on from epoch to epoch: ``stage, list, pass``, the lists as for ``ORDER``."""


def generator(purpose: Purpose, seed: int, *place: int | str) -> np.random.Generator:
    """Return the generator of one draw; the same arguments give the same numbers on every machine.

    Args:
        purpose: what is drawn.
        seed: the run's.
        place: where the draw stands, as :class:`Purpose` says. Text, such as a video's name, enters by its SHA-256.

    >>> bool(generator(Purpose.VIEW, 0, 1, 2, 3).random() == generator(Purpose.VIEW, 0, 1, 2, 3).random())
    True
    """
    return np.random.default_rng(_words(purpose, seed, place))


@contextmanager
def torch_draws(device: torch.device, purpose: Purpose, seed: int, *place: int | str) -> Iterator[None]:
    """Give torch's own generators a seed of this purpose within the block, and restore them afterwards."""
    import torch

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_torch(purpose, seed, *place)
        yield


def seed_torch(purpose: Purpose, seed: int, *place: int | str) -> None:
    """Give torch's own generators a seed of this purpose."""
    import torch

    torch.manual_seed(torch_seed(_words(purpose, seed, place)))


def torch_seed(words: list[int]) -> int:
    """Return a seed for :func:`torch.manual_seed` from several numbers."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _words(purpose: Purpose, seed: int, place: tuple[int | str, ...]) -> list[int]:
    words = [int(purpose), seed]
    for part in place:
        if isinstance(part, str):
            digest = hashlib.sha256(part.encode()).digest()
            words += [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
        else:
            words.append(part)
    return words
