import base64
import csv
import dataclasses
import json
import os
import runpy
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image
from vadbench_shanghaitech.dataset import ShanghaiTech
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_ucsdped2.dataset import CLIPS, UcsdPed2
from vadbench_xdviolence.dataset import XdViolence

from places import ROOT
from vadbench.clip import ClipSource, load_clip
from vadbench.data.media import source_id, write_video
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import StoreWriter
from vadbench.harness.given_features import GivenFeatures
from vadbench.inspect import MEANINGS, inspect

FRAMES = 20
TEMPORAL = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
ODD = "Odd = 'x' \"é\" #1_x264"


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def write_clip(path, frames=FRAMES):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, (np.full((16, 16, 3), t, np.uint8) for t in range(frames)), 10)


def write_images(folder, suffix, frames=FRAMES, marked=()):
    folder.mkdir(parents=True)
    for t in range(frames):
        value = 255 if t in marked else 0
        Image.fromarray(np.full((4, 6), value, np.uint8)).save(folder / f"{t:03d}{suffix}")


class Ucf(UcfCrime):
    expected = {"train": 3, "test": 3}
    train = [f"Abuse/{ODD}.mp4", "Arson/Arson001_x264.mp4", "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4"]
    test = ["Abuse/Abuse028_x264.mp4", "Arson/Arson009_x264.mp4", "Testing_Normal_Videos_Anomaly/Normal_003_x264.mp4"]

    @classmethod
    def build(cls, root, stated=True):
        write_lines(root / "Anomaly_Train.txt", cls.train)
        write_lines(root / "Anomaly_Test.txt", cls.test)
        write_lines(
            root / TEMPORAL,
            [
                "Abuse028_x264.mp4 Abuse 3 8 -1 -1",
                "Arson009_x264.mp4 Arson 1 2 9 21",
                "Normal_003_x264.mp4 Normal -1 -1",
            ],
        )
        if stated:
            write_lines(root / "Test_Annotation.txt", [f"{path} {FRAMES} x" for path in cls.test])
        for path in (*cls.train, *cls.test):
            write_clip(root / path)


class Xd(XdViolence):
    expected = {"train": 3, "test": 3}
    train = ["v=é é__#1_label_B1-0-0", 'Two  "words".2001__#00-01_label_G', "Bad=it's__#1_label_A"]
    test = ["v=bb__#1_label_B4-0-0", "v=cc__#1_label_B2-G-0", "v=dd__#1_label_A"]

    @classmethod
    def build(cls, root):
        for file, names in (("xd.csv", cls.train), ("xd_test.csv", cls.test)):
            with (root / file).open("w", encoding="utf-8", newline="") as opened:
                rows = [(f"/home/someone/{n}__{c}.npy", n.rsplit("_label_")[1]) for n in names for c in range(2)]
                csv.writer(opened).writerows([("path", "label"), *rows])
        write_lines(root / "annotations.txt", [f"{cls.test[0]} 0 9", f"{cls.test[1]}.mp4 5 12"])
        write_lines(root / "annotations_multiclasses.txt", [f"{cls.test[0]} B4 0 9", f"{cls.test[1]} B2 5 7 G 8 12"])
        write_lines(root / "xd_tframes.txt", [f"{name}@{FRAMES}" for name in cls.test])
        for folder, names in (("1-1004", cls.train), ("videos", cls.test)):
            for name in names:
                write_clip(root / folder / f"{name}.mp4")


class Sh(ShanghaiTech):
    expected = {"train": 2, "test": 3}

    @classmethod
    def build(cls, root):
        write_lines(root / "SH_Train.txt", ["01_001", "01_0014"])
        write_lines(root / "SH_Test.txt", ["01_0015", "12_0142", "02_003"])
        clips = {"01_0014": "vehicle", "01_0015": "chasing", "12_0142": "throwing object"}
        spans = {n[-4:]: {"anomalies": [{c: [[3, 6]]}], "length": FRAMES} for n, c in clips.items()}
        write_lines(root / "semantic_annotation.json", [json.dumps(spans)])
        (root / "testing" / "test_frame_mask").mkdir(parents=True)
        for name in clips:
            mask = np.isin(np.arange(FRAMES), range(2, 6)).astype(np.uint8)
            np.save(root / "testing" / "test_frame_mask" / f"{name}.npy", mask)
            write_images(root / "testing" / "frames" / name, ".jpg")
        for name in ("01_001", "02_003"):
            write_clip(root / "training" / "videos" / f"{name}.avi")


