"""Post-processing of scores that come in windows: the same as of whole videos, as early as can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vadbench.base.errors import ConfigError, UnknownNameError
from vadbench.base.remarks import Remarks
from vadbench.scoring.post import processed
from vadbench.scoring.video_scores import VideoScores
from vadbench.watch.smoothing import processed_windows, streamed_post

STEPS = ["gaussian(2)", "gaussian(12f)", "moving-mean(1)", "moving-mean(4)", "median(5)", "logistic", "round(2)"]


def windows(count, cuts, seed=0):
    """Scores of a video whole, and in windows that end at the cuts."""
    rng = np.random.default_rng(seed)
    anomaly, classes = rng.random(count).astype(np.float32), rng.random((count, 3)).astype(np.float32)
    texts = [f"text {i // 3 % 4}" for i in range(count)]
    ends = sorted({cut for cut in cuts if 0 < cut < count} | {count})

    def part(first, end):
        said = Remarks.of_rows(texts[first:end])
        return VideoScores("v", 0, anomaly[first:end], classes[first:end], costs={"calls": 1}, remarks=said)

    starts = [0, *ends[:-1]]
    return part(0, count), [(a, part(a, b)) for a, b in zip(starts, ends, strict=True)]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.lists(st.integers(1, 89), max_size=12),
    st.lists(st.sampled_from(STEPS), min_size=1, max_size=3).map(", ".join),
)
def test_windows_are_processed_as_the_whole_video(count, cuts, post):
    whole, parts = windows(count, cuts)
    expected = processed(whole, post, 3)
    done = 0
    found = []
    for first, scores in processed_windows(parts, post, 3):
        assert first == done
        done += len(scores.anomaly)
        found.append(scores)
    assert done == count
    np.testing.assert_array_equal(np.concatenate([s.anomaly for s in found]), expected.anomaly)
    np.testing.assert_array_equal(np.concatenate([s.classes for s in found]), whole.classes)
    assert [t for s in found for t in s.remarks.on_each(len(s.anomaly))] == whole.remarks.on_each(count)
    assert sum(s.costs.get("calls", 0) for s in found) <= len(parts)


def test_a_row_waits_for_those_behind_it_and_no_longer():
    _, parts = windows(60, range(1, 60))
    given_first = []

    def counted():
        for part in parts:
            given_first.append(part[0])
            yield part

    for first, scores in processed_windows(counted(), "gaussian(2), moving-mean(3)", 1):
        if first < 60 - 9 - 1:
            assert len(scores.anomaly) == 1 and given_first[-1] == first + 9


def test_nothing_comes_of_nothing():
    assert list(processed_windows([], "gaussian(2)", 1)) == []


def test_what_depends_on_the_length_of_the_video_is_refused():
    assert streamed_post("gaussian( 50.0f )", 16) == "gaussian(50f)" and streamed_post("none", 1) == ""
    with pytest.raises(ConfigError, match=r"'logistic, centre-weight' depends on the length of the video.*--post none"):
        streamed_post("logistic, centre-weight", 1)
    with pytest.raises(UnknownNameError, match="did you mean 'gaussian'"):
        streamed_post("gausian(2)", 1)
