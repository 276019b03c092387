"""The plan of a run that is only looked at: what is finished of it, what is left to do, and what that would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vadbench.base.files import read_json
from vadbench.base.locations import STAGES
from vadbench.harness.experiment import Experiment
from vadbench.harness.identities import evaluation_identity, open_training
from vadbench.harness.video_inputs import scored_inputs
from vadbench.records.record import RESULT

PlannedState = Literal["finished", "to evaluate", "to continue", "failed before", "to do"]


@dataclass(frozen=True)
class PlannedRun:
    """A run under one seed, and how much of it is there.

    Args:
        seed: of the run.
        key: of the training.
        folder: where its record is, or will be.
        state: ``to evaluate`` where the weights are there, ``to continue`` where a training was interrupted.
    """

    seed: int
    key: str
    folder: Path
    state: PlannedState


def plan(experiment: Experiment, seed: int) -> PlannedRun:
    """Return what there is of a run, without making or loading anything.

    Raises:
        RunError: the record that is there is damaged.
        CheckpointError: the training to evaluate cannot be read, or was made on other features.
    """
    evaluation = evaluation_identity(experiment, experiment.provision.record(experiment.dataset, "test"))
    training = open_training(experiment, seed, evaluation)
    folder = training.folder
    place = folder.evaluation(evaluation)
    state: PlannedState = "to do"
    if folder.finished(evaluation):
        state = "finished"
    elif folder.checkpoint.is_file():
        state = "to evaluate"
    elif (folder.path / STAGES).is_dir():
        state = "to continue"
    elif (place / RESULT).is_file() and read_json(place / RESULT).get("status") == "failed":
        state = "failed before"
    return PlannedRun(training.seed, training.key, place, state)


def estimated_costs(experiment: Experiment) -> Mapping[str, float]:
    """Return what scoring the test split would cost, by name, as far as the method says.

    Only one that reaches for a network or keeps what it computed is asked, for it must be built to answer.
    """
    needs = experiment.config.needs()
    if not (needs.network or needs.writes):
        return {}
    from vadbench.harness.training import build

    method = build(experiment, experiment.dataset.classes, seed=0).eval()
    videos = [crops[0] for crops in scored_inputs(experiment.provision, experiment.provision.scored, seed=0)]
    return method.estimate(videos)
