"""Thresholds against their written rules, from windows of any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import median_abs_deviation

from vadbench.watch.thresholds import GIVEN, ScoreSample, calibrated_threshold, end_note, fixed_threshold, own_threshold


def drawn(seed=0, count=999, level=0.1):
    return expit(np.random.default_rng(seed).normal(logit(level), 1.2, count)).astype(np.float32)


def test_a_video_s_own_threshold_is_its_median_and_three_spreads_in_log_odds():
    scores = drawn()
    odds = logit(scores.astype(float))
    rise = 3 * median_abs_deviation(odds, scale="normal")
    assert rise > 2
    found = own_threshold(scores, unit=True)
    assert found.value == pytest.approx(expit(np.median(odds) + rise), rel=1e-4)
    assert found.low == pytest.approx(expit(np.median(odds) + rise / 2), rel=1e-4)
    assert "of the video itself" in found.origin


@pytest.mark.parametrize("level", [0.05, 0.5, 0.97])
def test_it_is_two_log_odds_above_the_median_of_a_video_in_which_nothing_moves(level):
    found = own_threshold(np.linspace(level - 1e-3, level + 1e-3, 101), unit=True)
    assert found.value == pytest.approx(expit(logit(level) + 2), rel=1e-3)


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_equal_scores_are_no_event(unit, level):
    scores = np.full(50, level, np.float32)
    assert own_threshold(scores, unit).low > level and calibrated_threshold(scores, unit, "q").low > level


def test_scores_without_limits_have_no_least_rise():
    scores = np.concatenate([np.random.default_rng(0).normal(50, 2, 999), [90.0]])
    found = own_threshold(scores, unit=False)
    spread = median_abs_deviation(scores, scale="normal")
    assert found.value == pytest.approx(np.median(scores) + 3 * spread)
    assert own_threshold([0.0] * 9 + [8.0], unit=False).value == 4


def test_a_calibrated_threshold_lies_a_quarter_above_the_99th_percentile():
    scores = drawn(1)
    odds = logit(scores.astype(float))
    high, level = np.quantile(odds, 0.99), np.median(odds)
    found = calibrated_threshold(scores, True, "quiet.mp4")
    assert found.value == pytest.approx(expit(high + (high - level) / 4), rel=1e-4)
    assert found.low == pytest.approx(np.quantile(scores, 0.99), rel=1e-2)
    assert "999 rows of quiet.mp4" in found.origin
    plain = calibrated_threshold(np.arange(101.0), False, "q")
    assert (plain.low, plain.value) == (99, 99 + 49 / 4)


def test_a_threshold_that_was_given_is_kept_and_events_end_an_odds_ratio_of_e_below():
    assert fixed_threshold(0.5, "given").value == 0.5
    assert fixed_threshold(0.5, "given").low == pytest.approx(1 / (1 + np.e))
    for value, unit in ((0.0, True), (1.0, True), (7.0, False)):
        assert fixed_threshold(value, "given", unit).low == value


def test_an_end_that_was_given_is_kept_and_one_below_half_of_the_scores_is_noted():
    assert fixed_threshold(0.5, GIVEN, low=0.47).low == 0.47 and fixed_threshold(7.0, GIVEN, False, 3.0).low == 3
    assert end_note(fixed_threshold(0.5, GIVEN), 0.2) == ""
    assert end_note(fixed_threshold(0.5, GIVEN), 0.44) == (
        "events end below 0.2689, but half of the rows are not below it, so an event may not end; raise --threshold-end"
    )
    assert end_note(fixed_threshold(0.5, "of a run"), 0.44).endswith("; give --threshold and --threshold-end")


def test_a_threshold_near_1_is_told_from_1():
    found = fixed_threshold(0.99999991, "given")
    assert found.words == "1 - 9e-08, events end below 1 - 2.7e-06 (given)"
    assert fixed_threshold(0.5, "given").words == "0.5, events end below 0.2689 (given)"
    assert fixed_threshold(1.0, "given").words == "1 (given)"


@given(st.integers(1, 200_000), st.lists(st.integers(1, 70_000), min_size=1, max_size=4))
def test_a_sample_is_bounded_and_the_same_from_any_windows(count, sizes):
    scores, sample, done, turn = np.arange(count, dtype=np.float32), ScoreSample(), 0, 0
    while done < count:
        sample.add(scores[done : done + sizes[turn % len(sizes)]])
        done, turn = done + sizes[turn % len(sizes)], turn + 1
        if turn > 50:
            sizes = [count]
    each = 2 ** max(0, int(np.ceil(np.log2(count / 65_536))))
    assert np.array_equal(sample.values, scores[::each])
