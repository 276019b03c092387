"""What the frames behind those of the last row count, by each rule, against loops over frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from splits import keep
from vadbench.dataset import ClassTable, Segment, Video, VideoClass, merged
from vadbench.metrics.event_counts import find_events
from vadbench.metrics.measurement import measure
from vadbench.records.scores import load_split
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores, zero_filled

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Riot"), VideoClass("Fire")), normal=0)
STRIDE = 4
# Frames, rows, anomalous frames: rows for all frames, fewer by a part of a row, by several, one too many, one in all,
# and a last row that begins in an anomaly and reaches past the end.
SHAPES = [
    (40, 10, (4, 20)),
    (42, 10, (36, 42)),
    (41, 10, ()),
    (61, 9, (30, 58)),
    (60, 3, ()),
    (30, 9, (0, 7)),
    (23, 1, (3, 9)),
    (3, 1, ()),
    (26, 7, (19, 26)),
]


def made(tail, post="", seed=0):
    rng = np.random.default_rng(seed)
    scores, videos = [], []
    for i, (frames, rows, run) in enumerate(SHAPES):
        label = "Normal" if not run else ("Riot", "Fire")[i % 2]
        videos.append(Video(f"v{i}", (label,), frames=frames, segments=(Segment(label, *run),) if run else ()))
        draw = rng.normal(size=(rows, 6)).astype(np.float32)
        scores.append(
            VideoScores(f"v{i}", frames, draw[:, 0], draw[:, 1:4], {"align": draw[:, 4]}, {"surprise": draw[:, 5]})
        )
    rules = Protocol(name="native", tail=tail, post=post)
    return ScoredSplit(scores, videos, STRIDE, TABLE, rules, unit_scores=False)


def by_frame(rows, frames, tail, steps=lambda row: row):
    """The score of every frame of a video."""
    if tail in ("rows", "rows-prolonged"):
        frames = len(rows) * STRIDE
    found = []
    for frame in range(frames):
        i = frame // STRIDE
        if i < len(rows):
            found.append(steps(rows[i]))
        else:
            found.append(steps(rows[-1]) if tail == "hold" else np.zeros_like(rows[0]))
    return np.array(found)


def truth_of(video, frames, tail):
    """The label of every frame; the last true one's of those behind it by the rule that prolongs it."""
    last = video.frames - 1 if tail == "rows-prolonged" else frames
    return np.array([any(a <= min(f, last) < b for a, b in video.runs) for f in range(frames)])


def literal(split, tail, values, steps=lambda row: row):
    """Scores and truth of all frames."""
    scores = [by_frame(values(s), s.frames, tail, steps) for s in split.given]
    truth = [truth_of(v, len(own), tail) for v, own in zip(split.videos, scores, strict=True)]
    return np.concatenate(scores), np.concatenate(truth)


@pytest.mark.parametrize("tail", ["hold", "zero", "rows", "rows-prolonged"])
def test_the_frames_of_rows_are_those_of_a_loop(tail):
    split = made(tail)
    scores, truth = literal(split, tail, lambda s: s.anomaly)
    rows = split.rows
    assert rows.total == len(truth) and rows.positives.sum() == truth.sum()
    assert rows.scores.repeat(rows.frames).tolist() == scores.tolist()
    classes, _ = literal(split, tail, lambda s: s.classes)
    assert rows.class_scores.repeat(rows.frames, axis=0).tolist() == classes.tolist()
    videos = [i for i, s in enumerate(split.given) for _ in by_frame(s.anomaly, s.frames, tail)]
    assert rows.video.repeat(rows.frames).tolist() == videos


@pytest.mark.parametrize("tail", ["hold", "zero", "rows", "rows-prolonged"])
def test_metrics_of_scores_branches_and_classes_are_those_of_a_loop(tail):
    split = made(tail)
    found = measure(split)
    for key, values in (("", lambda s: s.anomaly), ("(align)", lambda s: s.branches["align"])):
        scores, truth = literal(split, tail, values)
        assert found[f"AUC{key}"].value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert found[f"AP{key}"].value == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    scores, _ = literal(split, tail, lambda s: s.classes)
    label = np.concatenate(
        [
            [v.labels[0]] * len(by_frame(s.anomaly, s.frames, tail))
            for s, v in zip(split.given, split.videos, strict=True)
        ]
    )
    _, truth = literal(split, tail, lambda s: s.anomaly)
    areas = [roc_auc_score(truth & (label == name), scores[:, TABLE.id(name)]) for name in ("Riot", "Fire")]
    assert [found[f"AUC[{name}]"].value for name in ("Riot", "Fire")] == pytest.approx(areas, abs=1e-12)


