"""AnomalyCLIP's diagnostics against a frame-by-frame reading of their definition and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from vadbench.base.errors import DataError
from vadbench.metrics.recognition import F1_THRESHOLDS, among_top, optimal_threshold, predict, recognise
from vadbench.scoring.rows import ScoredRows

CLASSES = 8


def split(seed, normal):
    """Random rows, each frame of exactly one class."""
    rng = np.random.default_rng(seed)
    rows = 30
    present = [c for c in range(CLASSES) if c != (normal + 1) % CLASSES]  # one class never occurs
    class_positives = np.zeros((rows, CLASSES), dtype=int)
    np.add.at(class_positives, (rng.integers(0, rows, 300), rng.choice(present, 300)), 1)
    frames = class_positives.sum(1)
    return ScoredRows(
        video=np.zeros(rows, dtype=int),
        names=("v",),
        scores=np.round(rng.random(rows), 1).astype(np.float32),
        frames=frames,
        positives=frames - class_positives[:, normal],
        class_scores=rng.random((rows, CLASSES), dtype=np.float32),
        class_positives=class_positives,
        class_names=tuple(f"class {c}" for c in range(CLASSES)),
        normal=normal,
    )


def frames_of(rows):
    """Row and class of every single frame."""
    row = np.repeat(np.arange(len(rows.scores)), rows.frames)
    label = np.concatenate([np.repeat(np.arange(CLASSES), counts) for counts in rows.class_positives])
    return row, label


@given(st.integers(0, 10_000), st.integers(0, CLASSES - 1))
def test_all_diagnostics_equal_a_loop_over_frames(seed, normal):
    rows = split(seed, normal)
    row, label = frames_of(rows)
    score, anomalous = rows.scores[row], label != normal

    best, threshold = np.float32(0), 1.0
    for candidate in sorted(set(rows.scores.tolist()), reverse=True):
        alarm = score >= np.float32(candidate)
        gain = np.float32(alarm[anomalous].mean()) - np.float32(alarm[~anomalous].mean())
        if gain > best:
            best, threshold = gain, candidate
    predictions, top5 = [], []
    for s, p, c in zip(score, rows.class_scores[row], label, strict=True):
        ranked = sorted((k for k in range(CLASSES) if k != normal), key=lambda k: -p[k])
        predictions.append(normal if s < threshold else ranked[0])
        top5.append(c in ([normal, *ranked[:4]] if s < threshold else ranked[:5]))
    predictions, top5 = np.array(predictions), np.array(top5)

    found = recognise(rows)
    assert found.threshold == threshold
    np.testing.assert_array_equal(found.predictions[row], predictions)
    for c in range(CLASSES):
        own = label == c
        expected = (np.mean(predictions[own] == c), np.mean(top5[own])) if own.any() else (np.nan, np.nan)
        assert (found.top1[c], found.top5[c]) == pytest.approx(expected, nan_ok=True)
    confusion = sk.confusion_matrix(label, predictions, labels=range(CLASSES), normalize="true")
    np.testing.assert_allclose(found.confusion, confusion, atol=1e-12)
    f1 = [sk.f1_score(anomalous, score >= np.float32(t), zero_division=0) for t in F1_THRESHOLDS]
    np.testing.assert_allclose(found.f1, f1, atol=1e-12)


def test_the_highest_of_equally_good_thresholds_wins():
    """0.8 and 0.4 both separate by one half."""
    scores = np.array([0.8, 0.6, 0.4, 0.2], np.float32)
    assert optimal_threshold(scores, np.array([1, 0, 1, 0]), np.array([0, 1, 0, 1])) == np.float32(0.8)


def test_scores_that_only_mislead_put_the_threshold_at_one():
    scores = np.array([0.9, 0.1], np.float32)
    assert optimal_threshold(scores, np.array([0, 4]), np.array([4, 0])) == 1


def test_a_score_at_the_threshold_is_abnormal():
    probabilities = np.array([[0.2, 0.5, 0.3]] * 2)
    assert predict(np.array([0.4, 0.39]), probabilities, 0.4, normal=1).tolist() == [2, 1]


def test_normal_takes_the_fifth_place_where_it_is_predicted():
    probabilities = np.array([[0.9, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]] * 2)
    among = among_top(probabilities, np.array([0, 1]), normal=0)
    assert among.astype(int).tolist() == [[1, 1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1, 0]]


def test_top_five_of_fewer_than_five_classes_are_all_of_them():
    assert among_top(np.array([[0.7, 0.2, 0.1]]), np.array([1]), normal=0).tolist() == [[False, True, True]]


def test_a_float32_score_equal_to_a_threshold_counts_as_anomalous():
    """0.7 in float32 is below 0.7 in float64; the comparison must be made in the scores' precision."""
    rows = ScoredRows(
        video=np.zeros(2, dtype=int),
        names=("v",),
        scores=np.array([0.7, 0.1], np.float32),
        frames=np.array([1, 1]),
        positives=np.array([1, 0]),
        class_scores=np.zeros((2, 2), np.float32),
        class_positives=np.array([[0, 1], [1, 0]]),
        class_names=("Normal", "Abuse"),
        normal=0,
    )
    assert dict(zip(F1_THRESHOLDS, recognise(rows).f1.tolist(), strict=True))[0.7] == 1


def test_diagnostics_that_cannot_be_made_say_why():
    rows = split(0, normal=0)
    with pytest.raises(DataError, match="only one kind was found"):
        optimal_threshold(rows.scores, rows.frames, np.zeros_like(rows.frames))
    without = ScoredRows(
        rows.video, rows.names, rows.scores, rows.frames, rows.positives, None, None, rows.class_names, 0
    )
    with pytest.raises(DataError, match="needs class probabilities and class annotations"):
        recognise(without)
