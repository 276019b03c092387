"""Operating points against trying every threshold on frames written out one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from drawn_rows import drawn_rows, rows_of, videos_of
from literal_metrics import operating
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.operating import FALSE_FRAMES, RECALLS, RESAMPLED


def literal(rows):
    videos = videos_of(rows)
    scores, truth = (np.concatenate(parts) for parts in zip(*videos, strict=True))
    return operating(videos, scores, truth, rows.hours) | {"distinct": len(set(scores.tolist())) or None}


@given(drawn_rows(videos=12, longest=20))
@settings(max_examples=200)
def test_operating_points_equal_trying_every_threshold(rows):
    found = evaluate(rows)
    expected = literal(rows)
    assert {key: found[key].value for key in expected} == pytest.approx(expected, abs=1e-12)
    assert expected.keys() == {*RESAMPLED, "distinct"}
    for key in expected:
        assert found[key].value is not None or found[key].reason


def counted(scores, positives, negatives, video=None, hours=None):
    """One video for each row unless told otherwise."""
    positives, negatives = np.array(positives), np.array(negatives)
    video = np.arange(len(scores)) if video is None else np.array(video)
    return rows_of(video, np.array(scores), positives + negatives, positives, hours)


@pytest.mark.parametrize("normal", [100, 300, 1100, 70_000])
@pytest.mark.parametrize("rate", sorted(RECALLS))
def test_a_rate_that_is_just_met_is_met(rate, normal):
    """Whatever 0.01 or 0.03 times the number of frames rounds to."""
    allowed = round(normal * rate)
    rows = counted([0.9, 0.8, 0.7], [0, 50, 50], [allowed, 0, normal - allowed])
    assert evaluate(rows)[RECALLS[rate]].value == 0.5
    rows = counted([0.9, 0.8, 0.7], [0, 50, 50], [allowed + 1, 0, normal - allowed - 1])
    assert evaluate(rows)[RECALLS[rate]].value == 0


@pytest.mark.parametrize("anomalous", [20, 60, 140, 1100, 7_000])
def test_a_share_of_positives_that_is_just_reached_is_reached(anomalous):
    enough = round(0.95 * anomalous)
    found = evaluate(counted([0.9, 0.5, 0.1], [enough, 0, anomalous - enough], [0, 10, 30]))
    assert found["FPR@95TPR"].value == 0
    found = evaluate(counted([0.9, 0.5, 0.1], [enough - 1, 0, anomalous - enough + 1], [0, 10, 30], [0, 1, 0]))
    assert found["FPR@95TPR"].value == 1


def test_no_recall_at_a_rate_that_no_threshold_keeps_to_says_so():
    found = evaluate(counted([0.9, 0.1], [40, 10], [3, 97]))
    assert found["recall@2%FPR"].value == 0
    assert found["recall@2%FPR"].reason == "no threshold is as strict: 3.0% of the normal frames have the highest score"
    assert (found["recall@3%FPR"].value, found["recall@3%FPR"].reason) == (0.8, None)


def test_nothing_found_by_a_strict_threshold_is_a_plain_zero():
    found = evaluate(counted([0.9, 0.1], [0, 50], [1, 99]))
    assert (found["recall@1%FPR"].value, found["recall@1%FPR"].reason) == (0, None)


def test_false_frames_are_those_of_normal_videos_at_the_highest_threshold_of_the_recall():
    """The normal video has 4 of 400 frames at 0.8 and 4 at 0.6, where nothing more is found; the abnormal one 2."""
    scores, video = [0.9, 0.8, 0.1, 0.8, 0.6, 0.1], [0, 0, 0, 1, 1, 1]
    rows = counted(scores, [0, 30, 20, 0, 0, 0], [2, 0, 0, 4, 4, 390], video, hours=np.array([1.0, 0.5]))
    found = evaluate(rows)
    assert found["recall@2%FPR"].value == found["recall@3%FPR"].value == 0.6
    assert found["false-frames-per-hour@2%FPR"].value == found["false-frames-per-hour@3%FPR"].value == 4 / 0.5
    assert (found["recall@1%FPR"].value, found["false-frames-per-hour@1%FPR"].value) == (0, 0)


def test_false_frames_need_the_rate_of_every_normal_video():
    rows = counted([0.9, 0.1, 0.2], [50, 0, 0], [0, 50, 50])
    for hours, some in ((None, "the"), ([1, np.nan, np.nan], "the"), ([np.nan, 1, np.nan], "1 of the 2")):
        known = replace(rows, hours=None if hours is None else np.array(hours, float))
        for key in FALSE_FRAMES.values():
            value = evaluate(known)[key]
            assert (value.value, value.reason) == (None, f"the frame rate of {some} normal videos is not known")
    assert evaluate(replace(rows, hours=np.array([np.nan, 1, 1])))["false-frames-per-hour@1%FPR"].value == 0


def test_what_is_undefined_says_why():
    normal = evaluate(counted([0.9, 0.1], [0, 0], [5, 5]))
    assert {normal[key].reason for key in RESAMPLED} == {"the split has only normal frames"}
    assert normal["distinct"].value == 2
    abnormal = evaluate(counted([0.9, 0.1], [5, 5], [5, 5]))
    assert abnormal["recall@1%FPR"].value is not None
    for key in ("FPR@95TPR", "false-frames-per-hour@1%FPR"):
        assert (abnormal[key].value, abnormal[key].reason) == (None, "the split has no normal video")


def test_scores_of_rows_without_frames_are_not_counted():
    found = evaluate(counted([0.9, 0.5, 0.5, -0.0, 0.0], [0, 3, 0, 0, 1], [0, 0, 4, 2, 2]))
    assert found["distinct"].value == 2
