"""The views of batches: which videos meet, what each draws from, and the arrays that are stacked of their views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import PluginError
from vadbench.base.method_config import Recipe
from vadbench.base.seeds import MAIN_STAGE, Purpose, generator
from vadbench.inputs import TrainingVideo, VideoInput
from vadbench.training.batches import batches

KEPT_BYTES = 2**30
"""Bytes of views that all processes of a stage together keep for later epochs (our decision)."""

ViewFunction = Callable[[VideoInput, np.random.Generator], Mapping[str, NDArray[Any]]]
"""A :meth:`vadbench.method.Method.view`."""
StackedViews = Mapping[str, NDArray[Any]]
"""Arrays ``(videos, ...)`` by name: the views of a batch."""
Allocation = Callable[[str, tuple[int, ...], np.dtype[Any]], NDArray[Any]]
"""Returns the array that the views of a name are laid into, of a shape and dtype."""


@dataclass(frozen=True)
class BatchPlan:
    """Everything that the batches of a stage depend on, besides the view: any process makes the same of it.

    Args:
        samples: the training videos.
        normal: id of the normal class.
        recipe: says which videos form a batch.
        seed: of the run.
        stage: its number.
    """

    samples: Sequence[TrainingVideo]
    normal: int
    recipe: Recipe
    seed: int
    stage: int = MAIN_STAGE

    def batches(self, epoch: int) -> Iterator[tuple[int, list[int]]]:
        """Yield the batches of an epoch: the place of the first sample in the epoch, and the indices of the samples.

        Raises:
            ConfigError: the videos do not fill a batch.
        """
        place = 0
        for indices in batches(self.samples, self.normal, self.recipe, self.seed, epoch, self.stage):
            yield place, indices
            place += len(indices)


def new_array(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array in new memory."""
    return np.empty(shape, dtype)


class ViewMaker:
    """Makes the views of a stage's batches, in one thread of one process.

    A view that drew nothing from its generator depends on the video alone. It is kept, and not made again when the
    video's turn comes again, as long as all that are kept take no more than ``kept_bytes``.

    Args:
        plan: says which videos form the batches, and seeds what views draw.
        view: makes one; each has a generator of its own, so it does not matter who calls it and when.
        kept_bytes: how much memory kept views may take.
    """

    def __init__(self, plan: BatchPlan, view: ViewFunction, kept_bytes: int = KEPT_BYTES) -> None:
        self._plan, self._view, self._left = plan, view, kept_bytes
        self._kept: dict[int, Mapping[str, NDArray[Any]]] = {}

    def batch(
        self,
        epoch: int,
        place: int,
        indices: Sequence[int],
        begun: Callable[[int], None] = lambda index: None,
        allocation: Allocation = new_array,
    ) -> StackedViews:
        """Return the stacked views of a batch.

        Args:
            epoch, place, indices: of the batch, as :meth:`BatchPlan.batches` gives them.
            begun: called with the index of each sample before its view is made.
            allocation: gives the memory of the stacked arrays.

        Raises:
            PluginError: two views differ in their names, shapes or dtypes.
        """
        stacked: dict[str, NDArray[Any]] = {}
        form: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        for i, index in enumerate(indices):
            view = self._kept.get(index)
            if view is None:
                begun(index)
                view = self._made(epoch, place + i, index)
            own = {name: (array.shape, array.dtype) for name, array in view.items()}
            if i == 0:
                form = own
                stacked = {
                    name: allocation(name, (len(indices), *shape), dtype) for name, (shape, dtype) in own.items()
                }
            elif own != form:
                names = (self._plan.samples[i].key for i in (indices[0], index))
                raise PluginError(
                    "view() must give arrays of the same names, shapes and dtypes for every video, found"
                    f" {' and '.join(f'{_told(f)} for {n}' for f, n in zip((form, own), names, strict=True))}"
                )
            for name, array in view.items():
                stacked[name][i] = array
        return stacked

    def _made(self, epoch: int, place: int, index: int) -> Mapping[str, NDArray[Any]]:
        rng = generator(Purpose.VIEW, self._plan.seed, self._plan.stage, epoch, place)
        before = _state(rng)
        given = self._view(self._plan.samples[index], rng)
        view = {name: np.asarray(array) for name, array in given.items()}
        size = sum(array.nbytes for array in view.values())
        if size <= self._left and _state(rng) == before:
            # Not as they are: they may be parts of a mapped file, or what the method writes to again.
            self._kept[index] = {name: np.array(array) for name, array in view.items()}
            self._left -= size
        return view


def _state(rng: np.random.Generator) -> tuple[Any, int]:
    """Return what is not the same any more once something was drawn from a generator, or another made of it."""
    bits = rng.bit_generator
    return bits.state, bits.seed_seq.n_children_spawned  # type: ignore[attr-defined]


def _told(form: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in form.items())
