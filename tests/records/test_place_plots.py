"""The plots of place and of operating points: every mark lies where its figure says."""

import numpy as np
import pytest

from vadbench.metrics.blind import BLIND
from vadbench.metrics.definitions import PLACE, MetricValue
from vadbench.metrics.glossary import FALSE_POSITIVE_RATES
from vadbench.records.place_plots import draw_operating, draw_place
from vadbench.scoring.rows import ScoredRows


def values(*numbers):
    return {key: MetricValue(value=v, low=v - 0.05, high=v + 0.05) for key, v in zip(PLACE, numbers, strict=True)}


def rows(scores, positives):
    positives = np.array(positives)
    ones, video = np.ones_like(positives), np.zeros_like(positives)
    return ScoredRows(video, ("v",), np.array(scores, float), ones, positives, None, None, ("Normal",), 0)


def test_dots_intervals_and_blind_marks_lie_at_their_figures():
    runs = {"one": values(0.9, 0.7, 0.8, 0.6, 0.75), "two": {"AUC": MetricValue(value=0.5)}}
    blind = {name: values(0.4, 0.45, 0.35, 0.3, 0.25 + 0.01 * i) for i, name in enumerate(BLIND)}
    (axes,) = draw_place(runs, blind).axes
    lines = [(line.get_marker(), line.get_label(), *map(list, line.get_data())) for line in axes.lines]
    dots = [x[0] for marker, _, x, _ in lines if marker == "o" and x]
    assert dots == pytest.approx([90, 70, 80, 60, 75, 50])
    bars = [x for marker, label, x, _ in lines if marker == "None" and label != "chance"]
    assert np.concatenate(bars) == pytest.approx([85, 95, 65, 75, 75, 85, 55, 65, 70, 80])
    marks = {label: (marker, x, y) for marker, label, x, y in lines if label in BLIND}
    assert set(marks) == set(BLIND)
    for i, name in enumerate(BLIND):
        assert marks[name][1] == pytest.approx([40, 45, 35, 30, 25 + i])
    # Scores that know the labels are apart from those that do not, so that equal ones do not hide each other.
    assert len({tuple(y) for _, _, y in marks.values()}) == 2


def test_runs_without_the_metrics_of_place_are_not_drawn():
    assert draw_place({"old": {"AUC": MetricValue(value=0.9)}}, {name: {} for name in BLIND}) is None


def test_recalls_at_the_fixed_rates_are_marked_on_a_logarithmic_axis():
    scores = np.arange(400)[::-1]
    positives = np.isin(np.arange(400), [1, 3, 7, 30])  # above 1, 2, 5 and 27 of 396 normal frames
    (axes,) = draw_operating({"one": rows(scores, positives.astype(int))}).axes
    assert axes.get_xscale() == "log"
    (marked,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert marked.get_xdata() == pytest.approx([100 * rate for rate in FALSE_POSITIVE_RATES])
    assert marked.get_ydata() == pytest.approx([50, 75, 75, 75])
    assert [text.get_text() for text in axes.texts] == ["50", "75", "75", "75"]


def test_frames_of_one_kind_have_no_operating_points():
    assert draw_operating({"one": rows([0.1, 0.2], [0, 0])}) is None
