"""Which crops are scored and trained on: the same ones wherever a crop is chosen."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from places import PLUGIN
from vadbench.base.errors import FeatureError
from vadbench.clip import CROPS
from vadbench.features.crops import CropRule, training_crops
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import FeatureStore
from vadbench.harness.experiment import open_experiment
from vadbench.harness.import_checkpoint import import_checkpoint
from vadbench.harness.request import Request
from vadbench.harness.selection import video_auc
from vadbench.harness.watched_videos import hold_out
from vadbench.plugins.registry import Registry
from vadbench.records.scores import load_split
from vadbench.scoring.protocol import Protocol, ProtocolPreset
from vadbench.scoring.video_scores import VideoScores


class Crops:
    """As much of a set of features as choosing crops asks for."""

    folder = "features"
    fingerprint = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=4, pooling="mean", dim=8)

    def __init__(self, **crops):
        self._crops = crops

    def crops(self, name):
        return self._crops[name]


NUMBERED = tuple("0123456789")


@pytest.mark.parametrize(
    ("crops", "wanted", "asked", "expected", "noted"),
    [
        (("center",), "center", False, ("center",), False),
        (("center",), "5", False, ("center",), True),
        (("3",), "center", False, ("3",), True),
        (NUMBERED, "5", False, ("5",), False),
        (NUMBERED, "mean", True, NUMBERED, False),
        # The authors' crop 5 says nothing about ours; a user who asks for number 5 gets it.
        (CROPS, "5", False, ("center",), True),
        (CROPS, "5", True, (CROPS[5],), True),
        (CROPS, "top-left", True, ("top-left",), False),
    ],
)
def test_the_crop_that_is_scored(crops, wanted, asked, expected, noted):
    chosen, notes = CropRule(wanted, asked).of_test(Crops(v=crops), ["v"])
    assert chosen == {"v": expected}
    assert bool(notes) == noted


@pytest.mark.parametrize(
    ("crops", "wanted", "asked"),
    [(NUMBERED, "center", False), (NUMBERED, "10", True), (("center",), "5", True), (CROPS, "left", True)],
)
def test_a_crop_that_is_not_there_is_refused(crops, wanted, asked):
    with pytest.raises(FeatureError, match=f"no crop '{wanted}' of 'v' in features, found"):
        CropRule(wanted, asked).of_test(Crops(v=crops), ["v"])


def test_a_mean_over_different_crops_is_refused():
    with pytest.raises(FeatureError, match="'a' has 0, 1, 'b' has 0"):
        CropRule("mean", True).of_test(Crops(a=("0", "1"), b=("0",)), ["a", "b"])


def test_training_takes_the_center_the_first_or_all():
    features = Crops(a=CROPS, b=NUMBERED)
    assert training_crops(features, "a", "one") == ("center",)
    assert training_crops(features, "b", "one") == ("0",)
    assert training_crops(features, "b", "all") == NUMBERED


def test_what_is_scored_instead_is_said_in_plain_words():
    def note(crops, wanted, asked):
        return CropRule(wanted, asked).of_test(Crops(v=crops), ["v"])[1]

    assert note(("center",), "5", False) == [
        "the protocol asks for crop 5; these features only have 'center', which was scored instead"
    ]
    assert note(CROPS, "5", False) == [
        "the protocol asks for crop 5, which these features do not name; 'center' was scored instead"
    ]
    assert note(CROPS, "5", True) == ["crop number 5 of these features is 'center-mirrored'"]


@pytest.mark.parametrize(
    ("crops", "wanted", "asked", "expected"),
    [
        (CROPS, "5", True, (CROPS[5],)),
        (CROPS, "5", False, ("center",)),
        (CROPS, "mean", False, CROPS),
        (NUMBERED, "5", False, ("5",)),
        # Authors publish one crop of training videos and ten of test videos.
        (("0",), "5", True, ("0",)),
    ],
)
def test_a_training_video_is_scored_by_the_crop_of_the_test_videos(crops, wanted, asked, expected):
    assert tuple(CropRule(wanted, asked).like_test(Crops(v=crops), "v")) == expected


TINY = ["--plugin", PLUGIN, "-d", "tiny", "--clip", "small", "--clip-weights", "random:0", "--device", "cpu"]


@pytest.fixture(scope="module")
def ten_crops(prepare, tmp_path_factory):
    """Ten crops of the tiny videos, made once."""
    folder = tmp_path_factory.mktemp("ten") / "store"
    prepare("extract", *TINY, "--stride", 1, "--crops", 10, "--out", folder)
    return folder


@pytest.fixture
def run(vadbench, tmp_path, ten_crops, tiny_at_hand, quick_runs):
    """A run on ten crops: its record and its folder."""

    def call(*arguments, features=ten_crops):
        base = ["run", *TINY, "-m", "linear", "--features", features, "--out", tmp_path / "runs", "--json"]
        [record] = vadbench(*base, *arguments).json
        return record, Path(record["folder"])

    return call


def sigmoid_of(folder, rows):
    """What the method makes of rows, computed from its checkpoint alone."""
    state = load_file(folder / "checkpoint.safetensors")
    return 1 / (1 + np.exp(-((rows - state["center"]) @ state["layer.weight"][0] + state["layer.bias"][0])))


def scored(features, name, crop):
    rows = features.rows(name)
    return rows if crop == "mean" else rows[[CROPS.index(crop)]]


@pytest.mark.parametrize(("asked", "crop"), [("5", "center-mirrored"), ("top-left", "top-left"), ("mean", "mean")])
def test_the_threshold_and_ones_own_videos_take_the_crop_that_is_scored(
    run, ten_crops, tmp_path, vadbench, asked, crop
):
    _, folder = run("--crop", asked, "--set", "recipe.epochs=1")
    features = FeatureStore(ten_crops)
    test = load_split(folder).scores[0]
    expected = sigmoid_of(folder, scored(features, test.name, crop)).mean(0)
    np.testing.assert_allclose(test.anomaly, expected, atol=1e-5)
    normal = [sigmoid_of(folder, scored(features, f"train-{i}", crop)).mean(0) for i in range(1, 8, 2)]
    kept = json.loads((folder / "checkpoint.json").read_text())["threshold"]
    assert kept == pytest.approx(np.percentile(np.concatenate(normal), 99), abs=1e-5)
    video = Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "tiny" / f"{test.name}.mp4"
    [own] = vadbench("score", video, "--plugin", PLUGIN, "--run", folder, "--json", "--out", tmp_path / "own").json
    with open(Path(own["folder"]) / "scores.csv", newline="") as file:
        found = [float(row["score"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(found, test.anomaly, atol=1e-5)


def test_held_out_videos_are_scored_by_the_crop_of_the_test_videos(run, ten_crops):
    _, folder = run("--crop", "5", "--selection", "validation", "--set", "recipe.epochs=1")
    dataset = Registry(files=[PLUGIN]).dataset("tiny")(Path("nowhere"))
    _, held = hold_out(dataset, dataset.videos("train"), seed=0)
    features = FeatureStore(ten_crops)
    rows = [sigmoid_of(folder, features.rows(v.name)[5]).astype(np.float32) for v in held]
    scores = [VideoScores(v.name, 30, s, None) for v, s in zip(held, rows, strict=True)]
    [line] = (folder / "training.jsonl").read_text().splitlines()
    look = video_auc(scores, {v.name: not dataset.is_normal(v) for v in held})
    assert json.loads(line)["looks"] == [pytest.approx(look)]


def test_a_number_that_is_the_protocols_own_says_no_more_than_the_protocol(run, monkeypatch):
    changed = ProtocolPreset(Protocol(name="native", crop="5"))
    monkeypatch.setattr("vadbench.scoring.protocol.NATIVE", changed)
    record, _ = run()
    again, _ = run("--crop", "5")
    assert record["evaluation"] == again["evaluation"]
    assert record["notes"] == again["notes"]
    assert any("'center' was scored instead" in note for note in record["notes"])


@pytest.mark.parametrize("which", ["one", "all"])
def test_an_imported_checkpoint_is_prepared_from_the_crops_that_training_takes(
    ten_crops, tiny_at_hand, tmp_path, which
):
    request = Request(
        "linear", "tiny", (f"rows.crops={which}",), clip_model="small", clip_weights="random:0", features=ten_crops,
        device="cpu", out=tmp_path / "runs",
    )  # fmt: skip
    experiment = open_experiment(request, Registry(files=[PLUGIN]))
    experiment.method.import_reference = lambda self, state: None
    folder = import_checkpoint(experiment, PLUGIN, {})
    features = FeatureStore(ten_crops)
    normal = [features.rows(f"train-{i}")[: 1 if which == "one" else None] for i in range(1, 8, 2)]
    expected = np.concatenate([r.reshape(-1, r.shape[-1]) for r in normal]).astype(np.float64).mean(0)
    np.testing.assert_allclose(load_file(folder / "checkpoint.safetensors")["center"], expected, atol=1e-5)
