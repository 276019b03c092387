"""AnomalyCLIP's test-time diagnostics: which class is predicted where.

Every number here depends on a threshold chosen on the test set itself (the one that maximises the true-positive rate
minus the false-positive rate), so it is optimistic: good for looking at a run, not for ranking methods. Spec: section 5
of AnomalyCLIP's evaluation, reproduced to the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError
from vadbench.metrics.ranking import Ranking
from vadbench.scoring.rows import Floats, Ints, ScoredRows

F1_THRESHOLDS = tuple(t / 10 for t in range(1, 11))
TOP = 5


@dataclass(frozen=True, eq=False)
class Recognition:
    """Class predictions at the threshold chosen on the test set, and how often they are right.

    Args:
        threshold: rows that score below it are predicted normal.
        predictions: ``(rows,)`` class ids.
        top1: ``(classes,)`` share of a class's frames predicted as it; NaN for a class without frames.
        top5: ``(classes,)`` share of a class's frames with the class among the five most probable abnormal ones, or,
            where normal is predicted, among normal and the first four; NaN for a class without frames.
        confusion: ``(classes, classes)`` true by predicted class, each row a share; zeros for a class without frames.
        f1: F1 of anomalous frames at each of :data:`F1_THRESHOLDS`; these thresholds are fixed, not chosen.
    """

    threshold: float
    predictions: Ints
    top1: NDArray[np.float64]
    top5: NDArray[np.float64]
    confusion: NDArray[np.float64]
    f1: NDArray[np.float64]


def recognise(rows: ScoredRows) -> Recognition:
    """Return all diagnostics of a split, at a threshold chosen on that split.

    Raises:
        DataError: there are no class probabilities or class annotations, or only one kind of frame.
    """
    if rows.class_scores is None or rows.class_positives is None:
        raise DataError("class recognition needs class probabilities and class annotations; one of them is missing")
    threshold = optimal_threshold(rows.scores, rows.positives, rows.frames - rows.positives)
    predictions = predict(rows.scores, rows.class_scores, threshold, rows.normal)
    confusion = np.stack([np.bincount(predictions, own, len(rows.class_names)) for own in rows.class_positives.T])
    hits = (rows.class_positives * among_top(rows.class_scores, predictions, rows.normal)).sum(0)
    totals = rows.class_positives.sum(0)
    return Recognition(
        threshold,
        predictions,
        top1=_shares(np.diagonal(confusion), totals),
        top5=_shares(hits, totals),
        confusion=confusion / np.maximum(totals, 1)[:, None],
        f1=np.array([f1_score(rows, t) for t in F1_THRESHOLDS]),
    )


def optimal_threshold(scores: Floats, positives: Ints, negatives: Ints) -> float:
    """Return the score that maximises true- minus false-positive rate, chosen on the very data it is used on.

    The ROC curve starts at (0, 0) with threshold 1; the first maximum from above wins, differences in float32 as in
    the reference.

    Raises:
        DataError: there are only normal or only anomalous frames.
    """
    ranking = Ranking(scores)
    if not (positives.any() and negatives.any()):
        raise DataError("a threshold can only be chosen with normal and anomalous frames; only one kind was found")
    tp, fp = (np.append(0, ranking.cumulative(w)).astype(np.float32) for w in (positives, negatives))
    best = np.argmax(tp / tp[-1] - fp / fp[-1])
    return float(np.append(1.0, ranking.thresholds)[best])


def predict(scores: Floats, class_scores: Floats, threshold: float, normal: int) -> Ints:
    """Return ``(rows,)`` class ids: normal below the threshold, else the most probable abnormal class.

    The threshold of :func:`optimal_threshold` is chosen on the test set, and so are predictions made with it.
    """
    abnormal = np.delete(np.arange(class_scores.shape[1]), normal)
    best = abnormal[class_scores[:, abnormal].argmax(1)]
    return np.where(scores < threshold, normal, best)


def among_top(class_scores: Floats, predictions: Ints, normal: int) -> NDArray[np.bool_]:
    """Return ``(rows, classes)``, true for the top five classes of a row, given predictions at a test-set threshold.

    These are the five most probable abnormal classes, or normal and the first four where normal is predicted. Of equal
    probabilities the lower id comes first.
    """
    abnormal = np.delete(np.arange(class_scores.shape[1]), normal)
    order = np.argsort(-class_scores[:, abnormal], axis=1, kind="stable")
    said_normal = predictions == normal
    among = np.zeros(class_scores.shape, dtype=bool)
    among[:, normal] = said_normal
    for place in range(min(TOP, len(abnormal))):
        among[np.arange(len(among)), abnormal[order[:, place]]] = ~said_normal | (place < TOP - 1)
    return among


def f1_score(rows: ScoredRows, threshold: float) -> float:
    """Return the F1 of anomalous frames if scores at or above the threshold are anomalous; 0 if none is found."""
    # A Python float takes the precision of the scores, as in the reference: a float32 0.7 is not below 0.7.
    alarm = rows.scores >= float(threshold)
    true = rows.positives[alarm].sum()
    counted = rows.frames[alarm].sum() + rows.positives.sum()  # 2 TP + FP + FN
    return float(2 * true / counted) if counted else 0.0


def _shares(part: Ints, whole: Ints) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
