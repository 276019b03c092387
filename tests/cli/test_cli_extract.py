"""``vadbench extract``: what its options say about the features, and damaged videos that are told of every time."""

import os
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--jobs", 2, "--workers", 2], "--workers are threads of this process"),
        (["--skip", "nonref", "--detector", "fasterrcnn_resnet50_fpn"], "--skip shows another frame"),
        (["--skip", "nonref"], "expected the pooling first or middle and a stride of at least 2, found mean"),
        (["--precision", "auto"], "'auto' is not one of 'fp32', 'tf32', 'bf16', 'fp16'"),
        (["--jobs", 2, "--detector", "fasterrcnn_resnet50_fpn"], "--jobs are processes that decode whole frames"),
    ],
)
def test_options_that_cannot_be_are_refused(vadbench, tmp_path, options, told):
    write_noise(tmp_path / "a.mp4", 2)
    assert told in vadbench("extract", tmp_path / "a.mp4", *options, "--out", tmp_path / "s", status=2).err


def test_frames_passed_over_are_part_of_the_fingerprint(extract, vadbench, tmp_path):
    write_noise(tmp_path / "in" / "a.mp4", 20)
    report, _ = extract("--stride", 4, "--pooling", "first", "--skip", "nonref", "--out", tmp_path / "store")
    assert (report["frames"], report["failed"], report["mismatches"]) == (20, [], [])
    assert FeatureStore(tmp_path / "store").fingerprint.decoder == "pyav, reference frames only"
    whole = ["--clip", "small", "--clip-weights", "random:0", "--stride", 4, "--pooling", "first"]
    refused = vadbench("extract", tmp_path / "in", *whole, "--out", tmp_path / "store", status=2)
    assert "decoder: pyav, reference frames only here, pyav there" in refused.err


def test_what_other_arithmetic_costs_is_told(extract, tmp_path):
    write_noise(tmp_path / "in" / "a.mp4", 20)
    exact, told = extract("--stride", 4, "--out", tmp_path / "exact")
    assert exact["cosine"] is None
    assert "fp32" not in told
    reduced, told = extract("--stride", 4, "--precision", "bf16", "--out", tmp_path / "reduced")
    a, b = (FeatureStore(tmp_path / name).rows("a")[0].astype(float) for name in ("exact", "reduced"))
    assert 0.999 < reduced["cosine"] < 0.999999
    assert f"in bf16, features of the first images have a cosine of {reduced['cosine']:.6f} or more" in told
    # Rows are means of four of the frames compared.
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine[:2].min() > reduced["cosine"] - 1e-5
    again, told = extract("--stride", 4, "--precision", "bf16", "--out", tmp_path / "reduced")
    assert again["cosine"] is None


def test_tf32_on_a_cpu_says_that_it_is_fp32(extract, tmp_path):
    write_noise(tmp_path / "in" / "a.mp4", 8)
    extract("--stride", 4, "--out", tmp_path / "exact")
    same, told = extract("--stride", 4, "--precision", "tf32", "--device", "cpu", "--out", tmp_path / "tf32")
    assert "a CPU has no tf32: these features are those of fp32" in told
    assert same["cosine"] > 1 - 1e-6
    exact, tf32 = (FeatureStore(tmp_path / name) for name in ("exact", "tf32"))
    assert (exact.fingerprint.arithmetic, tf32.fingerprint.arithmetic) == ("fp32", "tf32")
    np.testing.assert_array_equal(exact.rows("a"), tf32.rows("a"))


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


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
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


def write_frames(folder, count, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(count):
        Image.fromarray(np.full((48, 64, 3), t, np.uint8)).save(folder / f"{t:03d}{suffix}")


def test_what_systems_add_to_folders_is_no_video(extract, tmp_path):
    write_noise(tmp_path / "in" / "A.MP4", 5)
    write_frames(tmp_path / "in" / "clip", 3, ".PNG")
    for extra in ("._A.MP4", ".Trash/b.mp4", "__MACOSX/A.MP4", "clip/._000.PNG", ".thumbnails/0.jpg"):
        (tmp_path / "in" / extra).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / extra).write_bytes(b"no picture")
    report, _ = extract("--out", tmp_path / "store")
    assert report["extracted"] == ["A", "clip"]


@pytest.mark.parametrize(
    ("video", "picture"),
    [
        ("a.mp4", "poster.jpg"),
        ("sub/a.mp4", "sub/poster.jpg"),
        ("sub/a.mp4", "poster.jpg"),
        ("a.mp4", "posters/a.JPG"),
    ],
)
def test_pictures_beside_videos_are_neither_taken_for_frames_nor_left_out(vadbench, tmp_path, extract, video, picture):
    for name in (video, picture):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
    write_noise(tmp_path / "in" / video, 5)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "in" / picture)
    words = ["extract", tmp_path / "in", "--clip", "small", "--clip-weights", "random:0", "--out", tmp_path / "store"]
    refused = vadbench(*words, status=2)
    assert "beside videos" in refused.err and picture in refused.err and video in refused.err


