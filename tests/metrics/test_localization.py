"""mAP@IoU against a literal version that walks over single frames, and its means, reasons and resamples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vadbench.base.errors import DataError
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.glossary import IOU_THRESHOLDS
from vadbench.metrics.localization import KEYS, LocalisedVideo, localise
from vadbench.metrics.measurement import point_values
from vadbench.metrics.proposals import propose
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

CLASSES = ("Abuse", "Normal", "Arson", "Riot")
NORMAL = 1
RULES = [("native", False), ("vadclip", False), ("vadclip", True)]


def literal(videos, stride, rule, normal_segments):
    """``(thresholds, classes)`` APs, NaN where undefined, and the means, ``None`` where undefined; frame by frame."""
    predictions = {c: [] for c in range(len(CLASSES))}  # (score, video, set of frames)
    truth = {c: [] for c in range(len(CLASSES))}  # (video, set of frames)
    for v, video in enumerate(videos):
        rows = [row for i, row in enumerate(video.probabilities) if rule == "vadclip" or i * stride < video.frames]
        frames = np.array([row for row in rows for _ in range(stride)], dtype=np.float32)
        end = len(frames) if rule == "vadclip" else video.frames
        mean = np.sort(frames, axis=0)[::-1][: max(1, len(frames) // 16)].mean(axis=0)
        for c in range(len(CLASSES)):
            column = frames[:, c] if mean[c] > 0 else np.zeros(len(frames), np.float32)
            limit = float(column.max()) - 0.6 * float(column.max() - column.min())
            run = set()
            for t in range(len(column) + 1):
                if t < len(column) and float(column[t]) > limit:
                    run.add(t)
                elif run:
                    score = max(column[list(run)]) + np.float32(0.7) * mean[c]
                    held = range(len(column), end) if len(column) - 1 in run else ()
                    predictions[c].append((score, v, {f for f in run if f < end} | set(held)))
                    run = set()
        segments = list(video.segments)
        if not segments and normal_segments:
            segments = [(NORMAL, 0, len(frames))]
        for c, first, last in segments:
            truth[c].append((v, {f for f in range(first, last) if rule == "vadclip" or f < end}))
    table = [[literal_ap(predictions[c], truth[c], iou, rule) for c in range(len(CLASSES))] for iou in IOU_THRESHOLDS]
    if rule == "native":
        counted = [c for c in range(len(CLASSES)) if c != NORMAL and truth[c]]
        means = [sum(aps[c] for c in counted) / len(counted) if counted else None for aps in table]
    elif all(predictions.values()):
        means = [sum(aps) / len(CLASSES) for aps in table]
    else:
        means = [0.0] * len(table)
    return np.array(table), [*means, None if None in means else sum(means) / len(means)]


def literal_ap(predictions, truth, iou, rule):
    if not truth:
        return np.nan if rule == "native" else 0.0
    unmatched, precisions, right = list(range(len(truth))), [], []
    for rank, (_, video, frames) in enumerate(sorted(predictions, key=lambda p: -p[0]), start=1):
        best, chosen = -1.0, None
        for g in unmatched:
            overlap = len(frames & truth[g][1]) / len(frames | truth[g][1]) if truth[g][0] == video else -1.0
            if overlap >= iou and overlap > best:
                best, chosen = overlap, g
        if chosen is not None:
            unmatched.remove(chosen)
        right.append(chosen is not None)
        precisions.append(sum(right) / rank)
    if rule == "vadclip":
        return sum(p for p, hit in zip(precisions, right, strict=True) if hit) / len(truth)
    # Each segment found adds the best precision that is reached with at least as many of them found.
    return sum(max(precisions[i:]) for i, hit in enumerate(right) if hit) / len(truth)


@st.composite
def splits(draw, ties=True):
    """A small split and its stride, with all that a real one may hold."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stride, levels = draw(st.sampled_from([1, 3, 16, 40])), draw(st.sampled_from([0, 4, 9] if ties else [0]))
    # Classes after the first few never occur or never move.
    annotated = [c for c in range(4) if draw(st.booleans())]
    constant = [c for c in range(4) if draw(st.integers(0, 5)) == 0]
    videos = []
    for v in range(draw(st.integers(1, 6))):
        rows = draw(st.integers(1, 14))
        probabilities = rng.random((rows, 4), dtype=np.float32)
        if levels:
            probabilities = np.round(probabilities * levels) / np.float32(levels)
        probabilities[:, constant] = draw(st.sampled_from([0.0, 0.25]))
        if draw(st.integers(0, 5)) == 0:
            probabilities -= np.float32(0.9)  # no probabilities any more, but VadCLIP's code says what to do
        frames = max(1, rows * stride - int(rng.integers(-stride, 2 * stride)))
        segments = []
        for _ in range(draw(st.integers(0, 4)) if annotated else 0):
            start = int(rng.integers(frames))
            segments.append((int(rng.choice(annotated)), start, start + 1 + int(rng.integers(rows * stride))))
        videos.append(LocalisedVideo(f"v{v}", probabilities, frames, segments))
    return videos, stride


