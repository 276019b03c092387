"""Events against a plain reading of their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.dataset import ClassTable, VideoClass
from vadbench.watch.events import JOINED_SECONDS, EventFinder
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.thresholds import EventThreshold

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal"), VideoClass("Fighting")), 1)


def found(
    scores, threshold, step=0.5, stride=4, sizes=(3,), classes=None, starts=None, end=None, frames=None, low=None,
    shortest=0.0,
):  # fmt: skip
    scores = np.asarray(scores, np.float32)
    starts = np.arange(len(scores)) * step if starts is None else np.asarray(starts, float)
    at = EventThreshold(threshold, threshold if low is None else low, "")
    finder, events, first, turn = EventFinder(at, TABLE, stride, shortest), [], 0, 0
    while first < len(scores):
        part = slice(first, first + sizes[turn % len(sizes)])
        own = None if classes is None else np.asarray(classes, np.float32)[part]
        events += finder.add(StreamedRows(first, starts[part], scores[part], own))
        first, turn = part.stop, turn + 1
    last = len(scores) * step if end is None else end
    return [*events, *finder.finish(last, len(scores) * stride if frames is None else frames)]


def by_definition(scores, high, low, step, shortest):
    """First and last row of each event, read off the definition: rows at or above ``low`` from one at or above ``high``
    on, joined where what is between lasts a second, without those that are too short."""
    scores = np.float32(scores).astype(float)  # beside float32, thresholds would be rounded to it
    begun = [i for i in range(len(scores)) if scores[i] >= high]
    spans = [(i, next((j for j in range(i, len(scores)) if scores[j] < low), len(scores)) - 1) for i in begun]
    groups = []
    for first, last in spans:
        if groups and (first - groups[-1][1] - 1) * step <= JOINED_SECONDS + 1e-9:
            groups[-1][1] = max(last, groups[-1][1])
        else:
            groups.append([first, last])
    return [(a, b) for a, b in groups if (b + 1 - a) * step >= shortest]


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40),
    st.floats(0, 1, width=32),
    st.floats(0, 1),
    st.sampled_from([0.25, 0.5, 0.75, 1.5]),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.sampled_from([0, 1, 1.5, 3]),
)
def test_events_are_what_their_definition_says(scores, high, share, step, sizes, shortest):
    low = high * share
    events = found(scores, high, step, 4, sizes, low=low, shortest=shortest)
    groups = by_definition(scores, high, low, step, shortest)
    assert [(e.first_frame, e.end_frame) for e in events] == [(a * 4, (b + 1) * 4) for a, b in groups]
    assert [(e.start, e.end) for e in events] == [(a * step, (b + 1) * step) for a, b in groups]
    for event, (a, b) in zip(events, groups, strict=True):
        rows = np.float32(scores[a : b + 1]).astype(float)
        assert event.peak == rows.max() and event.peak_frame == (a + rows.argmax()) * 4
        assert event.peak_time == (a + rows.argmax()) * step
        assert event.mean == pytest.approx(rows.mean()) and event.label == ""


def test_an_event_lasts_until_a_row_is_below_the_lower_threshold_and_not_too_short_a_time():
    scores = [0.6, 0.9, 0.6, 0.6, 0.3, 0.6, 0.6, 0.6, 0.9, 0.3]
    spans = [(e.start, e.end) for e in found(scores, 0.8, 1.0, low=0.5)]
    assert spans == [(1.0, 4.0), (8.0, 9.0)]
    assert [(e.start, e.end) for e in found(scores, 0.8, 1.0, low=0.5, shortest=3.0)] == spans[:1]


def test_an_event_at_the_end_ends_with_the_video():
    (event,) = found([0.1, 0.9, 0.9], 0.5, end=1.3, frames=10)
    assert (event.start, event.end, event.first_frame, event.end_frame) == (0.5, 1.3, 4, 10)


def test_times_are_the_container_s_even_where_they_are_uneven():
    (event,) = found([0, 1, 1, 0, 0], 0.5, starts=[0, 3, 3.1, 7, 8], end=9)
    assert (event.start, event.end) == (3, 7)


def test_the_class_is_the_abnormal_one_that_is_likeliest_over_the_event():
    classes = [[0.0, 1.0, 0.0], [0.3, 0.6, 0.1], [0.0, 0.7, 0.3], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]]
    (event,) = found([0, 1, 1, 1, 0], 0.5, classes=classes)
    assert event.label == "Fire"
    # Rows behind the event that might have joined it have no say.
    classes = [[0.0, 0.6, 0.4], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    assert [e.label for e in found([1, 0, 0], 0.5, classes=classes)] == ["Fighting"]


def test_nothing_reaches_a_high_threshold():
    assert found([0.2, 0.4], 0.5) == []


def test_plain_values_have_no_false_digits():
    (event,) = found([0.9, 0.8], 0.5, step=1 / 3)
    values = event.to_dict()
    assert values["peak"] == 0.9 and values["mean"] == 0.85 and values["end"] == 0.667 and values["class"] == ""


def test_an_event_has_the_first_different_remarks_on_its_rows_that_reach_the_threshold():
    said = [["before"], ["a man", "runs"], ["in the gap"], ["a man"], ["w" * 400], *([str(i)] for i in range(20))]
    scores = np.array([0, 1, 0, *[1] * 22], np.float32)
    rows = StreamedRows(0, np.arange(25) * 0.5, scores, None, said)
    scores[6] = 0.3
    finder = EventFinder(EventThreshold(0.5, 0.2, ""), TABLE, 4)
    (event,) = [*finder.add(rows), *finder.finish(12.5, 100)]
    assert event.remarks == ("a man", "runs", "w" * 297 + "...", *map(str, (0, 2, 3, 4, 5, 6, 7)))
    assert event.to_dict()["remarks"].startswith("a man; runs; www")
    assert "remarks" not in found([1], 0.5)[0].to_dict()
