"""Events against a literal version that walks over single frames: what is predicted, matched, hit, late and false."""

import dataclasses
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splits import TABLE
from vadbench.dataset import Segment, Video, merged
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.event_counts import KEYS, event_threshold, find_events
from vadbench.metrics.glossary import EVENT_IOUS
from vadbench.metrics.measurement import measure, resampled
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores


def of_frames(scores, stride, tail):
    """The score of every frame of a video, one by one."""
    rows = list(scores.anomaly)
    frames = scores.frames if tail == "hold" else len(rows) * stride
    return [float(rows[min(f // stride, len(rows) - 1)]) for f in range(frames)]


def intervals(frames):
    """The longest runs of consecutive numbers, as half-open intervals."""
    found = []
    for f in sorted(frames):
        if found and found[-1][1] == f:
            found[-1][1] = f + 1
        else:
            found.append([f, f + 1])
    return [tuple(i) for i in found]


def literal_threshold(split):
    """The run's own, else the lowest float that at most 1 % of the frames of normal videos reach."""
    if split.threshold is not None:
        return split.threshold
    videos = zip(split.scores, split.videos, strict=True)
    curves = [of_frames(s, split.stride, split.rules.tail) for s, v in videos if not anomalous(s, v, split)]
    frames = sorted((f for curve in curves for f in curve), reverse=True)
    if not frames:
        return None
    # The lowest number above the score that one frame too many has.
    return float(np.nextafter(np.float32(frames[len(frames) // 100]), np.float32(np.inf)))


def anomalous(scores, video, split):
    counted = len(of_frames(scores, split.stride, split.rules.tail))
    return any(f < counted for start, end in video.runs for f in range(start, end))


def literal(split, copies=None):
    """Every metric of the videos, each as often as it is drawn, ``None`` where undefined."""
    threshold = literal_threshold(split)
    if threshold is None:
        return dict.fromkeys(KEYS)
    right, predicted, annotated, hits, alarms, hours = Counter(), 0, 0, 0, 0, 0.0
    delays, seconds, normal = [], [], False
    drawn = range(len(split.videos)) if copies is None else [v for v, n in enumerate(copies) for _ in range(int(n))]
    for scores, video in ((split.scores[v], split.videos[v]) for v in drawn):
        curve = of_frames(scores, split.stride, split.rules.tail)
        reached = {f for f, score in enumerate(curve) if score >= threshold}
        events = intervals(reached)
        found = {(s.start, s.end) for s in video.segments}
        covered = {f for start, end in found for f in range(start, end)}
        if covered != {f for start, end in video.runs for f in range(start, end)}:
            found = set(video.runs)
        truth = sorted({(a, min(b, len(curve))) for a, b in found if a < min(b, len(curve))})
        predicted, annotated = predicted + len(events), annotated + len(truth)
        if not anomalous(scores, video, split):
            normal, alarms = True, alarms + len(events)
            hours += np.nan if scores.rate is None else len(curve) / scores.rate / 3600
        pairs = []
        for event in events:
            for segment in truth:
                shared = len(set(range(*event)) & set(range(*segment)))
                pairs.append((-Fraction(shared, len(set(range(*event)) | set(range(*segment)))), event, segment))
        for iou in EVENT_IOUS:
            taken = set()
            for minus, event, segment in sorted(pairs):
                if -minus >= Fraction(str(iou)) and not taken & {("event", event), ("segment", segment)}:
                    taken |= {("event", event), ("segment", segment)}
                    right[iou] += 1
        for start, end in truth:
            if first := sorted(reached & set(range(start, end)))[:1]:
                hits += 1
                delays.append(first[0] - start)
                seconds.append(np.nan if scores.rate is None else delays[-1] / scores.rate)
    values = dict.fromkeys(KEYS)
    if annotated:
        values["hit"] = hits / annotated
        for iou in EVENT_IOUS:
            values[f"event-recall@{iou}"] = right[iou] / annotated
            values[f"event-precision@{iou}"] = right[iou] / predicted if predicted else None
            values[f"event-F1@{iou}"] = 2 * right[iou] / (annotated + predicted)
    if delays:
        values["delay"] = np.median(delays)
        values["delay/seconds"] = None if np.isnan(seconds).any() else np.median(seconds)
    if normal:
        values["false-alarms-per-hour"] = None if np.isnan(hours) else alarms / hours
    return values


@st.composite
def splits(draw):
    """A small split with all that a real one may hold."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stride, tail = draw(st.sampled_from([1, 3, 16])), draw(st.sampled_from(["hold", "rows"]))
    levels, rated = draw(st.sampled_from([1, 2, 9])), draw(st.sampled_from(["all", "most", "none"]))
    scores, videos = [], []
    for i in range(draw(st.integers(1, 5))):
        rows = int(rng.integers(1, 14))
        # Down to one frame, so that the last rows may stand for none; up to a tail behind the last row.
        frames = int(rng.integers(max(1, (rows - 2) * stride), rows * stride + 3))
        curve = (rng.integers(0, levels + 1, rows) / levels).astype(np.float32)
        segments = []
        for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.7 else 0):
            first = int(rng.integers(frames))
            segments.append((first, min(frames + 2, first + int(rng.integers(1, 2 + frames // 2)))))
            if rng.random() < 0.3 and segments[-1][1] < frames:
                segments.append((segments[-1][1], segments[-1][1] + 1))  # touches it
        named = [Segment(str(rng.choice(["Riot", "Car_accident"])), *s) for s in segments]
        named += [Segment("Riot", *s) for s in segments if rng.random() < 0.3]
        covered = [f for f in range(frames) if rng.random() < 0.5]
        binary = tuple(intervals(covered)) if rng.random() < 0.2 else None
        labels = ("Riot",) if named else ("Normal",)
        rate = {"all": 25.0, "most": 12.5 if rng.random() < 0.9 else None, "none": None}[rated]
        videos.append(Video(f"v{i}", labels, segments=tuple(named), binary=binary))
        scores.append(VideoScores(f"v{i}", frames, curve, None, rate=rate))
    own = draw(st.sampled_from([None, -1.0, 0.0, 0.5, 0.7, 1.0, 2.0]))
    rules = NATIVE.rules.model_copy(update={"tail": tail})
    return ScoredSplit(scores, videos, stride, TABLE, rules, threshold=own)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == (None if value is None else pytest.approx(value, rel=1e-12, abs=1e-15)), key


@settings(max_examples=300)
@given(splits())
def test_events_are_those_of_a_loop_over_frames(split):
    metrics = find_events(split).metrics()
    assert_equal({key: value.value for key, value in metrics.items()}, literal(split))
    assert all((value.value is None) == bool(value.reason) for value in metrics.values())


@settings(max_examples=60)
@given(splits(), st.integers(0, 9))
def test_resamples_are_the_same_loop_over_the_drawn_videos(split, seed):
    # The threshold is that of the whole split, in resamples as well.
    fixed = dataclasses.replace(split, threshold=literal_threshold(split))
    draws = draw_videos(len(split.videos), 6, seed)
    found = find_events(split).resampled(draws)
    whole = literal(split)
    for i, copies in enumerate(draws):
        expected = literal(fixed, copies) if fixed.threshold is not None else whole
        drawn = {key: None if np.isnan(values[i]) else float(values[i]) for key, values in found.items()}
        # A rate that the whole split lacks leaves every resample undefined.
        kept = [key for key in KEYS if whole[key] is not None or not key.endswith(("seconds", "hour"))]
        assert_equal({key: drawn[key] for key in kept}, {key: expected[key] for key in kept})


def split_of(*videos, threshold=0.5, stride=4, rate=10.0):
    """A split of videos as (scores of rows, segments), four frames a row."""
    scores, truth = [], []
    for i, (rows, segments) in enumerate(videos):
        labels = ("Riot",) if segments else ("Normal",)
        truth.append(Video(f"v{i}", labels, segments=tuple(Segment("Riot", *s) for s in segments)))
        scores.append(VideoScores(f"v{i}", len(rows) * stride, np.array(rows, np.float32), None, rate=rate))
    return ScoredSplit(scores, truth, stride, TABLE, NATIVE.rules, threshold=threshold)


def values(split):
    return {key: value.value for key, value in find_events(split).metrics().items()}


def reasons(split):
    return {key: value.reason for key, value in find_events(split).metrics().items()}


def test_events_at_both_ends_are_whole_and_do_not_join_those_of_the_next_video():
    found = values(split_of(([1, 0, 1], [(0, 4), (8, 12)]), ([1, 0, 0], [(0, 4)]), ([1, 1, 1], [])))
    assert found["event-recall@0.5"] == 1 and found["event-precision@0.5"] == 3 / 4
    assert found["false-alarms-per-hour"] == 1 / (12 / 10 / 3600) and found["delay"] == 0


def test_one_event_over_two_touching_segments_finds_only_one():
    found = values(split_of(([1, 1, 0], [(0, 4), (4, 8)]), ([0], [])))
    assert (found["event-recall@0.5"], found["event-precision@0.5"], found["hit"]) == (0.5, 1, 1)


def test_a_segment_of_two_classes_is_one():
    video = Video("v0", ("Riot",), segments=(Segment("Riot", 0, 4), Segment("Car_accident", 0, 4)))
    made = dataclasses.replace(split_of(([1, 0], [(0, 4)])), videos=[video])
    assert find_events(made).annotated.tolist() == [1]


def test_the_largest_overlap_is_matched_first_and_equal_ones_by_their_start():
    # Rows 1 and 3 each share a quarter of [4, 20): the earlier takes it, and leaves the later to [12, 16).
    found = find_events(split_of(([0, 1, 0, 1, 0], [(4, 20), (12, 16)])))
    assert found.matched.tolist() == [[2, 1, 1]]


def test_delay_counts_hit_segments_only_and_is_in_seconds_by_each_videos_rate():
    made = split_of(([0, 1, 1, 1], [(1, 16)]), ([0, 0, 1, 1], [(0, 16)]), ([0, 0, 0, 0], [(0, 16)]))
    rates = [dataclasses.replace(s, rate=r) for s, r in zip(made.given, (10.0, 20.0, None), strict=True)]
    made = dataclasses.replace(made, given=rates)
    found = values(made)
    assert (found["delay"], found["hit"]) == (5.5, 2 / 3)
    assert found["delay/seconds"] == pytest.approx((3 / 10 + 8 / 20) / 2)
    made = dataclasses.replace(made, given=[*rates[:1], dataclasses.replace(rates[1], rate=None), rates[2]])
    assert values(made)["delay"] == 5.5 and values(made)["delay/seconds"] is None
    assert (
        "frame rate of 1 videos in which" in reasons(made)["delay/seconds"] and "'v1'" in reasons(made)["delay/seconds"]
    )


def test_nothing_predicted_has_no_precision_and_an_f1_of_0():
    made = split_of(([0, 0], [(0, 4)]), ([0, 0], []))
    found, why = values(made), reasons(made)
    assert (found["event-F1@0.1"], found["event-recall@0.1"], found["hit"]) == (0, 0, 0)
    assert found["event-precision@0.1"] is None and "no frame reaches" in why["event-precision@0.1"]
    assert found["delay"] is None and "no frame of an annotated segment" in why["delay"]
    assert found["false-alarms-per-hour"] == 0


def test_without_segments_or_normal_videos_what_needs_them_is_undefined():
    normal, abnormal = split_of(([1, 0], [])), split_of(([1, 0], [(0, 4)]))
    defined = {key for key, value in values(normal).items() if value is not None}
    assert defined == {"false-alarms-per-hour"} and "no annotated segment" in reasons(normal)["delay"]
    assert reasons(abnormal)["false-alarms-per-hour"] == "the split has no normal video"
    lacking = split_of(([1, 0], []), rate=None)
    assert "frame rate of 1 normal videos is unknown" in reasons(lacking)["false-alarms-per-hour"]


def test_without_a_threshold_it_is_chosen_on_normal_test_videos_and_the_remark_says_so():
    rng = np.random.default_rng(0)
    made = split_of((rng.random(400), []), (rng.random(300), [(8, 40)]), threshold=None)
    value, remark = event_threshold(made)
    frames = np.repeat(made.given[0].anomaly, 4)
    assert (frames >= value).mean() <= 0.01 < (frames >= np.nextafter(np.float32(value), np.float32(-1))).mean()
    assert "chosen on the normal test videos" in remark and f"{value:.4g}" in remark and "none of its own" in remark
    assert event_threshold(dataclasses.replace(made, threshold=0.25)) == (0.25, "")


def test_a_threshold_does_not_hold_for_scores_after_post_processing():
    made = split_of((np.linspace(0, 1, 200), []), ([0, 1], [(4, 8)]), threshold=0.25)
    rules = made.rules.model_copy(update={"post": "gaussian(2)"})
    smoothed = dataclasses.replace(made, rules=rules)
    vars(smoothed)["scores"] = made.given  # whatever the steps make of them
    value, remark = event_threshold(smoothed)
    assert value > 0.9 and "post-processing" in remark and "chosen on the normal test videos" in remark


def test_without_a_threshold_and_a_normal_video_nothing_is_counted():
    made = split_of(([1, 0], [(0, 4)]), threshold=None)
    assert set(values(made).values()) == {None}
    assert all("no normal video to choose one on" in why for why in reasons(made).values())


def test_a_threshold_that_float32_lacks_is_compared_exactly():
    rows = np.array([0.1, 0.3], np.float32)
    # In float32 both numbers are one; as numbers, the score is the larger.
    assert float(rows[0]) > 0.1
    above = split_of((rows, [(0, 4)]), threshold=float(rows[0]) + 1e-12)
    assert values(split_of((rows, [(0, 4)]), threshold=0.1))["hit"] == 1 and values(above)["hit"] == 0


def test_all_of_it_is_measured_with_intervals_and_compared():
    rng = np.random.default_rng(1)
    videos = [(rng.random(30), [(8, 40), (60, 90)] if i % 2 else []) for i in range(24)]
    made = split_of(*videos, threshold=0.8)
    found = measure(made)
    for key in KEYS:
        assert found[key].low <= found[key].value <= found[key].high, key
    draws = draw_videos(24, 20)
    again = resampled(made, ["hit", "AUC"], draws)
    np.testing.assert_array_equal(again["hit"], find_events(made).resampled(draws)["hit"])


def test_runs_apart_from_the_classes_are_the_segments():
    video = Video("v0", ("Riot",), segments=(Segment("Riot", 0, 2),), binary=((0, 4), (6, 8)))
    assert merged(video.segments) != video.runs
    made = dataclasses.replace(split_of(([1, 0], [(0, 4)])), videos=[video])
    assert find_events(made).annotated.tolist() == [2]
