"""``vadbench extract``: what its options say about the features, and damaged videos that are told of every time."""

import re

import numpy as np
import pytest

from places import PLUGIN
from vadbench.data.media import write_video
from vadbench.features.store import FeatureStore


@pytest.fixture
def extract(vadbench, tmp_path):
    """``vadbench extract`` from ``in`` with untrained weights: its report, and what it told on stderr."""
    (tmp_path / "in").mkdir()

    def call(*arguments, status=0):
        base = ["extract", tmp_path / "in", "--clip", "small", "--clip-weights", "random:0", "--json"]
        found = vadbench(*base, *arguments, status=status)
        return found.json, found.err

    return call


def write_noise(path, frames):
    write_video(path, np.random.default_rng(0).integers(0, 255, (frames, 48, 64, 3), np.uint8), fps=25)


def test_crops_precision_and_workers_reach_the_features(extract, tmp_path):
    write_noise(tmp_path / "in" / "a.mp4", 20)
    five = ["--crops", 5, "--precision", "bf16", "--stride", 4]
    extract(*five, "--workers", 1, "--out", tmp_path / "one")
    extract(*five, "--workers", 3, "--out", tmp_path / "three")
    store = FeatureStore(tmp_path / "one")
    assert store.fingerprint.crops == ("center", "top-left", "top-right", "bottom-left", "bottom-right")
    assert store.fingerprint.arithmetic == "bf16"
    assert store.rows("a").shape[:2] == (5, 5)
    np.testing.assert_array_equal(store.rows("a"), FeatureStore(tmp_path / "three").rows("a"))
    extract("--crops", 10, "--stride", 4, "--out", tmp_path / "ten")
    ten = FeatureStore(tmp_path / "ten")
    assert ten.rows("a").shape[:2] == (10, 5)
    assert ten.fingerprint.crops[5:] == tuple(f"{name}-mirrored" for name in ten.fingerprint.crops[:5])
    extract("--stride", 4, "--out", tmp_path / "plain")
    plain = FeatureStore(tmp_path / "plain")
    assert (plain.fingerprint.crops, plain.fingerprint.arithmetic) == (("center",), "fp32")
    np.testing.assert_array_equal(plain.rows("a")[0], ten.rows("a")[0])


def test_a_damaged_video_is_told_of_with_file_and_frame_each_time(extract, tmp_path):
    write_noise(tmp_path / "in" / "good.mp4", 20)
    bad = tmp_path / "in" / "bad.mp4"
    write_noise(bad, 40)
    data = bytearray(bad.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(0).bytes(4000)
    bad.write_bytes(data)
    for extracted, present in ((["good"], []), ([], ["good"])):
        report, told = extract("--keep-going", "--out", tmp_path / "store", status=1)
        assert (report["extracted"], report["present"]) == (extracted, present)
        [(name, reason)] = report["failed"]
        assert name == "bad"
        frame = int(re.search(r"bad\.mp4: damaged at frame (\d+)", reason)[1])
        assert 0 < frame < 40
        assert f"left out: bad: {reason}" in told
    assert FeatureStore(tmp_path / "store").names == ("good",)


@pytest.mark.usefixtures("tiny_at_hand", "pictures_left_blank")
def test_a_run_takes_features_of_several_crops(vadbench, tmp_path):
    clip = ["--plugin", PLUGIN, "-d", "tiny", "--clip", "small", "--clip-weights", "random:0", "--device", "cpu"]
    store = tmp_path / "store"

    vadbench("extract", *clip, "--stride", 4, "--crops", 10, "--out", store)
    wanted = ["-m", "linear", "--set", "rows.stride=4", "--set", "recipe.epochs=1", "--features", store]
    scored = {
        crop: vadbench("run", *clip, *wanted, "--crop", crop, "--out", tmp_path / "runs", "--json").json[0]
        for crop in ("center", "top-left-mirrored", "mean")
    }
    assert len({record["evaluation"] for record in scored.values()}) == 3
