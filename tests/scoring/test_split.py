"""Scores in a run folder: what is read back measures the same, and no file makes reading run code or fail badly."""

import io
import itertools
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from vadbench.base.errors import RunError
from vadbench.base.metric_keys import MetricKey
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.harness.evaluate import _diagnostics, _in_common
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.definitions import DEFINITIONS
from vadbench.metrics.measurement import localised, measure, resampled
from vadbench.metrics.ranking import evaluate
from vadbench.metrics.recognition import recognise
from vadbench.records.folders import write_record
from vadbench.records.keys import EDITION
from vadbench.records.record import RunRecord
from vadbench.records.scores import load_split, save_split
from vadbench.scoring.alignment import VideoScores
from vadbench.scoring.protocol import NATIVE, protocol, protocols
from vadbench.scoring.split import ScoredSplit

TABLE = ClassTable((VideoClass("Riot", aliases=("G",)), VideoClass("Normal"), VideoClass("Car_accident")), normal=1)


def split(seed, rules="native", classes=True, branches=True, binary=False, stride=4, table=TABLE, videos=12):
    """Half of the videos with segments of up to two classes; frames end within, at or behind the last row."""
    rng = np.random.default_rng(seed)
    abnormal = [VideoClass.name for i, VideoClass in enumerate(table.classes) if i != table.normal]
    scores, truth = [], []
    for i in range(videos):
        rows = int(rng.integers(4, 20))
        frames = rows * stride + int(rng.integers(1 - stride, 3))
        probabilities = rng.random((rows, len(table))).astype(np.float32)
        segments = []
        for _ in range(int(rng.integers(1, 4)) if i % 2 else 0):
            start = int(rng.integers(0, frames - 4))
            segments.append(Segment(str(rng.choice(abnormal)), start, start + int(rng.integers(1, frames - start))))
        runs = ((1, 3), (5, frames - 2)) if binary and i % 2 else None
        labels = tuple(dict.fromkeys(s.label for s in segments)) or ("Normal",)
        truth.append(Video(f"v{i}, ä", labels, segments=tuple(segments), binary=runs))
        scores.append(
            VideoScores(
                f"v{i}, ä",
                frames,
                rng.random(rows).astype(np.float32),
                probabilities / probabilities.sum(1, keepdims=True) if classes else None,
                {b: rng.random(rows).astype(np.float32) for b in ("align", "class agnostic")} if branches else {},
            )
        )
    return ScoredSplit(scores, truth, stride, table, protocol(rules).rules, normal_segments=bool(seed % 2))


def keep(split, folder):
    """Save a split as a run would."""
    record = RunRecord(
        status="finished", method="m", method_version="1", dataset="d", trained_on="d", seed=0, key="k", evaluation="e",
        edition=EDITION,
        protocol=split.rules.model_dump(mode="json"), config={}, changed=[], fingerprint={}, clip={}, data={},
        environment={}, created="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    write_record(folder, record)
    save_split(split, folder / "scores.npz")
    return folder


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
        made = replace(made, scores=coarse)
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
    other = replace(made, scores=named)
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
    made = replace(made, scores=[replace(s, branches={branch: s.anomaly}) for s in made.scores])
    metrics = measure(made)
    plain = {str(MetricKey(m, of_class=c)) for m in ("AUC", "AP") for c in names[1:]}
    assert len(plain) == 4
    assert metrics.keys() == DEFINITIONS.keys() | plain | {f"{m}({branch})" for m in ("AUC", "AP", "AnoAUC")}


# Evaluation on another data set.


def table(*names, normal, **aliases):
    """A class table by names, some with aliases."""
    return ClassTable(tuple(VideoClass(n, aliases=aliases.get(n, ())) for n in names), normal)


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


# Files that are not what a run left.


@pytest.fixture
def folder(tmp_path):
    return keep(split(0), tmp_path)


def rewrite(folder, **changes):
    """Replace arrays of a scores file; ``None`` leaves one out."""
    with np.load(folder / "scores.npz") as file:
        arrays = {k: file[k] for k in file.files} | changes
    np.savez(folder / "scores.npz", **{k: v for k, v in arrays.items() if v is not None})


def refused(folder):
    """The one line that reading or measuring the file ends with."""
    with pytest.raises(RunError) as error:
        load_split(folder)
    message = str(error.value)
    assert str(folder / "scores.npz") in message and "run the method again" in message
    assert len(message.splitlines()) == 1
    return message


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["labels", "classes", "branch align", "anything"])
def test_pickled_objects_are_refused_and_nothing_of_them_runs(folder, tmp_path, name):
    rewrite(folder, **{name: np.array([Touch(tmp_path / "touched")], dtype=object)})
    refused(folder)
    assert not (tmp_path / "touched").exists()


def test_a_file_that_is_a_pickle_is_refused(folder, tmp_path):
    (folder / "scores.npz").write_bytes(pickle.dumps(Touch(tmp_path / "touched")))
    refused(folder)
    assert not (tmp_path / "touched").exists()


def test_a_single_array_is_refused(folder):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (folder / "scores.npz").write_bytes(buffer.getvalue())
    refused(folder)


