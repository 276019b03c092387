"""Scores in a run folder: what is read back measures the same, and no file makes reading run code or fail badly."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from splits import TABLE, keep, split, table
from vadbench.base.metric_keys import MetricKey
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.harness.evaluate import _diagnostics, _in_common
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.calibration import reliability
from vadbench.metrics.definitions import BRANCH_METRICS, DEFINITIONS
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.measurement import localised, measure, resampled
from vadbench.metrics.recognition import recognise
from vadbench.records.scores import load_split
from vadbench.scoring.protocol import NATIVE, protocols
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores


def frames_of(split, values):
    """Frame-level scores and truth of each video, row by row; only for protocols that hold the last row's score."""
    held, inside = [], []
    for own, video, rows in zip(split.scores, split.videos, values, strict=True):
        place = np.minimum(np.arange(own.frames) // split.stride, len(rows) - 1)
        held.append(rows[place])
        inside.append([any(a <= f < b for a, b in video.runs) for f in range(own.frames)])
    return np.concatenate(inside), np.concatenate(held)


@pytest.mark.parametrize("binary", [False, True], ids=["segments", "binary truth"])
@pytest.mark.parametrize("branches", [False, True], ids=["one score", "branches"])
@pytest.mark.parametrize("classes", [False, True], ids=["no classes", "classes"])
@pytest.mark.parametrize("rules", protocols())
def test_what_is_read_back_measures_the_same_to_the_last_bit(tmp_path, rules, classes, branches, binary):
    made = split(len(rules) + binary, rules, classes, branches, binary)
    read = load_split(keep(made, tmp_path))
    metrics = measure(made)
    assert measure(read) == metrics
    assert {"AUC(align)", "AP(class agnostic)"} <= metrics.keys() if branches else "AUC(align)" not in metrics
    assert (metrics["mAP@IoU"].value is not None) == classes
    keys, draws = ["AUC", "AP", "mAUC", "mAP@IoU", "FAR"], draw_videos(len(made.videos), 50)
    before, after = resampled(made, keys, draws), resampled(read, keys, draws)
    assert before.keys() == after.keys()
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])


def test_what_is_read_back_is_what_was_kept(tmp_path):
    made = split(0, "vadclip", binary=True)
    read = load_split(keep(made, tmp_path))
    assert (read.stride, read.rules, read.normal_segments) == (made.stride, made.rules, made.normal_segments)
    assert (read.classes.names, read.classes.normal) == (TABLE.names, TABLE.normal)
    for a, b in zip(made.scores, read.scores, strict=True):
        assert (a.name, a.frames) == (b.name, b.frames)
        np.testing.assert_array_equal(a.anomaly, b.anomaly, strict=True)
        np.testing.assert_array_equal(a.classes, b.classes, strict=True)
        for branch in ("align", "class agnostic"):
            np.testing.assert_array_equal(a.branches[branch], b.branches[branch], strict=True)
    for a, b in zip(made.videos, read.videos, strict=True):
        assert (a.name, a.labels, a.segments, a.runs) == (b.name, b.labels, b.segments, b.runs)


@pytest.mark.parametrize("normal_segments", [False, True])
def test_whether_normal_videos_are_localised_is_kept(tmp_path, normal_segments):
    made = split(3, "vadclip")
    made = ScoredSplit(made.scores, made.videos, made.stride, TABLE, made.rules, normal_segments)
    other = ScoredSplit(made.scores, made.videos, made.stride, TABLE, made.rules, not normal_segments)
    found = localised(load_split(keep(made, tmp_path))).metrics()
    assert found == localised(made).metrics() != localised(other).metrics()


def test_binary_truth_decides_frames_and_segments_decide_classes(tmp_path):
    """XD-Violence and ShanghaiTech under 'vadclip' annotate frames apart from classes."""
    made = split(4, classes=True, binary=True)
    assert any(v.runs != Video("v", (), segments=v.segments).runs for v in made.videos)
    metrics = measure(load_split(keep(made, tmp_path)))
    inside, held = frames_of(made, [s.anomaly for s in made.scores])
    assert metrics["AUC"].value == pytest.approx(roc_auc_score(inside, held), abs=1e-12)
    assert metrics["AP"].value == pytest.approx(average_precision_score(inside, held), abs=1e-12)
    _, riot = frames_of(made, [s.classes[:, 0] for s in made.scores])
    rioting = [any(g.label == "Riot" and g.start <= f < g.end for g in v.segments)
               for s, v in zip(made.scores, made.videos, strict=True) for f in range(s.frames)]  # fmt: skip
    assert metrics["AUC[Riot]"].value == pytest.approx(roc_auc_score(rioting, riot), abs=1e-12)


