"""Small copies of the data sets in their official layouts, and what is asked of a report on them."""

import csv
import json
import shutil

import numpy as np
from PIL import Image
from vadbench_shanghaitech.dataset import ShanghaiTech
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_ucsdped2.dataset import CLIPS, UcsdPed2
from vadbench_xdviolence.dataset import XdViolence

from vadbench.data.media import write_video

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


def found_of(report):
    """Names by kind of problem, peculiarities of the annotation left out."""
    kinds = {p.kind for p in report.problems} - {"annotation"}
    return {kind: [p.name for p in report.problems if p.kind == kind] for kind in kinds}


def texts_of(report, kind):
    texts = [p.text for p in report.problems if p.kind == kind]
    assert all(len(text.splitlines()) == 1 for text in texts)
    return texts


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def usable(report):
    return sum(split.videos.usable for split in report.splits.values())


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])
