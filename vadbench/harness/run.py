"""One run from names to record: data set, features, training, scores, metrics, run folder."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vadbench.base.errors import CheckpointError, StorageError, VadbenchError
from vadbench.base.files import locked
from vadbench.base.seeds import Purpose, torch_draws
from vadbench.base.types import Progress, silent
from vadbench.dataset import ClassTable, Video
from vadbench.features.crops import training_crops
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
from vadbench.harness.evaluate import evaluate_method
from vadbench.harness.experiment import Experiment
from vadbench.harness.selection import choose_judge, selection_notes
from vadbench.harness.threshold import normal_threshold
from vadbench.method import Method, Task
from vadbench.records.folders import Outcome, RunFolder, write_record
from vadbench.records.keys import EDITION, evaluation_key, training_key
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.training.batches import Sample, weak_labels
from vadbench.training.loop import STATE, fit


def run(experiment: Experiment, seed: int, progress: Progress = silent, again: bool = False) -> Outcome:
    """Train, score and evaluate under one seed, or return the finished run that is there.

    An interrupted run resumes where it stopped. A run that fails is recorded as failed and can be started again.

    Args:
        experiment: what is run.
        seed: of everything that is drawn.
        progress: told how far it is.
        again: discard what is there, evaluations of the training included, and run from the beginning. With
            ``experiment.trained`` only that evaluation is made again.

    Raises:
        RunError: another process works on the same run.
        VadbenchError: whatever went wrong, after it was recorded.
    """
    info = read_info(experiment.trained) if experiment.trained else None
    if info is not None and experiment.trained is not None:
        _require_same_features(experiment, info)
        train, key, group, seed = info.train, info.key, info.group, info.seed
        folder: RunFolder | None = RunFolder(experiment.trained)
    else:
        train, folder = experiment.provision.record(experiment.dataset, "train"), None
    test = experiment.provision.record(experiment.dataset, "test")
    rules = experiment.protocol.model_dump(mode="json")
    classes = _classes(experiment)
    evaluation = evaluation_key(
        protocol=experiment.protocol,
        dataset=experiment.dataset.name,
        classes=classes,
        manifest=test.manifest,
        dataset_code=experiment.dataset_code,
    )
    if folder is None:
        selection = str(experiment.protocol.selection)
        if selection == "best-on-test":
            # Weights chosen on the test split depend on it and on how it is evaluated.
            selection += f" {evaluation}"
        key, group = (training_identity(experiment, train, selection, s) for s in (seed, None))
        folder = RunFolder(experiment.out / experiment.dataset.name / experiment.method_name / key)
    if not again and (record := folder.finished(evaluation)):
        return _reused(experiment, folder.evaluation(evaluation), record)
    # Before anything is discarded or recorded.
    if info is not None and not folder.checkpoint.is_file():
        raise CheckpointError(f"no weights in {folder.path}, which an evaluation needs; copy them there or train again")

    with locked(folder.path, f"run {key}"):
        if again:
            folder.discard(evaluation if experiment.trained else None)
        elif record := folder.finished(evaluation):
            return _reused(experiment, folder.evaluation(evaluation), record)
        place = folder.evaluation(evaluation)
        meter = environment.Meter(experiment.device)
        base: dict[str, Any] = {
            "method": experiment.method_name,
            "method_version": experiment.version,
            "dataset": experiment.dataset.name,
            "trained_on": info.dataset if info else experiment.dataset.name,
            "seed": seed,
            "edition": info.edition if info else EDITION,
            "key": key,
            "group": group,
            "evaluation": evaluation,
            "protocol": rules,
            "config": experiment.config.model_dump(mode="json"),
            "changed": experiment.changed,
            "fingerprint": experiment.fingerprint,
            "clip": experiment.clip_source,
            "code": {kind: made.record() for kind, made in experiment.code.items()},
            "environment": environment.describe(experiment.device),
        }
        data = {"train": train, "test": test}
        try:
            method = _method(experiment, info, train, folder.path, key, group, seed, meter, progress)
            with torch_draws(experiment.device, Purpose.SCORE, seed):
                results = evaluate_method(experiment, method, place, meter, progress)
        except Exception as error:
            reason = str(error) if isinstance(error, VadbenchError) else traceback.format_exc(limit=-3)
            reason = experiment.without_folders(reason)
            if not isinstance(error, StorageError):
                write_record(place, RunRecord(status="failed", error=reason, data=data, created=_now(), **base))
            raise
        frames, positives = results.pop("frames"), results.pop("positives")
        data["test"] = test.model_copy(update={"frames": frames, "positives": positives})
        record = RunRecord(
            status="finished",
            data=data,
            notes=[
                *experiment.notes(),
                *_origin_notes(read_info(folder.path), experiment),
                *selection_notes(experiment, folder.path),
                *results.pop("notes"),
            ],
            seconds=meter.seconds,
            peak_memory_mb=meter.peak_memory_mb,
            created=_now(),
            **results,
            **base,
        )
        write_record(place, record)
        (folder.path / STATE).unlink(missing_ok=True)
        return Outcome(place, record, reused=False)


def _reused(experiment: Experiment, place: Path, record: RunRecord) -> Outcome:
    """A finished run, with a note where its code was another than today's."""
    edited = [
        f"the files of {kind} {experiment.dataset.name if kind == 'dataset' else experiment.method_name}"
        for kind, made in experiment.code.items()
        if kind in record.code and record.code[kind].digest != made.digest
    ]
    note = f"run {record.key} was made before {' and '.join(edited)} changed; --again runs it anew" if edited else ""
    return Outcome(place, record, reused=True, note=note)


