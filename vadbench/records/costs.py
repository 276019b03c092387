"""What a run cost: what its method counted, and what was measured beside seconds and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vadbench.base.metric_keys import is_branch

if TYPE_CHECKING:
    from vadbench.scoring.video_scores import VideoScores


def _as_branch(name: str) -> str:
    if not is_branch(name):
        raise ValueError("must have letters, digits, '_' and '-', with single blanks between")
    return name


CostName = Annotated[str, AfterValidator(_as_branch)]
"""A name that keys can carry as they carry that of a branch."""


Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A number of something that was measured or counted."""


class CostRecord(BaseModel):
    """What a method said that the test videos cost, together and on average over them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    total: Amount
    per_video: Amount


class ComputeRecord(BaseModel):
    """What a run took, as far as it is known, beside its ``seconds`` and ``peak_memory_mb``.

    ``parameters`` are those of the method without CLIP's text tower, ``trainable`` those of them that are trained.
    ``cpu_seconds`` are by stage, those of all cores together. ``training_parts`` says how often the training was
    started until it was done. ``training_seconds`` are from the record of a training that was only evaluated,
    ``training_machine`` names the machine of it where that is another. ``video_hours`` are those of the test videos,
    ``rows_per_second`` is the number of feature rows to a second of them. ``encoder_gflop`` is what the image encoder
    takes for a row: 10^9 floating-point operations of its matrix products and convolutions, two for each multiplication
    with its addition, over all frames and crops that the row stands for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    parameters: int | None = Field(None, ge=0)
    trainable: int | None = Field(None, ge=0)
    cpu_seconds: dict[str, Amount] = {}
    training_parts: int | None = Field(None, ge=1)
    training_seconds: Amount | None = None
    training_machine: str = ""
    video_hours: Amount | None = None
    rows_per_second: Amount | None = None
    encoder_gflop: Amount | None = None


def costs_of(scores: Sequence[VideoScores]) -> dict[str, CostRecord]:
    """Return what the videos cost together; one that lacks a cost which others have counts as 0."""
    names = dict.fromkeys(name for s in scores for name in s.costs)
    totals = {name: float(sum(s.costs.get(name, 0) for s in scores)) for name in names}
    return {name: CostRecord(total=total, per_video=total / len(scores)) for name, total in totals.items()}


def video_hours(scores: Sequence[VideoScores]) -> float | None:
    """Return how many hours the videos last together; ``None`` where the frame rate of any is unknown."""
    seconds = [s.frames / s.rate for s in scores if s.rate is not None]
    return sum(seconds) / 3600 if len(seconds) == len(scores) else None
