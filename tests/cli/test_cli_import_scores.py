"""``vadbench import-scores``: what it measures, what it leaves behind, what it refuses, and what other commands make of
the result."""

import csv
import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from filmed_plugin import ABNORMAL, FRAMES, HALF, POSITIVES, TEST, by_frame, drawn
from literal_metrics import of_frames
from places import DIVIDED, FILMED, PLUGIN
from vadbench.records.folders import read_record
from vadbench.records.scores import load_split

NAMES = list(TEST)


@pytest.fixture(autouse=True)
def place(request, pictures_left_blank, monkeypatch, tmp_path):
    """A folder to stand in; pictures are not painted."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def save(tmp_path):
    """Write scores as one archive; its path."""

    def call(scores=None, name="scores.npz"):
        np.savez(tmp_path / name, **(drawn() if scores is None else scores))
        return tmp_path / name

    return call


@pytest.fixture
def load(vadbench, out):
    """Import scores and return the record with its folder, or the one line where they must be refused."""

    def call(path, *arguments, name="mine", dataset="filmed", status=0):
        command = ("import-scores", "--name", name, "-d", dataset, "--plugin", FILMED, "--out", out)
        found = vadbench(*command, *arguments, *([path] if path is not None else []), "--json", status=status)
        if status == 0:
            return found.json
        lines = [s for s in found.err.splitlines() if s]
        assert len(lines) == 1 and not found.out, found
        return lines[0]

    return call


@pytest.fixture
def refused(load, out):
    """Import what must be refused: its one line; nothing may be written."""

    def call(path, *arguments, **options):
        before = written(out)
        line = load(path, *arguments, status=2, **options)
        assert written(out) == before and (before or not out.exists())
        return line

    return call


def written(folder):
    return sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*"))


def value(record, key):
    return record["metrics"][key]["value"]


def notes(record, word):
    return [note for note in record["notes"] if word in note]


def truth_file(path, later=0, **changes):
    """A ground truth in vadbench's form; the path."""
    videos = {
        name: {"frames": frames, "segments": [[label, a + later, min(b + later, frames)] for label, a, b in segments]}
        for name, (frames, segments) in TEST.items()
    } | changes
    path.write_text(json.dumps({"videos": {name: v for name, v in videos.items() if v is not None}}))
    return path


# --- what is measured ------------------------------------------------------------------------------------------------


def test_every_figure_is_that_of_a_loop_over_frames(load, save):
    record = load(save())
    hours = [frames / 25 / 3600 for frames, _ in TEST.values()]
    expected = of_frames(by_frame(drawn()), hours)
    for key, number in expected.items():
        found = value(record, key)
        assert (found is None) == (number is None), key
        assert number is None or found == pytest.approx(number, abs=1e-9), key
    test = record["data"]["test"]
    assert (test["videos"], test["expected"], test["abnormal"]) == (len(TEST), len(TEST), ABNORMAL)
    assert (test["frames"], test["positives"]) == (FRAMES, POSITIVES)
    assert "a score every 16 frames, found from the lengths of 12 videos" in record["notes"]
    assert record["metrics"]["AUC"]["low"] < value(record, "AUC") < record["metrics"]["AUC"]["high"]


@pytest.mark.parametrize("stride", [1, 4, 8, 16, 24, 30, 11])
@pytest.mark.parametrize("count", ["ceil", "floor"])
def test_the_distance_of_rows_is_found_from_lengths(load, save, stride, count):
    rows = (lambda f, s: -(-f // s)) if count == "ceil" else (lambda f, s: f // s)
    scores = drawn(1, stride, rows)
    record = load(save(scores))
    assert notes(record, f"a score every {stride} frames, found from")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores, stride))["AUC"], abs=1e-12)


@pytest.mark.parametrize("tail", ["hold", "zero", "rows"])
def test_the_protocol_says_what_the_last_frames_count(load, save, tail):
    scores = drawn(2, rows=lambda frames, stride: max(frames // stride - 1, 1))
    rules = [] if tail == "hold" else ["--set", f"protocol.tail={tail}"]
    record = load(save(scores), "--stride", 16, "--tolerance", 32, *rules)
    expected = of_frames(by_frame(scores, tail=tail))
    assert value(record, "AUC") == pytest.approx(expected["AUC"], abs=1e-12)
    assert value(record, "AP") == pytest.approx(expected["AP"], abs=1e-12)
    frames = 16 * sum(len(values) for values in scores.values()) if tail == "rows" else FRAMES
    assert record["data"]["test"]["frames"] == frames
    assert record["protocol"]["tail"] == tail
    assert record["changed"] == ([] if tail == "hold" else ["protocol.tail"])


def test_lengths_that_are_not_known_are_those_of_the_rows(load, save, refused):
    scores = drawn()
    assert "give --stride FRAMES" in refused(save(scores), dataset="unmeasured")
    line = refused(save(scores), "--stride", 16, dataset="unmeasured")
    assert "the number of frames of 12 videos is not known" in line and "protocol.tail=rows" in line
    record = load(save(scores), "--stride", 16, "--set", "protocol.tail=rows", dataset="unmeasured")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores, tail="rows"))["AUC"], abs=1e-12)
    assert "a score every 16 frames, as was said" in record["notes"]