@pytest.mark.parametrize("change", ["gap", "copy"])
def test_a_folder_of_frames_that_is_no_whole_video_is_told_of(vadbench, extract, tmp_path, change):
    write_frames(tmp_path / "in" / "bad", 4)
    write_frames(tmp_path / "in" / "good", 3)
    path = tmp_path / "in" / "bad" / "001.png"
    if change == "copy":
        shutil.copy(path, path.with_name("001 (1).png"))
    else:
        path.unlink()
    report, told = extract("--keep-going", "--out", tmp_path / "store", status=1)
    assert report["extracted"] == ["good"]
    assert ("found none of number 1" if change == "gap" else "such as 001 (1).png") in told
    words = ["extract", tmp_path / "in", "--clip", "small", "--clip-weights", "random:0", "--out", tmp_path / "other"]
    assert str(path.parent) in vadbench(*words, status=2).err


@pytest.mark.parametrize(("numbers", "words"), [((0, 16, 32), "0.png, 16.png"), ((2, 3, 4), "begin with 2.png")])
def test_images_that_do_not_show_whether_some_are_missing_are_noted(extract, tmp_path, numbers, words):
    for number in numbers:
        Image.fromarray(np.full((48, 64, 3), number, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    report, told = extract("--out", tmp_path / "store")
    assert report["extracted"] == ["in"] and f"'in' is a folder whose images {words}" in told


def test_names_that_are_no_utf8_are_extracted(extract, tmp_path):
    write_frames(tmp_path / "in" / "clip", 3)
    write_noise(tmp_path / "in" / "a.mp4", 5)
    folder = os.fsencode(tmp_path / "in")
    for t in range(3):
        os.rename(folder + b"/clip/%03d.png" % t, folder + b"/clip/T\xfcr-%d.png" % t)
    os.rename(folder + b"/a.mp4", folder + b"/t\xfcr.mp4")
    os.rename(folder + b"/clip", folder + b"/cl\xfcp")
    report, _ = extract("--out", tmp_path / "store")
    assert report["extracted"] == ["t\udcfcr", "cl\udcfcp"], "as the names of files are in Python"
    store = FeatureStore(tmp_path / "store")
    assert [store.frames(name) for name in report["extracted"]] == [5, 3]
    report, _ = extract("--out", tmp_path / "store")
    assert report["present"] == ["t\udcfcr", "cl\udcfcp"]


@pytest.mark.parametrize("of_objects", [False, True], ids=["frames", "regions"])
def test_photos_are_seen_upright_as_the_camera_notes(extract, tmp_path, of_objects):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("video,frame,x1,y1,x2,y2,confidence\nlying,0,2,30,40,60,1\nupright,0,2,30,40,60,1\n")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it a quarter clockwise to see it upright
    for name in ("lying", "upright"):
        (tmp_path / "in" / name).mkdir()
    for t in range(3):
        stored = np.random.default_rng(t).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(stored).save(tmp_path / "in" / "lying" / f"{t}.png", exif=exif)
        Image.fromarray(np.rot90(stored, -1)).save(tmp_path / "in" / "upright" / f"{t}.png")
    extract("--stride", 1, *(["--regions", boxes] if of_objects else []), "--out", tmp_path / "store")
    store = FeatureStore(tmp_path / "store")
    lying, upright = (store.rows(name) for name in ("lying", "upright"))
    assert np.array_equal(lying, upright) and lying.shape[1] == 3


def test_a_smaller_batch_is_the_same_features_and_its_default_is_the_one_that_help_states(extract, tmp_path, vadbench):
    from vadbench.features.encoders import BATCH

    write_noise(tmp_path / "in" / "a.mp4", 20)
    extract("--stride", 1, "--out", tmp_path / "usual")
    extract("--stride", 1, "--batch-size", 3, "--out", tmp_path / "small")
    usual, small = FeatureStore(tmp_path / "usual"), FeatureStore(tmp_path / "small")
    assert usual.fingerprint == small.fingerprint
    np.testing.assert_allclose(small.rows("a"), usual.rows("a"), rtol=0, atol=1e-5)
    assert f"[default: {BATCH}]" in " ".join(vadbench("extract", "--help").out.split())


def test_memory_that_is_short_is_one_line_with_a_smaller_batch(refused, tmp_path, monkeypatch):
    from failing_devices_plugin import FULL

    (tmp_path / "in").mkdir()
    write_noise(tmp_path / "in" / "a.mp4", 20)
    sizes = []

    def full(clip, images, arithmetic):
        sizes.append(len(images))
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr("vadbench.clip.Clip.encode_images", full)
    call = ("extract", tmp_path / "in", "--clip", "small", "--stride", 1, "--out", tmp_path / "out")
    line = refused(*call, "--clip-weights", "random:0")
    assert line.startswith("vadbench: the GPU's memory does not suffice (tried to allocate 2.50 GiB, ")
    assert line.endswith("encode fewer images at once: --batch-size 64 (256 now)")
    refused(*call, "--clip-weights", "random:0", "--batch-size", 8)
    assert sizes == [20, 8]