def test_zeros_come_after_post_processing():
    split = made("zero", "logistic")
    with np.errstate(over="ignore"):
        scores, truth = literal(split, "zero", lambda s: s.anomaly, lambda row: 1 / (1 + np.exp(-np.float64(row))))
    assert split.rows.scores.repeat(split.rows.frames) == pytest.approx(scores, abs=1e-6)
    assert split.rows.scores.min() == 0, "the logistic of 0 were a half"
    assert measure(split)["AUC"].value == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)


def test_smoothing_does_not_see_the_zeros():
    zero, hold = made("zero", "gaussian(1)"), made("hold", "gaussian(1)")
    for filled, held in zip(zero.scores, hold.scores, strict=True):
        assert filled.anomaly[: len(held.anomaly)].tolist() == held.anomaly.tolist()
        assert not filled.anomaly[len(held.anomaly) :].any()


def test_nothing_is_added_where_rows_reach_the_end():
    for s in made("hold").given:
        filled = zero_filled(s, STRIDE)
        missing = max(-(-s.frames // STRIDE) - len(s.anomaly), 0)
        for before, after in (
            (s.anomaly, filled.anomaly),
            (s.classes, filled.classes),
            (s.branches["align"], filled.branches["align"]),
            (s.extras["surprise"], filled.extras["surprise"]),
        ):
            assert after.tolist() == before.tolist() + np.zeros((missing, *before.shape[1:])).tolist()
            assert after.dtype == before.dtype
        assert (filled is s) == (missing == 0)


@pytest.mark.parametrize("post", ["", "gaussian(1)"])
@pytest.mark.parametrize("tail", ["hold", "zero", "rows", "rows-prolonged"])
def test_a_file_keeps_what_was_given_and_measures_the_same(tmp_path, tail, post):
    split = made(tail, post)
    read = load_split(keep(split, tmp_path))
    assert [s.anomaly.tolist() for s in read.given] == [s.anomaly.tolist() for s in split.given]
    assert measure(read) == measure(split)


def test_the_rules_differ():
    values = {tail: measure(made(tail))["AUC"].value for tail in ("hold", "zero", "rows", "rows-prolonged")}
    assert len(set(values.values())) == 4


@given(
    frames=st.integers(1, 40),
    rows=st.integers(1, 12),
    runs=st.lists(st.tuples(st.integers(0, 44), st.integers(1, 20)), max_size=4),
    apart=st.booleans(),
)
def test_the_last_label_is_prolonged_as_in_a_mask(frames, rows, runs, apart):
    """Whatever is annotated, behind the end as well, the labels are those of the video's mask with its last one
    repeated, as numpy pads it."""
    segments = tuple(Segment("Riot", a, a + n) for a, n in runs)
    binary = merged(segments[:2]) if apart else None
    video = Video("v", ("Riot",), frames=frames, segments=segments, binary=binary)
    mask = np.array([any(a <= f < b for a, b in video.runs) for f in range(frames)])
    expected = np.pad(mask, (0, max(rows * STRIDE - frames, 0)), "edge")[: rows * STRIDE]
    scores = VideoScores("v", frames, np.zeros(rows, np.float32), None)
    rules = Protocol(name="native", tail="rows-prolonged")
    split = ScoredSplit([scores], [video], STRIDE, TABLE, rules)
    assert split.rows.positives.tolist() == expected.reshape(rows, STRIDE).sum(1).tolist()


def test_events_end_where_labels_do():
    """An event that fills the last row is right to the frame where the label of the last true frame is prolonged."""
    video = Video("v", ("Riot",), frames=9, segments=(Segment("Riot", 8, 9),))
    scores = VideoScores("v", 9, np.array([0, 0, 1], np.float32), None)
    values = {}
    for tail in ("rows", "rows-prolonged"):
        split = ScoredSplit([scores], [video], STRIDE, TABLE, Protocol(name="native", tail=tail), threshold=0.5)
        values[tail] = find_events(split).metrics()["event-F1@0.5"].value
    assert values == {"rows": 0.0, "rows-prolonged": 1.0}
