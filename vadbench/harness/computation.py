"""What a run took beside seconds and memory: parameters, hours of video, the encoder's operations."""

from __future__ import annotations

from vadbench.base.errors import RunError
from vadbench.clip.flop import image_flop
from vadbench.harness.environment import Meter
from vadbench.harness.experiment import Experiment
from vadbench.harness.identities import Training
from vadbench.records.cost_figures import FITTING, training_seconds
from vadbench.records.costs import ComputeRecord
from vadbench.records.folders import read_record
from vadbench.records.record import RESULT, RunRecord, machine_words

GIGA = 1e9
SECONDS = 3600
"""Of an hour."""


def computed(
    experiment: Experiment, training: Training, meter: Meter, hours: float | None, record: RunRecord
) -> RunRecord:
    """Return the record of a finished run with what it took.

    Args:
        experiment: the experiment.
        training: the training that it evaluated, made now or before.
        meter: measured the run.
        hours: how long the test videos last together, where that is known.
        record: the record without it.
    """
    frames = sum(experiment.provision.frames[name] for name in experiment.provision.scored)
    earlier = None if meter.seconds.keys() & set(FITTING) else _training_record(training)
    elsewhere = "" if earlier is None else earlier.compute.training_machine or machine_words(earlier)
    compute = ComputeRecord(
        parameters=meter.parameters,
        trainable=meter.trainable,
        cpu_seconds=meter.cpu_seconds,
        training_parts=next((meter.parts[stage] for stage in FITTING if stage in meter.parts), None),
        training_seconds=None if earlier is None else training_seconds(earlier),
        training_machine="" if elsewhere == machine_words(record) else elsewhere,
        video_hours=hours,
        rows_per_second=frames / experiment.provision.stride / hours / SECONDS if hours else None,
        encoder_gflop=row_gflop(experiment),
    )
    return record.model_copy(update={"compute": compute})


def row_gflop(experiment: Experiment) -> float | None:
    """Return the operations that the encoder takes for one row of every crop that is scored, in units of 10^9.

    ``None`` without features, for those of unknown origin or of another encoder than the CLIP of the run, for regions,
    whose number differs from frame to frame, and where a method reads other streams too, whose encoders are not known.
    """
    provision, clip = experiment.provision, experiment.clip
    made_by = provision.fingerprint
    if clip is None or made_by is None or made_by.weights != clip.weights_sha256:
        return None
    if provision.regions or provision.streams or made_by.pooling == "unknown":
        return None
    crops = sum(map(len, provision.scored.values())) / len(provision.scored)
    frames = made_by.stride if made_by.pooling == "mean" else 1
    return image_flop(clip) * crops * frames / GIGA


def _training_record(training: Training) -> RunRecord | None:
    """Return the first record of a training that is only evaluated, ``None`` where it has none or a damaged one."""
    folder = training.folder.path
    if not (folder / RESULT).is_file():
        return None
    try:
        record = read_record(folder)
    except RunError:
        return None
    return record if record.key == training.key and training_seconds(record) is not None else None