def test_lengths_may_be_stated_by_the_file(load, tmp_path):
    scores = drawn()
    entries = {name: {"frames": TEST[name][0], "scores": values.tolist()} for name, values in scores.items()}
    (tmp_path / "all.json").write_text(json.dumps({"videos": entries}))
    record = load(tmp_path / "all.json", "--stride", 16, dataset="unmeasured")
    assert record["data"]["test"]["frames"] == FRAMES
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores))["AUC"], abs=1e-7)


def test_post_processing_is_that_of_the_authors(load, save):
    logits = {name: (np.log(v / (1 - v)) * 3).astype(np.float64) for name, v in drawn().items()}
    record = load(save(logits), "--post", "logistic, round(2)")
    after = {name: np.round(1 / (1 + np.exp(-v)), 2) for name, v in logits.items()}
    expected = of_frames(by_frame(after))
    assert value(record, "AUC") == pytest.approx(expected["AUC"], abs=1e-12)
    assert value(record, "distinct") == expected["distinct"]
    assert record["protocol"]["post"] == record["method_post"] == "logistic, round(2)"
    assert record["changed"] == []
    assert not record["unit_scores"] and value(record, "FAR") is not None, "a logistic is between 0 and 1"
    assert value(load(save(logits), name="raw"), "FAR") is None


def test_classes_are_measured_where_there_are_probabilities(load, tmp_path):
    scores = drawn()
    rng = np.random.default_rng(4)
    riot = {name: rng.random(len(values)) / 2 for name, values in scores.items()}
    fire = {name: rng.random(len(values)) / 2 for name, values in scores.items()}
    entries = {
        name: {"scores": v.tolist(), "classes": {"g": riot[name].tolist(), "Fire": fire[name].tolist()}}
        for name, v in scores.items()
    }
    (tmp_path / "all.json").write_text(json.dumps(entries))
    record = load(tmp_path / "all.json")
    frames = by_frame(fire)
    truth = []
    for length, segments in TEST.values():
        mask = np.zeros(length, bool)
        for label, start, end in segments:
            mask[start:end] |= label == "Fire"
        truth.append(mask)
    expected = of_frames([(own, mask) for (own, _), mask in zip(frames, truth, strict=True)])
    assert value(record, "AUC[Fire]") == pytest.approx(expected["AUC"], abs=1e-12)
    assert value(record, "mAUC") is not None and value(record, "mAP@IoU") is not None
    split = load_split(out_of(record))
    assert split.given[0].classes.sum(1) == pytest.approx(1), "the normal class has the rest"


def out_of(record):
    """The folder of a record."""
    return Path(record["folder"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Explosion": [0.5] * 7}, "no class is called 'Explosion'; known: Fire, Normal, Riot"),
        ({"Riott": [0.5] * 7}, "no class is called 'Riott'; did you mean 'Riot'?"),
        ({"Riot": [0.5] * 7, "G": [0.5] * 7}, "'Riot' is there under two names"),
        ({"Riot": [0.5] * 6}, "expected 7 probabilities of each class"),
        (None, "no class probabilities, which other videos have"),
    ],
)
def test_classes_that_do_not_fit_are_refused(refused, tmp_path, change, said):
    entries = {n: {"scores": v.tolist(), "classes": {"Fire": [0.5] * len(v)}} for n, v in drawn().items()}
    if change is None:
        del entries[NAMES[0]]["classes"]
    else:
        entries[NAMES[0]]["classes"] = change
    (tmp_path / "all.json").write_text(json.dumps(entries))
    assert said in refused(tmp_path / "all.json")


def test_scores_stay_in_their_precision(load, save):
    narrow, wide = load(save()), load(save({n: v.astype(np.float64) for n, v in drawn().items()}))
    for record, kind in ((narrow, np.float32), (wide, np.float64)):
        assert {s.anomaly.dtype.type for s in load_split(out_of(record)).given} == {kind}
    assert narrow["key"] != wide["key"]


