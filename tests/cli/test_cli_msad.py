"""Commands on MSAD: every method that comes with vadbench, both divisions, which are never mixed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from roots.msad import (
    FRAMES,
    RUNS,
    TEST,
    TEST_ABNORMAL,
    TEST_NORMAL,
    TRAIN_ABNORMAL,
    make_root,
    short,
    write_features,
    write_videos,
)
from vadbench.plugins.registry import installed
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("quick_runs")
ONE_CLASS = ("--partition", "one-class")
OF_ONE_CLASS = TEST + TRAIN_ABNORMAL


@pytest.fixture
def root(tmp_path):
    """A root with features of every frame."""
    made = make_root(tmp_path / "MSAD")
    write_features(made / "features", every=1)
    return made


@pytest.fixture
def run(vadbench, tmp_path, root):
    """``vadbench run`` on that root: its record, or what it said where it failed."""
    base = ["run", "-d", "msad", "--device", "cpu", "--out", tmp_path / "runs", "--json"]
    base += ["--clip", "small", "--clip-weights", "random:0"]

    def call(method, *more, data=root, features="features", status=0):
        needs = installed().method(method).Config().needs()
        arguments = [*base, "--data-root", data, "-m", method, *more]
        if needs.streams:
            arguments += ["--features", data / features]
        if needs.supervision == "weak" and "--from" not in more:
            arguments += ["--set", "recipe.batch_size=4", "--set", "recipe.steps=4"]
        printed = vadbench(*arguments, status=status)
        return printed.err if status else printed.json[0]

    return call


def is_sound(found, names=TEST):
    """Check a result against its scores and the annotation, by another library's AUC."""
    assert found["status"] == "finished"
    split = load_split(Path(found["folder"]))
    assert {s.name: s.frames for s in split.scores} == {name: FRAMES[name] for name in names}
    labels, scores = [], []
    for s in split.scores:
        frame = np.arange(s.frames)
        start, end = RUNS.get(s.name, (0, 0))
        labels.append((start <= frame) & (frame < end))
        scores.append(s.anomaly[np.minimum(frame // split.stride, len(s.anomaly) - 1)])
    labels, scores = np.concatenate(labels), np.concatenate(scores)
    test = found["data"]["test"]
    assert (test["videos"], test["frames"], test["positives"]) == (len(names), len(labels), labels.sum())
    assert found["metrics"]["AUC"]["value"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(installed().specs("method")))
def test_a_method_runs_in_both_divisions_or_says_why_not(run, root, method):
    needs = installed().method(method).Config().needs()
    if needs.reads == "frames":
        write_videos(root / "all_videos")
    # No bank of sentences comes for this data set.
    bank = ["--descriptions", "general"] if method == "prompt-contrast" else []
    own = run(method, *bank)
    is_sound(own)
    assert own["protocol"]["partition"] == "" and own["data"]["test"]["expected"] == 240
    if needs.supervision == "weak":
        said = run(method, *ONE_CLASS, status=2)
        assert f"'{method}' cannot run on msad" in said and "found 3 and 0 in the train split" in said
        return
    other = run(method, *bank, *ONE_CLASS)
    is_sound(other, OF_ONE_CLASS)
    assert other["protocol"]["partition"] == "one-class" and other["data"]["test"]["expected"] == 360
    assert own["evaluation"] != other["evaluation"]


@pytest.mark.parametrize("method", ["mil", "zero-shot"])
def test_a_result_has_the_annotated_frames_classes_and_scenarios(run, method):
    found = run(method)
    is_sound(found)
    # Of the classes that no test video has, nothing is measured.
    measured = {name for name, v in found["metrics"].items() if name.startswith("AUC[") and v["value"] is not None}
    assert measured == {"AUC[Assault]", "AUC[Fire]", "AUC[People_falling]"}
    assert {name: own["abnormal"] for name, own in found["scenarios"].items()} == {
        "office": 1,
        "street_highview": 1,
        "shop": 1,
    }
    assert "incomplete: 5 of 240 test videos" in found["notes"]


def test_the_two_divisions_never_stand_in_one_table(run, vadbench, tmp_path):
    own, other, again = run("zero-shot"), run("zero-shot", *ONE_CLASS), run("random", *ONE_CLASS)
    is_sound(other, OF_ONE_CLASS)
    assert len({own["evaluation"], other["evaluation"]}) == 2 and other["evaluation"] == again["evaluation"]
    tables = vadbench("leaderboard", "--out", tmp_path / "runs", "--format", "json").json["tables"]
    ranked = {
        t["title"].partition(" (incomplete")[0]: {row["label"] for row in t["rows"] if row["rank"]} for t in tables
    }
    assert ranked == {"msad": {"zero-shot"}, "msad, partition one-class": {"zero-shot", "random"}}


def test_a_training_of_the_own_division_is_not_tested_in_the_other(run):
    trained = run("mil")
    said = run("mil", "--from", trained["key"], *ONE_CLASS, status=2)
    assert f"the training saw 2 of the 7 test videos, the first is {TRAIN_ABNORMAL[0]!r}" in said


def test_the_published_truth_follows_the_rows_of_the_features(run, root):
    write_features(root / "i3d")
    found = run("mil", "--truth", "published", features="i3d")
    rows = {n: FRAMES[n] // 16 for n in TEST}
    positive = sum(np.arange(16 * rows[n])[slice(*RUNS[n])].size for n in TEST_ABNORMAL)
    test = found["data"]["test"]
    assert (test["videos"], test["frames"], test["positives"]) == (5, 16 * sum(rows.values()), positive)
    assert (found["protocol"]["truth"], found["protocol"]["tail"]) == ("published", "rows")
    assert any(n.startswith("ground truth published: ") and "143,920 frames, 33,160" in n for n in found["notes"])
    assert found["evaluation"] != run("mil", features="i3d")["evaluation"]


@pytest.fixture
def real(test_data, tmp_path):
    """A function that writes features of so many rows for the real lists, one row where none is said."""
    source = test_data / "more" / "msad"
    if not source.is_dir():
        pytest.skip(f"no lists of MSAD at {source}")
    root = tmp_path / "official"
    root.mkdir()
    for name in ("anomaly_annotation.csv", "frames.json", "msad-i3d.list", "msad-i3d-test.list"):
        shutil.copyfile(source / name, root / name)

    def call(rows):
        folder = root / f"features {len(list(root.iterdir()))}"
        for path in (root / "msad-i3d.list", root / "msad-i3d-test.list"):
            for line in path.read_text().split():
                place = folder / line
                place.parent.mkdir(parents=True, exist_ok=True)
                count = rows.get(place.stem.removesuffix("_i3d"), 1)
                np.save(place, np.random.default_rng(count).standard_normal((count, 64)).astype(np.float16))
        return folder

    call.root, call.source = root, source
    return call


@pytest.mark.parametrize(
    ("more", "videos", "frames", "positives"),
    [
        ((), 240, 146_410, 33_739),
        (("--set", "protocol.boundaries=vadclip"), 240, 146_410, 33_619),
        (ONE_CLASS, 360, 227_524, 81_813),
        ((*ONE_CLASS, "--set", "protocol.boundaries=vadclip"), 360, 227_524, 81_573),
        (("--truth", "published"), 240, 143_920, 33_160),
    ],
    ids=["own", "half-open", "one-class", "one-class-half-open", "published"],
)
def test_a_run_on_the_real_lists_has_the_documented_frames(real, run, more, videos, frames, positives):
    frame_counts = json.loads((real.source / "frames.json").read_text())["frames"]
    rows = {name: count // 16 for name, count in frame_counts.items()}
    if "published" in more:
        array = json.loads((real.source / "gt_msad_ws.json").read_text())
        rows = {name: length // 16 for name, length, _ in array["videos"]}
    found = run("random", "--features-layout", "vadclip", "--set", "rows.stride=16", *more,
                data=real.root, features=real(rows))  # fmt: skip
    test = found["data"]["test"]
    assert (test["videos"], test["frames"], test["positives"]) == (videos, frames, positives)
    assert not any(n.startswith("incomplete") for n in found["notes"])


def test_features_under_short_names_give_the_same_figures(run, root):
    whole = run("mil")
    for path in list((root / "features").rglob("*.npy")):
        path.rename(path.with_name(short(path.name.removesuffix("_i3d.npy")) + ".npy"))
    assert run("mil")["metrics"] == whole["metrics"]


@pytest.mark.parametrize(
    ("more", "train", "test", "positive"),
    [((), (5, 3, 2), (5, 2, 3), 88), (ONE_CLASS, (3, 3, 0), (7, 2, 5), 109)],
    ids=["own", "one-class"],
)
def test_data_check_counts_each_division(vadbench, root, more, train, test, positive):
    check = ("data", "check", "msad", "--data-root", root, "--features", root / "features", "--json")
    found = vadbench(*check, *more, status=1).json
    counts = {
        s: (r["videos"]["usable"], r["normal"]["usable"], r["abnormal"]["usable"]) for s, r in found["splits"].items()
    }
    assert counts == {"train": train, "test": test}
    assert found["splits"]["test"]["positive_frames"] == positive
    assert {p["kind"] for p in found["problems"]} == {"count", "origin"}


def test_data_check_says_that_a_list_is_shortened(vadbench, tmp_path):
    root = make_root(tmp_path, "csv")
    write_features(root / "features")
    found = vadbench("data", "check", "msad", "--data-root", root, "--features", root / "features", "--json", status=1)
    texts = [p["text"] for p in found.json["problems"]]
    assert any("the test list names 5 videos, a complete copy's 240" in t for t in texts)
    assert any("MSAD_test.csv: a shortened list in circulation, 5 of 240 test videos" in t for t in texts)


def test_one_damaged_line_stops_a_run_in_one_line(run, root):
    path = root / "anomaly_annotation.csv"
    path.write_text(path.read_text().replace("Fire_912,street_highview,64,1,64", "Fire_912,street_highview,64,1"))
    said = run("blind-centre", status=2)
    assert [line for line in said.splitlines() if "anomaly_annotation.csv, line 4: expected 'name,scenario," in line]


def test_the_checks_of_a_data_set_pass(vadbench, root):
    write_videos(root / "all_videos")
    said = vadbench("check", "dataset", "msad", "--data-root", root).out
    assert "FAILED" not in said and "skipped" not in said


def test_it_says_what_is_expected_where(vadbench):
    shown = " ".join(vadbench("show", "dataset", "msad").out.split())
    for words in (
        "train videos: 480", "test videos: 240", "(360 train, 360 test)", "no redistribution", "_swin.npy",
        "94.36", "87.55", "anomaly_annotation.csv",
    ):  # fmt: skip
        assert words in shown, words
    assert len(TEST_NORMAL) == 2
