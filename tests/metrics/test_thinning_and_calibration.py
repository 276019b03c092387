"""What pictures need of scores: curves of few points, and whether scores can be read as probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from vadbench.metrics.calibration import BINS, reliability
from vadbench.metrics.curves import LOWEST_RATE, operating_curve, recall_at, roc_curve, thinned
from vadbench.scoring.rows import ScoredRows


def scored_rows(scores, frames, positives):
    scores, frames, positives = np.array(scores, float), np.array(frames), np.array(positives)
    return ScoredRows(np.zeros(len(scores), int), ("v",), scores, frames, positives, None, None, ("Normal",), 0)


@given(st.integers(2, 3000), st.integers(0, 1000))
def test_a_thinned_curve_keeps_its_ends_and_stays_close(count, seed):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.random(count)), np.sort(rng.random(count))
    thin_x, thin_y = thinned(x, y, 400)
    assert len(thin_x) == len(thin_y) <= 400
    np.testing.assert_allclose([thin_x[0], thin_y[0], thin_x[-1], thin_y[-1]], [x[0], y[0], x[-1], y[-1]], rtol=0)
    # Points lie along the way, so no point of the curve is further from a kept one than a step of it, or its own jump.
    gap = np.abs(np.diff(x)) + np.abs(np.diff(y))
    far = (np.abs(x[:, None] - thin_x) + np.abs(y[:, None] - thin_y)).min(1).max()
    assert far <= (x[-1] - x[0] + y[-1] - y[0]) / 398 + gap.max() + 1e-3


def literal_recall(scores, positives, negatives, rate):
    """Largest share of positives above a threshold that at most ``rate`` of the negatives reach."""
    best = 0.0
    for threshold in np.unique(scores):
        above = scores >= threshold
        if negatives[above].sum() / negatives.sum() <= rate:
            best = max(best, positives[above].sum() / positives.sum())
    return best


@given(st.integers(0, 1000), st.integers(1, 60), st.sampled_from([2, 10, 1000]))
def test_recall_at_a_rate_is_that_of_the_best_threshold(seed, rows, levels):
    rng = np.random.default_rng(seed)
    scores, positives, negatives = rng.integers(levels, size=rows) / levels, *rng.integers(0, 9, (2, rows))
    positives[0] = negatives[-1] = 5
    rates = [0, 0.01, 0.05, 0.3, 1]
    found = recall_at(roc_curve(scores, positives, negatives), rates)
    assert found.tolist() == [literal_recall(scores, positives, negatives, rate) for rate in rates]


@given(st.integers(0, 1000), st.sampled_from([3, 50, 100_000]))
def test_an_operating_curve_holds_recalls_from_the_lowest_rate_on(seed, levels):
    rng = np.random.default_rng(seed)
    scores = rng.integers(levels, size=3000) / levels
    positives = (rng.random(3000) < 0.2).astype(int)
    roc = roc_curve(scores, positives, 1 - positives)
    rates, recalls = operating_curve(roc, 400)
    assert len(rates) == len(recalls) <= 400
    assert (rates[0], rates[-1], recalls[-1]) == (LOWEST_RATE, 1, 1)
    assert (np.diff(rates) > 0).all() and (np.diff(recalls) >= 0).all()
    np.testing.assert_array_equal(recalls, recall_at(roc, rates))
    # Read as steps, it is nowhere above the recall, and no further below it than a few of its points lie apart.
    for rate in np.geomspace(LOWEST_RATE, 1, 50):
        held = recalls[np.searchsorted(rates, rate, side="right") - 1]
        true = recall_at(roc, rate)
        assert held <= true <= held + 4 / 398


@given(st.integers(0, 1000))
def test_reliability_is_scikit_learns_over_frames(seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 17, 200)
    positives = rng.integers(0, frames + 1)
    rows = scored_rows(rng.random(200), frames, positives)
    truth = np.concatenate([np.arange(f) < p for f, p in zip(frames, positives, strict=True)])
    held = np.repeat(rows.scores, frames)
    shares, scores = calibration_curve(truth, held, n_bins=BINS)
    found = reliability(rows)
    kept = found.frames > 0
    np.testing.assert_allclose(found.shares[kept], shares)
    np.testing.assert_allclose(found.scores[kept], scores)
    place = np.ceil(held * BINS)
    error = sum(abs(held[place == b].mean() - truth[place == b].mean()) * (place == b).mean() for b in np.unique(place))
    assert found.error == pytest.approx(error)


def test_a_perfect_score_has_no_error_and_a_sure_and_wrong_one_all():
    assert reliability(scored_rows([0.0, 1.0], [10, 5], [0, 5])).error == 0
    assert reliability(scored_rows([0.0, 1.0], [10, 5], [10, 0])).error == 1
    quarter = reliability(scored_rows([0.25], [16], [4]))
    assert quarter.error == 0 and quarter.frames.tolist() == [0, 0, 16, 0, 0, 0, 0, 0, 0, 0]


def test_scores_that_are_no_probabilities_have_no_reliability():
    assert reliability(scored_rows([-0.1, 0.5], [1, 1], [0, 1])) is None
    assert reliability(scored_rows([0.1, 1.5], [1, 1], [0, 1])) is None
    assert reliability(scored_rows([0.5], [0], [0])) is None