@pytest.mark.parametrize(("rule", "normal_segments"), RULES)
@given(split=splits())
@settings(max_examples=250)
def test_equals_a_literal_version_on_sets_of_frames(rule, normal_segments, split):
    videos, stride = split
    found = localise(videos, stride, CLASSES, NORMAL, rule, normal_segments)
    table, means = literal(videos, stride, rule, normal_segments)
    np.testing.assert_allclose(found.ap, table, atol=1e-12, rtol=0)
    values = {key: value.value for key, value in found.metrics().items()}
    assert values == pytest.approx(dict(zip(KEYS, means, strict=True)), abs=1e-12)


@pytest.mark.parametrize(("rule", "normal_segments"), RULES)
@given(split=splits(ties=False), seed=st.integers(0, 1000))
@settings(max_examples=40)
def test_resamples_equal_the_drawn_videos_written_out(rule, normal_segments, split, seed):
    videos, stride = split
    draws = draw_videos(len(videos), 8, seed)
    found = localise(videos, stride, CLASSES, NORMAL, rule, normal_segments).resampled(draws)
    for i, multiplicities in enumerate(draws):
        drawn = [v for v, times in zip(videos, multiplicities, strict=True) for _ in range(int(times))]
        expected = localise(drawn, stride, CLASSES, NORMAL, rule, normal_segments).metrics()
        for key in KEYS:
            value = expected[key].value
            assert found[key][i] == pytest.approx(np.nan if value is None else value, abs=1e-12, nan_ok=True), key


def video(columns, segments, frames=None, name="v"):
    """A video of rows of 16 frames from one list of probabilities a class."""
    probabilities = np.array(columns, dtype=np.float32).T
    return LocalisedVideo(name, probabilities, frames or 16 * len(probabilities), segments)


LOW, HIGH = 0.1, 0.9
FLAT = [0.5] * 8
TWO = ("Normal", "Abuse")


def values(*args, **options):
    return {key: value.value for key, value in localise(*args, **options).metrics().items()}


def test_a_perfect_prediction_is_one():
    step = [LOW] * 2 + [HIGH] * 3 + [LOW] * 3
    assert values([video([FLAT, step], [(1, 32, 80)])], 16, TWO, normal=0) == dict.fromkeys(KEYS, 1.0)


def test_an_overlap_counts_from_the_threshold_on():
    """Two rows of a segment of five: an overlap of 0.4, which is enough up to and with 0.4."""
    step = [LOW] * 2 + [HIGH] * 2 + [LOW] * 4
    found = values([video([FLAT, step], [(1, 32, 112)])], 16, TWO, normal=0)
    assert [found[key] for key in KEYS] == pytest.approx([1, 1, 1, 1, 0, 0.8])


