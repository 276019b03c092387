"""Paired comparison of two methods from their run folders: both are measured in the same resamples of test videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import RunError, UnknownNameError
from vadbench.base.metric_keys import MetricKey
from vadbench.base.types import Progress, silent
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.carriers import carriers
from vadbench.metrics.comparison import ALPHA, Difference, holm, paired_difference
from vadbench.metrics.definitions import COMPARED, canonical, definition
from vadbench.metrics.measurement import resampled
from vadbench.records.scores import load_split
from vadbench.results.sides import ComparedRuns, matched
from vadbench.scoring.split import ScoredSplit

RESAMPLES = 5000
"""Resamples; more than for an interval, as Holm multiplies the smallest p-value, 2 / 5001, by the number of metrics."""


def compare(
    a: ComparedRuns, b: ComparedRuns, metrics: Sequence[str] | None = None, progress: Progress = silent
) -> dict[str, Difference]:
    """Compute how much higher each metric is for ``a`` than for ``b``, averaged over the seeds of each side.

    No interval and no p-value is computed if fewer than :data:`vadbench.metrics.carriers.FEWEST` test videos carry
    what a metric counts.

    Args:
        a, b: from :func:`vadbench.results.sides.load_runs`.
        metrics: keys of metrics, in the spelling of the first edition too; by default those of
            :data:`vadbench.metrics.definitions.COMPARED` that are defined on both sides.
        progress: called with the number of resampled runs.

    Raises:
        UnknownNameError: a metric that is not defined on both sides, or is not resampled.
        RunError: scores are damaged, or the two sides differ in their test videos or ground truth.
    """
    values = {m: (a.value(m), b.value(m)) for m in a.first.metrics}
    shared = {m: (x, y) for m, (x, y) in values.items() if x is not None and y is not None}
    keys = [m for m in COMPARED if m in shared] if metrics is None else list(dict.fromkeys(map(canonical, metrics)))
    for key in keys:
        if key not in shared:
            # Branches are not resampled and therefore not offered.
            known = [m for m in shared if MetricKey.parse(m).branch is None]
            raise UnknownNameError("metric of both sides", key, known)
        if MetricKey.parse(key).branch is not None:
            raise RunError(f"scores of branches are not compared, found {key}; leave it out")
    runs = [*a.found, *b.found]
    reference = load_split(runs[0][1])
    draws = draw_videos(len(reference.videos), RESAMPLES)
    samples: list[Mapping[str, NDArray[np.float64]]] = []
    same_classes = True
    for record, folder in runs:
        progress("resampling", len(samples), len(runs))
        split = matched(reference, load_split(folder), runs[0], (record, folder))
        same_classes = same_classes and _class_truth(split) == _class_truth(reference)
        samples.append(resampled(split, keys, draws))
        for key in keys:
            if key not in samples[-1]:
                raise UnknownNameError("metric that can be compared", key, samples[-1])
    progress("resampling", len(runs), len(runs))
    differences = {}
    for key in keys:
        x, y = shared[key]
        if not same_classes and (key.startswith("m") or MetricKey.parse(key).of_class is not None):
            differences[key] = Difference(x - y, reason="measured over other classes")
        else:
            stacked, carried = np.array([s[key] for s in samples]), carriers(reference.rows, key)
            differences[key] = paired_difference(stacked[: len(a.found)], stacked[len(a.found) :], x, y, carried)
    return differences


def compare_sides(
    sides: Mapping[str, ComparedRuns], metrics: Sequence[str] | None = None, progress: Progress = silent
) -> dict[str, dict[str, Any]]:
    """Return plain figures by metric: the mean of each side by its name, their ``difference`` with the ends ``low`` and
    ``high`` of its 95 % interval, ``p``, ``p_holm`` adjusted for all metrics, and a ``verdict`` in words.

    Args:
        sides: two, by their names.
        metrics, progress: as of :func:`compare`, whose errors are raised.
    """
    a, b = sides.values()
    differences = compare(a, b, metrics, progress)
    known = {key: d.p for key, d in differences.items() if d.p is not None}
    adjusted = dict(zip(known, holm(list(known.values())), strict=True))
    return {
        key: {
            **{name: side.value(key) for name, side in sides.items()},
            **{"difference": d.value, "low": d.low, "high": d.high, "p": d.p, "p_holm": adjusted.get(key)},
            "verdict": verdict(key, d, adjusted.get(key)),
        }
        for key, d in differences.items()
    }


def verdict(key: str, difference: Difference, p: float | None) -> str:
    """Return a difference in words; no side is called better by a metric that ranks nothing.

    Args:
        key: key of the metric.
        difference: from :func:`compare`.
        p: its p-value, adjusted for the metrics that are shown with it.
    """
    if difference.reason is not None or p is None:
        return difference.reason or ""
    if difference.value == difference.low == difference.high == 0:
        return "identical"
    if p > ALPHA:
        return "not distinguishable"
    better = definition(key).better
    side = "A" if (difference.value > 0) == (better != "lower") else "B"
    return f"{side} is {'better' if better else 'higher'}"


def _class_truth(split: ScoredSplit) -> tuple[Any, ...]:
    """Return the annotated classes, which must be the same for class metrics to be comparable."""
    return split.classes.names, split.classes.normal, {v.name: v.segments for v in split.videos}
