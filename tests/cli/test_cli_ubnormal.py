"""Commands on UBnormal: every method that comes with vadbench, weights chosen on validation, the other division."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from roots.ubnormal import (
    ABNORMAL,
    PLOVAD_LIST,
    RUNS,
    TEST_FRAMES,
    make_root,
    tracks_file,
    write_clip,
    write_features,
)
from vadbench.plugins.registry import installed
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("quick_runs")
OF_CLASSES = ("mAUC", "mAP", "mAP@0.1", "mAP@IoU")
VALIDATION = ("--set", "protocol.selection=validation")


@pytest.fixture
def root(tmp_path):
    """A root with features, frame counts and PLOVAD's list."""
    counts = [f"{name}@{frames}" for name, frames in TEST_FRAMES.items()]
    made = make_root(tmp_path / "UBnormal", **{"frames.txt": counts, "ub-vit-train.list": PLOVAD_LIST})
    return write_features(made, 64)


@pytest.fixture
def run(vadbench, tmp_path, root):
    """``vadbench run`` on that root: its record."""
    base = ["run", "-d", "ubnormal", "--data-root", root, "--device", "cpu", "--out", tmp_path / "runs", "--json"]
    base += ["--clip", "small", "--clip-weights", "random:0"]

    def call(method, *more):
        needs = installed().method(method).Config().needs()
        arguments = [*base, "-m", method, *more]
        if needs.streams:
            arguments += ["--features", root]
        if needs.supervision == "weak":
            arguments += ["--set", "recipe.batch_size=4", "--set", "recipe.steps=4"]
        return vadbench(*arguments).json[0]

    return call


def is_sound(found):
    """Check a result on the small root against its scores and the tracks, by another library's AUC."""
    assert found["status"] == "finished"
    split = load_split(Path(found["folder"]))
    assert {s.name: s.frames for s in split.scores} == TEST_FRAMES
    labels, scores = [], []
    for s in split.scores:
        frame = np.arange(s.frames)
        labels.append(np.any([(start <= frame) & (frame < end) for start, end in RUNS.get(s.name, [(0, 0)])], axis=0))
        scores.append(s.anomaly[np.minimum(frame // split.stride, len(s.anomaly) - 1)])
    labels, scores = np.concatenate(labels), np.concatenate(scores)
    assert (
        (found["data"]["test"]["frames"], found["data"]["test"]["positives"])
        == (188, 82)
        == (
            len(labels),
            labels.sum(),
        )
    )
    assert found["metrics"]["AUC"]["value"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert found["scenarios"].keys() == {"scene 1", "scene 8", "scene 27"}
    for metric in OF_CLASSES:
        undefined = found["metrics"][metric]
        assert (undefined["value"], undefined["reason"]) == (None, "the data set annotates no classes"), metric


@pytest.mark.parametrize("method", sorted(installed().specs("method")))
def test_a_method_runs_and_has_no_metric_of_classes(run, root, method):
    if installed().method(method).Config().needs().reads == "frames":
        for name in TEST_FRAMES:
            write_clip(root, name)
    # No bank of sentences comes for this data set.
    bank = ["--descriptions", "general"] if method == "prompt-contrast" else []
    is_sound(run(method, *bank))


def test_rows_of_frames_tell_how_long_a_video_is(run, root):
    (root / "frames.txt").unlink()
    is_sound(run("mil", "--features-layout", "anomalyclip"))


def looks_of(found):
    lines = (Path(found["folder"]) / "training.jsonl").read_text().splitlines()
    return [look for line in map(json.loads, lines) for look in line.get("looks", ())]


def test_weights_are_chosen_by_the_frames_of_the_validation_videos(run):
    found = run("mil", *VALIDATION)
    is_sound(found)
    assert found["data"]["validation"]["videos"] == 4
    (note,) = (n for n in found["notes"] if n.startswith("weights selected"))
    looks = looks_of(found)
    assert note.startswith(
        f"weights selected on the validation split by the AUC of frames ({len(looks)} looks, the best {max(looks):.4f})"
    )
    assert "validation" not in run("mil")["data"]


def test_without_their_tracks_weights_are_chosen_by_whole_validation_videos(run, root):
    for name in ABNORMAL["validation"]:
        (root / tracks_file(name)).unlink()
    notes = run("mil", *VALIDATION)["notes"]
    assert any(n.startswith("weights selected on the validation split by the AUC of whole videos") for n in notes)
    assert any("no validation video has a file of tracks" in n for n in notes)


def test_the_division_of_plovad_is_another_training(run):
    own, other = run("mil", *VALIDATION), run("mil", "--partition", "plovad", *VALIDATION)
    is_sound(other)
    assert [r["data"][split]["videos"] for r in (own, other) for split in ("train", "validation")] == [5, 4, 6, 3]
    assert (own["protocol"]["partition"], other["protocol"]["partition"]) == ("", "plovad")
    assert own["key"] != other["key"]


def test_another_truth_does_without_tracks_of_test_videos(run, root, tmp_path):
    own = run("blind-centre")
    for name in ABNORMAL["test"]:
        (root / tracks_file(name)).unlink()
    entries = {n: {"frames": f, "segments": [[None, *r] for r in RUNS.get(n, ())]} for n, f in TEST_FRAMES.items()}
    (tmp_path / "truth.json").write_text(json.dumps({"videos": entries}))
    found = run("blind-centre", "--truth", tmp_path / "truth.json")
    is_sound(found)
    assert found["protocol"]["truth"].startswith("truth.json@") and found["evaluation"] != own["evaluation"]
    assert found["metrics"]["AUC"] == own["metrics"]["AUC"]


def test_data_check_counts_every_split(vadbench, root):
    found = vadbench("data", "check", "ubnormal", "--data-root", root, "--features", root, "--json", status=1).json
    splits = found["splits"]
    assert {split: r["videos"]["usable"] for split, r in splits.items()} == {"train": 5, "validation": 4, "test": 5}
    assert {split: r["positive_frames"] for split, r in splits.items()} == {"train": 0, "validation": 64, "test": 82}
    # A complete copy has more videos, and nothing says which encoder the features are of.
    assert {p["kind"] for p in found["problems"]} == {"count", "origin"}
    other = vadbench("data", "check", "ubnormal", "--data-root", root, "--partition", "plovad", "--json", status=None)
    expected = {
        split: (r["videos"]["expected"], r["abnormal"]["expected"]) for split, r in other.json["splits"].items()
    }
    assert expected == {"train": (304, 3), "validation": (28, 1), "test": (211, 3)}


def test_the_checks_of_a_data_set_pass(vadbench, root):
    said = vadbench("check", "dataset", "ubnormal", "--data-root", root).out
    assert "FAILED" not in said and "skipped" not in said
    assert "2 of 4 validation videos have segments" in " ".join(said.split())


def test_it_says_what_is_expected_where(vadbench):
    shown = vadbench("show", "dataset", "ubnormal").out
    for words in ("train videos: 268", "validation videos: 64", "test videos: 211", "CC BY-NC-ND 4.0", "_tracks.txt"):
        assert words in shown
