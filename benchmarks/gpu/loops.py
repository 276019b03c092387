"""The training loop, looked at before each step and ended after some."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from vadbench.base.recipe import Recipe
from vadbench.harness.training import score_alone
from vadbench.inputs import ArraysByKey, Batch, LossTerms, TrainingVideo, VideoInput
from vadbench.method import Method
from vadbench.testing.rehearsal import Interruption
from vadbench.training.stages import MAIN, TrainingLoop
from vadbench.training.views import ViewFunction


class _WatchedLoop:
    """The loop that a method's ``fit`` is given, with a look at each step before it and an end after some.

    Args:
        folder: of the training.
        recipe: changes to the method's recipe.
        before: called with the number of the step before its loss, and with its batch.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], before: Callable[[int, Batch], None]) -> None:
        self._loop = TrainingLoop(0, folder, scorer=partial(score_alone, precision="fp32"))
        self._changes, self._before = recipe, before

    def run(
        self,
        method: Method,
        videos: Sequence[TrainingVideo],
        recipe: Recipe,
        stage: str = MAIN,
        *,
        view: ViewFunction | None = None,
        loss: Callable[[Batch], LossTerms] | None = None,
        select: bool = True,
    ) -> None:
        """Train a stage."""
        short = recipe.model_copy(update={"epochs": 1, "steps": 0, "compile": False, **self._changes})
        own = loss or method.loss

        def watched(batch: Batch) -> LossTerms:
            self._before(batch.step, batch)
            return own(batch)

        self._loop.run(method, videos, short, stage, view=view, loss=watched, select=select)

    def once(self, stage: str, make: Callable[[], ArraysByKey]) -> ArraysByKey:
        """Return what ``make`` gave."""
        return self._loop.once(stage, make)

    def score(self, method: Method, videos: Sequence[VideoInput], classes: bool = False) -> ArraysByKey:
        """Return scores by key."""
        return self._loop.score(method, videos, classes)


def fit(subject: Any, method: Method, size: int, count: int, before: Callable[[int, Batch], None]) -> None:
    """Fit a method until its loop is interrupted.

    Args:
        subject: the method under test, whose training videos are taken.
        method: built by it.
        size: videos of a batch.
        count: steps for which there must be videos.
        before: called with the number of each step before its loss, and with its batch; raises ``Interruption``.

    Raises:
        RuntimeError: the training ended before.
    """
    changes: dict[str, Any] = {"batch_size": size}
    if subject.recipe.epoch_steps:
        changes["epoch_steps"] = count
    # As many of each kind as the steps take, whichever way they are drawn.
    data = subject.training(2 * size * count)
    with tempfile.TemporaryDirectory() as folder:
        try:
            method.fit(data, _WatchedLoop(Path(folder), changes, before))
        except Interruption:
            return
    raise RuntimeError(f"the training ended before {count} steps")


def terms_of(terms: Mapping[str, Any]) -> Iterator[Tensor]:
    """Yield the terms of a loss, those of groups one after the other."""
    for term in terms.values():
        if isinstance(term, Mapping):
            yield from terms_of(term)
        else:
            yield term