def test_all_forms_give_the_same_figures(load, save, tmp_path):
    scores = {name: values.astype(np.float64) for name, values in drawn(3).items()}
    expected = load(save(scores))
    (tmp_path / "each").mkdir()
    for name, values in scores.items():
        np.save(tmp_path / "each" / f"{name}_pred.npy", values)
    (tmp_path / "all.json").write_text(json.dumps({f"{n}.mp4": v.tolist() for n, v in scores.items()}))
    by = {n: {str(16 * i): float(x) for i, x in enumerate(v)} for n, v in scores.items()}
    (tmp_path / "frames.json").write_text(json.dumps({"videos": by}))
    spans = {
        n: {"segments": [[16 * i, min(16 * i + 15, TEST[n][0] - 1), float(x)] for i, x in enumerate(v)]}
        for n, v in scores.items()
    }
    (tmp_path / "segments.json").write_text(json.dumps({"videos": spans}))
    with (tmp_path / "all.csv").open("w", newline="") as file:
        rows = [(n, repr(float(x))) for n, v in scores.items() for x in v]
        csv.writer(file).writerows([("video_id", "score"), *rows])
    np.save(tmp_path / "joined.npy", np.concatenate(list(scores.values())))
    (tmp_path / "lengths.json").write_text(json.dumps({n: len(v) for n, v in scores.items()}))
    for paths in (["each"], ["all.json"], ["all.csv"], ["joined.npy", "lengths.json"]):
        record = load(None, *(tmp_path / path for path in paths))
        assert record["key"] == expected["key"] and record["metrics"] == expected["metrics"], paths
    for path in ("frames.json", "segments.json"):
        record = load(tmp_path / path, name=path.partition(".")[0])
        assert {k: m["value"] for k, m in record["metrics"].items() if "delay" not in k} == pytest.approx(
            {k: m["value"] for k, m in expected["metrics"].items() if "delay" not in k}, abs=1e-12
        ), path
        assert notes(record, "as the files say")


@pytest.mark.parametrize("frames", [True, False], ids=["their number is stated", "it is not"])
def test_frames_that_no_segment_covers_are_0(load, tmp_path, frames):
    rng, entries, scores = np.random.default_rng(9), {}, {}
    for name, (length, _) in TEST.items():
        segments = [[int(a), int(a) + 9, float(rng.random())] for a in rng.integers(0, length - 40, 5)]
        entries[name] = {"segments": segments} | ({"frames": length} if frames else {})
        scores[name] = np.zeros(length)
        for first, last, score in segments:
            scores[name][first : last + 1] = score
    (tmp_path / "all.json").write_text(json.dumps({"videos": entries}))
    record = load(tmp_path / "all.json")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores, 1))["AUC"], abs=1e-12)
    assert record["data"]["test"]["frames"] == FRAMES and not notes(record, "further off")


def test_other_names_of_a_video_are_found(load, save, tmp_path):
    expected = load(save())
    assert load(save({"quiet_pred" if n == "calm" else n: v for n, v in drawn().items()})) == expected
    content = json.loads(carrying(tmp_path / "x.json").read_text())["videos"]
    (tmp_path / "x.json").write_text(json.dumps({"quiet" if n == "calm" else n: v for n, v in content.items()}))
    assert load(tmp_path / "x.json", "--truth", tmp_path / "x.json")["data"]["test"]["positives"] == POSITIVES


# --- the ground truth ------------------------------------------------------------------------------------------------


def carrying(path, scores=None, later=0, **changes):
    """Scores with a ground truth of their own, some frames later; the path."""
    entries = {}
    for name, values in (drawn() if scores is None else scores).items():
        frames, segments = TEST[name]
        spans = [[a + later, min(b + later, frames) - 1] for _, a, b in segments]
        entries[name] = {"frames": frames, "spans_inclusive": spans, "scores": [float(v) for v in values]}
    path.write_text(json.dumps({"videos": entries | changes}))
    return path


def moved(scores, later):
    """Scores and truth of frames, that a number of frames later."""
    found = []
    for (name, _), (own, _) in zip(scores.items(), by_frame(scores), strict=True):
        mask = np.zeros(TEST[name][0], bool)
        for _, start, end in TEST[name][1]:
            mask[start + later : end + later] = True
        found.append((own, mask))
    return found


def test_the_agreement_with_the_truth_in_the_file_is_said(load, tmp_path):
    record = load(carrying(tmp_path / "same.json"))
    assert "the ground truth in the files agrees with this one in all 12 videos" in record["notes"]
    record = load(carrying(tmp_path / "late.json", later=8), name="late")
    (note,) = notes(record, "differs")
    # 8 frames at each end of a segment, but for what is at the end of its video or its neighbour.
    differing = [int((m != t).sum()) for (_, m), (_, t) in zip(moved(drawn(), 8), by_frame(drawn()), strict=True)]
    named = ", ".join(f"{n} ({c})" for n, c in [(n, c) for n, c in zip(NAMES, differing, strict=True) if c][:3])
    assert f"differs in {sum(differing)} frames of 6 of 12 videos: {named}; --truth" in note
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(drawn()))["AUC"], abs=1e-7), "the data set's counts"


@pytest.mark.parametrize("form", ["variant", "file", "carried", "set"])
def test_another_truth_counts(load, tmp_path, save, form):
    path = carrying(tmp_path / "late.json", later=8)
    given = {
        "variant": ("--truth", "late"),
        "set": ("--set", "protocol.truth=late"),
        "file": ("--truth", truth_file(tmp_path / "truth.json", 8)),
        "carried": ("--truth", path),
    }[form]
    record = load(path, *given)
    assert value(record, "AUC") == pytest.approx(of_frames(moved(drawn(), 8))["AUC"], abs=1e-7)
    own = load(path)
    assert own["key"] == record["key"] and own["evaluation"] != record["evaluation"]
    name = {"file": "truth.json@", "carried": "late.json@"}.get(form, "late")
    assert record["protocol"]["truth"].startswith(name) and str(tmp_path) not in json.dumps(record["notes"])
    assert record["changed"] == ["protocol.truth"]
    assert len(list((tmp_path / "runs").rglob("result.json"))) == 2


