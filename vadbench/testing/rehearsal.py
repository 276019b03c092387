"""A short training: the loop that a method's ``fit`` is given, with few epochs, watched, and broken off on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vadbench.base.method_config import Recipe
from vadbench.base.seeds import MAIN_STAGE
from vadbench.harness.training import score_alone
from vadbench.inputs import ArraysByKey, Batch, LossTerms, TrainingVideo, VideoInput
from vadbench.method import Method
from vadbench.training.stages import MAIN, TrainingLoop
from vadbench.training.views import BatchPlan, ViewFunction

EPOCHS = 4
"""Maximum number of epochs of a stage, where nothing else is said."""
EPOCH_STEPS = 2
"""Maximum number of steps of an epoch whose length the recipe states: as many as a pass over so few videos has."""


class Interruption(Exception):
    """Raised in a rehearsal where it is to be broken off."""


@dataclass
class StagePart:
    """A stage of a rehearsal.

    Args:
        name: of the stage.
        steps: how many there were; 0 where something was kept and nothing trained.
        plan: says which videos formed the batches.
        view: made their views.
    """

    name: str
    steps: int = 0
    plan: BatchPlan | None = None
    view: ViewFunction | None = None


class Rehearsal:
    """Loop for a fit of few epochs a stage.

    Args:
        method: that is fitted.
        seed: of the run.
        folder: of the training.
        precision: arithmetic of the method.
        stop: stage, and number of the step in it, before which it is broken off.
        epochs: of a stage at most.
    """

    def __init__(
        self,
        method: Method,
        seed: int,
        folder: Path,
        precision: str,
        stop: tuple[str, int] | None = None,
        epochs: int = EPOCHS,
    ) -> None:
        self.method, self._seed, self._stop, self._epochs = method, seed, stop, epochs
        self._loop = TrainingLoop(seed, folder, scorer=partial(score_alone, precision=precision))
        self.stages: list[StagePart] = []
        self.terms: dict[str, tuple[int, ...]] = {}
        """Shapes of the loss terms by name."""

    @property
    def trained(self) -> list[StagePart]:
        """The stages in which something was trained."""
        return [stage for stage in self.stages if stage.plan is not None]

    @property
    def epochs(self) -> int:
        """Epochs of its longest stage."""
        return max((stage.plan.recipe.epochs for stage in self.trained if stage.plan is not None), default=0)

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
        """Train a stage for a few epochs, or load its end."""
        fewer = {"epochs": min(self._epochs, recipe.epochs), "epoch_steps": min(EPOCH_STEPS, recipe.epoch_steps)}
        short = recipe.model_copy(update={**fewer, "steps": 0, "compile": False})
        plan = BatchPlan(videos, method.task.classes.normal, short, self._seed, MAIN_STAGE + len(self.trained))
        part = StagePart(stage, plan=plan, view=view or method.view)
        self.stages.append(part)
        watched = partial(self._watched, part, loss or method.loss)
        self._loop.run(method, videos, short, stage, view=view, loss=watched, select=select)

    def once(self, stage: str, make: Callable[[], ArraysByKey]) -> ArraysByKey:
        """Return what ``make`` gave, now or before the interruption."""
        self.stages.append(StagePart(stage))
        self._stop_at(stage, 0)
        return self._loop.once(stage, make)

    def score(self, method: Method, videos: Sequence[VideoInput], classes: bool = False) -> ArraysByKey:
        """Return scores by key."""
        return self._loop.score(method, videos, classes)

    def _watched(self, part: StagePart, loss: Callable[[Batch], LossTerms], batch: Batch) -> LossTerms:
        self._stop_at(part.name, batch.step)
        part.steps = batch.step + 1
        terms = loss(batch)
        for name, term in terms.items():
            by_group = term if isinstance(term, Mapping) else {name: term}
            self.terms.update({own: tuple(value.shape) for own, value in by_group.items()})
        return terms

    def _stop_at(self, stage: str, step: int) -> None:
        if self._stop == (stage, step):
            raise Interruption(f"stage {stage}, step {step}")