def aliased(made):
    """The same split with every second segment of a riot, and the labels of every second video, under an alias."""
    renamed, riots = [], itertools.count()
    for i, v in enumerate(made.videos):
        segments = tuple(replace(g, label="G") if g.label == "Riot" and next(riots) % 2 == 0 else g for g in v.segments)
        labels = (*v.labels, "G") if "Riot" in v.labels and i % 4 == 1 else v.labels
        renamed.append(replace(v, labels=labels, segments=segments))
    return replace(made, videos=renamed)


@given(seed=st.integers(0, 10_000), rules=st.sampled_from(sorted(protocols())))
@settings(max_examples=20)
def test_a_class_and_its_alias_measure_as_one_class_before_and_after_reloading(tmp_path_factory, seed, rules):
    """Frames where segments of both overlap count once, as they do where both have the same name."""
    made = split(seed, rules)
    other = aliased(made)
    assert any(g.label == "G" for v in other.videos for g in v.segments) or not any(
        g.label == "Riot" for v in made.videos for g in v.segments
    )
    metrics = measure(made)
    assert measure(other) == metrics
    read = load_split(keep(other, tmp_path_factory.mktemp("aliased")))
    assert measure(read) == metrics
    assert [v.segments for v in read.videos] == [v.segments for v in made.videos]


def test_frames_that_a_class_and_its_alias_share_are_counted_once():
    """By hand: a riot in frames 0 to 8, under its alias in frames 4 to 12, of 16 frames in rows of 4."""
    video = Video("v", ("Riot",), segments=(Segment("Riot", 0, 8), Segment("G", 4, 12)))
    rng = np.random.default_rng(0)
    scores = [VideoScores("v", 16, rng.random(4).astype(np.float32), rng.random((4, 3)).astype(np.float32))]
    rows = ScoredSplit(scores, [video], 4, TABLE, NATIVE.rules).rows
    assert rows.class_positives.tolist() == [[4, 0, 0], [4, 0, 0], [4, 0, 0], [0, 4, 0]]


# Scores keep the precision they have.


def at_a_threshold(value, dtype):
    """One anomalous video whose scores are the threshold that is asked for, and a normal one with lower scores."""
    videos = [Video("a", ("Riot",), segments=(Segment("Riot", 0, 8),)), Video("b", ("Normal",))]
    probabilities = np.full((2, 3), 1 / 3, np.float32)
    scores = [VideoScores(name, 8, np.full(2, score, dtype), probabilities, {"align": np.full(2, score, dtype)})
              for name, score in (("a", value), ("b", value / 2))]  # fmt: skip
    return ScoredSplit(scores, videos, 4, TABLE, NATIVE.rules)


@pytest.mark.parametrize("threshold", [t / 10 for t in range(1, 10)])
def test_a_float32_score_at_a_threshold_counts_as_anomalous(tmp_path, threshold):
    """As in AnomalyCLIP's evaluation, where a float32 0.7 is compared with 0.7 in float32; kept and read back too."""
    made = at_a_threshold(threshold, np.float32)
    for scores in (made, load_split(keep(made, tmp_path))):
        expected = f1_score([1] * 8 + [0] * 8, scores.rows.scores.repeat(4) >= np.float32(threshold))
        assert expected == 1
        found = _diagnostics(scores.rows)["f1"]
        assert found[str(threshold)] == pytest.approx(expected)
        assert recognise(scores.rows).f1[round(10 * threshold) - 1] == pytest.approx(expected)