def test_a_truth_may_demand_its_tail(load, save):
    scores = drawn(2, rows=lambda frames, stride: frames // stride)
    record = load(save(scores), "--truth", "rows")
    assert record["protocol"]["tail"] == "rows"
    assert record["data"]["test"]["frames"] == 16 * sum(map(len, scores.values()))


def test_carried_truth_is_found_by_the_names_of_videos(load, tmp_path):
    plain = load(carrying(tmp_path / "plain.json", later=8), "--truth", tmp_path / "plain.json")
    content = json.loads((tmp_path / "plain.json").read_text())["videos"]
    (tmp_path / "named.json").write_text(json.dumps({f"videos/{n}.mp4_pred": entry for n, entry in content.items()}))
    named = load(tmp_path / "named.json", "--truth", tmp_path / "named.json", name="named")
    assert named["metrics"] == plain["metrics"]


def test_spans_that_end_a_frame_too_far_are_cut_and_named(load, refused, tmp_path):
    """An annotation that ends two frames past its video, its last frame taken for part of it."""
    entry = {"frames": 352, "scores": [0.5] * 22}
    path = carrying(tmp_path / "x.json", **{"Fire003_x264": {**entry, "spans_inclusive": [[300, 354]]}})
    record = load(path, "--truth", path)
    (note,) = notes(record, "cut there")
    assert note.endswith("a segment of 'Fire003_x264' ends at frame 355, past its 352 frames; cut there")
    assert str(tmp_path) not in note
    assert record["data"]["test"]["positives"] == POSITIVES
    path = carrying(tmp_path / "y.json", **{"Fire003_x264": {**entry, "spans_inclusive": [[300, 355]]}})
    assert "ends at frame 356, past its 352 frames" in refused(path, "--truth", path)


def label_rows(path, stride=16, later=0):
    """A csv file of scores with a label for each row; its path and the labels."""
    scores, rows, labels = drawn(5, stride), [], {}
    for name, values in scores.items():
        mask = np.pad(
            moved({name: values}, later)[0][1] if stride == 16 else by_frame({name: values}, stride)[0][1], (0, stride)
        )
        labels[name] = mask[: len(values) * stride : stride]
        rows += [(name, repr(float(v)), int(g)) for v, g in zip(values, labels[name], strict=True)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("video_id", "score", "gt"), *rows])
    return path, scores, labels


def test_labels_of_rows_are_compared_where_rows_begin(load, tmp_path):
    path, _, _ = label_rows(tmp_path / "all.csv")
    assert notes(load(path), "agrees with this one in all 12 videos")
    path, _, labels = label_rows(tmp_path / "late.csv", later=16)
    differing = {
        n: int((own != np.pad(by_frame({n: own})[0][1], (0, 16))[: 16 * len(own) : 16]).sum())
        for n, own in labels.items()
    }
    (note,) = notes(load(path, name="late"), "differs")
    assert f"differs in {sum(differing.values())} rows of {sum(map(bool, differing.values()))} of 12 videos" in note


def test_labels_of_rows_are_a_truth_at_the_distance_of_the_rows(load, tmp_path):
    path, scores, labels = label_rows(tmp_path / "all.csv")
    record = load(path, "--truth", path)
    frames = [
        (own, np.repeat(labels[name], 16)[: len(own)])
        for (name, _), (own, _) in zip(scores.items(), by_frame(scores), strict=True)
    ]
    assert value(record, "AUC") == pytest.approx(of_frames(frames)["AUC"], abs=1e-7)
    assert record["data"]["test"]["positives"] == sum(int(truth.sum()) for _, truth in frames)


def test_labels_of_rows_need_a_known_distance(refused, load, tmp_path):
    path, _, _ = label_rows(tmp_path / "all.csv")
    assert "give --stride FRAMES" in refused(path, "--truth", path, dataset="unmeasured")
    tail = ("--set", "protocol.tail=rows", "--stride", 16)
    own, carried = (load(path, *tail, *more, dataset="unmeasured") for more in ([], ["--truth", path]))
    assert carried["data"]["test"]["positives"] % 16 == 0 and own["evaluation"] != carried["evaluation"]


