"""Objects instead of whole frames, from the command line: extract, look, run, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import get_model

from places import PLUGIN
from vadbench.features.store import FeatureStore
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
TINY = ["--plugin", PLUGIN, "-d", "tiny", "--clip", "small", "--clip-weights", "random:0", "--device", "cpu"]
HEAD = "video,frame,x1,y1,x2,y2,confidence\n"
MOBILE = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Boxes around the bright square on every other frame of the test videos, and elsewhere in all videos."""
    path = tmp_path_factory.mktemp("boxes") / "boxes.csv"
    lines = [f"{s}-{i},{t},2,2,30,25,0.4" for s, n in (("train", 8), ("test", 6)) for i in range(n) for t in range(25)]
    lines += [f"test-{i},{t},10,10,50,40,0.9" for i in range(6) for t in range(0, 30, 2)]
    path.write_text(HEAD + "\n".join(lines))
    return path


@pytest.fixture(scope="module")
def extracted(boxes, prepare, tmp_path_factory):
    """Features of those boxes, made once."""
    folder = tmp_path_factory.mktemp("regions") / "store"
    prepare("extract", *TINY, "--stride", 1, "--regions", boxes, "--out", folder)
    return folder


@pytest.fixture
def store(extracted, tmp_path):
    return shutil.copytree(extracted, tmp_path / "store")


def test_regions_are_extracted_looked_at_and_told_apart(vadbench, boxes, store, tmp_path):
    assert FeatureStore(store).rows("train-0").shape[:2] == (1, 30)
    assert FeatureStore(store).rows("test-0").shape[:2] == (2, 30)
    label = FeatureStore(store).fingerprint.regions
    printed, _ = vadbench("features", "info", store)
    assert f"\nregions               {label}" in printed and "regions of a frame, at most 20" in printed
    assert vadbench("features", "info", store, "--json").json["made_by"]["regions"] == label
    vadbench("extract", *TINY, "--stride", 1, "--out", tmp_path / "whole")
    assert "\nregions " not in vadbench("features", "info", tmp_path / "whole")[0]
    printed, _ = vadbench("features", "diff", store, tmp_path / "whole", status=1)
    assert f"regions: {label} here, whole frames there" in printed


def test_pooling_is_middle_unless_asked_otherwise_and_never_mean(vadbench, refused, boxes, tmp_path):
    wanted = ["extract", *TINY, "--stride", 4, "--regions", boxes]
    vadbench(*wanted, "--out", tmp_path / "default")
    assert FeatureStore(tmp_path / "default").fingerprint.pooling == "middle"
    vadbench(*wanted, "--pooling", "first", "--out", tmp_path / "first")
    assert FeatureStore(tmp_path / "first").fingerprint.pooling == "first"
    line = refused(*wanted, "--pooling", "mean", "--out", tmp_path / "mean")
    assert "expected the pooling first or middle, found mean" in line
    assert not (tmp_path / "mean").exists()


def test_a_run_scores_the_maximum_over_regions_and_says_so(vadbench, refused, store, tmp_path):
    run = ["run", *TINY, "-m", "linear", "--set", "recipe.epochs=1", "--features", store, "--out", tmp_path / "runs"]
    [record] = vadbench(*run, "--json").json
    assert record["protocol"]["crop"] == "max"
    assert "scores are the maximum over regions" in record["notes"]
    said = [note for note in record["notes"] if note.startswith("trained on the most confident region of each frame")]
    assert len(said) == 1 and "rows.crops=all" in said[0]
    [every] = vadbench(*run, "--set", "rows.crops=all", "--json").json
    assert every["key"] != record["key"] and not any("most confident" in note for note in every["notes"])
    [again] = vadbench(*run, "--crop", "max", "--json").json
    assert again["evaluation"] == record["evaluation"]
    # Scores are those of the checkpoint on each region, the higher of the two.
    kept = Path(record["folder"]) / "checkpoint.safetensors"
    from safetensors.numpy import load_file

    state = load_file(kept)
    features = FeatureStore(store)
    for scored in load_split(Path(record["folder"])).scores:
        logits = (features.rows(scored.name) - state["center"]) @ state["layer.weight"][0] + state["layer.bias"][0]
        np.testing.assert_allclose(scored.anomaly, (1 / (1 + np.exp(-logits))).max(0), atol=1e-5)
    for crop in ("center", "mean", "region-1"):
        line = refused(*run, "--crop", crop)
        assert f"are of regions, which are scored by their maximum, found --crop {crop}" in line


