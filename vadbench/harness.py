"""One run from names to record: data set, features, training, scores, metrics, run folder."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vadbench import environment
from vadbench.checkpoints import CheckpointInfo, ClipEntry, class_entries, load_checkpoint, read_info, save_checkpoint
from vadbench.dataset import ClassTable, Progress, Video, silent
from vadbench.errors import CheckpointError, StorageError, VadbenchError
from vadbench.experiment import Experiment
from vadbench.features.fingerprint import Fingerprint
from vadbench.files import locked
from vadbench.method import Method, Task
from vadbench.metrics.bootstrap import with_intervals
from vadbench.metrics.ranking import evaluate
from vadbench.metrics.recognition import F1_THRESHOLDS, recognise
from vadbench.metrics.rows import ScoredRows
from vadbench.plots import save_curves
from vadbench.runs import SCORES, Outcome, RunFolder, RunRecord, SplitRecord, Value, digest, training_key, write_record
from vadbench.scoring import align, save_scores, score_videos
from vadbench.training import STATE, Sample, fit


def run(experiment: Experiment, seed: int, progress: Progress = silent) -> Outcome:
    """Train, score and evaluate under one seed, or return the finished run that is there.

    An interrupted run goes on where it stopped. A run that fails is recorded as failed and can be started again.

    Raises:
        RunError: another process works on the same run.
        VadbenchError: whatever went wrong, after it was recorded.
    """
    info = read_info(experiment.trained) if experiment.trained else None
    if info is not None and experiment.trained is not None:
        _require_same_features(experiment, info)
        train, key, seed = info.train, info.key, info.seed
        folder = RunFolder(experiment.trained)
    else:
        train = experiment.provision.record(experiment.dataset, "train")
        key = _training_key(experiment, train, seed)
        folder = RunFolder(experiment.out / experiment.dataset.name / experiment.method_name / key)
    test = experiment.provision.record(experiment.dataset, "test")
    rules = experiment.protocol.model_dump(mode="json")
    classes = _classes(experiment)
    evaluation = digest(
        {"protocol": rules, "dataset": experiment.dataset.name, "classes": classes, "manifest": test.manifest}
    )
    if record := folder.finished(evaluation):
        return Outcome(folder.evaluation(evaluation), record, reused=True)

    with locked(folder.path, f"run {key}"):
        if record := folder.finished(evaluation):
            return Outcome(folder.evaluation(evaluation), record, reused=True)
        place = folder.evaluation(evaluation)
        meter = environment.Meter(experiment.device)
        base: dict[str, Any] = {
            "method": experiment.method_name,
            "method_version": experiment.version,
            "dataset": experiment.dataset.name,
            "trained_on": info.dataset if info else experiment.dataset.name,
            "seed": seed,
            "key": key,
            "evaluation": evaluation,
            "protocol": rules,
            "config": experiment.config.model_dump(mode="json"),
            "fingerprint": experiment.fingerprint,
            "clip": experiment.clip_source,
            "environment": environment.describe(experiment.device),
        }
        data = {"train": train, "test": test}
        try:
            method = _method(experiment, info, train, folder.path, key, seed, meter, progress)
            results = _evaluate(experiment, method, place, meter, progress)
        except Exception as error:
            reason = str(error) if isinstance(error, VadbenchError) else traceback.format_exc(limit=-3)
            if not isinstance(error, StorageError):
                write_record(place, RunRecord(status="failed", error=reason, data=data, created=_now(), **base))
            raise
        frames, positives = results.pop("frames"), results.pop("positives")
        data["test"] = test.model_copy(update={"frames": frames, "positives": positives})
        record = RunRecord(
            status="finished",
            data=data,
            notes=experiment.notes() + results.pop("notes"),
            seconds=meter.seconds,
            peak_memory_mb=meter.peak_memory_mb,
            created=_now(),
            **results,
            **base,
        )
        write_record(place, record)
        (folder.path / STATE).unlink(missing_ok=True)
        return Outcome(place, record, reused=False)


def build(experiment: Experiment, classes: ClassTable, seed: int) -> Method:
    """A fresh method on the experiment's device, its parameters drawn under ``seed``."""
    task = Task(classes, experiment.clip.dim, experiment.device, lambda: experiment.clip.text)
    # CUDA draws other numbers than the CPU; building on the CPU gives every device the same start.
    torch.manual_seed(seed)
    return experiment.method(experiment.config, task).to(experiment.device)


