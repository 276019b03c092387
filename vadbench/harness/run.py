"""A run from names to record: data set, features, training, scores, metrics, run folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from vadbench.base.errors import CheckpointError, RunError, StorageError
from vadbench.base.files import locked, remove_unfinished
from vadbench.base.locations import BEGUN, STAGES
from vadbench.base.types import Progress, silent
from vadbench.harness.checkpoints import read_info
from vadbench.harness.experiment import Experiment
from vadbench.harness.identities import evaluation_identity, open_training
from vadbench.records.folders import Outcome, RunFolder, label_of, relabel
from vadbench.records.record import RunRecord
from vadbench.records.titles import checked_label


def run(
    experiment: Experiment,
    seed: int,
    progress: Progress = silent,
    again: bool = False,
    workers: int = 0,
    label: str | None = None,
) -> Outcome:
    """Train, score and evaluate under one seed, or return the finished run that is there.

    An interrupted run resumes where it stopped. A run that fails is recorded as failed, one that its
    method stops (:class:`vadbench.base.errors.StoppedError`) as stopped; both can be started again.

    Args:
        experiment: the experiment to run.
        seed: of everything that is drawn.
        progress: told how far it is.
        again: discard what is there, evaluations of the training included, and run from the beginning. With
            ``experiment.trained`` only that evaluation is repeated.
        workers: processes that make training samples; 0: a thread. Changes no result.
        label: for people, empty for none; a finished run takes it too. By default a run keeps the one that it has.

    Raises:
        ConfigError: the label cannot be used.
        RunError: another process works on the same run.
        VadbenchError: whatever went wrong, after it was recorded.
    """
    label = None if label is None else checked_label(label)
    test = experiment.provision.record(experiment.dataset, "test")
    evaluation = evaluation_identity(experiment, test)
    training = open_training(experiment, seed, test)
    folder = training.folder
    if not again and (record := folder.finished(evaluation)) and label in (None, record.label):
        _clear(folder)
        return _reused(experiment, folder.evaluation(evaluation), record)
    # Before anything is discarded or recorded.
    if training.made is not None and not folder.checkpoint.is_file():
        raise CheckpointError(f"no weights in {folder.path}, which an evaluation needs; copy them there or train again")
    with locked(folder.path, f"run {training.key}"):
        remove_unfinished(folder.path)
        label = label_of(folder.evaluation(evaluation)) if label is None else label
        if again:
            folder.discard(evaluation if experiment.trained else None)
        elif record := folder.finished(evaluation):
            place = folder.evaluation(evaluation)
            return _reused(experiment, place, relabel(place, record, label))
        place = folder.evaluation(evaluation)
        # What is finished takes no torch.
        from vadbench.harness.environment import device_words
        from vadbench.harness.execution import device_notes, execute

        record = execute(experiment, training, evaluation, test, place, progress, workers, label)
        note = "; ".join(device_notes(read_info(folder.path), device_words(experiment.device)))
        return Outcome(place, record, reused=False, note=note)


def _clear(folder: RunFolder) -> None:
    """Remove what only an unfinished training needs, which a call leaves that is killed right after its record."""
    if (folder.path / STAGES).is_dir() or (folder.path / BEGUN).is_file():
        try:
            with locked(folder.path, "the run"):
                (folder.path / BEGUN).unlink(missing_ok=True)
                shutil.rmtree(folder.path / STAGES, ignore_errors=True)
        except (RunError, StorageError):
            return  # another process is at work there, or it is only to be read


def _reused(experiment: Experiment, place: Path, record: RunRecord) -> Outcome:
    """Return a finished run, with a note if its code differs from today's."""
    edited = [
        f"the files of {kind} {experiment.dataset.name if kind == 'dataset' else experiment.method_name}"
        for kind, made in experiment.code.items()
        if kind in record.code and record.code[kind].digest != made.digest
    ]
    note = f"run {record.key} was made before {' and '.join(edited)} changed; --again runs it anew" if edited else ""
    return Outcome(place, record, reused=True, note=note)
