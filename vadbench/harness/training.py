"""The weights of a training: how they are made, or found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vadbench.base.arithmetic import arithmetic
from vadbench.base.errors import ConfigError
from vadbench.base.files import make_folder
from vadbench.base.locations import cache_root
from vadbench.base.method_config import MethodConfig
from vadbench.base.types import Progress
from vadbench.dataset import ClassTable
from vadbench.harness import environment
from vadbench.harness.checkpoints import (
    CheckpointInfo,
    ClipEntry,
    class_entries,
    load_checkpoint,
    save_checkpoint,
)
from vadbench.harness.evaluate import headline, judged_by
from vadbench.harness.experiment import Experiment
from vadbench.harness.identities import Training
from vadbench.harness.selection import choose_judge
from vadbench.harness.threshold import normal_threshold
from vadbench.harness.video_inputs import training_data
from vadbench.inputs import TrainingData, VideoInput
from vadbench.method import Method, Task, build_method
from vadbench.records.keys import EDITION
from vadbench.scoring.protocol import Selection
from vadbench.scoring.scoring import score_videos
from vadbench.training.stage_state import place
from vadbench.training.stages import TrainingLoop


def build(experiment: Experiment, classes: ClassTable, seed: int) -> Method:
    """Return a fresh method on the experiment's device, its parameters drawn under ``seed``."""
    provision = experiment.provision
    spacings = provision.spacings
    task = Task(
        classes,
        provision.dims,
        experiment.device,
        experiment.text,
        spacings=spacings,
        cache=own_cache(experiment.method_name, experiment.config),
        seed=seed,
    )
    return build_method(experiment.method, experiment.config, task, seed)


def own_cache(method: str, config: MethodConfig) -> Path | None:
    """Return the folder for what a method writes beside its runs, ``None`` for one whose ``needs()`` say that it writes
    nothing."""
    return make_folder(cache_root() / "methods" / method) if config.needs().writes else None


def save_training(
    experiment: Experiment,
    training: Training,
    method: Method,
    selection: Selection,
    threshold: float | None = None,
    selected_by: str = "",
    imported: str = "",
    devices: Sequence[str] = (),
) -> None:
    """Write the weights of a training with what they belong to.

    Args:
        experiment: the experiment they were trained for.
        training: its key and folder.
        method: with the weights.
        selection: the rule by which they were chosen.
        threshold: as in :class:`vadbench.harness.checkpoints.CheckpointInfo`.
        selected_by, imported, devices: likewise.
    """
    dataset = experiment.dataset
    info = CheckpointInfo(
        key=training.key,
        group=training.group,
        edition=EDITION,
        code={kind: made.digest for kind, made in experiment.code.items()},
        method=experiment.method_name,
        version=experiment.version,
        config=experiment.config.model_dump(mode="json"),
        dataset=dataset.name,
        train=training.splits.get("train"),
        validation=training.splits.get("validation"),
        classes=class_entries(dataset.classes),
        normal=dataset.classes.normal,
        dim=next(iter(experiment.provision.dims.values()), 0),
        fingerprint=experiment.fingerprint,
        streams=experiment.streams,
        clip=ClipEntry(**experiment.clip_source) if experiment.clip_source else None,
        seed=training.seed,
        subset=experiment.protocol.subset,
        selection=selection,
        judge=experiment.protocol.judge,
        selected_by=selected_by,
        threshold=threshold,
        imported=imported,
        partition=dataset.partition,
        devices=list(devices),
    )
    save_checkpoint(training.folder.path, method, info)


def trained_method(
    experiment: Experiment, training: Training, meter: environment.Meter, progress: Progress, workers: int = 0
) -> Method:
    """Return the method with the weights of a training, which is started or continued if it is not finished.

    Raises:
        ConfigError: a rule is to choose among the weights, and the method's ``fit`` lets it choose among none.
    """
    dataset, config, seed = experiment.dataset, experiment.config, training.seed
    method = build(experiment, training.made.class_table() if training.made else dataset.classes, seed)
    meter.count_parameters(method)
    folder = training.folder
    if folder.checkpoint.is_file():
        load_checkpoint(folder.path, method)
        return method
    provision, precision = experiment.provision, experiment.precision
    measured = partial(headline, experiment)
    rule, metric = experiment.protocol.selection, judged_by(experiment)
    chosen = choose_judge(dataset, provision, rule, measured, metric, precision, seed)
    data = training_data(provision, chosen.videos, dataset.classes, config.rows.crops, seed)
    needs = config.needs()
    if needs.supervision == "one-class":
        data = TrainingData(data.normal, data.classes)
    alone = partial(score_alone, precision=precision)
    here = environment.device_words(experiment.device)
    loop = TrainingLoop(seed, folder.path, progress, chosen.judge, alone, workers, meter.keep, here)
    deterministic = config.recipe is not None and config.recipe.deterministic
    with meter.stage("training" if config.trains else "prepare"):
        with arithmetic("fp32", experiment.device, deterministic):
            method.fit(data, loop)
        place(method)
    if chosen.judge is not None and not loop.selects:
        raise ConfigError(
            f"'{experiment.method_name}' lets no rule choose among its weights: its fit() runs no stage with"
            " select=True; leave --selection out"
        )
    threshold, fitted = method.threshold, config.trains or (config.recipe is None and needs.learns)
    # A score in company with training videos says nothing about one in other company.
    if threshold is None and fitted and needs.company == "none":
        with meter.stage("threshold"):
            ordinary = [v.name for v in chosen.videos if dataset.is_normal(v)]
            threshold = normal_threshold(method, provision, ordinary, precision, seed, progress)
    devices = loop.devices if config.trains else [here]
    save_training(experiment, training, method, experiment.protocol.selection, threshold, chosen.by, devices=devices)
    meter.keep()
    return method


def score_alone(
    method: Method, video: VideoInput, precision: str
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the scores of a video and its class probabilities, which no other video has a part in."""
    (scores,) = score_videos(method, [[video]], precision=precision)
    return scores.anomaly, scores.classes
