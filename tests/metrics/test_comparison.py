"""Paired differences, Holm's adjustment and standings: against plain loops, and on data with a known truth."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from intervals import widened
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.carriers import Carriers
from vadbench.metrics.comparison import holm, paired_difference, rank_column, seed_mean_interval
from vadbench.metrics.sweep import resampled_ap, resampled_auc
from vadbench.scoring.rows import WeightedRows

NAN = float("nan")
MANY = Carriers(500)


def around(*centres, seeds=3, resamples=1000, noise=0.02, own=0.0):
    """Samples of methods whose values move together with the resample, each seed a little by itself."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, noise, resamples)
    return [c + common + rng.normal(0, own or 1e-4, (seeds, resamples)) for c in centres]


def test_a_difference_is_read_off_resample_by_resample():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.8, 0.05, (3, 400)), rng.normal(0.78, 0.05, (2, 400))
    found = paired_difference(a, b, 0.81, 0.79, MANY)
    differences = [sum(a[s][i] for s in range(3)) / 3 - (b[0][i] + b[1][i]) / 2 for i in range(400)]
    below, above = sum(d <= 0 for d in differences), sum(d >= 0 for d in differences)
    assert 0 < below < above
    assert found.value == pytest.approx(0.02, abs=1e-15)
    assert (found.low, found.high) == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=1e-12)
    assert found.p == pytest.approx(2 * (1 + below) / 401, abs=1e-15)
    assert found.reason is None


def test_identical_samples_give_exactly_one():
    (a,) = around(0.8)
    for b in (a, a[::-1]):  # seeds in another order add up to other last bits
        found = paired_difference(a, b, 0.8, 0.8, MANY)
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_clear_difference_gives_the_smallest_p_there_is():
    a, b = around(0.9, 0.8)
    assert paired_difference(a, b, 0.9, 0.8, MANY).p == pytest.approx(2 / 1001)
    assert paired_difference(b, a, 0.8, 0.9, MANY).p == pytest.approx(2 / 1001)


@given(st.data())
def test_the_other_way_round_it_is_the_same_with_the_other_sign(data):
    numbers = st.lists(st.sampled_from([0.25, 0.5, 0.75, NAN]), min_size=20, max_size=20)
    a, b = (np.array([data.draw(numbers)]) for _ in range(2))
    one, other = paired_difference(a, b, 0.7, 0.5, MANY), paired_difference(b, a, 0.5, 0.7, MANY)
    assert (one.p, one.reason, one.value) == (other.p, other.reason, -other.value)
    if one.low is not None:
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)
        assert 2 / 21 <= one.p <= 1


def test_resamples_in_which_a_seed_is_undefined_are_left_out():
    a, b = around(0.8, 0.79, own=0.02)
    kept = np.arange(1000) % 3 > 0
    a[1, ~kept] = NAN
    assert paired_difference(a, b, 0.8, 0.79, MANY) == paired_difference(a[:, kept], b[:, kept], 0.8, 0.79, MANY)
    assert paired_difference(a, b, 0.8, 0.79, MANY).p != paired_difference(a[[0, 2]], b, 0.8, 0.79, MANY).p


def test_where_most_resamples_are_undefined_the_reason_is_said():
    a, b = around(0.9, 0.8)
    a[0, :501] = NAN
    found = paired_difference(a, b, 0.9, 0.8, MANY)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.value == pytest.approx(0.1)
    assert found.reason == "no interval: defined in only 499 of 1000 resamples"
    a[0, 500] = 0.9
    assert paired_difference(a, b, 0.9, 0.8, MANY).p == pytest.approx(2 / 501)
    assert seed_mean_interval(np.full((2, 10), NAN), MANY) == (None, None)


@pytest.mark.parametrize("videos", [1, 4])
def test_too_few_videos_give_neither_interval_nor_p(videos):
    """However clear the difference is."""
    a, b = around(0.9, 0.1)
    found = paired_difference(a, b, 0.9, 0.1, Carriers(videos, "mixed"))
    assert found.value == pytest.approx(0.8) and (found.low, found.high, found.p) == (None, None, None)
    some = "1 video" if videos == 1 else "4 videos"
    assert found.reason == f"too few videos to tell: {some} with frames of both kinds, fewer than 5"
    assert seed_mean_interval(a, Carriers(videos)) == (None, None)


def test_samples_of_other_draws_cannot_be_paired():
    with pytest.raises(ValueError, match="found 5 and 6 resamples"):
        paired_difference(np.zeros((1, 5)), np.zeros((1, 6)), 0, 0, MANY)


