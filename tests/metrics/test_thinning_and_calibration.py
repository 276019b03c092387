"""What pictures need of scores: curves of few points, and whether scores can be read as probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from vadbench.metrics.calibration import BINS, reliability
from vadbench.metrics.curves import thinned
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
