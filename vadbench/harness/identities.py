"""The training that a run needs: its key and its folder, found without loading anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vadbench.base.errors import CheckpointError
from vadbench.dataset import Split
from vadbench.features.fingerprint import Fingerprint
from vadbench.harness.checkpoints import CheckpointInfo, read_info
from vadbench.harness.experiment import Experiment
from vadbench.records.folders import RunFolder
from vadbench.records.keys import evaluation_key, training_key
from vadbench.records.record import SplitRecord
from vadbench.scoring.protocol import Protocol


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


def open_training(experiment: Experiment, seed: int, test: SplitRecord) -> Training:
    """Return the training of an experiment under a seed, or the one that it evaluates.

    Args:
        experiment: the experiment.
        seed: of the run.
        test: the test split as in a record.

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
    # Weights chosen on a split depend on it and on how it is evaluated, but they are chosen before post-processing.
    looked_at = test if selection == "best-on-test" else splits.get("validation")
    if looked_at is not None:
        selection += f" {_evaluation_identity(experiment, looked_at, experiment.protocol.unprocessed)}"
    key, group = (training_identity(experiment, splits, selection, s) for s in (seed, None))
    folder = RunFolder(experiment.out / experiment.dataset.name / experiment.method_name / key)
    return Training(folder, key, group, seed, splits)


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
    return _evaluation_identity(experiment, split, experiment.protocol)


def _evaluation_identity(experiment: Experiment, split: SplitRecord, rules: Protocol) -> str:
    return evaluation_key(
        protocol=rules,
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