def test_a_file_without_truth_is_none(refused, save, tmp_path):
    path = save()
    assert "carries no ground truth; name another file with --truth" in refused(path, "--truth", path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"calm": None}, "lacks 1 of 12 videos, the first is 'calm'"),
        ({"calm": {"frames": 300, "segments": []}}, "'calm' has 300 frames there, 320 by the data set"),
        ({"calm": {"frames": 320, "segments": [["Riot", 0, 400]]}}, "ends at frame 400, past its 320 frames"),
        ({"calm": {"frames": 320, "segments": [["Riot", 5, 3]]}}, "segment must have 0 <= first < end"),
        ({"calm": {"frames": 320, "segments": [["Riots", 5, 9]]}}, "did you mean 'Riot'"),
        ({"calm": []}, "expected an entry as in"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(refused, save, tmp_path, changes, said):
    line = refused(save(), "--truth", truth_file(tmp_path / "truth.json", **changes))
    assert said in line and "truth.json" in line


def test_a_truth_of_other_lengths_than_the_scores_is_refused(refused, save, tmp_path):
    content = carrying(tmp_path / "x.json", **{"calm": {"frames": 200, "spans_inclusive": [], "scores": [0.5] * 20}})
    assert "'calm' has 200 frames" in refused(content)
    assert "'calm' has 200 frames" in refused(content, "--truth", content)
    assert "no such" in refused(save(), "--truth", "lat").casefold() or "did you mean 'late'" in refused(
        save(), "--truth", "lat"
    )


# --- what does not fit -----------------------------------------------------------------------------------------------


def without(*names):
    return {name: values for name, values in drawn().items() if name not in names}


def test_a_missing_video_is_named_and_may_be_left_out(refused, load, save, out):
    path = save(without("calm", "01_0014"))
    line = refused(path)
    assert "2 of 12 test videos of filmed have no scores: 01_0014, calm;" in line and "--allow-incomplete" in line
    record = load(path, "--allow-incomplete")
    assert "incomplete: 10 of 12 test videos, the others lack scores" in record["notes"]
    assert (record["data"]["test"]["videos"], record["data"]["test"]["expected"]) == (10, 12)
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(without("calm", "01_0014")))["AUC"], abs=1e-12)
    path = carrying(out.parent / "few.json", without("calm"))
    assert "1 of 12 test videos of filmed have no scores: calm" in refused(path, "--truth", path)
    carried = load(path, "--truth", path, "--allow-incomplete", name="few")
    assert carried["data"]["test"]["videos"] == 11


def test_unknown_videos_are_refused(refused, save):
    line = refused(save({**drawn(), "Riot002_x264": np.ones(3), "stranger": np.ones(3)}))
    assert "2 of 14 scored names are no test videos of filmed, the first is 'Riot002_x264'" in line
    assert "did you mean 'Riot001_x264'" in line
    assert "are no test videos" in refused(save({**drawn(), "Riot002_x264": np.ones(3)}), "--allow-incomplete")


def test_scores_of_another_data_set_are_refused(refused, save, tmp_path):
    line = refused(save({f"other-{i}": np.ones(9) for i in range(12)}))
    assert "none of the 12 scored names is a test video of filmed" in line and "'other-0'" in line
    for i in range(3):
        (tmp_path / "each").mkdir(exist_ok=True)
        np.save(tmp_path / "each" / f"other-{i}.npy", np.ones(9))
    assert "none of the 3 scored names is a test video of filmed" in refused(tmp_path / "each")
    line = refused(save({name: np.ones(5 + i) for i, name in enumerate(TEST)}))
    assert "the distance of rows cannot be found out" in line and "another data set" in line


def test_names_of_training_videos_are_no_test_videos(refused, save):
    assert "'train-0'" in refused(save({**drawn(), "train-0": np.ones(6)}))


def test_another_division_has_other_videos(load, save, refused):
    assert "6 of 12 scored names are no test videos" in refused(save(), "--partition", "half")
    record = load(save({name: drawn()[name] for name in HALF}), "--partition", "half")
    assert record["protocol"]["partition"] == "half" and record["data"]["test"]["expected"] == 6
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame({n: drawn()[n] for n in HALF}))["AUC"], abs=1e-12)


def test_the_subset_is_taken_from_the_scores_of_all_videos(load, save):
    record = load(save(), "--set", "protocol.subset=single-anomaly")
    kept = without("Bad.Boys.1995__#00-10-00_label_B2-0-0")
    assert record["data"]["test"]["videos"] == 11
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(kept))["AUC"], abs=1e-12)
    assert load(save())["key"] == record["key"]


def test_rows_beyond_the_tolerance_are_refused_or_named(refused, load, save):
    scores = drawn() | {"calm": np.full(26, 0.5, np.float32), "01_0014": np.full(3, 0.25, np.float32)}
    line = refused(save(scores))
    assert "the scores of 2 of 12 videos do not fit their lengths, the first:" in line
    assert "'01_0014' has 3 scores of 16 frames each for 145 frames" in line and "--tolerance 97" in line
    assert "--tolerance 97" in refused(save(scores), "--tolerance", 50)
    record = load(save(scores), "--tolerance", 97)
    (note,) = notes(record, "further off than usual")
    assert "2 videos: 01_0014 (3 rows for 145 frames), calm (26 rows for 320 frames)" in note
    assert notes(record, "rows past the end of their video count no frame, 1 videos: calm")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores))["AUC"], abs=1e-12)
    assert record["data"]["test"]["frames"] == FRAMES


