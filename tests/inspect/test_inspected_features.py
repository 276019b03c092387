"""Looking at features in place of videos: each defect is named."""

import base64
import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import torch

from small_copies import FRAMES, ODD, Ucf, Xd, cut, found_of, remove, texts_of, usable
from stores import append
from vadbench.clip import ClipSource, load_clip
from vadbench.data.media import source_id
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import StoreWriter
from vadbench.harness.given_features import GivenFeatures
from vadbench.inspect import inspect

DIM = 8
FORMS = {
    "anomalyclip": lambda rng: {"": rng.normal(size=(FRAMES, DIM))},
    "vadclip": lambda rng: {f"__{crop}": rng.normal(size=(2, DIM)) for crop in range(3)},
    "rows-crops": lambda rng: {"": rng.normal(size=(2, 3, DIM))},
    "crops-rows": lambda rng: {"": rng.normal(size=(3, 2, DIM))},
}


def write_features(folder, layout, names):
    """Features of every video in a foreign layout; returns a video's last file by its name."""
    rng, files = np.random.default_rng(0), {}
    folder.mkdir()
    for i, name in enumerate(names):
        (folder / f"part {i % 2}").mkdir(exist_ok=True)
        for crop, rows in FORMS[layout](rng).items():
            files[name] = folder / f"part {i % 2}" / f"{name}{crop}.npy"
            np.save(files[name], rows.astype(np.float32))
    return files


@pytest.fixture
def bare(root, kind):
    """A root with lists and annotation and without videos, and the names of its videos."""
    dataset = kind(root)
    videos = [v for split in ("train", "test") for v in dataset.videos(split)]
    for video in videos:
        remove(video.path)
    return root, [v.name for v in videos]


@pytest.mark.parametrize("layout", FORMS)
def test_complete_features_in_every_layout_are_complete(kind, bare, tmp_path, layout):
    root, names = bare
    write_features(tmp_path / "features", layout, names)
    report = inspect(kind(root), GivenFeatures(tmp_path / "features", layout))
    assert (report.status, report.source, set(found_of(report))) == ("complete", "features", {"origin"})
    assert "--clip ViT-B-16-quickgelu --clip-weights openai" in texts_of(report, "origin")[0]
    assert (report.features.layout, report.features.fingerprint) == (layout, "unknown")
    made_by = report.features.made_by
    assert (made_by["dim"], made_by["dtype"], made_by["stride"]) == (
        DIM,
        "float32",
        1 if layout == "anomalyclip" else 16,
    )
    assert usable(report) == len(names)
    each = FRAMES if layout == "anomalyclip" else 32
    assert sum(split.frames_found for split in report.splits.values()) == each * len(names)


def test_the_root_is_the_folder_of_features_where_it_has_no_video(tmp_path):
    for given in (None, GivenFeatures(tmp_path / "ucf" / "features")):
        shutil.rmtree(tmp_path / "ucf", ignore_errors=True)
        (tmp_path / "ucf").mkdir()
        Ucf.build(tmp_path / "ucf")
        names = [os.path.basename(p).removesuffix(".mp4") for p in (*Ucf.train, *Ucf.test)]
        write_features(tmp_path / "ucf" / "features", "anomalyclip", names[1:])
        assert inspect(Ucf(tmp_path / "ucf")).source == "videos"
        for path in (*Ucf.train, *Ucf.test):
            (tmp_path / "ucf" / path).unlink()
        report = inspect(Ucf(tmp_path / "ucf"), given)
        assert (report.source, found_of(report)["missing"]) == ("features", [ODD])


def with_value(value):
    def change(path):
        rows = np.load(path)
        rows[(-1,) * rows.ndim] = value
        np.save(path, rows)

    return change


def repeated(axis, times):
    def change(path):
        rows = np.load(path)
        np.save(path, np.concatenate([rows] * times, axis=axis))

    return change


DEFECTS = {
    "missing": [lambda path: path.unlink()],
    "zero-length": [lambda path: path.write_bytes(b""), lambda path: np.save(path, np.load(path)[:0])],
    "unreadable": [
        cut,
        lambda path: path.write_text("<html>not found</html>"),
        lambda path: np.save(path, np.array([{"a": 1}], object), allow_pickle=True),
        lambda path: np.save(path, np.zeros(DIM, np.float32)),
        lambda path: np.save(path, np.load(path).astype(np.int32)),
    ],
    "width": [repeated(-1, 2)],
    "not-finite": [with_value(np.nan), with_value(-np.inf)],
    "frames": [repeated(0, 4)],
}


@pytest.mark.parametrize("name", [ODD, "Abuse028_x264"])
@pytest.mark.parametrize(("expected", "damage"), [(k, d) for k, damages in DEFECTS.items() for d in damages])
@pytest.mark.parametrize("layout", ["anomalyclip", "rows-crops"])
@pytest.mark.parametrize("kind", [Ucf], indirect=True)
def test_each_defect_of_features_is_named(kind, bare, tmp_path, layout, expected, damage, name):
    root, names = bare
    files = write_features(tmp_path / "features", layout, names)
    damage(files[name])
    report = inspect(kind(root), GivenFeatures(tmp_path / "features", layout))
    if expected == "frames" and name == ODD:
        # Nobody states how long a training video is.
        assert report.status == "complete"
        return
    assert (report.status, found_of(report)) == ("incomplete", {expected: [name], "origin": [""]})
    (text,) = texts_of(report, expected)
    assert repr(name) in text or str(files[name]) in text or name in text
    assert usable(report) == 5


