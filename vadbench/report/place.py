"""What a page shows of whether a score finds the place of an anomaly, and of the alarms that finding it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from vadbench.metrics.blind import blind_metrics
from vadbench.metrics.curves import operating_curve, recall_at, roc_curve
from vadbench.metrics.definitions import HEADLINES, PLACE, MetricValue, coarse_remark, definition
from vadbench.metrics.glossary import FALSE_POSITIVE_RATES, UNPROCESSED
from vadbench.metrics.operating import FALSE_FRAMES, RECALLS
from vadbench.records.record import RunRecord
from vadbench.scoring.rows import ScoredRows
from vadbench.scoring.split import ScoredSplit
from vadbench.tables.blind_rows import BOUNDS, BlindFigures
from vadbench.tables.standing import FLATTENED, adds_nothing

PAIR_SHARE = "pair-share"
ALARMS = ("FPR@95TPR", "false-alarms-per-hour", "distinct")
"""The metrics of alarms beside the operating points."""
POINTS = 400
"""Number of points of a curve, more than a chart has pixels."""


def blind_figures(split: ScoredSplit) -> BlindFigures:
    """Return the metrics of scores that look at no frame on the videos of a split."""
    return blind_metrics(split, (*PLACE, PAIR_SHARE))


def place_data(blind: BlindFigures) -> dict[str, Any]:
    """Return what all runs on a split share: the definitions of the metrics and the values of blind scores."""
    share = next(iter(blind.values())).get(PAIR_SHARE)  # a property of the data, the same for every score
    return {
        "metrics": [*_definitions(PLACE)],
        "blind": [{"name": name, "values": [_value(values, key) for key in PLACE]} for name, values in blind.items()],
        "pairShare": share and share.value,
        "rates": FALSE_POSITIVE_RATES,
        "recalls": [*_definitions(RECALLS.values())],
        "alarms": [*_definitions(ALARMS)],
    }


def place_of_run(record: RunRecord, split: ScoredSplit, blind: BlindFigures) -> dict[str, Any]:
    """Return the metrics of place of a run, its headline metrics without post-processing, and its operating points."""
    metrics = record.metrics
    return {
        "place": [_value(metrics, key) for key in PLACE],
        "unplaced": list(_unplaced(metrics, blind)),
        "coarse": coarse_remark(metrics),
        "unprocessed": {key: metrics[key + UNPROCESSED].value for key in HEADLINES if key + UNPROCESSED in metrics},
        "operating": _operating(metrics, split.rows),
    }


def _unplaced(metrics: Mapping[str, MetricValue], blind: BlindFigures) -> Iterator[str]:
    """Yield what speaks against a score that finds the place, in words."""
    for key, (name, what) in BOUNDS.items():
        value, bound = (_number(found, key) for found in (metrics, blind[name]))
        if value is not None and bound is not None and value <= bound:
            yield f"{definition(key).title} no better than {name}, {what}"
    flattened = _number(metrics, FLATTENED)
    if flattened is not None:
        yield from (
            f"{definition(FLATTENED).title} {note}" for note in adds_nothing(_number(metrics, "AUC"), flattened)
        )


def _operating(metrics: Mapping[str, MetricValue], rows: ScoredRows) -> dict[str, Any] | None:
    """Return the curve, which is drawn from the scores, and the metrics; ``None`` where frames are of one kind only.

    A run that was measured before the metrics were there lacks them, but for the recalls, which are read off the curve.
    """
    roc = roc_curve(rows.scores, rows.positives, rows.frames - rows.positives)
    if roc is None:
        return None
    read = recall_at(roc, FALSE_POSITIVE_RATES).tolist()
    rates, recalls = operating_curve(roc, POINTS)
    return {
        "curve": [np.round(rates, 6).tolist(), np.round(recalls, 4).tolist()],
        "recalls": [
            _value(metrics, key) or MetricValue(value=recall).model_dump()
            for key, recall in zip(RECALLS.values(), read, strict=True)
        ],
        "falseFrames": [_value(metrics, key) for key in FALSE_FRAMES.values()],
        "alarms": [_value(metrics, key) for key in ALARMS],
    }


def _definitions(keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    for key in keys:
        means = definition(key)
        yield {"key": key, "title": means.title, "text": means.text, "better": means.better, "unit": means.unit}


def _number(metrics: Mapping[str, MetricValue], key: str) -> float | None:
    return metrics[key].value if key in metrics else None


def _value(metrics: Mapping[str, MetricValue], key: str) -> dict[str, Any] | None:
    return metrics[key].model_dump() if key in metrics else None