def test_scores_declared_not_to_be_between_0_and_1_meet_no_fixed_threshold(tmp_path):
    """Also where they are measured again, from the files of a run alone."""
    made = replace(at_a_threshold(0.3, np.float32), unit_scores=False)
    for scores in (made, load_split(keep(made, tmp_path))):
        assert "means nothing" in measure(scores)["FAR"].reason
        assert _diagnostics(scores.rows)["f1"] == {"undefined": measure(scores)["FAR"].reason}
        assert reliability(scores.rows) is None
    assert measure(at_a_threshold(0.3, np.float32))["FAR"].value == 0
    assert reliability(at_a_threshold(0.3, np.float32).rows) is not None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_reach_every_metric_in_their_own_precision(tmp_path, dtype, monkeypatch):
    made = at_a_threshold(0.3, dtype)
    seen = []
    monkeypatch.setattr(
        "vadbench.metrics.measurement.evaluate", lambda rows, *a: seen.append(rows.scores.dtype) or evaluate(rows, *a)
    )
    for scores in (made, load_split(keep(made, tmp_path))):
        assert scores.rows.scores.dtype == dtype
        measure(scores)
    assert seen == [dtype] * 4  # the score and its branch, each before and after


@given(seed=st.integers(0, 10_000), ties=st.booleans())
@settings(max_examples=30)
def test_float32_scores_rank_as_scikit_learn_ranks_them(seed, ties):
    made = split(seed, classes=False)
    if ties:
        coarse = [replace(s, anomaly=np.round(s.anomaly * 4) / 4 - np.float32(0.5)) for s in made.scores]
        made = replace(made, given=coarse)
    inside, held = frames_of(made, [s.anomaly for s in made.scores])
    assume(inside.any())
    metrics = measure(made)
    assert held.dtype == np.float32
    assert metrics["AUC"].value == pytest.approx(roc_auc_score(inside, held), abs=1e-12)
    assert metrics["AP"].value == pytest.approx(average_precision_score(inside, held), abs=1e-12)
    _, branch = frames_of(made, [s.branches["align"] for s in made.scores])
    assert metrics["AUC(align)"].value == pytest.approx(roc_auc_score(inside, branch), abs=1e-12)
    draws = draw_videos(len(made.videos), 5)
    for found, weights in zip(resampled(made, ["AUC"], draws)["AUC"], draws, strict=True):
        sample = np.concatenate([np.full(s.frames, w) for s, w in zip(made.scores, weights, strict=True)])
        if len(set(inside[sample > 0])) == 2:
            assert found == pytest.approx(roc_auc_score(inside, held, sample_weight=sample), abs=1e-12)


# A branch and a class of one name.


def test_a_branch_and_a_class_of_one_name_are_two_metrics(tmp_path):
    made = split(3)
    named = [replace(s, branches={"Riot": s.branches["align"]}) for s in made.scores]
    other = replace(made, given=named)
    before, after = measure(made), measure(other)
    assert after["AUC[Riot]"] == before["AUC[Riot]"] != after["AUC(Riot)"] == before["AUC(align)"]
    assert measure(load_split(keep(other, tmp_path))) == after


@given(
    classes=st.sets(st.text("ab[]()/ .", min_size=1, max_size=4), min_size=3, max_size=3), branch=st.sampled_from("ab")
)
@settings(max_examples=20)
def test_no_metric_of_a_class_or_a_branch_is_lost_whatever_they_are_called(classes, branch):
    names = sorted(classes)
    table = ClassTable(tuple(map(VideoClass, names)), normal=0)
    made = split(1, table=table)
    made = replace(made, given=[replace(s, branches={branch: s.anomaly}) for s in made.scores])
    metrics = measure(made)
    plain = {str(MetricKey(m, of_class=c)) for m in ("AUC", "AP") for c in names[1:]}
    assert len(plain) == 4
    assert metrics.keys() == DEFINITIONS.keys() | plain | {f"{m}({branch})" for m in BRANCH_METRICS}


