"""Near-duplicates: planted copies are found, unrelated videos of one camera are never named."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from vadbench_synthetic.dataset import Synthetic
from vadbench_ucsdped2.dataset import UcsdPed2

import planted
from extraction import extract
from npy_files import save
from stores import append
from vadbench.base.locations import find_data_root
from vadbench.clip import load_clip
from vadbench.dataset import Video
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.layouts import open_features
from vadbench.features.pooling import pool_rows
from vadbench.features.store import FeatureStore, StoreWriter
from vadbench.inspect.best_alignment import Alignment
from vadbench.inspect.duplicate_report import LEAST_CHANGES, LEAST_ROWS, THRESHOLD, is_duplicate, least_cosine
from vadbench.inspect.near_duplicates import find_duplicates

PRINT = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=16, pooling="mean", dim=32)
FEATURES = "clip/clip_vitb16_perframe_3_train_videos.json", "clip/clip_vitb16_snippets16_5_train_videos.json"


@pytest.fixture(scope="session")
def planted_store(made_once):
    """Features of scenes and of copies of each of them, extracted from real files with the small CLIP."""

    def fill(folder):
        videos = []
        for name, pictures in planted.scenes(folder).items():
            copies = {"": (pictures, {"crf": 23})} | {f"+{k}": v[:2] for k, v in planted.variants(pictures).items()}
            for kind, (shown, how) in copies.items():
                planted.write(folder / "videos" / f"{name}{kind}.mp4", shown, **how)
                videos.append(Video(f"{name}{kind}", ("Normal",), folder / "videos" / f"{name}{kind}.mp4"))
        extract(videos, load_clip(), folder / "store", stride=1, pooling="mean")

    return FeatureStore(made_once("planted", fill) / "store")


def split_of(names):
    """Scenes in train, and all their copies in test."""
    return {
        "train": [Video(n, ("Normal",)) for n in names if "+" not in n],
        "test": [Video(n, ("Normal",)) for n in names if "+" in n],
    }


def test_every_planted_copy_is_found_and_no_unrelated_pair(planted_store):
    names = planted_store.names
    report = find_duplicates(planted_store, split_of(names))
    assert report.videos == len(names) and not report.short and not report.unreadable
    scene = {n: n.split("+")[0] for n in names}
    assert all(scene[p.a] == scene[p.b] for p in report.pairs)
    found = {p.b if "+" in p.b else p.a: p for p in report.pairs if p.across}
    for name in names:
        if "+" not in name:
            continue
        kind, first = planted.variants(np.zeros((planted_store.frames(scene[name]), 2, 2, 3)))[name.split("+")[1]][2:4]
        assert name in found, name
        pair = found[name]
        assert {pair.a, pair.b} == {name, scene[name]} and pair.kind == kind
        # Whichever of two equally long ones is called A.
        assert abs(pair.offset) == pytest.approx(first, abs=6) and pair.mirrored is None


def test_those_across_splits_come_first_the_worst_before_the_others(planted_store):
    report = find_duplicates(planted_store, split_of(planted_store.names))
    assert 0 < report.across < len(report.pairs)
    assert [p.across for p in report.pairs] == [True] * report.across + [False] * (len(report.pairs) - report.across)
    for part in (report.pairs[: report.across], report.pairs[report.across :]):
        assert [p.cosine for p in part] == sorted((p.cosine for p in part), reverse=True)


def test_a_threshold_that_nothing_reaches_names_nothing(planted_store):
    assert not find_duplicates(planted_store, split_of(planted_store.names), 1.0).pairs


def store_of(folder, rows, fingerprint=PRINT):
    """A store of rows by video, each of 16 frames."""
    with StoreWriter(folder, fingerprint) as writer:
        for name, own in rows.items():
            crops = own if isinstance(own, list) else [own]
            frames = len(crops[0]) * fingerprint.stride
            append(writer, name, [c.astype(np.float32) for c in crops], frames, name)
    return FeatureStore(folder)


def test_extracts_of_one_long_video_are_found_though_they_are_short(tmp_path):
    """A cut of a long video is near only a few of its rows."""
    rng = np.random.default_rng(0)
    film = np.repeat(rng.normal(size=(60, 32)), 20, axis=0) + 0.2 * rng.normal(size=(1200, 32))
    rows = {"film": film, "extract": film[515:540], "other": rng.normal(size=(40, 32)).cumsum(0)}
    report = find_duplicates(
        store_of(tmp_path, rows), {"train": [Video(n, ()) for n in ("film", "other")], "test": [Video("extract", ())]}
    )
    (pair,) = report.pairs
    assert (pair.a, pair.b, pair.splits, pair.kind) == ("film", "extract", ("train", "test"), "part")
    assert (pair.offset, pair.overlap, pair.start) == (515 * 16, 25, (515 * 16, 0))
    assert report.aligned == 1


@pytest.mark.parametrize("middle", [0, 1])
def test_halves_of_long_videos_are_found_with_averaged_rows(tmp_path, middle):
    rng = np.random.default_rng(middle)
    film = 12 + rng.normal(size=(900, 32)).cumsum(0)
    rows = {"early": film[:600], "late": film[300 - middle :]}
    (pair,) = find_duplicates(store_of(tmp_path, rows), {"test": [Video(n, ()) for n in rows]}).pairs
    assert pair.kind == "overlap" and pair.spacing == 48
    assert abs(pair.offset) == pytest.approx((300 - middle) * 16, abs=12)


def test_ten_crops_tell_a_mirrored_copy(tmp_path):
    rng = np.random.default_rng(5)
    crops = [10 + rng.normal(size=(40, 32)).cumsum(0) for _ in range(10)]
    ten = replace(PRINT, crops=tuple("0123456789"))
    rows = {"a": crops, "b": crops[5:] + crops[:5], "c": crops}
    store = store_of(tmp_path, rows, ten)
    pairs = find_duplicates(store, {"test": [Video(n, ()) for n in rows]}).pairs
    assert {(p.a, p.b): p.mirrored for p in pairs} == {("a", "b"): True, ("a", "c"): False, ("b", "c"): True}


def test_labels_that_differ_are_told(tmp_path):
    rows = 10 + np.random.default_rng(6).normal(size=(40, 32)).cumsum(0)
    store = store_of(tmp_path, {"a": rows, "b": rows, "c": rows})
    videos = [Video("a", ("Abuse",)), Video("b", ("Normal",)), Video("c", ("Normal",))]
    pairs = find_duplicates(store, {"test": videos}).pairs
    assert {(p.a, p.b): p.labels for p in pairs} == {
        ("a", "b"): (("Abuse",), ("Normal",)),
        ("a", "c"): (("Abuse",), ("Normal",)),
        ("b", "c"): None,
    }


@pytest.mark.parametrize("row", [0, 19, 39])
def test_videos_that_cannot_be_compared_are_told(tmp_path, row):
    rows = (10 + np.random.default_rng(7).normal(size=(40, 32)).cumsum(0)).astype(np.float32)
    damaged = rows.copy()
    damaged[row] = np.nan
    videos = {"a": rows, "b": rows, "short": rows[:7], "damaged": damaged, "narrow": rows[:, :9]}
    for name, own in videos.items():
        save(tmp_path / f"{name}.npy", own)
    source = open_features(tmp_path, None, {}, "vadclip")
    report = find_duplicates(source, {"test": [Video(n, ()) for n in (*videos, "absent")]})
    assert [(p.a, p.b) for p in report.pairs] == [("a", "b")]
    assert report.short == ["short"] and report.videos == 2
    narrow, not_finite = report.unreadable
    assert "narrow.npy" in narrow and "9" in narrow
    assert "'damaged'" in not_finite and f"row {row}" in not_finite


def test_short_overlaps_need_a_higher_cosine():
    def found(overlap, cosine, rows=0.99, changes=0.9):
        return is_duplicate(Alignment(0, 0, overlap, cosine, rows, changes), THRESHOLD)

    assert found(16, THRESHOLD) and not found(16, THRESHOLD - 1e-9)
    assert found(8, 0.95) and not found(8, 0.9499) and not found(12, 0.9149) and found(12, 0.9151)
    assert not found(16, 0.99, rows=LEAST_ROWS - 0.001) and not found(16, 0.99, changes=LEAST_CHANGES - 0.001)
    assert least_cosine(0.99, 8) == 0.99


def test_no_clips_of_one_camera_are_named(test_data, tmp_path):
    dataset = UcsdPed2(test_data / "ucsdped2")
    videos = {split: dataset.videos(split) for split in dataset.splits}
    extract([v for own in videos.values() for v in own], load_clip(), tmp_path, stride=1, pooling="mean")
    report = find_duplicates(FeatureStore(tmp_path), videos)
    assert report.videos == 28 and report.aligned > 300 and not report.pairs


def test_no_surveillance_videos_are_named_but_the_same_features_are(test_data, tmp_path):
    rows = {}
    for file in FEATURES:
        for name, own in json.loads((test_data / file).read_text())["features"].items():
            array = np.frombuffer(base64.b64decode(own["b64"]), "<f2").reshape(own["shape"]).astype(np.float32)
            per_frame = "perframe" in file
            rows[name + per_frame * "/frames"] = pool_rows(array, len(array), 1, 16, "mean") if per_frame else array
            if per_frame:
                cut = array[103:603]
                rows[name + "/cut"] = pool_rows(cut, len(cut), 1, 16, "mean")
    with np.load(test_data / "clip" / "song248_clip_vitb16_10videos_f16.npz") as file:
        rows |= {name: file[name].astype(np.float32).reshape(-1, 512) for name in file.files}
    store = store_of(tmp_path, rows, replace(PRINT, dim=512))
    pairs = find_duplicates(store, {"test": [Video(n, ()) for n in rows]}).pairs
    of_one = {tuple(sorted((p.a, p.b))) for p in pairs}
    own = ("Abuse023_x264", "Arson005_x264", "Arrest002_x264")
    forms = (
        [(n, f"{n}/cut") for n in own] + [(n, f"{n}/frames") for n in own] + [(f"{n}/cut", f"{n}/frames") for n in own]
    )
    assert of_one == set(forms)
    assert all(abs(abs(p.offset) - 103) <= 8 for p in pairs if "cut" in p.a + p.b)


@pytest.mark.slow
def test_no_two_rendered_scenes_are_named(tmp_path, monkeypatch, synthetic_cache):
    monkeypatch.setenv("VADBENCH_CACHE", str(synthetic_cache))
    dataset = Synthetic(find_data_root("synthetic", True))
    dataset.prepare()
    videos = {split: dataset.videos(split) for split in dataset.splits}
    extract([v for own in videos.values() for v in own], load_clip(), tmp_path / "store", stride=1, pooling="mean")
    report = find_duplicates(FeatureStore(tmp_path / "store"), videos)
    assert report.videos == 160 and report.aligned > 1000 and not report.pairs
