"""The training that a run needs: its key, its folder, and how its weights are made or found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import CheckpointError, ConfigError
from vadbench.base.types import Progress
from vadbench.dataset import ClassTable, Split
from vadbench.features.fingerprint import Fingerprint
from vadbench.harness import environment
from vadbench.harness.checkpoints import (
    CheckpointInfo,
    ClipEntry,
    class_entries,
    load_checkpoint,
    read_info,
    save_checkpoint,
)
from vadbench.harness.evaluate import headline
from vadbench.harness.experiment import Experiment
from vadbench.harness.selection import choose_judge
from vadbench.harness.threshold import normal_threshold
from vadbench.harness.video_inputs import training_data
from vadbench.inputs import TrainingData, VideoInput
from vadbench.method import Method, Task, build_method
from vadbench.records.folders import RunFolder
from vadbench.records.keys import EDITION, evaluation_key, training_key
from vadbench.records.record import SplitRecord
from vadbench.scoring.protocol import Selection
from vadbench.scoring.scoring import score_videos
from vadbench.training.stages import TrainingLoop


@dataclass(frozen=True)
class Training:
    """The training that a run needs, there or still to be made.

    Args:
        folder: its run folder.
        key, group, seed: as in a record.
        splits: the videos that it is made from, by split: those that it is trained on and those that weights are
            selected on, where there are such videos.
        made: the description of a finished training that is only evaluated (``--from``).
    """

    folder: RunFolder
    key: str
    group: str
    seed: int
    splits: Mapping[Split, SplitRecord]
    made: CheckpointInfo | None = None


def open_training(experiment: Experiment, seed: int, evaluation: str) -> Training:
    """Return the training of an experiment under a seed, or the one that it evaluates.

    Raises:
        CheckpointError: the training to evaluate cannot be read, or was made on other features.
    """
    if experiment.trained is not None:
        info = read_info(experiment.trained)
        _require_same_features(experiment, info)
        return Training(RunFolder(experiment.trained), info.key, info.group, info.seed, info.splits, info)
    provision = experiment.provision
    splits: dict[Split, SplitRecord] = {
        split: provision.record(experiment.dataset, split) for split in provision.videos if split != "test"
    }
    selection = str(experiment.protocol.selection)
    # Weights chosen on a split depend on it and on how it is evaluated.
    if selection == "best-on-test":
        selection += f" {evaluation}"
    elif "validation" in splits:
        selection += f" {evaluation_identity(experiment, splits['validation'])}"
    key, group = (training_identity(experiment, splits, selection, s) for s in (seed, None))
    folder = RunFolder(experiment.out / experiment.dataset.name / experiment.method_name / key)
    return Training(folder, key, group, seed, splits)


def build(experiment: Experiment, classes: ClassTable, seed: int) -> Method:
    """Return a fresh method on the experiment's device, its parameters drawn under ``seed``."""
    provision = experiment.provision
    spacings = provision.spacings
    task = Task(classes, provision.dims, experiment.device, experiment.text, spacings=spacings, seed=seed)
    return build_method(experiment.method, experiment.config, task, seed)