def _origin_notes(info: CheckpointInfo, experiment: Experiment) -> list[str]:
    notes = [f"weights imported from the authors' file {info.imported}"] if info.imported else []
    if info.code.get("method", made := experiment.method_digest) != made:
        notes.append("the weights were trained before the files of the method changed")
    if info.subset != experiment.protocol.subset:
        notes.append(f"trained on subset {info.subset}, evaluated on subset {experiment.protocol.subset}")
    return notes


def build(experiment: Experiment, classes: ClassTable, seed: int) -> Method:
    """A fresh method on the experiment's device, its parameters drawn under ``seed``."""
    task = Task(classes, experiment.clip.dim, experiment.device, experiment.text)
    # CUDA draws other numbers than the CPU; building on the CPU gives every device the same start.
    torch.manual_seed(seed)
    return experiment.method(experiment.config, task).to(experiment.device)


def training_identity(experiment: Experiment, train: SplitRecord, selection: str = "", seed: int | None = None) -> str:
    """The key of a training of an experiment; without a seed what all of its seeds share."""
    return training_key(
        method=experiment.method_name,
        version=experiment.version,
        config=experiment.config,
        classes=_classes(experiment),
        manifest=train.manifest,
        fingerprint=experiment.provision.fingerprint.digest,
        clip=experiment.clip.weights_sha256,
        subset=experiment.protocol.subset,
        selection=selection,
        seed=seed,
        dataset_code=experiment.dataset_code,
    )


def _classes(experiment: Experiment) -> list[Any]:
    """The class table as part of a key: prompts are made of its words."""
    table = experiment.dataset.classes
    return [table.normal, *([c.name, c.words] for c in table.classes)]


def _require_same_features(experiment: Experiment, info: CheckpointInfo) -> None:
    trained, here = Fingerprint.from_dict(info.fingerprint), experiment.provision.fingerprint
    if not (trained.known or here.known):
        # Two data sets' features of unknown origin differ in their values, which stand in for the weights.
        here = replace(here, weights=trained.weights)
    if differing := trained.differences(here):
        raise CheckpointError(
            f"the training in {experiment.trained} used features of another fingerprint ({'; '.join(differing)});"
            " evaluate it on features made the same way"
        )


def _method(
    experiment: Experiment,
    info: CheckpointInfo | None,
    train: SplitRecord,
    folder: Path,
    key: str,
    group: str,
    seed: int,
    meter: environment.Meter,
    progress: Progress,
) -> Method:
    dataset, config = experiment.dataset, experiment.config
    method = build(experiment, info.class_table() if info else dataset.classes, seed)
    if RunFolder(folder).checkpoint.is_file():
        load_checkpoint(folder, method)
        return method
    videos, judge = choose_judge(experiment, seed)
    samples = _samples(experiment, videos)
    normal = dataset.classes.normal
    with meter.stage("prepare"):
        method.prepare(s.read() for s in samples if s.labels[normal])
    threshold = None
    if config.recipe is not None and config.trains:
        with meter.stage("training"):
            fit(method, samples, config.recipe, seed, folder, progress, judge)
        with meter.stage("threshold"):
            threshold = normal_threshold(experiment, method, videos, seed, progress)
    save_checkpoint(
        folder,
        method,
        CheckpointInfo(
            key=key,
            group=group,
            edition=EDITION,
            code={kind: made.digest for kind, made in experiment.code.items()},
            method=experiment.method_name,
            version=experiment.version,
            config=experiment.config.model_dump(mode="json"),
            dataset=dataset.name,
            train=train,
            classes=class_entries(dataset.classes),
            normal=normal,
            dim=experiment.clip.dim,
            fingerprint=experiment.fingerprint,
            clip=ClipEntry(**experiment.clip_source),
            seed=seed,
            subset=experiment.protocol.subset,
            selection=experiment.protocol.selection,
            threshold=threshold,
        ),
    )
    return method


def _samples(experiment: Experiment, videos: Sequence[Video]) -> list[Sample]:
    provision, table = experiment.provision, experiment.dataset.classes
    samples = []
    for video in videos:
        labels, first = weak_labels(video.labels, table)
        for crop in training_crops(provision.features, video.name, experiment.config.rows.crops):
            samples.append(Sample(partial(provision.features.crop_rows, video.name, crop), labels, first))
    return samples


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
