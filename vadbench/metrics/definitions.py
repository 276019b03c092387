"""The written definition of every metric key, for ``vadbench list metrics`` and the notes below tables.

Two numbers share a column only if they share a definition: ``mAP`` (frames) and ``mAP@IoU`` (segments) do not.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from vadbench.base.errors import UnknownNameError
from vadbench.base.metric_keys import MetricKey

IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


class MetricValue(BaseModel):
    """A metric: a fraction with its 95 % interval, or ``None`` with the reason why it is undefined."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Definition:
    """The meaning of a metric key.

    Args:
        key: as in result.json, MLflow, tables and ``--json``; a fraction there, whatever ``unit`` says.
        title: column heading.
        text: the definition, in full sentences.
        better: which direction is better; ``None`` where nothing is ranked by it and no value is called better.
        unranked: why nothing is; empty where ``better`` says a direction.
        low, high: the range of the stored value.
        unit: what tables print it in.
    """

    key: str
    title: str
    text: str
    better: Literal["higher", "lower"] | None = "higher"
    unranked: str = ""
    low: float = 0.0
    high: float = 1.0
    unit: str = "%"


_ALL = (
    Definition(
        "AUC",
        "AUC",
        "Area under the ROC curve of the anomaly score over all frames of the split, concatenated (micro): the chance "
        "that a random anomalous frame scores higher than a random normal one, ties counting half. 0.5 is chance.",
    ),
    Definition(
        "AP",
        "AP",
        "Average precision of the anomaly score over all frames of the split, concatenated (micro): the sum of "
        "precision times the gain in recall over every distinct score, without interpolation. Chance is the "
        "prevalence.",
    ),
    Definition(
        "prevalence",
        "prevalence",
        "Share of the split's frames inside an annotated segment; the AP of a random score.",
        better=None,
        unranked="it is a property of the data",
    ),
    Definition(
        "AnoAUC",
        "Ano-AUC",
        "AUC over the frames of abnormal videos only, those with at least one anomalous frame: it asks for the place "
        "in a video and gives no credit for telling abnormal videos from normal ones.",
    ),
    Definition(
        "mAUC",
        "mAUC",
        "Mean over the abnormal classes of AUC[<class>]. The normal class and classes without an anomalous frame in "
        "the split are left out.",
    ),
    Definition(
        "mAP",
        "mAP",
        "Mean over the abnormal classes of AP[<class>], a frame-level metric. The normal class and classes without an "
        "anomalous frame in the split are left out. Not to be confused with mAP@IoU.",
    ),
    *(
        Definition(
            f"mAP@{iou}",
            f"mAP@{iou}",
            f"The part of mAP@IoU in which a predicted segment must overlap an annotated one with an intersection over "
            f"union of at least {iou}.",
        )
        for iou in IOU_THRESHOLDS
    ),
    Definition(
        "mAP@IoU",
        "mAP@IoU",
        "Temporal localisation, the mean of mAP@0.1, mAP@0.2, mAP@0.3, mAP@0.4 and mAP@0.5. It ranks segments, whereas "
        "mAP ranks frames: they are two metrics. A predicted segment of a class is a longest run of rows above "
        "max - 0.6 (max - min) of the class's probability in the video; its score is its highest probability plus 0.7 "
        "times the mean over the best sixteenth of the video. From the best score down over all videos, a prediction "
        "is right if it overlaps enough with a segment of its class and video that no better one has taken. Average "
        "precision is interpolated as in ActivityNet's evaluation, and its mean is over the abnormal classes that have "
        "an annotated segment. Under the protocol 'vadclip' it is not interpolated, the mean is over all classes, "
        "normal included, a class without segments has 0, and all is 0 if any class is never predicted.",
    ),
    Definition(
        "FAR",
        "FAR",
        "False-alarm rate: share of the frames of normal videos whose score is above 0.5. Only for scores between 0 "
        "and 1. Nothing is ranked by it: a method that never raises an alarm has none.",
        better=None,
        unranked="a method that never raises an alarm has no false ones",
    ),
)
DEFINITIONS: dict[str, Definition] = {d.key: d for d in _ALL}
"""The metrics except those of single classes and branches, in the order in which they are listed."""
COMPARED = ("AUC", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR")
"""The keys by which methods are compared: what tables, pages and ``vadbench compare`` show."""
BRANCH_METRICS = ("AUC", "AP", "AnoAUC")
"""The metrics of each branch of a method, as ``AUC(<branch>)`` and so on."""

_PER_CLASS = {
    "AUC": "AUC of one class against the rest: the class's probability ranks all frames of the split, those of normal "
    "videos included; frames inside a segment of the class count as positive.",
    "AP": "Average precision of one class against the rest: the class's probability ranks all frames of the split, "
    "those of normal videos included; frames inside a segment of the class count as positive.",
}
CLASS_METRICS = tuple(_PER_CLASS)
"""The metrics of each abnormal class, as ``AUC[<class>]`` and so on."""

_TIME = "time_ms/"
"""The beginning of the keys of times that papers state."""


def definition(key: str) -> Definition:
    """Return the definition of a key, that of a class (``AUC[Abuse]``) or a branch (``AUC(align)``) included.

    >>> definition("AUC(align)").better
    'higher'
    >>> definition("AP[Road Accidents]").title
    'AP Road Accidents'
    >>> definition("time_ms/total").unit
    'ms'

    Raises:
        UnknownNameError: no metric has that key.
    """
    found = _definition(key)
    if found is None:
        parts = [*(f"{m}[<class>]" for m in CLASS_METRICS), *(f"{m}(<branch>)" for m in BRANCH_METRICS)]
        raise UnknownNameError("metric", key, [*DEFINITIONS, *parts])
    return found


def _definition(key: str) -> Definition | None:
    try:
        parts = MetricKey.parse(key)
    except ValueError:
        return None
    whole = DEFINITIONS.get(parts.metric)
    match parts:
        case MetricKey(branch=None, of_class=None) if whole is not None:
            return whole
        case MetricKey(branch=str(branch), of_class=None) if whole is not None and whole.key in BRANCH_METRICS:
            text = f"{whole.text} Here the score is that of the method's branch '{branch}'."
            return replace(whole, key=key, title=f"{whole.title} {branch}", text=text)
        case MetricKey(branch=None, of_class=str(name)) if whole is not None and whole.key in CLASS_METRICS:
            return replace(whole, key=key, title=f"{whole.title} {name}", text=_PER_CLASS[whole.key])
        case MetricKey(branch=None, of_class=None) if parts.metric.startswith(_TIME):
            part = parts.metric.removeprefix(_TIME).replace("-", " ")
            text = f"Milliseconds a frame ({part}), as a paper states them; no run measures it."
            return Definition(key, part, text, better="lower", high=math.inf, unit="ms")
    return None


def canonical(text: str) -> str:
    """Return a key as a person or a file of the first edition may write it, in today's spelling.

    There a class came after a slash, and the parts of a time in brackets. Anything else is returned
    unchanged; :func:`definition` raises for it.

    >>> canonical("AUC/Road Accidents"), canonical("time_ms[CLIP feature]"), canonical("mAP@IoU")
    ('AUC[Road Accidents]', 'time_ms/CLIP-feature', 'mAP@IoU')
    """
    if _definition(text) is not None:
        return text
    if of_class := re.fullmatch(rf"({'|'.join(CLASS_METRICS)})/(.+)", text, re.DOTALL | re.IGNORECASE):
        return f"{of_class[1]}[{of_class[2]}]"
    if time := re.fullmatch(r"time_ms\[([^\s/()\[\]]+(?: [^\s/()\[\]]+)*)\]", text, re.IGNORECASE):
        return _TIME + time[1].replace(" ", "-")
    return text
