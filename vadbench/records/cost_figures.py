"""The figures of what a run cost, for tables, pages, MLflow and the command line: facts of a machine, never ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vadbench.base.text import amount
from vadbench.records.record import RunRecord, machine_words

FITTING = ("training", "prepare")
"""Names of the stage in which a method is fitted: to learn by a recipe, or to look at the training videos."""
MILLION = 1e6
UNRECORDED = "the record does not say"
NO_RATE = "the frame rate of the test videos is not known"


@dataclass(frozen=True)
class CostFigure:
    """One figure of what a run cost.

    Args:
        name: short name, unique among them.
        title: column heading.
        unit: of the value.
        text: the definition, in full sentences.
        value: ``None`` where it is not known.
        reason: why it is not.
    """

    name: str
    title: str
    unit: str
    text: str
    value: float | None
    reason: str = ""


def cost_figures(record: RunRecord) -> tuple[CostFigure, ...]:
    """Return what a run cost, the same figures for every run in the same order."""
    compute = record.compute
    trainable, parameters = (
        None if count is None else count / MILLION for count in (compute.trainable, compute.parameters)
    )
    training, scoring, memory = training_seconds(record), scoring_ms_per_hour(record), peak_memory(record)
    return (
        CostFigure(
            "trainable",
            "trainable",
            "M",
            "Parameters of the method that are trained, in millions.",
            trainable,
            "" if trainable is not None else UNRECORDED,
        ),
        CostFigure(
            "parameters",
            "parameters",
            "M",
            "All parameters of the method, in millions. CLIP's towers are frozen and belong to the features.",
            parameters,
            "" if parameters is not None else UNRECORDED,
        ),
        CostFigure(
            "training",
            "training",
            "s",
            "Seconds of training on the clock, features at hand. Of an interrupted training, those of all parts whose"
            " work was kept.",
            training,
            "" if training is not None else "the weights come from elsewhere, or " + UNRECORDED,
        ),
        CostFigure(
            "scoring",
            "scoring",
            "ms/h",
            "Milliseconds of scoring for an hour of test video, features at hand and read from disk, whatever happens"
            " once included: of the processor, all its cores together, or on a GPU those on the clock.",
            scoring,
            "" if scoring is not None else NO_RATE if "scoring" in compute.cpu_seconds else UNRECORDED,
        ),
        CostFigure(
            "memory",
            "peak memory",
            "MiB",
            "Largest memory of the process until the test videos were scored, or of the GPU where the method was on"
            " one.",
            memory,
            "" if memory is not None else UNRECORDED,
        ),
        CostFigure(
            "encoder",
            "encoder",
            "GFLOP/row",
            "What the image encoder takes for one row of features, all frames and scored crops that the row stands for:"
            " 10^9 floating-point operations of matrix products and convolutions, two for each multiplication with its"
            " addition.",
            compute.encoder_gflop,
            "" if compute.encoder_gflop is not None else _no_encoder(record),
        ),
        CostFigure(
            "rows",
            "rows",
            "1/s",
            "Rows of features, or of scores without any, for a second of test video.",
            compute.rows_per_second,
            "" if compute.rows_per_second is not None else NO_RATE,
        ),
    )


def training_seconds(record: RunRecord) -> float | None:
    """Return the seconds of the training behind a run, its own or an earlier one's; ``None`` where not known."""
    own = (record.seconds[stage] for stage in FITTING if stage in record.seconds)
    return next(own, record.compute.training_seconds)


def scoring_seconds(record: RunRecord) -> float | None:
    """Return the seconds of scoring: of the processor, all cores together, or on the clock where a GPU was used."""
    of = record.compute.cpu_seconds if _on_cpu(record) else record.seconds
    return of.get("scoring")


def scoring_ms_per_hour(record: RunRecord) -> float | None:
    """Return the milliseconds of :func:`scoring_seconds` for an hour of video; ``None`` where not known."""
    seconds, hours = scoring_seconds(record), record.compute.video_hours
    return 1000 * seconds / hours if seconds is not None and hours else None


def peak_memory(record: RunRecord) -> float | None:
    """Return the largest memory in MiB until the end of scoring: of the process, or of the GPU where one was used."""
    mark = "" if _on_cpu(record) else " (GPU)"
    stages = (f"{stage}{mark}" for stage in (*FITTING, "threshold", "scoring"))
    return max((record.peak_memory_mb[stage] for stage in stages if stage in record.peak_memory_mb), default=None)


def cost_words(record: RunRecord) -> list[str]:
    """Return what a run cost, in one phrase for each thing that is known, and the machine; empty for older records."""
    found = list(_phrases(record))
    return [*found, f"on {machine_words(record)}"] if found else []


def _phrases(record: RunRecord) -> Iterator[str]:
    compute, seconds = record.compute, training_seconds(record)
    if compute.parameters is None:
        return
    yield f"{compute.parameters:,} parameters, {compute.trainable or 0:,} of them trained"
    if seconds is not None:
        parts = compute.training_parts or 1
        where = f" on {compute.training_machine}" if compute.training_machine else ""
        yield f"{amount(seconds)} s of training{where}{f' in {parts} parts' if parts > 1 else ''}"
    kind = "of the processor" if _on_cpu(record) else "of the GPU"
    took, test = scoring_seconds(record), record.data.get("test")
    if (per_hour := scoring_ms_per_hour(record)) is not None:
        yield f"{amount(per_hour)} ms {kind} to score an hour of video ({amount(compute.video_hours or 0)} h scored)"
    elif took is not None and test is not None and test.frames:
        per_million = 1e9 * took / test.frames
        yield f"{amount(per_million)} ms {kind} to score a million frames, whose rate is not known"
    if (memory := peak_memory(record)) is not None:
        yield f"{amount(memory)} MiB at most"
    if compute.encoder_gflop is not None:
        yield f"{amount(compute.encoder_gflop)} GFLOP of the encoder for a row"
    if compute.rows_per_second is not None:
        yield f"{amount(compute.rows_per_second)} rows a second of video"


def _on_cpu(record: RunRecord) -> bool:
    return bool(record.environment.get("device", "cpu") == "cpu")


def _no_encoder(record: RunRecord) -> str:
    if record.reads != "features":
        return "the method reads no features"
    if record.streams:
        return "the method reads other streams too, whose encoders are not counted"
    return "what made the features is not known, or they are of regions, or " + UNRECORDED
