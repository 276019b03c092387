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

ViewFunction = Callable[[VideoInput, np.random.Generator], Mapping[str, NDArray[Any]]]
"""A :meth:`vadbench.method.Method.view`."""
StackedViews = Mapping[str, NDArray[Any]]
"""Arrays ``(videos, ...)`` by name: the views of a batch."""


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

    def views(
        self,
        view: ViewFunction,
        epoch: int,
        place: int,
        indices: Sequence[int],
        begun: Callable[[int], None] = lambda index: None,
    ) -> StackedViews:
        """Return the stacked views of a batch.

        Args:
            view: makes one; each has a generator of its own, so it does not matter who calls it and when.
            epoch, place, indices: of the batch, as :meth:`batches` gives them.
            begun: called with the index of each sample before its view is made.

        Raises:
            PluginError: two views differ in their names, shapes or dtypes.
        """
        views = []
        for i, index in enumerate(indices):
            begun(index)
            rng = generator(Purpose.VIEW, self.seed, self.stage, epoch, place + i)
            given = view(self.samples[index], rng)
            views.append({name: np.asarray(array) for name, array in given.items()})
        forms = [_form(v) for v in views]
        for index, form in zip(indices, forms, strict=True):
            if form != forms[0]:
                names = (self.samples[i].key for i in (indices[0], index))
                raise PluginError(
                    "view() must give arrays of the same names, shapes and dtypes for every video, found"
                    f" {' and '.join(f'{_told(f)} for {n}' for f, n in zip((forms[0], form), names, strict=True))}"
                )
        return {name: np.stack([v[name] for v in views]) for name in views[0]}


def _form(view: Mapping[str, NDArray[Any]]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, str(array.dtype)) for name, array in view.items()}


def _told(form: Mapping[str, tuple[tuple[int, ...], str]]) -> str:
    return ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in form.items())