@pytest.mark.parametrize(("high", "low", "edge", "inside"), [(0.52, 0.14, 0.292, True), (0.50, 0.02, 0.212, False)])
def test_a_row_on_the_threshold_is_compared_in_float64(high, low, edge, inside):
    """Written in decimals the third row lies on the threshold; in float32 it would fall on the other side."""
    found = propose(np.array([[low], [high], [edge], [low]], dtype=np.float32), 16)
    assert (found.start.tolist(), found.end.tolist()) == ([1], [3 if inside else 2])


def test_interpolation_is_what_tells_the_rules_apart():
    """Wrong, right, right by score: precision 0, 1/2, 2/3; interpolated, both right ones count 2/3."""
    peaks = [LOW, 0.9, LOW, 0.8, LOW, 0.7, LOW, LOW]
    clip = video([FLAT, peaks], [(1, 48, 64), (1, 80, 96)])
    assert values([clip], 16, TWO, normal=0)["mAP@0.5"] == pytest.approx(2 / 3)
    ap = localise([clip], 16, TWO, normal=0, rule="vadclip").ap
    assert ap[4].tolist() == pytest.approx([0, (1 / 2 + 2 / 3) / 2])


def test_a_prediction_whose_best_segment_is_taken_gets_the_next_best():
    peaks = [LOW, 0.9, 0.9, 0.9, LOW, 0.8, LOW, LOW]
    clip = video([FLAT, peaks], [(1, 16, 96), (1, 80, 112)])
    ap = localise([clip], 16, TWO, normal=0).ap[:, 1]
    assert ap.tolist() == pytest.approx([1, 1, 1, 1, 1])
    # The first prediction takes the long segment, of which the second one would have a fifth.
    alone = video([FLAT, peaks], [(1, 16, 96), (1, 48, 64)])
    assert localise([alone], 16, TWO, normal=0).ap[:, 1].tolist() == pytest.approx([0.5] * 5)


def test_the_last_row_ends_with_the_video_in_native_and_with_its_stride_in_vadclip():
    """The last row has 4 of 16 frames: the segment is 8 frames of the prediction's 20, or 8 of its 32."""
    step = [LOW, LOW, HIGH, HIGH]
    clip = video([[0.5, 0.4, 0.5, 0.4], step], [(1, 32, 40)], frames=52)
    assert localise([clip], 16, TWO, normal=0).ap[:, 1].tolist() == [1, 1, 1, 1, 0]
    assert localise([clip], 16, TWO, normal=0, rule="vadclip").ap[:, 1].tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("tail", "frames", "segment", "expected"),
    [
        ("hold", 20, (16, 20), [1, 1, 1, 1, 1]),  # 4 of 4 frames
        ("rows", 20, (16, 20), [1, 1, 0, 0, 0]),  # 4 of the row's 16
        ("hold", 40, (16, 40), [1, 1, 1, 1, 1]),  # the last row is held for 24
        ("rows", 40, (16, 40), [1, 1, 1, 1, 1]),  # the segment ends with the rows
        ("hold", 40, (36, 40), [1, 0, 0, 0, 0]),  # 4 of 24
        ("rows", 40, (36, 40), [None] * 5),  # behind the rows, as for every other metric
    ],
)
def test_a_video_is_as_long_as_for_metrics_of_frames(tail, frames, segment, expected):
    """Two rows of 16 frames, the second one anomalous."""
    classes = ClassTable((VideoClass("Normal"), VideoClass("Abuse")), normal=0)
    probabilities = np.array([[HIGH, LOW], [LOW, HIGH]], np.float32)
    scores = [VideoScores("v", frames, probabilities[:, 1], probabilities)]
    videos = [Video("v", ("Abuse",), segments=(Segment("Abuse", *segment),))]
    split = ScoredSplit(scores, videos, 16, classes, NATIVE.rules.model_copy(update={"tail": tail}))
    found = point_values(split, KEYS)
    assert [found[key].value for key in KEYS[:5]] == expected
    lengths = {"hold": frames, "rows": 32}[tail]
    anomalous = max(min(segment[1], lengths) - segment[0], 0)
    assert split.rows.video_frames.tolist() == [lengths] and split.rows.video_positives.tolist() == [anomalous]