class Ped2(UcsdPed2):
    @classmethod
    def build(cls, root):
        for name in CLIPS:
            write_images(root / "UCSDped2" / name[:-3] / name, ".tif")
            if name.startswith("Test"):
                write_images(root / "UCSDped2" / "Test" / f"{name}_gt", ".bmp", marked=range(4, 9))


# For each: an abnormal and the normal test videos.
LAYOUTS = {
    Ucf: ("Abuse028_x264", ["Normal_003_x264"]),
    Xd: ("v=bb__#1_label_B4-0-0", ["v=dd__#1_label_A"]),
    Sh: ("12_0142", ["02_003"]),
    Ped2: ("Test003", [n for n in CLIPS if n.startswith("Train") and n[-2:] not in ("07", "08", "14", "15")]),
}


@pytest.fixture(params=LAYOUTS, ids=lambda kind: kind.__name__.lower())
def kind(request):
    return request.param


@pytest.fixture
def root(tmp_path, kind):
    folder = tmp_path / "data root"
    folder.mkdir()
    kind.build(folder)
    return folder


def found_of(report):
    """Names by kind of problem, peculiarities of the annotation left out."""
    kinds = {p.kind for p in report.problems} - {"annotation"}
    return {kind: [p.name for p in report.problems if p.kind == kind] for kind in kinds}


def texts_of(report, kind):
    texts = [p.text for p in report.problems if p.kind == kind]
    assert all(len(text.splitlines()) == 1 for text in texts)
    return texts


def path_of(dataset, name):
    return next(v.path for split in ("train", "test") for v in dataset.videos(split) if v.name == name)


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def usable(report):
    return sum(split.videos.usable for split in report.splits.values())


def test_a_complete_copy_is_complete(kind, root):
    dataset = kind(root)
    calls = []
    report = inspect(dataset, progress=lambda *call: calls.append(call))
    assert (report.status, report.source, found_of(report)) == ("complete", "videos", {})
    assert report.features is None and report.preflight is None
    total = sum(dataset.expected.values())
    assert calls[0] == ("checking videos", 0, total) and calls[-1] == ("checking videos", total, total)
    for split in ("train", "test"):
        videos, counted = dataset.videos(split), report.splits[split]
        assert counted.listed == len(videos) == dataset.expected[split]
        normal = sum(dataset.is_normal(v) for v in videos)
        kinds = [(counted.videos, len(videos)), (counted.normal, normal), (counted.abnormal, len(videos) - normal)]
        classes = [(tally, sum(c in v.labels for v in videos)) for c, tally in counted.classes.items()]
        assert all((t.expected, t.found, t.usable) == (n, n, n) for t, n in (*kinds, *classes))
        assert counted.frames_found == FRAMES * len(videos)
        assert counted.frames_stated == FRAMES * counted.stating == FRAMES * sum(v.frames is not None for v in videos)
    assert report.splits["train"].positive_frames == 0 and report.splits["test"].stating > 0
    assert report.splits["test"].positive_frames == {Ucf: 6 + 2 + 12, Xd: 10 + 8, Sh: 4 + 4, Ped2: 6 * 5}[kind]


def test_peculiarities_of_the_annotation_are_told(tmp_path):
    for kind in (Ucf, Xd):
        (tmp_path / kind.name).mkdir()
        kind.build(tmp_path / kind.name)
    (cut,) = texts_of(inspect(Ucf(tmp_path / "ucfcrime")), "annotation")
    assert "interval 9 21 of 'Arson009_x264' ends past its 20 frames" in cut and f"{TEMPORAL}, line 2" in cut
    (odd,) = (text for text in texts_of(inspect(Xd(tmp_path / "xdviolence")), "annotation") if "odd" in text)
    assert "xd.csv, line 4: odd label 'G', read as Explosion" in odd