@pytest.mark.parametrize("method", ["descriptions-frame", "zero-shot", "mil", "clip-linear", "random"])
def test_any_method_runs_on_regions(vadbench, store, tmp_path, method):
    epochs = (
        ["--set", "recipe.epochs=1", "--set", "recipe.batch_size=8"] if method not in ("zero-shot", "random") else []
    )
    rows = ["--set", "rows.stride=1"]
    printed, _ = vadbench(
        "run", *TINY, "-m", method, *epochs, *rows, "--features", store, "--out", tmp_path / "runs", "--json"
    )
    [record] = json.loads(printed)
    assert record["status"] == "finished" and record["protocol"]["crop"] == "max"
    trains = method not in ("zero-shot", "random")
    assert any("most confident region" in note for note in record["notes"]) == trains


def test_rows_that_regions_cannot_be_pooled_to_are_refused_with_what_to_do(vadbench, refused, store, tmp_path):
    run = ["run", *TINY, "-m", "linear", "--set", "recipe.epochs=1", "--features", store, "--out", tmp_path / "runs"]
    line = refused(*run, "--set", "rows.stride=4")
    assert "set rows.pooling=first or middle" in line
    for pooling in ("first", "middle"):
        vadbench(*run, "--set", "rows.stride=4", "--set", f"rows.pooling={pooling}")


def test_whole_frames_have_no_maximum(vadbench, refused, tmp_path):
    vadbench("extract", *TINY, "--stride", 1, "--crops", 5, "--out", tmp_path / "five")
    line = refused("run", *TINY, "-m", "linear", "--features", tmp_path / "five", "--crop", "max", "--out", tmp_path)
    assert "are of whole frames, which are scored by a crop or the mean of all, found --crop max" in line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tset-0,0,1,1,9,9,1\n", r"line 2: expected the name of a video that is there, found 'tset-0'; did you mean"),
        (
            "test-0,0,64,1,90,9,1\n",
            "line 2: a box must not be wholly outside of its frame, those of 'test-0' are 64 x",
        ),
        ("test-0,0,1,1,9,9,1\ntest-0,30,1,1,9,9,1\n", "line 3: frames of 'test-0' go from 0 to 29, found 30"),
        ("test-0,0,1,1,9,9,1\ntest-0,0,9,1,1,9,1\n", "line 3: a box needs x1 < x2 and y1 < y2"),
        ("", "expected at least one box, found none"),
    ],
)
def test_bad_boxes_are_one_line_with_file_and_row(refused, tmp_path, text, reason):
    path = tmp_path / "boxes.csv"
    path.write_text(HEAD + text)
    line = refused("extract", *TINY, "--regions", path, "--out", tmp_path / "store")
    assert "boxes.csv: " in line and reason in line


def test_ten_thousand_boxes_in_a_frame_are_told_of(vadbench, tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(HEAD + "".join(f"test-0,8,1,1,{9 + i % 40},9,{i / 10_000}\n" for i in range(10_000)))
    _, told = vadbench("extract", *TINY, "--regions", path, "--out", tmp_path / "store")
    assert "note: " in told and "the first is frame 8 of 'test-0' with 10,000; the 20 most confident" in told


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--regions", "b.csv", "--detector", MOBILE], "--regions and --detector both say where the objects are"),
        (["--detector-weights", "DEFAULT"], "name it with --detector"),
        (["--detector-threshold", "0"], "name it with --detector"),
        (["--regions", "b.csv", "--crops", "5"], "expected --crops 1, found 5"),
        (["--detector", "fasterrcn_resnet50_fpn"], "did you mean 'fasterrcnn_resnet50_fpn'"),
        (
            ["--detector", MOBILE, "--detector-weights", "gone.pth"],
            "cannot read the detector's weights: there is no file gone.pth",
        ),
        (["--detector", MOBILE, "--detector-threshold", "2"], "2.0 is not in the range"),
    ],
)
def test_options_that_contradict_each_other_are_refused(refused, tmp_path, options, reason):
    assert reason in refused("extract", *TINY, *options, "--out", tmp_path / "store")


def test_a_detector_from_a_file_and_its_boxes_make_the_same_features(vadbench, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_TRAIN", "2")
    monkeypatch.setenv("TINY_TEST", "2")
    state = get_model(MOBILE, weights=None, weights_backbone=None).state_dict()
    state["roi_heads.box_predictor.cls_score.bias"][1] += 5
    torch.save(state, tmp_path / "detector.pth")
    detect = ["--detector", MOBILE, "--detector-weights", tmp_path / "detector.pth", "--stride", 10]
    vadbench("extract", *TINY, *detect, "--out", tmp_path / "d")
    vadbench(
        "extract", *TINY, "--stride", 10, "--regions", tmp_path / "d" / "boxes-0-of-1.csv", "--out", tmp_path / "b"
    )
    by_detector, by_file = FeatureStore(tmp_path / "d"), FeatureStore(tmp_path / "b")
    assert max(len(by_file.crops(name)) for name in by_file.names) > 1
    for name in by_file.names:
        np.testing.assert_array_equal(by_detector.rows(name), by_file.rows(name))