def _training_key(experiment: Experiment, train: SplitRecord, seed: int) -> str:
    return training_key(
        method=experiment.method_name,
        version=experiment.version,
        config=experiment.config.model_dump(mode="json"),
        classes=_classes(experiment),
        manifest=train.manifest,
        fingerprint=experiment.provision.store.fingerprint.digest,
        subset=experiment.protocol.subset,
        selection=experiment.protocol.selection,
        seed=seed,
    )


def _classes(experiment: Experiment) -> list[Any]:
    """The class table as part of a key: prompts are made of its words."""
    table = experiment.dataset.classes
    return [table.normal, *([c.name, c.words] for c in table.classes)]


def _require_same_features(experiment: Experiment, info: CheckpointInfo) -> None:
    differing = Fingerprint.from_dict(info.fingerprint).differences(experiment.provision.store.fingerprint)
    if differing:
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
    seed: int,
    meter: environment.Meter,
    progress: Progress,
) -> Method:
    dataset, recipe = experiment.dataset, experiment.config.recipe
    method = build(experiment, info.class_table() if info else dataset.classes, seed)
    if RunFolder(folder).checkpoint.is_file():
        load_checkpoint(folder, method)
        return method
    if info is not None:
        raise CheckpointError(f"no weights in {folder}; --from needs the folder of a finished run")
    samples = [_sample(experiment, v) for v in experiment.provision.videos["train"]]
    normal = dataset.classes.normal
    with meter.stage("prepare"):
        method.prepare(s.features for s in samples if s.labels[normal])
    if recipe is not None:
        with meter.stage("training"):
            fit(method, samples, recipe, seed, folder, progress)
    save_checkpoint(
        folder,
        method,
        CheckpointInfo(
            key=key,
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
        ),
    )
    return method


def _sample(experiment: Experiment, video: Video) -> Sample:
    table = experiment.dataset.classes
    labels = np.zeros(len(table), np.float32)
    for place, label in enumerate(dict.fromkeys(video.labels), start=1):
        labels[table.id(label)] = 1 / place
    return Sample(experiment.provision.store.rows(video.name)[0], labels)


def _evaluate(
    experiment: Experiment, method: Method, place: Path, meter: environment.Meter, progress: Progress
) -> dict[str, Any]:
    videos = {v.name: v for v in experiment.provision.videos["test"]}
    store, classes = experiment.provision.store, experiment.dataset.classes
    stride = store.fingerprint.stride
    precision = experiment.config.recipe.precision if experiment.config.recipe else "fp32"
    with meter.stage("scoring"):
        scores = score_videos(method, store, list(videos), precision, progress)
    notes = [
        f"{s.name}: segment [{g.start}, {g.end}) ends past its {s.frames} frames; cut there"
        for s in scores
        for g in videos[s.name].segments
        if g.end > s.frames
    ]
    if method.task.classes.names != classes.names:
        scores = [s.without_classes() for s in scores]
        notes.append("trained on other classes: class metrics are undefined")
    with meter.stage("metrics"):
        rows = align(scores, videos, stride, classes, experiment.protocol.tolerance)
        metrics = with_intervals(rows, evaluate(rows))
        diagnostics = _diagnostics(rows)
    save_scores(place / SCORES, scores, stride, method.task.classes)
    save_curves(rows, place, f"{experiment.method_name} on {experiment.dataset.name}")
    return {
        "metrics": {name: Value(**value) for name, value in metrics.items()},
        "diagnostics": diagnostics,
        "frames": int(rows.frames.sum()),
        "positives": int(rows.positives.sum()),
        "notes": notes,
    }


def _diagnostics(rows: ScoredRows) -> dict[str, Any]:
    """Class recognition at a threshold chosen on the test split: to look at, never to rank by."""
    if rows.class_scores is None or not rows.positives.any() or rows.prevalence == 1:
        return {}
    found = recognise(rows)
    shares = {
        name: {
            class_name: None if np.isnan(value) else float(value)
            for class_name, value in zip(rows.class_names, values, strict=True)
        }
        for name, values in (("top1", found.top1), ("top5", found.top5))
    }
    return {
        "threshold_chosen_on_test": found.threshold,
        **shares,
        "confusion": found.confusion.tolist(),
        "f1": {str(t): float(f) for t, f in zip(F1_THRESHOLDS, found.f1, strict=True)},
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
