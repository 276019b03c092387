"""Regions instead of whole frames: the boxes of a file or of a detector, their rows, and the maximum over them."""

import csv
import dataclasses
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.models import get_model

from boxes import GOOD, LENGTHS, changed, write
from vadbench.base.errors import CheckpointError, FeatureError, UnknownNameError
from vadbench.clip import ClipSource, load_clip
from vadbench.data.media import read_frames, write_video
from vadbench.dataset import Video
from vadbench.features.boxes import COLUMNS, Boxes
from vadbench.features.detector import Detector
from vadbench.features.encoders import FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import Fingerprint, clip_fingerprint
from vadbench.features.pooling import can_serve
from vadbench.features.region_encoder import RegionEncoder
from vadbench.features.regions import REGIONS, SLOTS
from vadbench.features.store import FeatureStore
from vadbench.inspect.feature_comparison import compare

HEIGHT, WIDTH = 48, 64
MOBILE = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.fixture(scope="module")
def clip():
    return load_clip(ClipSource("small", "random:0"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    noise = np.random.default_rng(0)
    for name, length in LENGTHS.items():
        write_video(folder / f"{name}.mp4", noise.integers(0, 255, (length, HEIGHT, WIDTH, 3), np.uint8), fps=25)
    return [Video(name, ("x",), folder / f"{name}.mp4") for name in LENGTHS]


def encode(videos, clip, store, stride, pooling, regions=None, batch_size=256, workers=2, keep_going=False):
    """Extract regions of a source, or whole frames."""
    own = [clip, clip_fingerprint(clip, stride=stride, pooling=pooling, regions=regions and regions.label)]
    own += [batch_size, workers]
    encoder = RegionEncoder(regions, *own) if regions else FrameEncoder(*own)
    return extract_features(videos, encoder, store, keep_going=keep_going)


def random_boxes(seed=0):
    """Rows with up to 25 boxes on some frames, some of them over the edge of the frame."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, length in LENGTHS.items():
        for frame in range(length):
            for _ in range(rng.choice([0, 1, 3, 25])):
                # None is long and thin enough to be cut down.
                x, y = rng.uniform(-2, WIDTH - 8), rng.uniform(-2, HEIGHT - 8)
                w, h = rng.uniform(8, 40, 2)
                rows.append((name, frame, x, y, x + w, y + h, round(rng.uniform(), 2)))
    return [rows[i] for i in rng.permutation(len(rows))]


def expected_regions(clip, video, rows, stride, pooling):
    """For each row of the store the features of its frame's regions, each cut out by numpy and encoded alone."""
    frames = list(read_frames(video.path))
    out = []
    for start in range(0, len(frames), stride):
        length = min(stride, len(frames) - start)
        number = start + (length // 2 if pooling == "middle" else 0)
        own = [r for r in rows if r[0] == video.name and r[1] == number]
        own = sorted(own, key=lambda r: -r[6])[:20]  # stable: the file's order among equals
        pieces = [
            frames[number][
                max(math.floor(y1), 0) : min(math.ceil(y2), HEIGHT), max(math.floor(x1), 0) : min(math.ceil(x2), WIDTH)
            ]
            for _, _, x1, y1, x2, y2, _ in own
        ] or [frames[number]]
        tensors = [torch.from_numpy(np.ascontiguousarray(p)).permute(2, 0, 1)[None] for p in pieces]
        out.append([clip.encode_images(clip.preprocess(t))[0].numpy() for t in tensors])
    return out


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("stride", "pooling"), [(1, "mean"), (4, "first"), (4, "middle"), (16, "middle"), (7, "middle")]
)
def test_rows_are_those_of_the_regions_cut_out_and_encoded_one_by_one(tmp_path, clip, videos, suffix, stride, pooling):
    rows = random_boxes()
    source = Boxes(write(tmp_path / f"boxes{suffix}", *rows), list(LENGTHS))
    report = encode(
        videos, clip, tmp_path / "s", stride=stride, pooling=pooling, regions=source, batch_size=7, workers=2
    )
    assert (report.extracted, report.frames) == (list(LENGTHS), sum(LENGTHS.values()))
    store = FeatureStore(tmp_path / "s")
    for video in videos:
        expected = expected_regions(clip, video, rows, stride, pooling)
        slots = max(map(len, expected))
        assert store.crops(video.name) == tuple(f"region-{i}" for i in range(1, slots + 1))
        filled = [[*found, *[found[0]] * (slots - len(found))] for found in expected]
        np.testing.assert_allclose(store.rows(video.name), np.swapaxes(filled, 0, 1), rtol=0, atol=1e-5)
        for i, crop in enumerate(store.crops(video.name)):
            np.testing.assert_array_equal(store.crop_rows(video.name, crop), store.rows(video.name)[i])


def test_videos_without_boxes_are_whole_frames_bit_for_bit(tmp_path, clip, videos):
    source = Boxes(write(tmp_path / "b.csv", ("a", 3, 1, 1, 9, 9, 0.5)), list(LENGTHS))
    encode(videos, clip, tmp_path / "s", stride=4, pooling="first", regions=source, batch_size=5)
    encode(videos, clip, tmp_path / "w", stride=4, pooling="first", batch_size=5)
    regions, whole = FeatureStore(tmp_path / "s"), FeatureStore(tmp_path / "w")
    for name in LENGTHS:  # frame 3 gives no row
        assert regions.crops(name) == SLOTS[:1]
        np.testing.assert_array_equal(regions.rows(name), whole.rows(name))


def extract(path, clip, videos, store, keep_going=False, **options):
    wanted = {"stride": 4, "pooling": "first", "regions": Boxes(path, list(LENGTHS))} | options
    return encode(videos, clip, store, keep_going=keep_going, **wanted)


@pytest.mark.parametrize("edges", [(WIDTH, 0, WIDTH + 9, 9), (0, HEIGHT, 9, HEIGHT + 9)])
@pytest.mark.parametrize("frame", [4, 5])
def test_a_box_outside_of_its_frame_is_refused_whether_the_frame_gives_a_row_or_not(
    tmp_path, clip, videos, edges, frame
):
    path = write(tmp_path / "b.csv", GOOD, ("a", frame, *edges, 1.0), GOOD)
    with pytest.raises(FeatureError, match=r"b\.csv: line 3: a box must not be .* of 'a' are 64 x 48 pixels"):
        extract(path, clip, videos, tmp_path / "s")
    assert FeatureStore(tmp_path / "s").names == ()


def test_a_box_at_the_very_edge_is_inside(tmp_path, clip, videos):
    path = write(tmp_path / "b.csv", ("a", 4, WIDTH - 0.5, HEIGHT - 0.01, WIDTH + 9, HEIGHT + 9, 1.0))
    extract(path, clip, videos, tmp_path / "s")
    frames = list(read_frames(videos[0].path))
    corner = torch.from_numpy(frames[4][-1:, -1:].copy()).permute(2, 0, 1)[None]
    alone = clip.encode_images(clip.preprocess(corner))[0].numpy()
    np.testing.assert_allclose(FeatureStore(tmp_path / "s").rows("a")[0, 1], alone, atol=1e-5)


def test_a_frame_beyond_the_end_is_refused_or_its_video_left_out(tmp_path, clip, videos):
    path = write(tmp_path / "b.csv", GOOD, ("b", 4, 1, 1, 9, 9, 1.0), ("b", 5, 1, 1, 9, 9, 1.0))
    reason = r"b\.csv: line 4: frames of 'b' go from 0 to 4, found 5"
    with pytest.raises(FeatureError, match=reason):
        extract(path, clip, videos, tmp_path / "s")
    report = extract(path, clip, videos, tmp_path / "s", keep_going=True)
    assert report.present == ["a"] and report.extracted == ["007"]
    [(name, why)] = report.failed
    assert name == "b" and "line 4: frames of 'b'" in why


def test_ten_thousand_boxes_in_a_frame_are_the_twenty_most_confident(tmp_path, clip, videos):
    rng = np.random.default_rng(0)
    rows = [
        ("a", 8, x, 3, x + 9, 20, c) for x, c in zip(rng.uniform(0, 40, 10_000), rng.uniform(size=10_000), strict=True)
    ]
    path = write(tmp_path / "b.csv", GOOD, *rows)
    source = Boxes(path, list(LENGTHS))
    assert source.notes == [
        f"{path}: no box in 2 of 3 videos: these are whole frames",
        f"{path}: frames with more than 20 boxes: 1, the first is frame 8 of 'a' with 10,000; the 20 most confident of"
        " each count",
    ]
    extract(path, clip, videos[:1], tmp_path / "s", regions=source)
    [found] = source.find("a", [8], torch.zeros(1, 3, HEIGHT, WIDTH))
    best = sorted(rows, key=lambda r: -r[6])[:20]
    np.testing.assert_allclose(found, [r[2:6] for r in best])
    assert len(FeatureStore(tmp_path / "s").crops("a")) == REGIONS == 20


# --- fingerprints ----------------------------------------------------------------------------------------------------


def test_regions_are_of_another_fingerprint_and_two_sets_say_in_words_what_differs(tmp_path, clip, videos):
    path = write(tmp_path / "b.csv", GOOD)
    extract(path, clip, videos, tmp_path / "s")
    encode(videos, clip, tmp_path / "w", stride=4, pooling="first")
    regions, whole = FeatureStore(tmp_path / "s").fingerprint, FeatureStore(tmp_path / "w").fingerprint
    assert regions == clip_fingerprint(clip, stride=4, pooling="first", regions=Boxes(path, ["a"]).label)
    assert regions.family != whole.family
    assert Fingerprint.from_dict(regions.to_dict()) == regions
    assert "regions" not in whole.to_dict()
    assert f"regions: boxes {regions.regions.split()[1]} here, whole frames there" in regions.differences(whole)
    assert f"regions: whole frames here, {regions.regions} there" in whole.differences(regions)
    compared = compare(FeatureStore(tmp_path / "s"), FeatureStore(tmp_path / "w"))
    assert any(line.startswith("regions: ") for line in compared.fingerprint)
    write(path, changed(x1=3))
    with pytest.raises(FeatureError, match=r"holds other features \(regions: boxes .* here, boxes .* there\)"):
        extract(path, clip, videos, tmp_path / "s")


def test_regions_have_no_mean(tmp_path, clip, videos):
    path = write(tmp_path / "b.csv", GOOD)
    with pytest.raises(FeatureError, match="expected the pooling first or middle, found mean"):
        extract(path, clip, videos, tmp_path / "s", pooling="mean")
    have = clip_fingerprint(clip, stride=1, pooling="mean", regions="boxes 0")
    assert can_serve(have, 1, "mean") and can_serve(have, 4, "first") and can_serve(have, 4, "middle")
    assert not can_serve(have, 4, "mean")
    assert can_serve(dataclasses.replace(have, regions=None), 4, "mean")


# --- a killed extraction ---------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
import torch
from vadbench.clip import ClipSource, load_clip
from vadbench.dataset import Video
from vadbench.features.boxes import Boxes
from vadbench.features.detector import Detector
from vadbench.features.region_encoder import RegionEncoder
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.extraction import extract_features
folder, store, regions = map(Path, sys.argv[1:])
videos = [Video(p.stem, (), p) for p in sorted(folder.glob("*.mp4"))]
if regions.suffix == ".csv":
    source = Boxes(regions, [v.name for v in videos])
else:
    source = Detector("fasterrcnn_mobilenet_v3_large_320_fpn", str(regions), 0.0, torch.device("cpu"))
clip = load_clip(ClipSource("small", "random:0"))
encoder = RegionEncoder(source, clip, clip_fingerprint(clip, stride=4, pooling="middle", regions=source.label))
extract_features(videos, encoder, store, progress=lambda stage, done, *rest: print(done, flush=True))
"""


def kill_after(lines, command):
    """Run a command and kill it when it has printed so many lines; whether it was killed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(lines):
        if not process.stdout.readline():
            break
    else:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def visible(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


# --- detectors -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "untrained.pth"
    torch.manual_seed(0)
    state = get_model(MOBILE, weights=None, weights_backbone=None).state_dict()
    state["roi_heads.box_predictor.cls_score.bias"][1] += 5  # sees persons everywhere
    torch.save(state, path)
    return path


def test_what_a_detector_finds_is_kept_and_gives_the_same_features_from_the_file(tmp_path, clip, videos, detector_file):
    source = Detector(MOBILE, str(detector_file), 0.3, torch.device("cpu"))
    encode(videos, clip, tmp_path / "d", stride=4, pooling="middle", regions=source)
    found = tmp_path / "d" / "boxes-0-of-1.csv"
    table = pd.read_csv(found, dtype={"video": str})
    assert tuple(table.columns) == COLUMNS
    assert set(table.video) <= set(LENGTHS) and len(table)
    assert (table.groupby(["video", "frame"]).size() <= REGIONS).all()
    rows_of = {n: {4 * i + min(4, t - 4 * i) // 2 for i in range(math.ceil(t / 4))} for n, t in LENGTHS.items()}
    assert all(frame in rows_of[name] for name, frame in zip(table.video, table.frame, strict=True))
    assert (table.confidence >= 0.3).all()
    encode(videos, clip, tmp_path / "b", stride=4, pooling="middle", regions=Boxes(found, list(LENGTHS)))
    by_detector, by_file = FeatureStore(tmp_path / "d"), FeatureStore(tmp_path / "b")
    for name in LENGTHS:
        np.testing.assert_array_equal(by_detector.rows(name), by_file.rows(name))
    label = by_detector.fingerprint.regions
    assert label.startswith(f"{MOBILE} ") and label.endswith(" from 0.3")
    # Independent of our code: torchvision's own call on one frame.
    model = get_model(MOBILE, weights=None, weights_backbone=None)
    model.load_state_dict(torch.load(detector_file, weights_only=True))
    frame = torch.from_numpy(list(read_frames(videos[0].path))[2]).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        [alone] = model.eval()([frame])
    sure = alone["scores"] >= 0.3
    own = table[(table.video == "a") & (table.frame == 2)]
    np.testing.assert_allclose(own[["x1", "y1", "x2", "y2"]], alone["boxes"][sure][:REGIONS], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["boxes", "detector"])
def test_killed_at_several_moments_it_resumes_to_the_same_bytes(tmp_path, videos, detector_file, kind):
    path = detector_file if kind == "detector" else write(tmp_path / "b.csv", *random_boxes())
    command = [sys.executable, "-c", CHILD, str(videos[0].path.parent)]
    subprocess.run([*command, str(tmp_path / "whole"), str(path)], check=True, capture_output=True)
    killed = 0
    for lines in (2, 4, 6, 100):
        killed += kill_after(lines, [*command, str(tmp_path / "killed"), str(path)])
    assert killed >= 2, "too few kills fell into the extraction for the test to mean anything"
    assert visible(tmp_path / "killed") == visible(tmp_path / "whole")


def test_a_changed_video_is_written_to_the_boxes_once(tmp_path, clip, detector_file):
    path = tmp_path / "v.mp4"
    noise = np.random.default_rng(0)
    source = Detector(MOBILE, str(detector_file), 0.0, torch.device("cpu"))
    for length in (9, 5):
        write_video(path, noise.integers(0, 255, (length, 32, 32, 3), np.uint8), fps=25)
        encode([Video("v", (), path)], clip, tmp_path / "s", stride=4, pooling="first", regions=source)
    with (tmp_path / "s" / "boxes-0-of-1.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert {int(row[1]) for row in rows[1:]} <= {0, 4} and len(rows) > 1


def test_detectors_and_weights_that_are_not_there_are_refused_in_one_line(tmp_path, monkeypatch, detector_file):
    cpu = torch.device("cpu")
    with pytest.raises(UnknownNameError, match="unknown detector 'fasterrcnn'"):
        Detector("fasterrcnn", "DEFAULT", 0.5, cpu)
    with pytest.raises(UnknownNameError, match=f"unknown weights of {MOBILE} 'COCO'; did you mean 'COCO_V1'"):
        Detector(MOBILE, "COCO", 0.5, cpu)

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(CheckpointError, match=r"no route to host\); download https://\S+\.pth into \S+checkpoints, or"):
        Detector(MOBILE, "DEFAULT", 0.5, cpu)
    with pytest.raises(CheckpointError, match="cannot read the detector's weights"):
        Detector(MOBILE, str(tmp_path / "absent.pth"), 0.5, cpu)
    with pytest.raises(CheckpointError, match="does not fit ssdlite320_mobilenet_v3_large: missing"):
        Detector("ssdlite320_mobilenet_v3_large", str(detector_file), 0.5, cpu)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_weights_that_would_run_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Harmful()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="as tensors only"):
        Detector(MOBILE, str(tmp_path / "w.pth"), 0.5, torch.device("cpu"))
    assert not (tmp_path / "harm").exists()


def test_official_weights_in_the_cache_are_used_offline(tmp_path, monkeypatch):
    state = get_model(MOBILE, weights=None, weights_backbone=None).state_dict()
    official = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    calls = []

    def cached(url, *_, **options):
        calls.append((url, options))
        return official

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", cached)
    by_name = Detector(MOBILE, "DEFAULT", 0.5, torch.device("cpu"))
    assert calls[0][1]["weights_only"] and calls[0][1]["check_hash"]
    torch.save(official, tmp_path / "w.pth")
    # The same tensors, under whichever name, are the same detector.
    assert by_name.label == Detector(MOBILE, str(tmp_path / "w.pth"), 0.5, torch.device("cpu")).label
