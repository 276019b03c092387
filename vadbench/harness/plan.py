"""The plan of a run that is only looked at: what is finished of it, what is left to do, and what that would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from vadbench.base.errors import PluginError, last_line
from vadbench.base.locations import STAGES
from vadbench.harness.experiment import Experiment
from vadbench.harness.identities import evaluation_identity, open_training
from vadbench.harness.video_inputs import scored_inputs
from vadbench.records.folders import read_record
from vadbench.records.record import RESULT

PlannedState = Literal["finished", "to evaluate", "to continue", "failed before", "stopped before", "to do"]


@dataclass(frozen=True)
class PlannedRun:
    """A run under one seed, and how much of it is there.

    Args:
        seed: of the run.
        key: of the training.
        folder: where its record is, or will be.
        state: ``to evaluate`` where the weights are there, ``to continue`` where a training was interrupted.
        reason: why the run that is there did not finish; empty without one.
    """

    seed: int
    key: str
    folder: Path
    state: PlannedState
    reason: str = ""


def plan(experiment: Experiment, seed: int) -> PlannedRun:
    """Return what there is of a run, without making or loading anything.

    Raises:
        RunError: the record that is there is damaged.
        CheckpointError: the training to evaluate cannot be read, or was made on other features.
    """
    test = experiment.provision.record(experiment.dataset, "test")
    evaluation = evaluation_identity(experiment, test)
    training = open_training(experiment, seed, test)
    folder = training.folder
    place = folder.evaluation(evaluation)
    record = read_record(place) if (place / RESULT).is_file() else None
    state: PlannedState = "to do"
    if record is not None and record.status == "finished":
        state = "finished"
    elif folder.checkpoint.is_file():
        state = "to evaluate"
    elif (folder.path / STAGES).is_dir():
        state = "to continue"
    elif record is not None:
        state = "stopped before" if record.status == "stopped" else "failed before"
    reason = (record.error or "") if record is not None else ""
    return PlannedRun(training.seed, training.key, place, state, last_line(reason))


def estimated_costs(experiment: Experiment) -> Mapping[str, float]:
    """Return what scoring the test split would cost, by name, as far as the method says.

    Only one that reaches for a network or keeps what it computed is asked, for it must be built to answer.

    Raises:
        PluginError: a cost is no number from 0 on.
    """
    needs = experiment.config.needs()
    if not (needs.network or needs.writes):
        return {}
    from vadbench.harness.training import build

    method = build(experiment, experiment.dataset.classes, seed=0).eval()
    every = scored_inputs(experiment.provision, experiment.provision.scored, seed=0)
    # As those of a run, costs are summed over crops.
    costs = method.estimate([crop for crops in every for crop in crops])
    for name, cost in costs.items():
        if not (isinstance(cost, int | float) and isfinite(cost) and cost >= 0):
            raise PluginError(f"the estimated cost '{name}' must be a number from 0 on, found {cost!r}; fix estimate()")
    return costs