@pytest.mark.parametrize("kind", [Xd], indirect=True)
def test_a_crop_that_is_damaged_spoils_its_video(kind, bare, tmp_path):
    root, names = bare
    files = write_features(tmp_path / "features", "vadclip", names)
    np.save(files[names[0]], np.zeros((3, DIM), np.float32))
    with_value(np.inf)(files[names[1]])
    files[names[2]].write_bytes(b"")
    files[names[3]].unlink()
    np.save(files[names[4]].with_name("left over__0.npy"), np.zeros((2, DIM), np.float32))
    report = inspect(kind(root), GivenFeatures(tmp_path / "features", "vadclip"))
    found = found_of(report)
    assert (found["frames"], found["not-finite"], found["zero-length"]) == ([names[0]], [names[1]], [names[2]])
    assert found["extra"] == [str(files[names[4]].with_name("left over__0.npy"))]
    assert "2 in crop 0, 2 in crop 1, 3 in crop 2" in texts_of(report, "frames")[0]
    assert usable(report) == 3


def test_features_of_our_own_store_are_checked(tmp_path):
    Ucf.build(tmp_path)
    names = [os.path.basename(p).removesuffix(".mp4") for p in (*Ucf.train, *Ucf.test)]
    made_by = Fingerprint("e", "12ab", "gelu", "p", 16, "mean", DIM)
    with StoreWriter(tmp_path / "store", made_by) as writer:
        for name in [*names[1:], "another video"]:
            frames = 40 if name == "Normal_003_x264" else FRAMES
            path = next(tmp_path.rglob(f"{name}.mp4"), None)
            made_of = source_id(path) if path and name != "Abuse028_x264" else "0" * 32
            append(writer, name, [np.ones((-(-frames // 16), DIM), np.float32)], frames, made_of)
    with (tmp_path / "store" / "rows-0-of-1.bin").open("r+b") as file:
        file.write(np.float32([np.nan]).tobytes())
    report = inspect(Ucf(tmp_path), GivenFeatures(tmp_path / "store"))
    assert found_of(report) == {
        "missing": [ODD],
        "not-finite": ["Arson001_x264"],
        "source": ["Abuse028_x264"],
        "frames": ["Normal_003_x264"],
        "extra": ["another video"],
        "nothing": ["", ""],
    }
    assert (report.features.layout, report.features.fingerprint) == ("store", made_by.digest)
    train, test = texts_of(report, "nothing")
    assert "none of 2 abnormal train videos" in train and "none of 1 normal test videos" in test
    assert [(s.frames_found, s.frames_stated) for s in report.splits.values()] == [(20, 0), (20, 60)]


def test_features_none_of_which_can_be_read_are_unusable(tmp_path):
    Ucf.build(tmp_path)
    (tmp_path / "nothing here").mkdir()
    for folder in ("nothing here", "not there"):
        report = inspect(Ucf(tmp_path), GivenFeatures(tmp_path / folder))
        assert report.status == "unusable" and report.problems[0].kind == "features"
        assert str(tmp_path / folder) in report.problems[0].text and "missing" not in found_of(report)


def test_real_features_are_held_against_the_class_names(test_data, tmp_path):
    Ucf.build(tmp_path)
    names = [os.path.basename(p).removesuffix(".mp4") for p in (*Ucf.train, *Ucf.test)]
    prompts = json.loads((test_data / "clip" / "pel4vad_prompt_features.json").read_text())["ucf"]
    big = dataclasses.replace(
        load_clip(),
        name="ViT-B-16-quickgelu",
        source=ClipSource("ViT-B-16-quickgelu", "openai"),
        dim=512,
        towers=lambda: (None, lambda words: torch.from_numpy(decoded(prompts))),
    )
    files = {
        "right encoder": "clip_vitb16_snippets16_5_train_videos",
        "other encoder": "clip_otherencoder_stride2_Abuse001",
    }
    for verdict, file in files.items():
        rows = decoded(json.loads((test_data / "clip" / f"{file}.json").read_text())["features"]["Abuse001_x264"])
        (tmp_path / verdict).mkdir()
        for name in names:
            np.save(tmp_path / verdict / f"{name}.npy", rows[:FRAMES])
        report = inspect(Ucf(tmp_path), GivenFeatures(tmp_path / verdict, "anomalyclip"), big)
        assert report.preflight.verdict == verdict
        wrong = verdict == "other encoder"
        assert found_of(report) == ({"encoder": [""]} if wrong else {})
        assert report.status == ("unusable" if wrong else "complete")
        if wrong:
            assert "0.18 to 0.29; name theirs with --clip" in texts_of(report, "encoder")[0]


def decoded(block):
    values = np.frombuffer(base64.b64decode(block["b64"]), "<f2").reshape(block["shape"])
    return values.astype(np.float32)


@pytest.mark.parametrize("kind", [Ucf], indirect=True)
def test_features_behind_links_that_lead_out_are_not_followed(kind, bare, tmp_path):
    root, names = bare
    files = write_features(tmp_path / "features", "anomalyclip", names)
    away = tmp_path / "away.npy"
    files[ODD].rename(away)
    files[ODD].symlink_to(away)
    report = inspect(kind(root), GivenFeatures(tmp_path / "features", "anomalyclip"))
    assert report.status == "incomplete"
    assert found_of(report) == {"unreadable": [ODD], "link": [str(files[ODD])], "origin": [""]}