def test_a_smaller_tolerance_is_smaller(refused, load, save):
    scores = drawn() | {"01_0014": np.full(8, 0.5, np.float32)}  # of 9, with 17 frames behind the last
    assert load(save(scores))
    assert "1 of 12 videos do not fit" in refused(save(scores), "--tolerance", 0)


def test_the_tolerance_of_the_protocol_counts(refused, load, save):
    scores = drawn() | {"calm": np.full(23, 0.5, np.float32)}
    assert "1 of 12 videos do not fit" in refused(save(scores))
    assert notes(load(save(scores), "--set", "protocol.tolerance=48"), "further off than usual")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(refused, save, value):
    scores = drawn()
    scores["calm"][3] = value
    assert f"'calm': score 3 is {value}" in refused(save(scores))


def test_pickled_arrays_are_refused(refused, tmp_path):
    array = np.empty(1, object)
    array[0] = {"calm": [1, 2]}
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert "pickled Python objects" in refused(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "recipe.epochs=3"), "scores have no settings but those of the protocol"),
        (("--set", "protocol.tale=zero"), "did you mean 'tail'"),
        (("--set", "protocol.tail=wag"), "'hold', 'zero', 'rows' or 'rows-prolonged'"),
        (("--set", "protocol.post=round(1)", "--post", "round(2)"), "both give protocol.post"),
        (("--post", "gausian(10)"), "did you mean"),
        (("--protocol", "vadclop"), "did you mean 'vadclip'"),
        (("--partition", "halv"), "did you mean 'half'"),
        (("--stride", "8"), "do not fit their lengths"),
        (("--stride", "0"), "--stride"),
        (("--tolerance", "-1"), "--tolerance"),
        (("--trained-on", "../x"), "--trained-on must be letters"),
        (("--supervision", "strong"), "--supervision"),
        (("--data-root", "/nowhere"), "/nowhere"),
    ],
)
def test_options_that_are_wrong_are_refused(refused, save, arguments, said):
    assert said in refused(save(), *arguments)


@pytest.mark.parametrize("name", ["../mine", "a/b", "", ".hidden", "a b", "ä", "x\n", "/tmp/x"])
def test_a_name_must_be_one_of_a_folder(refused, save, name):
    assert "--name must be letters" in refused(save(), name=name)


def test_an_unknown_data_set_is_refused(refused, save):
    assert "did you mean 'filmed'" in refused(save(), dataset="filmd")


def test_a_stride_that_contradicts_the_file_is_refused(refused, load, tmp_path):
    by = {n: {str(16 * i): float(x) for i, x in enumerate(v)} for n, v in drawn().items()}
    (tmp_path / "all.json").write_text(json.dumps(by))
    assert "have a score every 16 frames, --stride says 8" in refused(tmp_path / "all.json", "--stride", 8)
    assert load(tmp_path / "all.json", "--stride", 16)
    by["calm"] = {str(8 * i): 0.5 for i in range(40)}
    (tmp_path / "all.json").write_text(json.dumps(by))
    assert "scores must have one distance of rows, found 8, 16" in refused(tmp_path / "all.json")


def test_a_disk_that_cannot_be_written_is_said(save, load, out):
    out.write_text("a file")
    assert "a file stands where a folder is needed" in load(save(), status=2)


# --- what is left behind ---------------------------------------------------------------------------------------------


def test_the_folder_is_that_of_a_run(load, save, out):
    record = load(save(), "--source", "github.com/x/y", "--licence", "MIT", "--commit", "abc", "--saw", "the internet")
    folder = out / "filmed" / "mine" / record["key"]
    assert record["folder"] == str(folder)
    files = {p.name for p in folder.iterdir()} - {".lock"}
    assert {"result.json", "scores.npz", "roc.png", "pr.png"} <= files
    assert record["reads"] == "recorded" and record["supervision"] == "weak"
    assert record["trained_on"] == record["dataset"] == "filmed"
    source = record["recorded"]
    assert (source["source"], source["licence"], source["commit"]) == ("github.com/x/y", "MIT", "abc")
    assert source["files"] == {"scores.npz": hashlib.sha256((out.parent / "scores.npz").read_bytes()).hexdigest()}
    assert "scores were computed by others: github.com/x/y, commit abc, licence MIT" in record["notes"]
    assert "its models had seen: the internet" in record["notes"]
    assert record["code"]["dataset"]["distribution"]
    split = load_split(folder)
    assert {s.name: s.anomaly.tolist() for s in split.given} == {n: v.tolist() for n, v in drawn().items()}


def test_what_nobody_states_is_said(load, save):
    record = load(save())
    assert notes(record, "source not stated") and notes(record, "licence not stated")
    assert "what its models had seen before is not stated" in record["notes"]