def test_the_interval_of_a_mean_over_seeds_is_that_of_the_means():
    rng = np.random.default_rng(2)
    samples = rng.random((3, 500))
    means = [(samples[0][i] + samples[1][i] + samples[2][i]) / 3 for i in range(500)]
    for videos in (5, 24, 500):
        expected = np.percentile(means, widened(videos))
        assert seed_mean_interval(samples, Carriers(videos)) == pytest.approx(expected, abs=1e-12)


# Holm's adjustment.


def step_down(p_values, alpha):
    """Holm's procedure as published: which hypotheses it rejects, the smallest p first, until one is too large."""
    rejected = [False] * len(p_values)
    for step, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] > alpha / (len(p_values) - step):
            break
        rejected[i] = True
    return rejected


def adjusted_one_by_one(p_values):
    """As statsmodels' multipletests(method="holm") defines it, one p-value at a time."""
    out = []
    for p in p_values:
        smaller = sorted(q for q in p_values if q <= p)
        out.append(min(1.0, max((len(p_values) - i) * q for i, q in enumerate(smaller))))
    return out


P_VALUES = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.025, 0.05, 1.0]), max_size=12)


@given(P_VALUES)
def test_holm_adjusts_as_defined(p_values):
    assert holm(p_values) == pytest.approx(adjusted_one_by_one(p_values), abs=1e-15)


@given(P_VALUES, st.sampled_from([0.01, 0.05, 0.3]))
def test_holm_rejects_what_the_published_procedure_rejects(p_values, alpha):
    found = holm(p_values)
    for p, rejected in zip(found, step_down(p_values, alpha), strict=True):
        if abs(p - alpha) > 1e-12:
            assert (p <= alpha) == rejected


