"""Values in resamples against frames of the drawn videos, each copy a video of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from drawn_rows import drawn_rows, rows_of, videos_of
from literal_metrics import of_frames
from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.operating import RESAMPLED
from vadbench.metrics.ranking import Ranking

KEYS = (
    *("AUC", "AUC/within", "AUC/cross", "AUC/video", "AUC/flattened", "pair-share", "AP", "AP/trapezoid"),
    *RESAMPLED,
)


@given(drawn_rows(), st.integers(0, 1000))
@settings(max_examples=60)
def test_every_metric_of_a_resample_is_that_of_the_frames_of_the_drawn_videos(rows, seed):
    draws, videos = draw_videos(len(rows.names), 4, seed), videos_of(rows)
    found = resampled_metrics(rows, KEYS, draws)
    for i, draw in enumerate(draws.astype(int)):
        drawn = np.repeat(np.arange(len(videos)), draw)
        expected = of_frames([videos[v] for v in drawn], rows.hours[drawn])
        for key in KEYS:
            value = np.nan if expected[key] is None else expected[key]
            if key in found:
                assert found[key][i] == pytest.approx(value, abs=1e-10, nan_ok=True), key
            else:  # no video of the whole split is normal
                assert rows.abnormal[rows.video_frames > 0].all()


@given(drawn_rows(videos=12, longest=40))
def test_the_sweep_of_all_videos_once_gives_the_values_themselves(rows):
    """More steps than are looked at together."""
    found, values = resampled_metrics(rows, KEYS, np.ones((2, len(rows.names)))), evaluate(rows)
    for key in found.keys() & set(KEYS):
        value = values[key].value
        assert found[key] == pytest.approx(np.full(2, np.nan if value is None else value), abs=1e-12, nan_ok=True), key


@given(drawn_rows(videos=12, longest=40))
def test_both_precisions_of_a_ranking_equal_scikit_learn(rows):
    scores, truth = (np.concatenate(parts) for parts in zip(*videos_of(rows), strict=True))
    hits = Ranking(rows.scores).hits(rows.positives, rows.frames - rows.positives)
    if not truth.any():
        assert hits.ap is hits.trapezoid is None
        return
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    assert hits.trapezoid == pytest.approx(sk.auc(recall, precision), abs=1e-12)
    assert hits.ap == pytest.approx(sk.average_precision_score(truth, scores), abs=1e-12)


def test_a_yes_or_no_answer_is_flattered_by_the_trapezoid():
    """As a straight line between two points is no precision that any threshold has."""
    rows = rows_of(np.arange(3), np.array([1.0, 1.0, 0.0]), np.full(3, 10), np.array([10, 0, 0]))
    hits = Ranking(rows.scores).hits(rows.positives, rows.frames - rows.positives)
    assert (hits.ap, hits.trapezoid) == (0.5, 0.75)


@pytest.mark.parametrize("steps", [31, 32, 33, 64, 65])
@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_at_the_seams_between_blocks(steps, ties):
    """The number of distinct scores of positive rows is given, each with a negative row below or of the same score."""
    scores = np.repeat(np.arange(steps)[::-1], 2) - (0.0 if ties else 0.5 * (np.arange(2 * steps) % 2))
    positives = np.where(np.arange(len(scores)) % 2, 0, 3)
    video = np.sort(np.arange(len(scores)) % 7)
    rows = rows_of(video, scores, np.full(len(scores), 3), positives, np.ones(7))
    draws, videos = draw_videos(7, 15), videos_of(rows)
    found = resampled_metrics(rows, KEYS, draws)
    for i, draw in enumerate(draws.astype(int)):
        expected = of_frames([videos[v] for v in np.repeat(np.arange(7), draw)])
        for key in KEYS:
            if expected[key] is not None:
                assert found[key][i] == pytest.approx(expected[key], abs=1e-10), key


def test_only_what_is_asked_for_is_swept():
    rows = rows_of(np.arange(3), np.array([0.9, 0.5, 0.1]), np.full(3, 10), np.array([10, 0, 0]), np.ones(3))
    draws = draw_videos(3, 5)
    always = {"prevalence", "FAR"}
    assert resampled_metrics(rows, ("AP",), draws).keys() - always == {"AP"}
    assert resampled_metrics(rows, ("mAUC",), draws).keys() == always
    assert resampled_metrics(rows, ("FPR@95TPR",), draws).keys() - always == set(RESAMPLED)
