"""The definition of a metric key, those of classes and branches included, and the value that is stored under it.

Two numbers share a column only if they share a definition: ``mAP`` (frames) and ``mAP@IoU`` (segments) do not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from vadbench.base.errors import UnknownNameError
from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.glossary import GLOSSARY, UNPROCESSED, Carrier, Definition


class MetricValue(BaseModel):
    """A metric: its value with a 95 % interval, or ``None`` with the reason why it is undefined."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


DEFINITIONS: dict[str, Definition] = {d.key: d for d in GLOSSARY}
"""The metrics except those of single classes and branches, in the order in which they are listed."""
COMPARED = ("AUC", "AUC/within", "AUC/flattened", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR")
"""The keys by which methods are compared: what tables, pages and ``vadbench compare`` show."""
PLACE = ("AUC", "AUC/within", "AUC/cross", "AUC/video", "AUC/flattened")
"""The AUC beside what it is made of and what is left of it without the place: whether a score finds the place."""
BRANCH_METRICS = ("AUC", "AUC/within", "AP", "AnoAUC")
"""The metrics of each branch of a method, as ``AUC(<branch>)`` and so on."""
FEWEST_DISTINCT = 100
"""Distinct scores below which operating points are called coarse."""
HEADLINES = ("AUC", "AUC/within", "AP")
"""The metrics that are measured before post-processing as well, as ``AUC/unprocessed`` and so on."""

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
            carried = frozenset[Carrier]({"class"})
            return replace(whole, key=key, title=f"{whole.title} {name}", text=_PER_CLASS[whole.key], carriers=carried)
        case MetricKey(metric=metric, branch=None, of_class=None) if metric.removesuffix(UNPROCESSED) in HEADLINES:
            whole = DEFINITIONS[metric.removesuffix(UNPROCESSED)]
            text = f"{whole.text} Here post-processing is left out, which the other metrics include."
            return replace(whole, key=key, title=f"{whole.title} unprocessed", text=text)
        case MetricKey(branch=None, of_class=None) if parts.metric.startswith(_TIME):
            part = parts.metric.removeprefix(_TIME).replace("-", " ")
            text = f"Milliseconds a frame ({part}), as a paper states them; no run measures it."
            return Definition(key, part, text, better="lower", high=math.inf, unit="ms")
    return None


def value_range(key: str) -> tuple[float, float]:
    """Return the lowest and the highest value of a metric; a metric that is not defined here is a fraction."""
    found = _definition(key)
    return (0.0, 1.0) if found is None else (found.low, found.high)


def unit_of(key: str) -> str:
    """Return the unit that a metric is printed in; one that is not defined here is a fraction, in percent."""
    found = _definition(key)
    return "%" if found is None else found.unit


def coarse_remark(metrics: Mapping[str, MetricValue]) -> str:
    """Return the remark on scores of so few distinct values that operating points are coarse; empty where they are not.

    >>> coarse_remark({"distinct": MetricValue(value=12)})
    'only 12 distinct scores: operating points are coarse'
    """
    count = metrics["distinct"].value if "distinct" in metrics else None
    if count is None or count >= FEWEST_DISTINCT:
        return ""
    return f"only {count:.0f} distinct scores: operating points are coarse"


def canonical(text: str) -> str:
    """Return a key as a person, MLflow or a file of the first edition may write it, in today's spelling.

    There a class came after a slash, and the parts of a time in brackets; MLflow puts a word before a class and a
    branch. Anything else is returned unchanged; :func:`definition` raises for it.

    >>> canonical("AUC/Road Accidents"), canonical("time_ms[CLIP feature]"), canonical("mAP@IoU")
    ('AUC[Road Accidents]', 'time_ms/CLIP-feature', 'mAP@IoU')
    >>> canonical("AUC/class Fire"), canonical("AUC/within/branch align")
    ('AUC[Fire]', 'AUC/within(align)')
    """
    if _definition(text) is not None:
        return text
    if named := re.fullmatch(r"([^\s()\[\]]+)/(class|branch) (.+)", text, re.DOTALL):
        of_class = named[2] == "class"
        return f"{named[1]}[{named[3]}]" if of_class else f"{named[1]}({named[3]})"
    if of_class := re.fullmatch(rf"({'|'.join(CLASS_METRICS)})/(.+)", text, re.DOTALL | re.IGNORECASE):
        return f"{of_class[1]}[{of_class[2]}]"
    if time := re.fullmatch(r"time_ms\[([^\s/()\[\]]+(?: [^\s/()\[\]]+)*)\]", text, re.IGNORECASE):
        return _TIME + time[1].replace(" ", "-")
    return text
