"""The frame-level metrics of a split, without intervals: one sort of the anomaly score serves all that rank by it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vadbench.base.cores import threads
from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.operating import operating_points
from vadbench.metrics.ranking import NO_CLASSES, NO_FIXED_THRESHOLD, NO_PROBABILITIES, Ranking, value_of
from vadbench.metrics.within import Within
from vadbench.scoring.rows import Ints, ScoredRows

ALARM = 0.5
"""Score above which a frame raises an alarm (for the false-alarm rate)."""
CLASSES_AT_ONCE = 4
"""Classes ranked at a time where there are cores; each takes some 60 bytes a row, the rows of 14 classes take 100."""
ROWS_AT_ONCE = 2**23
"""Rows ranked at a time, of all classes together; bounds memory."""
WORTH_A_THREAD = 2**17
"""Rows from which on starting a thread takes less than a hundredth of what it does.

NumPy sorts, sums and gathers without the interpreter's lock."""


def evaluate(rows: ScoredRows, drop_zeros: bool = False) -> dict[str, MetricValue]:
    """Return all ranking metrics of a split, keyed as in :mod:`vadbench.metrics.definitions`, without intervals.

    Per-class keys (``AUC[<class>]``, ``AP[<class>]``) are there if the method has class scores and the data set
    annotates classes; the normal class has none.

    Args:
        drop_zeros: leave classes whose AUC (or AP) is exactly 0 out of the mean, as AnomalyCLIP's evaluation does.
            There a 0 marks a class without frames; a true 0 is dropped as well.
    """
    binary = rows.binary()
    video, scores, positives, negatives = binary
    ranking = Ranking(scores)
    single = "the split has only normal frames" if not positives.any() else "the split has only anomalous frames"
    within = Within(binary, len(rows.names), ranking)
    hits = ranking.hits(positives, negatives)
    metrics = {
        "AUC": value_of(hits.auc, single),
        **within.metrics(hits.auc, single),
        "AP": value_of(hits.ap, single),
        "AP/trapezoid": value_of(hits.trapezoid, single),
        "prevalence": value_of(rows.prevalence, "the split has no frames"),
        "AnoAUC": value_of(
            ranking.hits(positives, negatives * rows.abnormal[video]).auc,
            "abnormal videos have only anomalous frames" if rows.abnormal.any() else "the split has no abnormal video",
        ),
    }
    metrics |= operating_points(rows, binary, ranking, single)
    per_class, lacking = _per_class(rows)
    for mean, metric in (("mAUC", "AUC"), ("mAP", "AP")):
        values = [value.value for key, value in per_class.items() if key.metric == metric]
        kept = [v for v in values if v is not None and not (drop_zeros and v == 0)]
        metrics[mean] = value_of(float(np.mean(kept)) if kept else None, lacking)
    return metrics | {"FAR": _false_alarm_rate(rows)} | {str(key): value for key, value in per_class.items()}


def _per_class(rows: ScoredRows) -> tuple[dict[MetricKey, MetricValue], str]:
    """Return AUC and AP of each abnormal class, and why their mean is undefined if it is."""
    if rows.class_scores is None and rows.by_class:
        return {}, NO_PROBABILITIES
    if rows.class_scores is None or rows.class_positives is None:
        return {}, NO_CLASSES

    def areas(class_id: int) -> tuple[MetricValue, MetricValue]:
        _, scores, positives, negatives = rows.one_vs_rest(class_id)
        hits = Ranking(scores).hits(positives, negatives)
        kind = "of" if not positives.any() else "outside"
        reason = f"the split has no frame {kind} class {rows.class_names[class_id]}"
        return value_of(hits.auc, reason), value_of(hits.ap, reason)

    classes = [i for i in range(len(rows.class_names)) if i != rows.normal]
    if len(rows.scores) < WORTH_A_THREAD:
        found = list(map(areas, classes))
    else:
        at_once = max(1, ROWS_AT_ONCE // len(rows.scores))
        with ThreadPoolExecutor(min(CLASSES_AT_ONCE, threads(), at_once)) as pool:
            found = list(pool.map(areas, classes))
    names = [rows.class_names[i] for i in classes]
    aucs = {MetricKey("AUC", of_class=name): auc for name, (auc, _) in zip(names, found, strict=True)}
    aps = {MetricKey("AP", of_class=name): ap for name, (_, ap) in zip(names, found, strict=True)}
    return aucs | aps, "no abnormal class can be ranked: none has frames in the split"


def _false_alarm_rate(rows: ScoredRows) -> MetricValue:
    if not rows.unit_scores:
        return value_of(None, NO_FIXED_THRESHOLD)
    if len(rows.scores) and not (rows.scores.min() >= 0 and rows.scores.max() <= 1):
        return value_of(None, "scores are not between 0 and 1")
    alarms, normal = normal_video_alarms(rows)
    return value_of(float(alarms.sum() / normal.sum()) if normal.any() else None, "the split has no normal video")


def normal_video_alarms(rows: ScoredRows) -> tuple[Ints, Ints]:
    """Return ``(videos,)`` frames above the alarm threshold and all frames, of normal videos; 0 for abnormal ones."""
    alarms = rows.per_video(rows.frames * (rows.scores > ALARM))
    return np.where(rows.abnormal, 0, alarms), np.where(rows.abnormal, 0, rows.video_frames)
