"""The stages of a training: those that are finished, the one that is interrupted, and what is kept between them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import PluginError
from vadbench.base.files import write_text
from vadbench.base.locations import STAGES, TRAINING_LOG
from vadbench.base.method_config import Recipe
from vadbench.base.seeds import MAIN_STAGE, Purpose, seed_torch, torch_draws
from vadbench.base.types import Progress, silent
from vadbench.inputs import ArraysByKey, Batch, LossTerms, TrainingVideo, VideoInput
from vadbench.method import Method
from vadbench.training.array_files import LazyArrays, read_arrays, write_arrays
from vadbench.training.loop import Judge, StageTraining
from vadbench.training.prefetching import BatchLoader
from vadbench.training.stage_state import StageState, load_state, place, read_state
from vadbench.training.views import BatchPlan, ViewFunction

SAVE_SECONDS = 15.0
"""Shortest time between two writings of the state at the end of an epoch, which may have a dozen steps and weights of
40 MB (our decision). Killed, a training does no more of its work again."""
MAIN = "main"
"""The name of a training's only stage."""

ScoreAlone = Callable[[Method, VideoInput], tuple[NDArray[np.float32], NDArray[np.float32] | None]]
"""Scores a video alone: ``(rows,)`` and, where the method has them, class probabilities ``(rows, classes)``."""


def _nothing() -> None: ...


class TrainingLoop:
    """The loop that a method's ``fit`` is given, see :class:`vadbench.method.Loop`.

    A fit that was interrupted is called again from its beginning: what it did before is then read, stage by stage, and
    the one that was interrupted goes on. Torch's generators have a seed of their own after each stage, so that what a
    fit draws between two of them does not depend on that either.

    Leaves in ``folder`` the log, with the learning rate, the mean of each loss term and the value of each look of every
    epoch, and the folder :data:`STAGES`, which a finished training needs no more.

    Args:
        seed: of the run.
        folder: of the training.
        progress: told how many epochs of a stage are done.
        judge: of the weights, where a selection rule chooses among them.
        scorer: for :meth:`score`.
        workers: processes that make the views of batches; 0: a thread.
        device: the one that is trained on, in words, for :attr:`devices`.
        saved: called whenever something was written that an interruption leaves.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        progress: Progress = silent,
        judge: Judge | None = None,
        scorer: ScoreAlone | None = None,
        workers: int = 0,
        saved: Callable[[], None] = _nothing,
        device: str = "",
    ) -> None:
        self._seed, self._folder, self._progress = seed, folder, progress
        self._judge, self._scorer, self._workers, self._saved = judge, scorer, workers, saved
        self._numbers: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._device = device
        self.devices: list[str] = []
        """Those that the stages so far were trained on, in words, in this order; more than one if it was interrupted
        and went on elsewhere."""
        self._logs: dict[str, list[dict[str, Any]]] = {}
        self._runs = 0
        self.selects = False
        """True once the selection rule may choose among the weights of a stage."""

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
        """Train a stage, or load its end; arguments as :meth:`vadbench.method.Loop.run`.

        Raises:
            TrainingError: the loss stopped being finite; says which term and when.
            ConfigError: the batch does not fit the videos.
            CheckpointError: the state of the stage cannot be read.
        """
        place(method)
        number = self._numbers.setdefault(stage, MAIN_STAGE + len(self._numbers))
        path = self._folder / STAGES / f"{number}.safetensors"
        self.selects, self._runs = self.selects or select, self._runs + 1
        state = read_state(path, stage)
        self._logs[stage] = state.lines
        if state.finished:
            load_state(method, state.tensors)
            method.eval()
        else:
            state.continue_on(self._device)
            plan = BatchPlan(videos, method.task.classes.normal, recipe, self._seed, number)
            training = StageTraining(method, plan, loss or method.loss, state, self._judge if select else None)
            with BatchLoader(method, plan, view, self._workers) as loader:
                told = "training" if stage == MAIN else f"training, stage {stage}"
                training.run(loader, self._saving(state, path), self._progress, told)
            state.write(path)
            self._saved()
        self.devices += [device for device in state.devices if device not in self.devices]
        self._write_log()
        seed_torch(Purpose.STAGES, self._seed, "run", stage)

    def once(self, stage: str, make: Callable[[], ArraysByKey]) -> ArraysByKey:
        """Return what ``make`` gave, as it was stored, each array a read-only part of a file; made where it is missing.

        Raises:
            PluginError: the arrays differ in more than their length.
            CheckpointError: what is stored cannot be read.
        """
        number = self._kept.setdefault(stage, 1 + len(self._kept))
        path = self._folder / STAGES / f"once-{number}"
        if (found := read_arrays(path, stage)) is None:
            seed_torch(Purpose.STAGES, self._seed, "make", stage)
            write_arrays(path, stage, make())
            self._saved()
            found = read_arrays(path, stage)
            assert found is not None
        seed_torch(Purpose.STAGES, self._seed, "once", stage)
        return found

    def score(self, method: Method, videos: Sequence[VideoInput], classes: bool = False) -> ArraysByKey:
        """Return scores by key as :meth:`vadbench.method.Loop.score`; a video is scored alone, when it is asked for.

        Raises:
            PluginError: the method gives no class probabilities; or it was trained further before its scores were read.
        """
        by_key, runs, kind = {video.key: video for video in videos}, self._runs, type(method).__name__

        def read(key: str) -> NDArray[Any]:
            assert self._scorer is not None
            place(method)
            if self._runs != runs:
                raise PluginError(
                    f"{kind} was trained further before the scores of loop.score() were read; keep them before, with"
                    " loop.once(stage, lambda: loop.score(...))"
                )
            mode = method.training
            with torch_draws(method.task.device, Purpose.STAGES, self._seed, "score", runs, key):
                anomaly, shares = self._scorer(method, by_key[key])
            method.train(mode)
            if not classes:
                return anomaly
            if shares is None:
                raise PluginError(f"{kind}.score() gives no class probabilities; call loop.score() without classes")
            return np.concatenate([anomaly[:, None], shares], axis=1)

        return LazyArrays(list(by_key), read)

    def _saving(self, state: StageState, path: Path) -> Callable[[], None]:
        """Return a function that writes the state of a stage, and the log, if that was not done a moment ago."""
        written = time.monotonic()

        def save() -> None:
            nonlocal written
            if time.monotonic() - written >= SAVE_SECONDS:
                state.write(path)
                self._write_log()
                self._saved()
                written = time.monotonic()

        return save

    def _write_log(self) -> None:
        lines = [
            json.dumps(line if stage == MAIN and self._numbers[stage] == MAIN_STAGE else {"stage": stage, **line})
            for stage, own in self._logs.items()
            for line in own
        ]
        write_text(self._folder / TRAINING_LOG, "".join(f"{line}\n" for line in lines))
