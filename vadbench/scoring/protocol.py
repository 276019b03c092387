"""The protocol: the rules by which scores meet ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from vadbench.base.config import Settings
from vadbench.base.errors import UnknownNameError
from vadbench.dataset import Boundaries

Selection = Literal["last", "validation", "best-on-test"]
"""Which weights of a training are evaluated."""


class Protocol(Settings):
    """The rules of an evaluation; every result carries them.

    ``selection`` and ``subset`` shape the training, the rest only the evaluation.
    """

    name: str = Field(description="what the rules are called in tables")
    boundaries: Boundaries = Field("native", description="whose reading of the official intervals")
    tail: Literal["hold", "rows"] = Field(
        "hold",
        description="how many frames a video has; hold: its true number, each row's score held for its own frames and"
        " the last one's to the end; rows: rows times stride, as the papers' code counts",
    )
    crop: str = Field(
        "center",
        description="which crop of the features is scored; mean: the mean of all crops' scores; max: the maximum of all"
        " regions' scores, as features of regions always are",
    )
    tolerance: int = Field(
        2, ge=0, description="frames by which a stated count may be off and an interval may end past its video"
    )
    subset: Literal["all", "single-anomaly"] = Field(
        "all", description="which videos take part; single-anomaly: those of at most one anomaly class"
    )
    selection: Selection = Field(
        "last",
        description="which weights are evaluated; last: those after the last epoch; validation: the best on training"
        " videos held out; best-on-test: the best on the test split, as several papers do, never ranked beside others",
    )
    localization: Literal["native", "vadclip"] = Field(
        "native", description="whose average precision and mean over classes mAP@IoU takes"
    )
    drop_zeros: bool = Field(
        False, description="leave classes whose AUC or AP is exactly 0 out of mAUC and mAP, as AnomalyCLIP's code does"
    )


PROTOCOLS = {
    "native": Protocol(name="native"),
    "anomalyclip": Protocol(
        name="anomalyclip", boundaries="anomalyclip", tail="rows", subset="single-anomaly", drop_zeros=True
    ),
    "vadclip": Protocol(name="vadclip", boundaries="vadclip", tail="rows", localization="vadclip"),
}


def protocol(name: str, paper_crops: Mapping[str, str] = MappingProxyType({}), **changes: str | None) -> Protocol:
    """A protocol by name, with what the user wants otherwise.

    Args:
        name: one of :data:`PROTOCOLS`.
        paper_crops: which crop of a data set a protocol scores, by the protocol's name.
        changes: fields to change; ``None`` leaves one as it is.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    rules = PROTOCOLS[name]
    fields = {"crop": paper_crops.get(name)} | {k: v for k, v in changes.items() if v is not None}
    return Protocol.model_validate(rules.model_dump() | {k: v for k, v in fields.items() if v is not None})