def test_the_checksum_of_a_folder_is_of_the_scores_in_it(load, tmp_path, monkeypatch):
    (tmp_path / "each").mkdir()
    for name, values in drawn().items():
        np.save(tmp_path / "each" / f"{name}.npy", values)
    first = load(tmp_path / "each")["recorded"]["files"]
    (tmp_path / "each" / "README.md").write_text("x")
    monkeypatch.chdir(tmp_path / "each")
    again = load(".", name="again")["recorded"]["files"]
    assert first == again and list(first) == ["each"]
    np.save(tmp_path / "each" / "calm.npy", np.ones(20))
    assert load(".", name="other")["recorded"]["files"] != first


def test_the_same_scores_are_imported_once(load, save, out, tmp_path):
    first = load(save(), "--source", "x")
    before = written(out)
    again = load(save(), "--source", "x")
    (tmp_path / "copy").mkdir()
    elsewhere = load(save(name="copy/of.npz"))
    assert written(out) == before and again == first == elsewhere
    other = load(save(), "--post", "gaussian(1)")
    assert other["key"] == first["key"] and other["evaluation"] != first["evaluation"]
    assert other["folder"] == f"{first['folder']}/evaluations/{other['evaluation']}"
    assert load(save(), "--set", "protocol.tail=zero")["key"] == first["key"]
    scores = drawn()
    scores["calm"][0] += 1e-6
    assert load(save(scores))["key"] != first["key"]
    assert len(list(out.rglob("result.json"))) == 4


def test_class_probabilities_are_part_of_the_scores(load, tmp_path):
    keys = []
    for share in (0.25, 0.5, None):
        entries = {
            n: {"scores": v.tolist()} | ({} if share is None else {"classes": {"Riot": [share] * len(v)}})
            for n, v in drawn().items()
        }
        (tmp_path / "all.json").write_text(json.dumps(entries))
        keys.append(load(tmp_path / "all.json")["key"])
    assert len(set(keys)) == 3


def test_more_may_be_said_of_scores_later(load, save, out):
    first = load(save(), "--source", "x", "--supervision", "training-free")
    told = load(save(), "--licence", "MIT", "--trained-on", "ucfcrime")
    assert (told["recorded"]["source"], told["recorded"]["licence"]) == ("x", "MIT")
    assert (told["supervision"], told["trained_on"]) == ("training-free", "ucfcrime")
    assert told["key"] == first["key"] and told["metrics"] == first["metrics"]
    assert notes(told, "others: x, licence MIT") and read_record(out_of(told)).trained_on == "ucfcrime"
    before = written(out)
    assert load(save()) == told and written(out) == before, "what is not said again stays"
    assert len(list(out.rglob("result.json"))) == 1


def test_for_people_the_figures_and_the_notes_are_printed(vadbench, save, out):
    command = ("import-scores", "--name", "mine", "-d", "filmed", "--plugin", FILMED, "--out", out, save())
    printed = vadbench(*command)
    assert f"mine on filmed (recorded): 12 test videos, {FRAMES} frames, {POSITIVES} of them anomalous" in printed.out
    assert "note: a score every 16 frames" in printed.err and "AUC" in printed.out
    assert printed.out.rstrip().endswith(str(next((out / "filmed" / "mine").iterdir())))
    assert "(finished earlier)" in vadbench(*command).out


def test_two_imports_at_once_do_not_mix(load, save, out, held_by_another_process):
    record = load(save())
    with held_by_another_process(out_of(record)):
        assert "in use by another process" in load(save(), "--post", "round(1)", status=2)
    assert load(save(), "--post", "round(1)")["key"] == record["key"]


def test_a_killed_import_leaves_nothing_that_counts(save, load, out, tmp_path):
    """Killed at the moment when everything but the record is written."""
    code = """
import os, signal, sys
import vadbench.harness.import_scores as harness
harness.save_pictures = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from vadbench.cli import main
main(sys.argv[1:])
"""
    command = ["import-scores", "--name", "mine", "-d", "filmed", "--plugin", FILMED, "--out", out, save()]
    for more in ([], ["--post", "round(1)"]):
        done = subprocess.run([sys.executable, "-c", code, *map(str, command), *more], capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(out.rglob("scores.npz")) and not list(out.rglob("result.json"))
    record = load(save())
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(drawn()))["AUC"], abs=1e-12)
    assert not [p for p in out_of(record).rglob(".*") if p.name != ".lock"], "no temporary file"
    assert [s.anomaly.tolist() for s in load_split(out_of(record)).given] == [v.tolist() for v in drawn().values()]


# --- what other commands make of it ----------------------------------------------------------------------------------


@pytest.fixture
def two(load, save):
    """Two recorded methods on the same videos."""
    return load(save(drawn(0, quality=2)), name="good"), load(save(drawn(1, quality=0)), name="bad")


