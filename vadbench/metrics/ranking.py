"""Frame-level ranking metrics: AUC, AP and what is built from them.

All of them come from one sort of weighted rows. Every distinct score is one threshold, so ties are exact: AUC is the
trapezoidal area under the ROC curve and AP the step sum over recall, as in scikit-learn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.definitions import MetricValue
from vadbench.scoring.rows import Floats, Ints, ScoredRows

Weights = NDArray[Any]
ALARM = 0.5
"""Score above which a frame raises an alarm (for the false-alarm rate)."""
NO_FIXED_THRESHOLD = "the method's scores are not between 0 and 1, so a fixed threshold means nothing"
"""Reason why a metric with a fixed threshold is undefined."""


class Curve(NamedTuple):
    """Points of a curve, one per distinct score in descending order; both axes between 0 and 1."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]


class Ranking:
    """Rows in descending order of score, equal scores grouped; made once, it serves every weighting of the rows.

    Attributes:
        order: ``(rows,)`` row indices.
        ends: ``(groups,)`` position in ``order`` of the last row of each group of equal scores.
    """

    def __init__(self, scores: Floats) -> None:
        self.order = _descending(scores)
        ranked = scores[self.order]
        self.ends: Ints = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)[: len(ranked)]
        self.thresholds: Floats = ranked[self.ends]

    def cumulative(self, weights: Weights) -> NDArray[np.float64]:
        """Return ``(groups,)`` weight of the rows that score at least as much as each group."""
        return np.cumsum(weights[self.order], dtype=np.float64)[self.ends]

    def auc(self, positives: Weights, negatives: Weights) -> float | None:
        """Return the area under the ROC curve; ``None`` where one kind has no weight."""
        if not (positives.any() and negatives.any()):
            return None
        tp, fp = self.cumulative(positives), self.cumulative(negatives)
        gained, passed = np.diff(tp, prepend=0.0), np.diff(fp, prepend=0.0)
        # Not a dot product: BLAS spreads it over threads that spin, which doubles the CPU seconds of a split.
        return float((gained * (fp[-1] - fp + passed / 2)).sum() / (tp[-1] * fp[-1]))

    def ap(self, positives: Weights, negatives: Weights) -> float | None:
        """Return average precision; ``None`` where positives have no weight."""
        if not positives.any():
            return None
        tp, fp = self.cumulative(positives), self.cumulative(negatives)
        gained = np.diff(tp, prepend=0.0)
        hit = gained > 0
        return float((gained[hit] * (tp[hit] / (tp[hit] + fp[hit]))).sum() / tp[-1])


def _descending(scores: Floats) -> NDArray[np.int64]:
    """Return row indices by descending score, equal scores in any order.

    A float32 score and its row number fit one 64-bit integer, and sorting integers is about twice as fast as sorting
    indices by score.
    """
    if scores.dtype != np.float32:
        return np.argsort(-scores)
    bits = (-scores).view(np.int32)
    # The integers of negative floats run backwards; flipping all bits but the sign turns them round.
    keys = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64) << 32
    keys |= np.arange(len(scores))
    keys.sort()
    return keys & 0xFFFFFFFF


def roc_auc(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> float | None:
    """Return the area under the ROC curve of weighted rows, between 0 and 1; 0.5 is chance.

    Args:
        scores: ``(rows,)``.
        positives, negatives: ``(rows,)`` frames of each kind that share the score.

    Returns:
        ``None`` where there are only positives or only negatives.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], positives=[0, 0, 1, 1], negatives=[1, 1, 0, 0])
    0.75
    >>> roc_auc([0.7, 0.7], positives=[16, 4], negatives=[0, 12])  # one score for all is chance
    0.5
    """
    return Ranking(np.asarray(scores)).auc(np.asarray(positives), np.asarray(negatives))


def average_precision(scores: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> float | None:
    """Return the average precision of weighted rows, without interpolation; chance is the share of positives.

    Args:
        scores: ``(rows,)``.
        positives, negatives: ``(rows,)`` frames of each kind that share the score.

    Returns:
        ``None`` where there are no positives; 1 where there are no negatives.

    >>> round(average_precision([0.1, 0.4, 0.35, 0.8], positives=[0, 0, 1, 1], negatives=[1, 1, 0, 0]), 4)
    0.8333
    >>> average_precision([0.7, 0.7], positives=[16, 4], negatives=[0, 60])  # one score for all is chance
    0.25
    """
    return Ranking(np.asarray(scores)).ap(np.asarray(positives), np.asarray(negatives))


def evaluate(rows: ScoredRows, drop_zeros: bool = False) -> dict[str, MetricValue]:
    """Return all ranking metrics of a split, keyed as in :mod:`vadbench.metrics.definitions`, without intervals.

    Per-class keys (``AUC[<class>]``, ``AP[<class>]``) are there if the method has class scores and the data set
    annotates classes; the normal class has none.

    Args:
        drop_zeros: leave classes whose AUC (or AP) is exactly 0 out of the mean, as AnomalyCLIP's evaluation does.
            There a 0 marks a class without frames; a true 0 is dropped as well.
    """
    video, scores, positives, negatives = rows.binary()
    ranking = Ranking(scores)
    single = "the split has only normal frames" if not positives.any() else "the split has only anomalous frames"
    metrics = {
        "AUC": value_of(ranking.auc(positives, negatives), single),
        "AP": value_of(ranking.ap(positives, negatives), single),
        "prevalence": value_of(rows.prevalence, "the split has no frames"),
        "AnoAUC": value_of(
            ranking.auc(positives, negatives * rows.abnormal[video]),
            "abnormal videos have only anomalous frames" if rows.abnormal.any() else "the split has no abnormal video",
        ),
    }
    per_class, lacking = _per_class(rows)
    for mean, metric in (("mAUC", "AUC"), ("mAP", "AP")):
        values = [value.value for key, value in per_class.items() if key.metric == metric]
        kept = [v for v in values if v is not None and not (drop_zeros and v == 0)]
        metrics[mean] = value_of(float(np.mean(kept)) if kept else None, lacking)
    return metrics | {"FAR": _false_alarm_rate(rows)} | {str(key): value for key, value in per_class.items()}


def value_of(value: float | None, reason: str) -> MetricValue:
    """Return a stored metric without an interval; ``reason`` is stored only where the value is undefined."""
    return MetricValue(value=value, low=None, high=None, reason=reason if value is None else None)


def _per_class(rows: ScoredRows) -> tuple[dict[MetricKey, MetricValue], str]:
    """Return AUC and AP of each abnormal class, and why their mean is undefined if it is."""
    if rows.class_scores is None:
        return {}, "the method gives no probabilities of these classes"
    if rows.class_positives is None:
        return {}, "the data set annotates no classes"
    aucs, aps = {}, {}
    for class_id, name in enumerate(rows.class_names):
        if class_id == rows.normal:
            continue
        _, scores, positives, negatives = rows.one_vs_rest(class_id)
        ranking = Ranking(scores)
        reason = f"the split has no frame {'of' if not positives.any() else 'outside'} class {name}"
        aucs[MetricKey("AUC", of_class=name)] = value_of(ranking.auc(positives, negatives), reason)
        aps[MetricKey("AP", of_class=name)] = value_of(ranking.ap(positives, negatives), reason)
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