def test_a_missing_file_is_named(folder):
    (folder / "scores.npz").unlink()
    refused(folder)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(folder, share):
    content = (folder / "scores.npz").read_bytes()
    (folder / "scores.npz").write_bytes(content[: int(share * len(content))])
    refused(folder)


@given(data=st.data())
@settings(max_examples=150)
def test_flipped_bytes_are_refused_or_harmless(tmp_path_factory, data):
    made = split(0)
    folder = keep(made, tmp_path_factory.mktemp("flipped"))
    content = bytearray((folder / "scores.npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "scores.npz").write_bytes(content)
    try:
        read = load_split(folder)
    except RunError:
        return
    # A byte that says nothing, such as a date: every array has a checksum of its own.
    for a, b in zip(made.scores, read.scores, strict=True):
        np.testing.assert_array_equal(a.anomaly, b.anomaly)


NEEDED = (
    "names", "labels", "frames", "rows", "stride", "anomaly", "class_names", "normal", "localises_normal", "segments",
    "runs",
)  # fmt: skip


@pytest.mark.parametrize("name", NEEDED)
def test_a_file_without_one_of_its_arrays_is_refused(folder, name):
    rewrite(folder, **{name: None})
    assert name in refused(folder)


WRONG = {
    "fewer scores than rows": lambda a: {"anomaly": a["anomaly"][:-1]},
    "more scores than rows": lambda a: {"anomaly": np.append(a["anomaly"], a["anomaly"])},
    "fewer class rows than rows": lambda a: {"classes": a["classes"][:-1]},
    "fewer classes than names": lambda a: {"classes": a["classes"][:, 1:]},
    "a flat table of classes": lambda a: {"classes": a["classes"][:, 0]},
    "fewer scores of a branch": lambda a: {"branch align": a["branch align"][:-1]},
    "fewer names": lambda a: {"names": a["names"][:-1]},
    "a name twice": lambda a: {"names": np.append(a["names"][1:], a["names"][1:2])},
    "fewer labels": lambda a: {"labels": a["labels"][:-1]},
    "fewer counts of frames": lambda a: {"frames": a["frames"][:-1]},
    "fewer counts of rows": lambda a: {"rows": a["rows"][:-1]},
    "a negative count of rows": lambda a: {"rows": a["rows"] * [-1] + [0]},
    "no frames": lambda a: {"frames": a["frames"] * 0},
    "a stride of 0": lambda a: {"stride": np.int64(0)},
    "two strides": lambda a: {"stride": np.array([4, 4])},
    "an index of the normal class that is out of range": lambda a: {"normal": np.int64(7)},
    "a segment of no class": lambda a: {"segments": a["segments"] + [0, 9, 0, 0]},
    "a segment of class -1": lambda a: {"segments": a["segments"] * [1, 0, 1, 1] - [0, 1, 0, 0]},
    "a segment of no video": lambda a: {"segments": a["segments"] + [99, 0, 0, 0]},
    "a segment that ends before it starts": lambda a: {"segments": a["segments"][:, [0, 1, 3, 2]]},
    "segments of three numbers": lambda a: {"segments": a["segments"][:, :3]},
    "runs of two numbers": lambda a: {"runs": a["runs"][:, :2]},
    "runs of no video": lambda a: {"runs": a["runs"] + [99, 0, 0]},
    "a run that ends before it starts": lambda a: {"runs": a["runs"][:, [0, 2, 1]]},
    "runs past the end": lambda a: {"runs": a["runs"] + [0, 10_000, 10_000]},
    "scores that are not numbers": lambda a: {"anomaly": a["anomaly"].astype(str)},
    "scores that are not finite": lambda a: {"anomaly": a["anomaly"] * np.float32("nan")},
    "class probabilities that are not finite": lambda a: {"classes": a["classes"] * np.float32("inf")},
    "labels that are no JSON": lambda a: {"labels": np.array(["{"] * len(a["labels"]))},
    "a class without a name": lambda a: {"class_names": np.array(["", *a["class_names"][1:]])},
    "a branch that no key can carry": lambda a: {"branch a(b)": a["anomaly"]},
    "labels that are no list": lambda a: {"labels": np.array(["5"] * len(a["labels"]))},
}


@pytest.mark.parametrize("what", WRONG)
def test_arrays_that_contradict_each_other_are_refused(folder, what):
    with np.load(folder / "scores.npz") as file:
        arrays = {k: file[k] for k in file.files}
    rewrite(folder, **WRONG[what](arrays))
    refused(folder)


def test_an_array_that_claims_to_be_endless_is_refused(folder):
    """A header of 80 bytes can ask for any amount of memory."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000000,), }"
    header = header.ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(folder / "scores.npz", "a") as file:
        file.writestr("branch endless.npy", array)
    refused(folder)


@pytest.mark.parametrize("protocol", [{}, {"name": "native", "tail": "wag"}, {"name": "native", "more": 1}])
def test_a_protocol_that_nobody_knows_is_refused(folder, protocol):
    content = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(content | {"protocol": protocol}))
    with pytest.raises(RunError, match="protocol") as error:
        load_split(folder)
    assert len(str(error.value).splitlines()) == 1