def test_holm_on_a_worked_example():
    """Four p-values; by hand: 4 * 0.005, 3 * 0.01, then 2 * 0.03, and 0.04 not less than that."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


# Columns of a table.


def test_one_best_one_tied_one_behind():
    best, tied, behind = around(0.90, 0.899, 0.80, own=0.02)
    column = rank_column([0.80, 0.90, 0.899], [behind, best, tied], "higher")
    assert [(s.best, s.second, s.tied) for s in column] == [
        (False, False, False),
        (True, False, False),
        (False, True, True),
    ]
    clear, near = (paired_difference(best, other, 0, 0, MANY).p for other in (behind, tied))
    assert clear == pytest.approx(2 / 1001) and near > 0.05
    assert [s.p for s in column] == [pytest.approx(2 * clear), None, pytest.approx(near)]


def test_where_lower_is_better_the_lowest_is_best():
    low, high = around(0.1, 0.2)
    column = rank_column([0.2, 0.1], [high, low], "lower")
    assert [(s.best, s.second, s.tied) for s in column] == [(False, True, False), (True, False, False)]


def test_equal_values_share_a_place():
    a, b, c = around(0.9, 0.9, 0.8)
    column = rank_column([0.9, 0.8, 0.9, 0.8], [a, c, b, c], "higher")
    assert [(s.best, s.second) for s in column] == [(True, False), (False, True), (True, False), (False, True)]
    assert [s.p is None for s in column] == [True, False, True, False]


def test_rows_without_values_or_samples_are_not_compared():
    a, b = around(0.9, 0.9)
    column = rank_column([None, 0.9, 0.85, 0.8], [b, a, None, b], "higher")
    assert [(s.best, s.second, s.tied, s.p is None) for s in column] == [
        (False, False, False, True),
        (True, False, False, True),
        (False, True, False, True),
        (False, False, True, False),
    ]
    lost = rank_column([0.9, 0.8], [None, b], "higher")
    assert [(s.best, s.second, s.p) for s in lost] == [(True, False, None), (False, True, None)]
    assert [s.best for s in rank_column([None, None], [a, b], "higher")] == [False, False]
    assert rank_column([], [], "higher") == []


def test_more_rows_are_harder_to_tell_apart():
    """The same second row, told apart alone and not beside nine others."""
    rng = np.random.default_rng(3)
    best = np.zeros((1, 1000))
    second = np.where(np.arange(1000) < 8, 0.01, -0.01)[None]  # p = 2 * 9 / 1001
    others = [rng.normal(-0.001, 0.01, (1, 1000)) for _ in range(9)]
    assert not rank_column([0.9, 0.89], [best, second], "higher")[1].tied
    column = rank_column([0.9, 0.89, *[0.88] * 9], [best, second, *others], "higher")
    assert column[1].tied and column[1].p == pytest.approx(10 * 18 / 1001)


@given(
    st.lists(st.one_of(st.none(), st.sampled_from([0.1, 0.2, 0.3])), max_size=6), st.sampled_from(["higher", "lower"])
)
def test_best_and_second_are_those_of_a_sorted_list(values, better):
    places = sorted({v for v in values if v is not None}, reverse=better == "higher")
    column = rank_column(values, [None] * len(values), better)
    assert [s.best for s in column] == [bool(places) and v == places[0] for v in values]
    assert [s.second for s in column] == [len(places) > 1 and v == places[1] for v in values]


# On data whose truth is known.


def scored_videos(rng, videos, rows, *, shifts, effect):
    """Scores of methods on the same videos, all anomalous or all normal; a video's own effect is shared by all of them.

    A method of shift ``s`` has AUC ``Phi(s / sqrt(2 (1 + effect²)))``.
    """
    abnormal = rng.random(videos) < 0.5
    common = effect * rng.standard_normal(videos)
    video = np.repeat(np.arange(videos), rows)
    frames = np.full(len(video), 16)
    positives = frames * abnormal[video]
    return [
        WeightedRows(
            video, (s * abnormal + common)[video] + rng.standard_normal(len(video)), positives, frames - positives
        )
        for s in shifts
    ]


def true_auc(shift, effect):
    return NormalDist().cdf(shift / np.sqrt(2 * (1 + effect**2)))


def true_ap(shift, effect):
    """Precision integrated over recall on a fine grid, half of all frames being anomalous."""
    score = NormalDist(0, np.sqrt(1 + effect**2))
    grid = np.linspace(-8, 10, 20_001)
    recall = 1 - np.array([score.cdf(t - shift) for t in grid])
    false = 1 - np.array([score.cdf(t) for t in grid])
    precision = np.divide(recall, recall + false, out=np.ones_like(recall), where=recall + false > 0)
    return float(-np.trapezoid(precision, recall))


def test_the_truths_of_the_simulation_are_those_of_a_large_sample():
    rng = np.random.default_rng(0)
    (rows,) = scored_videos(rng, 20_000, 10, shifts=[1.5], effect=1.0)
    draw = np.ones((1, 20_000))
    labels = rows.positives > 0
    assert true_auc(1.5, 1.0) == pytest.approx(roc_auc_score(labels, rows.scores), abs=0.006)
    assert true_ap(1.5, 1.0) == pytest.approx(resampled_ap(rows, draw)[0], abs=0.006)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """400 data sets: each 95 % interval must hold the true value in 92 to 98 % of them."""
    effect, shifts, videos, simulations = 1.0, (1.5, 1.3), 150, 400
    auc, ap = ([truth(s, effect) for s in shifts] for truth in (true_auc, true_ap))
    truth = {"AUC": auc[0], "AP": ap[0], "AUC difference": auc[0] - auc[1], "AP difference": ap[0] - ap[1]}
    draws = draw_videos(videos, 1000)
    rng = np.random.default_rng(0)
    covered = dict.fromkeys(truth, 0)
    for _ in range(simulations):
        a, b = scored_videos(rng, videos, 8, shifts=shifts, effect=effect)
        for name, resampled in (("AUC", resampled_auc), ("AP", resampled_ap)):
            x, y = resampled(a, draws)[None], resampled(b, draws)[None]
            low, high = seed_mean_interval(x, MANY)
            covered[name] += low <= truth[name] <= high
            found = paired_difference(x, y, 0, 0, MANY)
            covered[f"{name} difference"] += found.low <= truth[f"{name} difference"] <= found.high
    shares = {name: count / simulations for name, count in covered.items()}
    assert all(0.92 <= share <= 0.98 for share in shares.values()), shares


def test_equal_methods_are_told_apart_as_seldom_as_the_level_says():
    """Other noise, same shift: p is at most 0.05 in some 5 % of 400 data sets."""
    rng = np.random.default_rng(0)
    draws = draw_videos(100, 400)
    p_values = []
    for _ in range(400):
        a, b = (resampled_auc(rows, draws)[None] for rows in scored_videos(rng, 100, 8, shifts=(1.0, 1.0), effect=1.0))
        p_values.append(paired_difference(a, b, 0, 0, MANY).p)
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.08