def test_only_classes_of_both_data_sets_are_measured_and_every_anomalous_frame_counts():
    """Against frames read one by one: other order, other case, underscores and an alias in either table."""
    trained = table("Normal", "Fighting", "Riot", "Road Accidents", "Arson", normal=0, Arson=("Fire",))
    here = table("B1", "riot", "Road_Accidents", "fire", "Abuse", "Calm", normal=5, B1=("fighting",))
    columns = {"B1": 1, "riot": 2, "Road_Accidents": 3, "fire": 4, "Calm": 0}
    made = split(6, table=here, videos=30)
    rng = np.random.default_rng(0)
    scores = [VideoScores(s.name, s.frames, s.anomaly, rng.random((len(s.anomaly), 5)).astype(np.float32))
              for s in made.scores]  # fmt: skip
    shared, videos, classes = _in_common(scores, made.videos, trained, here)
    assert classes.names == tuple(columns) and classes.names[classes.normal] == "Calm"
    found = measure(ScoredSplit(shared, videos, made.stride, classes, NATIVE.rules))

    inside, held = frames_of(made, [s.anomaly for s in scores])
    assert found["AUC"].value == pytest.approx(roc_auc_score(inside, held), abs=1e-12)
    assert found["AP"].value == pytest.approx(average_precision_score(inside, held), abs=1e-12)
    assert any(g.label == "Abuse" for v in made.videos for g in v.segments)
    each = {}
    for name, column in columns.items():
        if name == "Calm":
            continue
        truth = np.array([any(g.label == name and g.start <= f < g.end for g in v.segments)
                          for s, v in zip(scores, made.videos, strict=True) for f in range(s.frames)])  # fmt: skip
        _, held = frames_of(made, [s.classes[:, column] for s in scores])
        each[name] = (roc_auc_score(truth, held), average_precision_score(truth, held))
        assert (found[f"AUC[{name}]"].value, found[f"AP[{name}]"].value) == pytest.approx(each[name], abs=1e-12)
    means = [found["mAUC"].value, found["mAP"].value]
    assert means == pytest.approx(list(np.mean(list(each.values()), axis=0)), abs=1e-12)
    assert not {"AUC[Abuse]", "AUC[Arson]", "AUC[Calm]", "AUC[Riot]"} & found.keys()


@given(seed=st.integers(0, 10_000), kept=st.sets(st.sampled_from(["Riot", "Car_accident", "Fire"]), max_size=3))
@settings(max_examples=25)
def test_no_anomalous_frame_becomes_normal_whatever_the_classes_in_common(seed, kept):
    made = split(seed, binary=bool(seed % 2))
    trained = table("Normal", *sorted(kept), normal=0)
    scores = [VideoScores(s.name, s.frames, s.anomaly, np.ones((len(s.anomaly), len(trained)), np.float32))
              for s in made.scores]  # fmt: skip
    shared, videos, classes = _in_common(scores, made.videos, trained, TABLE)
    assert [v.runs for v in videos] == [v.runs for v in made.videos]
    if kept & {"Riot", "Car_accident"}:
        assert set(classes.names) == {"Normal"} | kept & set(TABLE.names)
        assert all(s.classes.shape[1] == len(classes) for s in shared)
        assert {g.label for v in videos for g in v.segments} <= set(classes.names)
    else:
        assert classes is TABLE and all(s.classes is None for s in shared)


def test_the_classes_in_common_are_kept_in_the_file(tmp_path):
    made = split(7)
    trained = table("normal", "car accident", normal=0)
    scores = [VideoScores(s.name, s.frames, s.anomaly, s.classes[:, [1, 2]]) for s in made.scores]
    shared, videos, classes = _in_common(scores, made.videos, trained, TABLE)
    crossed = ScoredSplit(shared, videos, made.stride, classes, made.rules)
    assert measure(load_split(keep(crossed, tmp_path))) == measure(crossed)


def test_segments_labelled_by_an_alias_stay_when_classes_are_left_out():
    here = table("Riot", "Normal", "Abuse", normal=1, Riot=("G",))
    video = Video("v", ("Riot",), segments=(Segment("G", 2, 5), Segment("Abuse", 6, 8)))
    scores = [VideoScores("v", 10, np.zeros(10, np.float32), np.zeros((10, 2), np.float32))]
    _, (kept,), classes = _in_common(scores, [video], table("Normal", "riot", normal=0), here)
    assert [(classes.id(s.label), s.start, s.end) for s in kept.segments] == [(0, 2, 5)]
    assert kept.runs == ((2, 5), (6, 8))