def test_two_recorded_methods_are_compared_on_the_same_videos(two, vadbench, out):
    found = vadbench("compare", "filmed/good", "filmed/bad", "--out", out, "--json").json
    auc = found["metrics"]["AUC"]
    assert auc["A"] == value(two[0], "AUC") and auc["difference"] == pytest.approx(auc["A"] - auc["B"])
    assert auc["low"] <= auc["difference"] <= auc["high"] and auc["p"] is not None
    assert not [n for n in found["notes"] if "feature" in n]


def test_a_board_of_recorded_scores(two, vadbench, out):
    (table,) = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    rows = [row for row in table["rows"] if row.get("rank")]
    assert [row["label"] for row in rows] == ["good (recorded)", "bad (recorded)"]
    assert "not known: recorded scores of others" in table["note"]


def test_two_scores_under_one_name_are_two_rows(load, save, vadbench, out):
    keys = [load(save(drawn(seed)))["key"][:8] for seed in (0, 1)]
    (table,) = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    labels = {row["label"] for row in table["rows"] if row.get("rank")}
    assert labels == {f"mine (recorded) (scores {key})" for key in keys}


def test_the_same_scores_under_two_names_are_two_rows(load, save, vadbench, out):
    one, two = load(save(), name="one"), load(save(), name="two")
    assert one["key"] != two["key"] and one["metrics"] == two["metrics"]
    (table,) = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    assert {row["label"] for row in table["rows"] if row.get("rank")} == {"one (recorded)", "two (recorded)"}
    assert vadbench("show", "run", two["key"][:6], "--out", out).out.startswith("two on filmed (recorded)")


def test_every_command_takes_the_folder(two, vadbench, out, tmp_path, tracking_address):
    folders = [record["folder"] for record in two]
    shown = vadbench("show", "run", folders[0])
    assert (
        "good on filmed (recorded), seed 0: finished" in shown.out
        and "the scores are recorded: source not stated" in shown.out
    )
    before = {p: p.read_bytes() for p in out.rglob("result.json")}
    said = vadbench("rescore", out)
    assert {p: p.read_bytes() for p in out.rglob("result.json")} == before, said.out
    vadbench("plot", *folders, "--output", tmp_path / "plots", "--format", "svg", "--kind", "roc", "--kind", "video")
    assert list((tmp_path / "plots").glob("*"))
    vadbench("report", *folders, "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "source not stated" in page and "http://" not in page.replace("http://www.w3.org", "")
    vadbench("log", *folders)
    with sqlite3.connect(tracking_address.removeprefix("sqlite:///")) as database:
        logged = {v for (v,) in database.execute("select value from metrics where key = 'AUC'").fetchall()}
        told = [v for (v,) in database.execute("select value from tags where key = 'vadbench.notes'").fetchall()]
    database.close()
    assert {value(record, "AUC") for record in two} <= logged
    assert any("scores were computed by others: source not stated" in notes for notes in told)


def test_a_submission_of_recorded_scores_is_clean(load, save, vadbench, out):
    commit = "0123456789abcdef0123456789abcdef01234567"
    path = save({name: values for name, values in drawn(rows=lambda f, s: f // s).items()})
    for arguments in ([], ["--post", "gaussian(1)"], ["--set", "protocol.tail=zero"], ["--truth", "late"]):
        load(path, "--source", "github.com/x/y", "--licence", "MIT", *arguments)
    load(save(without("calm")), "--allow-incomplete", name="few")
    for result in out.rglob("result.json"):
        record = json.loads(result.read_text())
        record["environment"]["commit"] = commit
        result.write_text(json.dumps(record))
    assert vadbench("results", "check", out, "--plugin", FILMED, status=None).out.splitlines() == [
        "5 results checked, nothing to fix"
    ]


def test_recorded_scores_are_ranked_beside_runs_only_if_asked(vadbench, tmp_path, out):
    """A method that is run here, and one whose scores are recorded, on the same videos under the same rules."""
    plugins = ("--plugin", DIVIDED, "--plugin", PLUGIN)
    vadbench(
        "run",
        *plugins,
        "-m",
        "random",
        "-d",
        "divided",
        "--clip",
        "small",
        "--clip-weights",
        "random:0",
        "--device",
        "cpu",
        "--out",
        out,
    )
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "all.npz", **{f"test-{i}": rng.random(30) for i in range(16)})
    vadbench("import-scores", *plugins, "--name", "theirs", "-d", "divided", "--out", out, tmp_path / "all.npz")
    apart = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    ranked = [[row["label"] for row in table["rows"] if row.get("rank")] for table in apart]
    assert sorted(ranked) == [["random"], ["theirs (recorded)"]]
    (joined,) = vadbench("leaderboard", "--out", out, "--format", "json", "--with-recorded").json["tables"]
    assert {row["label"] for row in joined["rows"] if row.get("rank")} == {"random", "theirs (recorded)"}
    assert "not known" not in joined["note"]
    found = vadbench("compare", "divided/random", "divided/theirs", "--out", out, "--json").json
    assert found["metrics"]["AUC"]["low"] is not None
