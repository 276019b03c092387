"""Curves that stay small, and keep what is highest and lowest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.score_curve import ScoreCurve


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=200), st.integers(1, 30))
def test_a_curve_keeps_the_extremes_in_bounded_space(scores, size):
    curve, size = ScoreCurve(2 * size), 2 * size
    for first in range(0, len(scores), 7):
        part = np.float32(scores[first : first + 7])
        curve.add(StreamedRows(first, np.arange(first, first + len(part), dtype=float), part, None))
    assert len(curve.times) == len(curve.scores) <= size
    assert max(curve.scores) == max(np.float32(scores))
    assert min(curve.lows) == min(np.float32(scores))
    each = 2 ** max(0, int(np.ceil(np.log2(len(scores) / size))))
    assert curve.times == list(range(0, len(scores), each))
    assert curve.scores == [max(np.float32(scores[i : i + each])) for i in range(0, len(scores), each)]
    assert curve.lows == [min(np.float32(scores[i : i + each])) for i in range(0, len(scores), each)]


def test_a_curve_is_drawn_from_0_to_1_or_as_far_as_its_scores_go():
    spans = {unit: ScoreCurve(times=[0.0, 1.0], scores=[0.2, 0.4], unit=unit).span(0.5) for unit in (True, False)}
    assert spans == {True: (0, 1), False: (0.2, 0.5)}
    assert ScoreCurve(times=[0.0], scores=[7.0]).span(-3.0) == (-3, 7)
    assert ScoreCurve(times=[0.0], scores=[2.0], unit=False).span(2.0) == (2, 3)


def test_scores_of_a_quarter_of_the_axis_have_one_of_their_own():
    def fitted(scores, threshold, unit=True):
        curve = ScoreCurve(unit=unit)
        curve.add(StreamedRows(0, np.arange(len(scores), dtype=float), np.array(scores, np.float32), None))
        return curve.fitted(threshold)

    assert fitted([0.43, 0.51], 0.86) == pytest.approx((0.43, 0.51))
    assert fitted([0.2, 0.5], 0.4) is None and fitted([0.3, 0.3], 0.4) is None
    assert fitted([2, 5], 9, unit=False) is None and fitted([2, 3], 9, unit=False) == (2, 3)


def test_a_curve_keeps_the_highest_probability_of_each_class():
    curve = ScoreCurve(2)
    shares = np.float32([[0.1, 0.9], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    curve.add(StreamedRows(0, np.arange(4.0), shares[:, 0], shares))
    assert np.array(curve.classes).tolist() == np.float32([[0.4, 0.9], [0.3, 0.8]]).tolist()