def save_training(
    experiment: Experiment,
    training: Training,
    method: Method,
    selection: Selection,
    threshold: float | None = None,
    selected_by: str = "",
    imported: str = "",
) -> None:
    """Write the weights of a training with what they belong to.

    Args:
        experiment: the experiment they were trained for.
        training: its key and folder.
        method: with the weights.
        selection: the rule by which they were chosen.
        threshold: as in :class:`vadbench.harness.checkpoints.CheckpointInfo`.
        selected_by, imported: likewise.
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
        selected_by=selected_by,
        threshold=threshold,
        imported=imported,
    )
    save_checkpoint(training.folder.path, method, info)


def training_identity(
    experiment: Experiment, splits: Mapping[Split, SplitRecord], selection: str = "", seed: int | None = None
) -> str:
    """Return the key of a training of an experiment; without a seed the key that all of its seeds share."""
    return training_key(
        method=experiment.method_name,
        version=experiment.version,
        config=experiment.config,
        classes=classes_in_keys(experiment),
        manifest=splits["train"].manifest if "train" in splits else "",
        fingerprint=experiment.provision.fingerprint.digest if experiment.provision.fingerprint else "",
        clip=experiment.clip.weights_sha256 if experiment.clip else "",
        subset=experiment.protocol.subset,
        selection=selection,
        seed=seed,
        dataset_code=experiment.dataset_code,
        streams={name: stream.identity for name, stream in experiment.streams.items()},
    )


def evaluation_identity(experiment: Experiment, split: SplitRecord) -> str:
    """Return the key of the evaluation of an experiment on a split."""
    return evaluation_key(
        protocol=experiment.protocol,
        dataset=experiment.dataset.name,
        classes=classes_in_keys(experiment),
        manifest=split.manifest,
        dataset_code=experiment.dataset_code,
        retargeted=experiment.retargeted,
    )


def classes_in_keys(experiment: Experiment) -> list[Any]:
    """Return the class table as part of a key: prompts are made of its words."""
    table = experiment.dataset.classes
    return [table.normal, *([c.name, c.words] for c in table.classes)]


def _require_same_features(experiment: Experiment, info: CheckpointInfo) -> None:
    here = experiment.provision.fingerprint
    if here is None:  # as was then, with the same settings
        return
    trained = Fingerprint.from_dict(info.fingerprint)
    if not (trained.known or here.known):
        # Two data sets' features of unknown origin differ in their values, which stand in for the weights.
        here = replace(here, weights=trained.weights)
    if differing := trained.differences(here):
        raise CheckpointError(
            f"the training in {experiment.trained} used features of another fingerprint ({'; '.join(differing)});"
            " evaluate it on features made the same way"
        )
    for name, stream in info.streams.items():
        if differing := stream.differences(experiment.streams[name]):
            raise CheckpointError(
                f"the training in {experiment.trained} used other features of stream '{name}' ({'; '.join(differing)});"
                " evaluate it on features made the same way"
            )


def trained_method(
    experiment: Experiment, training: Training, meter: environment.Meter, progress: Progress, workers: int = 0
) -> Method:
    """Return the method with the weights of a training, which is started or continued if it is not finished.

    Raises:
        ConfigError: a rule is to choose among the weights, and the method's ``fit`` lets it choose among none.
    """
    dataset, config, seed = experiment.dataset, experiment.config, training.seed
    method = build(experiment, training.made.class_table() if training.made else dataset.classes, seed)
    folder = training.folder
    if folder.checkpoint.is_file():
        load_checkpoint(folder.path, method)
        return method
    provision, precision = experiment.provision, experiment.precision
    measured = partial(headline, experiment)
    chosen = choose_judge(dataset, provision, experiment.protocol.selection, measured, precision, seed)
    data = training_data(provision, chosen.videos, dataset.classes, config.rows.crops, seed)
    needs = config.needs()
    if needs.supervision == "one-class":
        data = TrainingData(data.normal, data.classes)
    alone = partial(score_alone, precision=precision)
    loop = TrainingLoop(seed, folder.path, progress, chosen.judge, alone, workers)
    with meter.stage("training" if config.trains else "prepare"):
        method.fit(data, loop)
    if chosen.judge is not None and not loop.selects:
        raise ConfigError(
            f"'{experiment.method_name}' lets no rule choose among its weights: its fit() runs no stage with"
            " select=True; leave --selection out"
        )
    threshold = method.threshold
    if threshold is None and (config.trains or (config.recipe is None and needs.learns)):
        with meter.stage("threshold"):
            ordinary = [v.name for v in chosen.videos if dataset.is_normal(v)]
            threshold = normal_threshold(method, provision, ordinary, precision, seed, progress)
    save_training(experiment, training, method, experiment.protocol.selection, threshold, chosen.by)
    return method


def score_alone(
    method: Method, video: VideoInput, precision: str
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the scores of a video and its class probabilities, which no other video has a part in."""
    (scores,) = score_videos(method, [[video]], precision=precision)
    return scores.anomaly, scores.classes
