"""The figures of what a run cost, for tables, pages, MLflow and the command line: facts of a machine, never ranked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vadbench.base.text import amount
from vadbench.records.record import RunRecord, machine_words

FITTING = ("training", "prepare")
"""Names of the stage in which a method is fitted: to learn by a recipe, or to look at the training videos."""
UNRECORDED = "the record does not say"
NO_RATE = "the frame rate of the test videos is not known"


@dataclass(frozen=True)
class CostFigure:
    """A figure of what a run cost.

    Args:
        name: short name, unique among them, with the unit of the stored value.
        title: column heading.
        unit: of the value; empty for a count.
        text: the definition, in full sentences.
        value: returns the figure of a run, ``None`` where it is not known.
        missing: returns why it is not.
    """

    name: str
    title: str
    unit: str
    text: str
    value: Callable[[RunRecord], float | None]
    missing: Callable[[RunRecord], str]


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
    found = list(_phrases(record)) if record.compute.parameters is not None else []
    return [*found, f"on {machine_words(record)}"] if found else []


def _phrases(record: RunRecord) -> Iterator[str]:
    compute, seconds = record.compute, training_seconds(record)
    yield f"{compute.parameters or 0:,} parameters, {compute.trainable or 0:,} of them trained"
    if seconds is not None:
        parts = compute.training_parts or 1
        where = f" on {compute.training_machine}" if compute.training_machine else ""
        yield f"{amount(seconds)} s of training{where}{f' in {parts} parts' if parts > 1 else ''}"
    kind = "of the processor" if _on_cpu(record) else "on a GPU"
    took, test = scoring_seconds(record), record.data.get("test")
    if (per_hour := scoring_ms_per_hour(record)) is not None:
        yield f"{amount(per_hour)} ms {kind} to score an hour of video ({amount(compute.video_hours or 0)} h scored)"
    elif took is not None and test is not None and test.frames:
        per_million = 1e9 * took / test.frames
        yield f"{amount(per_million)} ms {kind} to score a million frames, whose rate is not known"
    if (memory := peak_memory(record)) is not None:
        yield f"{amount(memory)} MiB at most"
    if compute.encoder_gflop is not None:
        yield f"{amount(compute.encoder_gflop)} GFLOP of the image encoder for a row"
    if compute.rows_per_second is not None:
        yield f"{amount(compute.rows_per_second)} rows a second of video"


def _on_cpu(record: RunRecord) -> bool:
    return bool(record.environment.get("device", "cpu") == "cpu")


def _no_training(record: RunRecord) -> str:
    return UNRECORDED if record.compute.parameters is None else "the training that was evaluated has no record of it"


def _no_scoring(record: RunRecord) -> str:
    return UNRECORDED if scoring_seconds(record) is None else NO_RATE


def _no_rows(record: RunRecord) -> str:
    return UNRECORDED if record.compute.parameters is None else NO_RATE


def _no_encoder(record: RunRecord) -> str:
    if record.reads != "features":
        return "the method reads no features"
    if record.streams:
        return "the method reads other streams too, whose encoders are not counted"
    if record.compute.parameters is None:
        return UNRECORDED
    return "what made the features is not known, or they are of regions"


COST_FIGURES = (
    CostFigure(
        "trainable_parameters",
        "trainable",
        "",
        "Parameters of the method that are trained.",
        lambda record: record.compute.trainable,
        lambda record: UNRECORDED,
    ),
    CostFigure(
        "parameters",
        "parameters",
        "",
        "All parameters of the method. CLIP's towers are frozen and no part of it.",
        lambda record: record.compute.parameters,
        lambda record: UNRECORDED,
    ),
    CostFigure(
        "training_seconds",
        "training",
        "s",
        "Seconds of training on the clock, with the features at hand; of an interrupted training those of all parts, as"
        " far as their work was kept.",
        training_seconds,
        _no_training,
    ),
    CostFigure(
        "scoring_ms_per_hour",
        "scoring",
        "ms/h",
        "Milliseconds of scoring for an hour of test video, with the features at hand; their reading and whatever"
        " happens only once are included. They are those of the processor, all cores together; on a GPU those on the"
        " clock.",
        scoring_ms_per_hour,
        _no_scoring,
    ),
    CostFigure(
        "peak_memory_mib",
        "peak memory",
        "MiB",
        "Largest memory of the process until the test videos were scored; of the GPU where one was used.",
        peak_memory,
        lambda record: UNRECORDED,
    ),
    CostFigure(
        "encoder_gflop_per_row",
        "encoder",
        "GFLOP/row",
        "What the image encoder takes for one row of features, over all frames and scored crops that the row stands"
        " for: 10^9 floating-point operations of matrix products and convolutions, two for each multiplication with its"
        " addition.",
        lambda record: record.compute.encoder_gflop,
        _no_encoder,
    ),
    CostFigure(
        "rows_per_second",
        "rows",
        "1/s",
        "Rows for a second of test video.",
        lambda record: record.compute.rows_per_second,
        _no_rows,
    ),
)
"""All figures, in the order of their columns."""


def known_costs(record: RunRecord) -> dict[str, float]:
    """Return the figures of a run that are known, by name."""
    found = {figure.name: figure.value(record) for figure in COST_FIGURES}
    return {name: value for name, value in found.items() if value is not None}
