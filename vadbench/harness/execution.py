"""The execution of a run: training, scores, metrics, and the record of them or of what went wrong."""

from __future__ import annotations

import shutil
import traceback
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vadbench.base.device_failures import device_errors
from vadbench.base.errors import StoppedError, StorageError, VadbenchError
from vadbench.base.locations import BEGUN, STAGES
from vadbench.base.seeds import Purpose, torch_draws
from vadbench.base.types import Progress
from vadbench.harness import environment
from vadbench.harness.checkpoints import CheckpointInfo, read_info
from vadbench.harness.computation import computed
from vadbench.harness.evaluate import evaluate_method
from vadbench.harness.experiment import Experiment
from vadbench.harness.identities import Training
from vadbench.harness.request import method_post
from vadbench.harness.selection import selection_notes
from vadbench.harness.training import trained_method
from vadbench.method import Method
from vadbench.records.folders import write_record
from vadbench.records.keys import EDITION
from vadbench.records.record import RunRecord, SplitRecord


def execute(
    experiment: Experiment,
    training: Training,
    evaluation: str,
    test: SplitRecord,
    place: Path,
    progress: Progress,
    workers: int,
    label: str = "",
) -> RunRecord:
    """Train unless the weights are there, score, measure, and write and return the record.

    Until then a file of the training says what has begun.

    Args:
        experiment: the experiment.
        training: the training that it needs, locked.
        evaluation: the key of the evaluation.
        test: the test split as in the record.
        place: the folder of the record.
        progress: told how far it is.
        workers: as for :func:`vadbench.harness.run.run`.
        label: of the run.

    Raises:
        VadbenchError: whatever went wrong, after it was recorded.
    """
    made, needs, folder = training.made, experiment.config.needs(), training.folder.path
    meter = environment.Meter(experiment.device, folder / STAGES)
    record = partial(
        RunRecord,
        label=label,
        method=experiment.method_name,
        method_version=experiment.version,
        dataset=experiment.dataset.name,
        trained_on=made.dataset if made else experiment.dataset.name,
        seed=training.seed,
        edition=made.edition if made else EDITION,
        key=training.key,
        group=training.group,
        evaluation=evaluation,
        protocol=experiment.protocol.model_dump(mode="json"),
        config=experiment.config.model_dump(mode="json"),
        changed=list(experiment.changed),
        method_post=method_post(experiment.method_name, experiment.config),
        fingerprint=experiment.fingerprint,
        streams=experiment.streams,
        clip=experiment.clip_source,
        supervision=needs.supervision,
        company=needs.company,
        lookahead=needs.lookahead,
        unit_scores=needs.unit_scores,
        reads=needs.reads,
        code=dict(experiment.code),
        environment=environment.describe(experiment.device),
    )
    splits = {**training.splits, "test": test}
    if place == folder:
        write_record(folder, record(status="stopped", data=splits, created=_now()), BEGUN)
    try:
        with device_errors(_memory_advice(experiment, training=True)):
            method = trained_method(experiment, training, meter, progress, workers)
        info = read_info(folder)
        with device_errors(_memory_advice(experiment, training=False)):
            if experiment.retargeted:
                method = method.retarget(experiment.dataset.classes)
                meter.count_parameters(method)
            threshold = _threshold(method, info, experiment.retargeted)
            with torch_draws(experiment.device, Purpose.SCORE, training.seed):
                found = evaluate_method(experiment, method, place, meter, progress, threshold)
    except Exception as error:
        reason = str(error) if isinstance(error, VadbenchError) else traceback.format_exc(limit=-3)
        if not isinstance(error, StorageError):
            reason = experiment.without_folders(reason)
            status = "stopped" if isinstance(error, StoppedError) else "failed"
            write_record(place, record(status=status, error=reason, data=splits, created=_now()))
            (folder / BEGUN).unlink(missing_ok=True)
        raise
    test = test.model_copy(update={"frames": found.frames, "positives": found.positives})
    finished = record(
        status="finished",
        data=splits | {"test": test},
        metrics=found.metrics,
        diagnostics=found.diagnostics,
        scenarios=found.scenarios,
        notes=[
            *experiment.notes(),
            *_origin_notes(info, experiment),
            *device_notes(info, environment.device_words(experiment.device)),
            *selection_notes(experiment.protocol.selection, folder, info.selected_by),
            *found.notes,
        ],
        costs=found.costs,
        threshold=threshold,
        seconds=meter.seconds,
        peak_memory_mb=meter.peak_memory_mb,
        created=_now(),
    )
    finished = computed(experiment, training, meter, found.hours, finished)
    write_record(place, finished)
    (folder / BEGUN).unlink(missing_ok=True)
    shutil.rmtree(folder / STAGES, ignore_errors=True)
    return finished


def _memory_advice(experiment: Experiment, training: bool) -> str:
    """Return what to do where the memory does not suffice for training, or for scoring."""
    recipe, on_gpu = experiment.config.recipe, experiment.device.type == "cuda"
    smaller = []
    if training and recipe is not None and recipe.batch_size > 1:
        smaller.append(f"a smaller recipe.batch_size ({recipe.batch_size} now)")
    if recipe is not None and on_gpu and recipe.precision != "bf16":
        smaller.append("recipe.precision=bf16")
    settings = f"set {' or '.join(smaller)}, or " if smaller else ""
    return f"{settings}run fewer jobs at a time{' on the GPU, or compute with --device cpu' if on_gpu else ''}"


def _threshold(method: Method, info: CheckpointInfo, retargeted: bool) -> float | None:
    """Return the score from which on frames count as anomalous, which no test label has a part in.

    It is the method's own, else the one that was measured after the training. That one holds on another data set as
    well, but not for other classes: they make other scores.
    """
    if method.threshold is not None:
        return method.threshold
    return None if retargeted else info.threshold


def _origin_notes(info: CheckpointInfo, experiment: Experiment) -> list[str]:
    notes = [f"weights imported from the authors' file {info.imported}"] if info.imported else []
    if info.code.get("method", made := experiment.method_digest) != made:
        notes.append("the weights were trained before the files of the method changed")
    if info.subset != experiment.protocol.subset:
        notes.append(f"trained on subset {info.subset}, evaluated on subset {experiment.protocol.subset}")
    if experiment.retargeted:
        notes.append(f"for the classes of {info.dataset} before, asked for those of {experiment.dataset.name}")
    return notes


def device_notes(info: CheckpointInfo, here: str) -> list[str]:
    """Return remarks on a run that was not made on one device from beginning to end.

    Args:
        info: of its training.
        here: the device that it was scored on, in the words of :func:`vadbench.harness.environment.device_words`.
    """
    notes = []
    if len(info.devices) > 1:
        notes.append(f"trained on {', then on '.join(info.devices)}: their roundings and random draws differ")
    if info.devices and info.devices[-1] != here:
        notes.append(f"trained on {info.devices[-1]}, scored on {here}")
    return notes


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
