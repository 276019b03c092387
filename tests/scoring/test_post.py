"""Each step of post-processing against a literal loop over rows, and what it leaves alone."""

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter1d

from splits import split
from vadbench.scoring.post import applied, processed, within_unit
from vadbench.scoring.post_steps import post_steps
from vadbench.scoring.split import ScoredSplit

DTYPES = st.sampled_from([np.float16, np.float32, np.float64])
VALUES = st.floats(-8, 8, width=16)


@st.composite
def curves(draw, values=VALUES):
    return draw(arrays.arrays(draw(DTYPES), st.integers(1, 40), elements=values))


def step(text, scores, stride=1):
    (one,) = post_steps(text)
    found = applied(one, scores, stride)
    assert found.dtype == scores.dtype and found.shape == scores.shape
    return found


def windows(scores, size):
    """The rows that exist of each window; an even one has one more row before than after."""
    for t in range(len(scores)):
        yield [float(scores[i]) for i in range(t - size // 2, t - size // 2 + size) if 0 <= i < len(scores)]


@given(curves(), st.integers(1, 100))
def test_moving_mean_is_the_mean_of_the_rows_that_exist(scores, size):
    literal = np.array([math.fsum(w) / len(w) for w in windows(scores, size)])
    # The smallest numbers of a dtype are further apart than any share of them.
    near = {
        "rtol": 1e-3 if scores.itemsize == 2 else 1e-6,
        "atol": max(1e-8, np.finfo(scores.dtype).smallest_subnormal),
    }
    assert np.allclose(step(f"moving-mean({size})", scores), literal, **near)


@given(curves(), st.integers(1, 100))
def test_median_is_that_of_the_rows_that_exist(scores, size):
    literal = np.array([statistics.median(w) for w in windows(scores, size)]).astype(scores.dtype)
    assert step(f"median({size})", scores).tolist() == literal.tolist()


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_a_long_curve_has_the_same_medians_in_pieces(monkeypatch, at_once):
    scores = np.random.default_rng(0).random(50)
    whole = step("median(8)", scores)
    monkeypatch.setattr("vadbench.scoring.post._SORTED_AT_ONCE", at_once)
    assert step("median(8)", scores).tolist() == whole.tolist()


@given(curves(), st.integers(1, 30), st.integers(1, 40))
def test_a_window_in_frames_is_that_of_the_nearest_number_of_rows_and_at_least_one(scores, frames, stride):
    rows = max(1, math.floor(frames / stride + 0.5))
    for name in ("moving-mean", "median"):
        assert step(f"{name}({frames}f)", scores, stride).tolist() == step(f"{name}({rows})", scores).tolist()


@given(st.sampled_from([np.float32, np.float64]), st.data())
def test_gaussian_is_scipys_to_the_bit(dtype, data):
    scores = data.draw(arrays.arrays(dtype, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32)))
    sigma = data.draw(st.sampled_from(["0.3", "1", "2.5", "10", "200"]))
    assert step(f"gaussian({sigma})", scores).tobytes() == gaussian_filter1d(scores, float(sigma)).tobytes()
    assert step(f"gaussian({sigma}f)", scores, 16).tobytes() == gaussian_filter1d(scores, float(sigma) / 16).tobytes()


@given(curves(), st.sampled_from(["", "(0.5)", "(0.1)", "(3)"]))
def test_centre_weight_is_its_formula(scores, given_spread):
    rows, s = len(scores), float(given_spread.strip("()") or 0.5)
    literal = [
        float(x) * math.exp(-(((t - (rows - 1) / 2) / (s * rows)) ** 2) / 2) for t, x in enumerate(scores.tolist())
    ]
    assert np.allclose(step(f"centre-weight{given_spread}", scores), np.array(literal).astype(scores.dtype), rtol=1e-3)
    assert np.allclose(step(f"centre-weight{given_spread}", scores.astype(np.float64)), literal, rtol=1e-13, atol=0)


@given(curves())
def test_logistic_is_its_formula(scores):
    literal = [1 / (1 + math.exp(-x)) for x in scores.tolist()]
    assert np.allclose(step("logistic", scores.astype(np.float64)), literal, rtol=1e-14, atol=0)
    assert np.allclose(step("logistic", scores), literal, rtol=1e-3)


@pytest.mark.filterwarnings("error")
def test_logistic_has_no_trouble_with_scores_far_from_0():
    for dtype in (np.float32, np.float64):
        assert step("logistic", np.array([-3e38, -1e4, 0, 1e4, 3e38], dtype)).tolist() == [0, 0, 0.5, 1, 1]


@given(st.lists(st.integers(-99_999, 99_999), min_size=1, max_size=20), st.integers(0, 5))
def test_round_keeps_decimals(numbers, decimals):
    """Away from halves, where decimal and binary fractions part: whole numbers of thousandths, plus a bit."""
    scores = np.array([n / 1000 + 0.0001 for n in numbers])
    assert step(f"round({decimals})", scores).tolist() == [round(x, decimals) for x in scores.tolist()]
    assert step(f"round({decimals})", scores.astype(np.float32)).tolist() == [
        float(np.float32(round(x, decimals))) for x in scores.astype(np.float32).tolist()
    ]


@pytest.mark.filterwarnings("error")
def test_rounding_leaves_numbers_that_have_no_decimals():
    assert step("round(15)", np.array([1e300, -1e300])).tolist() == [1e300, -1e300]
    assert step("round(15)", np.array([3e38], np.float32)).tolist() == np.array([3e38], np.float32).tolist()


@given(curves(st.floats(0, 1, width=16)), st.sampled_from(["moving-mean(7)", "median(4)", "centre-weight", "round(2)"]))
def test_scores_between_0_and_1_stay_there(scores, text):
    found = step(text, scores)
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("size", [2, 7, 40])
def test_equal_windows_have_equal_means_so_that_ties_stay_ties(size):
    """A running sum leaves a trace of what it passed, and would rank the normal frames behind an event."""
    scores = np.concatenate([np.full(100, 0.1), np.random.default_rng(1).random(50), np.full(100, 0.1)])
    found = step(f"moving-mean({size})", scores)
    assert len(set(found[size : 100 - size].tolist()) | set(found[150 + size : 250 - size].tolist())) == 1


def test_steps_are_taken_in_order_on_the_anomaly_score_and_every_branch_and_on_nothing_else():
    (scores, *_) = split(0).scores
    scores = replace(scores, extras={"speed": scores.anomaly * 3}, video={"": scores.classes[0]})
    found = processed(scores, "logistic, round(1), moving-mean(3)", 4)

    def literal(values):
        return step("moving-mean(3)", step("round(1)", step("logistic", values)))

    assert found.anomaly.tolist() == literal(scores.anomaly).tolist()
    assert {b: v.tolist() for b, v in found.branches.items()} == {
        b: literal(v).tolist() for b, v in scores.branches.items()
    }
    assert replace(found, anomaly=scores.anomaly, branches=scores.branches) == scores
    assert found.classes is scores.classes and found.extras is scores.extras and found.video is scores.video


def with_post(made: ScoredSplit, post: str) -> ScoredSplit:
    return replace(made, rules=made.rules.model_copy(update={"post": post}))


def test_a_split_keeps_what_was_given_beside_what_is_measured():
    made = split(2)
    smooth = with_post(made, "gaussian(8f)")
    assert [s.anomaly.tolist() for s in smooth.scores] == [
        gaussian_filter1d(s.anomaly, 2).tolist() for s in made.scores
    ]
    assert smooth.given is made.given and smooth.unprocessed.scores is made.given
    assert smooth.rows.scores.tolist() == np.concatenate([s.anomaly for s in smooth.scores]).tolist()
    assert made.scores is made.given


@pytest.mark.parametrize(
    ("post", "expected"),
    [("", False), ("gaussian(2)", False), ("logistic", True), ("round(3), logistic, median(3)", True)],
)
def test_only_the_logistic_step_brings_scores_between_0_and_1(post, expected):
    made = replace(with_post(split(1), post), unit_scores=False)
    assert made.rows.unit_scores is within_unit(post, False) is expected
    assert with_post(split(1), post).rows.unit_scores
