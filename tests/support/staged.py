"""A training of two stages on made-up rows; run as a script, in a process that can be killed.

``python staged.py FOLDER PAUSE`` trains in a folder, waiting in each step, and writes the weights when it is done.
"""

import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from method_inputs import labelled
from places import KINDS
from vadbench.base.seeds import Purpose, torch_draws
from vadbench.dataset import ClassTable, VideoClass
from vadbench.harness.training import score_alone
from vadbench.inputs import TrainingData
from vadbench.method import Method, Task, build_method
from vadbench.plugins.registry import import_scratch
from vadbench.training import stages
from vadbench.training.stages import TrainingLoop

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Fire")), normal=0)
DIM, SEED = 6, 5
WEIGHTS = "weights.safetensors"


def training_videos(abnormal: int = 5, normal: int = 7) -> TrainingData:
    """Return videos of different lengths, the abnormal ones shifted in their middle."""
    rng, videos = np.random.default_rng(0), []
    for i in range(abnormal + normal):
        rows = rng.normal(size=(10 + 3 * i, DIM)).astype(np.float32)
        if i < abnormal:
            rows[3:7] += 2
        videos.append(labelled(rows, ["Fire" if i < abnormal else "Normal"], TABLE, f"v/{i}"))
    return TrainingData(videos, TABLE)


def build(name: str, kind: str, seed: int = SEED, **settings: object) -> Method:
    """Return a fresh method of a plugin file of the tests."""
    module = sys.modules.get(name) or import_scratch(KINDS / f"{name}.py")
    found = getattr(module, kind)
    task = Task(TABLE, DIM, torch.device("cpu"), lambda: None, seed=seed)
    return build_method(found, found.Config(**settings), task, seed)


def drawing_judge(method: Method) -> float:
    """Judge weights by something that they decide, and draw, which must not be noticed."""
    torch.rand(3)
    return float(sum(p.detach().double().sum() for p in method.parameters()))


def loop_in(folder: Path, **options) -> TrainingLoop:
    """Return a loop that scores as a run does."""
    return TrainingLoop(SEED, folder, scorer=partial(score_alone, precision="fp32"), **options)


def pausing(step, seconds):
    """Return a function that waits before it does the same."""

    def call(*arguments):
        time.sleep(seconds)
        return step(*arguments)

    return call


if __name__ == "__main__":
    stages.SAVE_SECONDS = 0.0
    place = Path(sys.argv[1])
    trained = build("two_stage", "TwoStage")
    trained.loss, trained.refine = (pausing(step, float(sys.argv[2])) for step in (trained.loss, trained.refine))
    with torch_draws(torch.device("cpu"), Purpose.SCORE, 1):  # whatever the process drew before
        trained.fit(training_videos(), loop_in(place, judge=drawing_judge))
    save_file(trained.state_dict(), place / WEIGHTS)