def test_a_missing_video_is_named(kind, root):
    name, _ = LAYOUTS[kind]
    remove(path_of(kind(root), name))
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("incomplete", {"missing": [name]})
    (text,) = texts_of(report, "missing")
    assert repr(name) in text and str(root) in text and "--allow-incomplete" in text
    test, total = report.splits["test"].videos, kind.expected["test"]
    assert (test.expected, test.found, test.usable) == (total, total - 1, total - 1)
    assert report.splits["test"].normal.usable == len(LAYOUTS[kind][1])


def test_a_file_or_image_without_bytes_is_named(kind, root):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    file = sorted(path.iterdir())[3] if path.is_dir() else path
    file.write_bytes(b"")
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("incomplete", {"zero-length": [name]})
    assert str(file) in texts_of(report, "zero-length")[0]
    test, total = report.splits["test"].videos, kind.expected["test"]
    assert (test.expected, test.found, test.usable) == (total, total, total - 1)


@pytest.mark.parametrize("damage", [lambda data: b"<html>not found</html>", lambda data: data[: len(data) // 2]])
@pytest.mark.parametrize("kind", [Ucf, Xd], indirect=True)
def test_a_damaged_video_is_named(kind, root, damage):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    path.write_bytes(damage(path.read_bytes()))
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("incomplete", {"unreadable": [name]})
    assert str(path) in texts_of(report, "unreadable")[0]


@pytest.mark.parametrize(("frames", "status"), [(22, "complete"), (23, "incomplete"), (1, "incomplete")])
@pytest.mark.parametrize("kind", [Ucf, Xd, Sh], indirect=True)
def test_a_video_of_another_length_than_annotated_is_named(kind, root, frames, status):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    remove(path)
    if path.suffix:
        write_clip(path, frames)
    else:
        write_images(path, ".jpg", frames)
    report = inspect(kind(root))
    assert report.status == status and found_of(report) == ({} if status == "complete" else {"frames": [name]})
    for text in texts_of(report, "frames"):
        assert name in text and f"states 20 frames, found {frames};" in text
    if status == "complete":
        assert report.splits["test"].frames_found == report.splits["test"].frames_stated + 2 + 20 * (kind is Sh)


@pytest.mark.parametrize(("end", "found"), [(20, {}), (22, {}), (23, {"frames": ["Arson009_x264"]})])
def test_an_interval_past_a_video_whose_length_nobody_states_is_told(tmp_path, end, found):
    Ucf.build(tmp_path, stated=False)
    annotation = (tmp_path / TEMPORAL).read_text().replace("9 21", f"9 {end}")
    (tmp_path / TEMPORAL).write_text(annotation)
    report = inspect(Ucf(tmp_path))
    assert found_of(report) == found and report.status == ("incomplete" if found else "complete")
    told = texts_of(report, "annotation" if end == 22 else "frames")
    assert told == ([] if end == 20 else [t for t in told if f"'Arson009_x264' ends at frame {end}, past its 20" in t])
    assert len(told) == (end != 20)


def test_a_video_of_no_list_is_named(kind, root):
    extra = root / "left over = #é__label_A.mp4"
    write_clip(extra)
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("complete", {"extra": [str(extra)]})


def test_links_that_lead_out_or_nowhere_are_named(kind, root, tmp_path):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    away = tmp_path / "elsewhere" / path.name
    away.parent.mkdir()
    path.rename(away)
    path.symlink_to(away)
    (root / "inside").symlink_to(path.parent)
    (root / "nowhere").symlink_to(tmp_path / "nothing")
    report = inspect(kind(root))
    assert report.status == "complete"
    found = dict(zip(found_of(report)["link"], texts_of(report, "link"), strict=True))
    assert set(found) == {str(path), str(root / "nowhere")}
    assert f"is a link to {away}, outside" in found[str(path)] and "where nothing is" in found[str(root / "nowhere")]


def test_a_kind_of_video_without_any_is_unusable(kind, root):
    _, normal = LAYOUTS[kind]
    dataset = kind(root)
    for path in [path_of(dataset, name) for name in normal]:
        remove(path)
    report = inspect(kind(root))
    assert report.status == "unusable" and set(found_of(report)) == {"nothing", "missing"}
    assert found_of(report)["missing"] == normal
    assert texts_of(report, "nothing") == [f"none of {len(normal)} normal test videos can be used; add some of them"]
    assert report.problems[0].kind == "nothing"


def test_a_split_without_any_video_is_unusable(kind, root):
    dataset = kind(root)
    for path in [v.path for v in dataset.videos("train")]:
        remove(path)
    report = inspect(kind(root))
    count = kind.expected["train"]
    assert report.status == "unusable" and len(found_of(report)["missing"]) == count
    assert texts_of(report, "nothing") == [f"none of {count} train videos can be used; add some of them"]
    assert report.splits["test"].videos.usable == kind.expected["test"]


TRUTHS = {Ucf: TEMPORAL, Xd: "annotations.txt", Sh: "semantic_annotation.json", Ped2: "UCSDped2/Test/Test005_gt"}


def test_without_its_annotation_a_data_set_is_unusable(kind, root):
    remove(root / TRUTHS[kind])
    report = inspect(kind(root))
    assert report.status == "unusable" and "test" not in report.splits
    assert any(os.path.basename(TRUTHS[kind]) in text for text in texts_of(report, "list"))
    assert report.problems[0].kind == "list"
    # Only ShanghaiTech's training labels come from the annotation too.
    if kind is not Sh:
        assert report.splits["train"].videos.usable == kind.expected["train"]


def test_no_root_and_no_list_are_unusable(tmp_path):
    for root, words in ((tmp_path / "none", "not found"), (tmp_path, "no train list in")):
        report = inspect(Ucf(root))
        assert (report.status, report.source, report.splits) == ("unusable", "none", {})
        assert words in texts_of(report, "list")[0] and str(root) in texts_of(report, "list")[0]


def test_lists_shorter_than_a_complete_copy_are_incomplete(tmp_path):
    Ucf.build(tmp_path)
    write_lines(tmp_path / "Anomaly_Train.txt", Ucf.train[1:])
    report = inspect(Ucf(tmp_path))
    assert report.status == "incomplete" and set(found_of(report)) == {"count", "extra"}
    assert "train list names 2 videos, a complete copy's 3" in texts_of(report, "count")[0]
    assert (report.splits["train"].videos.expected, report.splits["train"].listed) == (3, 2)


def test_a_video_in_both_splits_is_unusable(tmp_path):
    Ucf.build(tmp_path)
    write_lines(tmp_path / "Anomaly_Train.txt", [*Ucf.train[1:], Ucf.test[0]])
    report = inspect(Ucf(tmp_path))
    assert report.status == "unusable"
    assert texts_of(report, "list") == ["'Abuse028_x264' is listed more than once; keep one line of the lists"]


def test_one_defect_does_not_hide_the_others(tmp_path):
    Ucf.build(tmp_path)
    (tmp_path / Ucf.train[0]).unlink()
    (tmp_path / Ucf.train[1]).write_bytes(b"")
    (tmp_path / Ucf.test[0]).write_bytes(b"nothing that plays")
    write_clip(tmp_path / Ucf.test[1], 30)
    report = inspect(Ucf(tmp_path))
    assert found_of(report) | {"nothing": []} == {
        "missing": [ODD],
        "zero-length": ["Arson001_x264"],
        "unreadable": ["Abuse028_x264"],
        "frames": ["Arson009_x264"],
        "nothing": [],
    }
    assert repr(ODD) in texts_of(report, "missing")[0]
    assert len(texts_of(report, "nothing")) == 2 and usable(report) == 2


def test_the_report_is_plain_values_with_the_documented_names(kind, root):
    remove(path_of(kind(root), LAYOUTS[kind][0]))
    report = inspect(kind(root))
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert list(values) == [
        *("status", "counts", "dataset", "root", "source", "splits", "features", "preflight", "problems")
    ]
    assert values["counts"] == {k: len(texts_of(report, k)) for k in MEANINGS} and values["counts"]["missing"] == 1
    assert set(values["splits"]["test"]) == {
        *("videos", "listed", "normal", "abnormal", "classes"),
        *("frames_stated", "stating", "frames_found", "positive_frames"),
    }
    assert set(values["splits"]["test"]["videos"]) == {"expected", "found", "usable"}
    assert [set(p) for p in values["problems"]] == [{"kind", "name", "text"}] * len(report.problems)


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


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])


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
            writer.append(name, [np.ones((-(-frames // 16), DIM), np.float32)], frames, made_of)
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
        text=lambda words: torch.from_numpy(decoded(prompts)),
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


def official_ucf(source, root):
    for name in ("Anomaly_Train.txt", "Anomaly_Test.txt", TEMPORAL):
        shutil.copyfile(source / "ucfcrime" / name, root / name)
    for split in ("Train", "Test"):
        shutil.copyfile(source / "ucfcrime" / f"ekosman_{split}_Annotation.txt", root / f"{split}_Annotation.txt")


def official_xd(source, root):
    for name in ("annotations.txt", "annotations_multiclasses.txt", "uws4vad_xdv_tframes.txt"):
        shutil.copyfile(source / "xdviolence" / name, root / name)
    for split in ("train", "test"):
        with (source / "xdviolence" / f"vadclip_{split}_videos.csv").open(encoding="utf-8") as file:
            rows = [(f"/home/someone/{r['video']}__0.npy", r["label"]) for r in csv.DictReader(file)]
        with (root / f"xd_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])


def official_sh(source, root):
    for name in ("SH_Train.txt", "SH_Test.txt", "semantic_annotation.json", "frame_masks.json"):
        shutil.copyfile(source / "shanghaitech" / name, root / name)


@pytest.mark.parametrize(
    ("kind", "build", "normal", "abnormal", "frames", "positive", "peculiar"),
    [
        (UcfCrime, official_ucf, (800, 150), (810, 140), (290, 1_111_808), 84_338, ("ends past", 5)),
        (XdViolence, official_xd, (2049, 300), (1905, 500), (800, 2_335_801), 539_562, ("odd label", 2)),
        (ShanghaiTech, official_sh, (175, 155), (63, 44), (44, None), None, ("", 0)),
    ],
    ids=["ucf", "xd", "sh"],
)
def test_the_official_lists_say_what_is_expected(
    test_data, tmp_path, kind, build, normal, abnormal, frames, positive, peculiar
):
    build(test_data, tmp_path)
    report = inspect(kind(tmp_path))
    train, test = report.splits["train"], report.splits["test"]
    assert (train.normal.expected, test.normal.expected) == normal
    assert (train.abnormal.expected, test.abnormal.expected) == abnormal
    assert {s: r.videos.expected for s, r in report.splits.items()} == kind.expected
    assert test.stating == frames[0] and frames[1] in (None, test.frames_stated)
    assert positive in (None, test.positive_frames)
    words, times = peculiar
    assert sum(words in text for text in texts_of(report, "annotation")) == times
    # Nothing but lists is there.
    assert report.status == "unusable" and len(texts_of(report, "nothing")) == 2
    assert len(found_of(report)["missing"]) == sum(kind.expected.values())


def test_the_masks_of_shanghaitech_are_counted(test_data, tmp_path):
    official_sh(test_data, tmp_path)
    report = inspect(ShanghaiTech(tmp_path))
    masks = json.loads((test_data / "shanghaitech" / "frame_masks.json").read_text())
    listed = (test_data / "shanghaitech" / "SH_Test.txt").read_text().split()
    own = [m for name, m in masks.items() if name in listed]
    assert report.splits["test"].frames_stated == sum(m["n"] for m in own)
    assert report.splits["test"].positive_frames == sum(b - a for m in own for a, b in m["runs"])


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


def test_the_official_ped2_clips_are_complete(test_data):
    report = inspect(UcsdPed2(test_data / "ucsdped2"))
    assert report.status == "complete" and usable(report) == 28
    assert sum(split.frames_found for split in report.splits.values()) == 4560


def test_a_root_of_ucf_crimes_size_is_checked_in_seconds(tmp_path, capsys):
    build = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "datacheck.py"))
    build["build"](tmp_path, rows=4, dim=8)
    began = time.perf_counter()
    assert build["list_both"](tmp_path) == 1900
    listed = time.perf_counter()
    report = build["check"](tmp_path)
    checked = time.perf_counter()
    with capsys.disabled():
        print(f"\n1,900 videos listed in {listed - began:.2f} s, checked in {checked - listed:.2f} s")
    assert report.status == "complete" and usable(report) == 1900
    assert report.splits["test"].positive_frames == 140 * 3