def test_the_last_row_is_held_to_the_end_of_a_video_whose_last_frames_have_none():
    """Three rows of 16 frames and 10 frames more: the prediction is [32, 58), as the segment is."""
    clip = video([[0.5, 0.4, 0.5], [LOW, LOW, HIGH]], [(1, 32, 58)], frames=58)
    assert localise([clip], 16, TWO, normal=0).ap[:, 1].tolist() == [1] * 5


def test_the_normal_class_counts_in_vadclip_only():
    """One normal video in which normal is always above its threshold but for the first row."""
    normal = video([[LOW] + [HIGH] * 7, FLAT], [])
    step = [LOW] * 2 + [HIGH] * 3 + [LOW] * 3
    abnormal = video([step[::-1], step], [(1, 32, 80)])
    arguments = ([normal, abnormal], 16, TWO)
    assert values(*arguments, normal=0)["mAP@0.5"] == 1
    assert values(*arguments, normal=0, rule="vadclip")["mAP@0.5"] == 0.5
    assert values(*arguments, normal=0, rule="vadclip", normal_segments=True)["mAP@0.5"] == 1


def test_equal_scores_rank_by_the_order_of_the_videos():
    step = [LOW] * 2 + [HIGH] * 3 + [LOW] * 3
    right, wrong = video([FLAT, step], [(1, 32, 80)]), video([FLAT, step], [])
    assert values([right, wrong], 16, TWO, normal=0)["mAP@0.5"] == 1
    assert values([wrong, right], 16, TWO, normal=0)["mAP@0.5"] == 0.5


def test_a_class_that_is_never_predicted_counts_nothing_in_native_and_ends_vadclip():
    step = [LOW] * 2 + [HIGH] * 3 + [LOW] * 3
    clip = video([step, step, FLAT], [(1, 32, 80), (2, 0, 16)])
    names = (*TWO, "Arson")
    native = localise([clip], 16, names, normal=0)
    assert native.ap[0, 1:].tolist() == [1, 0]
    assert native.metrics()["mAP@0.1"] == MetricValue(value=0.5)
    vadclip = localise([clip], 16, names, normal=0, rule="vadclip")
    assert vadclip.ap[0].tolist() == [0, 1, 0]
    assert vadclip.metrics()["mAP@IoU"].value == 0
    assert vadclip.metrics()["mAP@IoU"].reason.endswith("no segment of class Arson is predicted")


def test_without_annotated_segments_native_is_undefined():
    step = [LOW] * 2 + [HIGH] * 3 + [LOW] * 3
    for value in localise([video([step, step], [])], 16, TWO, normal=0).metrics().values():
        assert value.value is None
        assert value.reason == "no abnormal class has an annotated segment in the split"


@pytest.mark.parametrize("rule", ["native", "vadclip"])
def test_without_class_probabilities_all_is_undefined(rule):
    videos = [video([FLAT, FLAT], []), LocalisedVideo("w", None, 100, [(1, 0, 10)])]
    found = localise(videos, 16, TWO, 0, rule)
    assert list(found.metrics()) == list(KEYS)
    for value in found.metrics().values():
        assert value == MetricValue(value=None, reason="the method gives no probabilities of these classes")
    assert all(np.isnan(v).all() and len(v) == 3 for v in found.resampled(np.ones((3, 2))).values())


@pytest.mark.parametrize(
    ("columns", "segments", "message"),
    [
        ([FLAT], [], "expected probabilities of 2 classes"),
        ([FLAT, FLAT], [(2, 0, 5)], "class id must be from 0 to 1"),
        ([FLAT, FLAT], [(1, 5, 5)], "0 <= start < end"),
        ([[], []], [], "at least one row"),
    ],
)
def test_what_does_not_fit_is_refused(columns, segments, message):
    with pytest.raises(DataError, match=f"^odd: .*{message}"):
        localise([video(columns, segments, frames=128, name="odd")], 16, TWO, normal=0)
