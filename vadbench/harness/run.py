"""A run from names to record: data set, features, training, scores, metrics, run folder."""

from __future__ import annotations

import shutil
import traceback
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vadbench.base.errors import CheckpointError, StorageError, VadbenchError
from vadbench.base.files import locked
from vadbench.base.seeds import Purpose, torch_draws
from vadbench.base.types import Progress, silent
from vadbench.harness import environment
from vadbench.harness.checkpoints import CheckpointInfo, read_info
from vadbench.harness.evaluate import evaluate_method
from vadbench.harness.experiment import Experiment
from vadbench.harness.selection import selection_notes
from vadbench.harness.training import Training, evaluation_identity, open_training, trained_method
from vadbench.records.folders import Outcome, write_record
from vadbench.records.keys import EDITION
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.training.stages import STAGES


def run(
    experiment: Experiment, seed: int, progress: Progress = silent, again: bool = False, workers: int = 0
) -> Outcome:
    """Train, score and evaluate under one seed, or return the finished run that is there.

    An interrupted run resumes where it stopped. A run that fails is recorded as failed and can be started again.

    Args:
        experiment: the experiment to run.
        seed: of everything that is drawn.
        progress: told how far it is.
        again: discard what is there, evaluations of the training included, and run from the beginning. With
            ``experiment.trained`` only that evaluation is made again.
        workers: processes that make training samples; 0: a thread. Changes no result.

    Raises:
        RunError: another process works on the same run.
        VadbenchError: whatever went wrong, after it was recorded.
    """
    test = experiment.provision.record(experiment.dataset, "test")
    evaluation = evaluation_identity(experiment, test)
    training = open_training(experiment, seed, evaluation)
    folder = training.folder
    if not again and (record := folder.finished(evaluation)):
        return _reused(experiment, folder.evaluation(evaluation), record)
    # Before anything is discarded or recorded.
    if training.made is not None and not folder.checkpoint.is_file():
        raise CheckpointError(f"no weights in {folder.path}, which an evaluation needs; copy them there or train again")
    with locked(folder.path, f"run {training.key}"):
        if again:
            folder.discard(evaluation if experiment.trained else None)
        elif record := folder.finished(evaluation):
            return _reused(experiment, folder.evaluation(evaluation), record)
        place = folder.evaluation(evaluation)
        record = _run(experiment, training, evaluation, test, place, progress, workers)
        write_record(place, record)
        shutil.rmtree(folder.path / STAGES, ignore_errors=True)
        return Outcome(place, record, reused=False)


def _run(
    experiment: Experiment,
    training: Training,
    evaluation: str,
    test: SplitRecord,
    place: Path,
    progress: Progress,
    workers: int,
) -> RunRecord:
    """Train unless the weights are there, score and measure, and return the record.

    Raises:
        VadbenchError: whatever went wrong, after it was recorded.
    """
    made, needs = training.made, experiment.config.needs()
    meter = environment.Meter(experiment.device)
    record = partial(
        RunRecord,
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
    try:
        method = trained_method(experiment, training, meter, progress, workers)
        if experiment.retargeted:
            method = method.retarget(experiment.dataset.classes)
        with torch_draws(experiment.device, Purpose.SCORE, training.seed):
            found = evaluate_method(experiment, method, place, meter, progress)
    except Exception as error:
        reason = str(error) if isinstance(error, VadbenchError) else traceback.format_exc(limit=-3)
        if not isinstance(error, StorageError):
            data = {**training.splits, "test": test}
            reason = experiment.without_folders(reason)
            write_record(place, record(status="failed", error=reason, data=data, created=_now()))
        raise
    test = test.model_copy(update={"frames": found.frames, "positives": found.positives})
    folder = training.folder.path
    info = read_info(folder)
    return record(
        status="finished",
        data={**training.splits, "test": test},
        metrics=found.metrics,
        diagnostics=found.diagnostics,
        notes=[
            *experiment.notes(),
            *_origin_notes(info, experiment),
            *selection_notes(experiment.protocol.selection, folder, info.selected_by),
            *found.notes,
        ],
        costs=found.costs,
        seconds=meter.seconds,
        peak_memory_mb=meter.peak_memory_mb,
        created=_now(),
    )


def _reused(experiment: Experiment, place: Path, record: RunRecord) -> Outcome:
    """Return a finished run, with a note if its code differs from today's."""
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
    if experiment.retargeted:
        notes.append(f"for the classes of {info.dataset} before, asked for those of {experiment.dataset.name}")
    return notes


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
