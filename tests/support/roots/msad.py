"""Roots in MSAD's forms; names have numbers and videos have intervals that the data set has not."""

import json
import shutil

import numpy as np

from vadbench.data.media import write_video

TRAIN_ABNORMAL = ["Assault_901", "Traffic_accident_902"]
TRAIN_NORMAL = ["MSAD_normal_shop901", "MSAD_normal_street_highview902", "MSAD_normal_highway903"]
TEST_ABNORMAL = ["Assault_911", "Fire_912", "People_falling_913"]
TEST_NORMAL = ["MSAD_normal_testing_901", "MSAD_normal_testing_902"]
TRAIN, TEST = TRAIN_ABNORMAL + TRAIN_NORMAL, TEST_ABNORMAL + TEST_NORMAL
ANNOTATION = {
    "Assault_901": ("shop", 70, 11, 30),
    "Assault_911": ("office", 100, 41, 60),
    "Fire_912": ("street_highview", 64, 1, 64),
    "People_falling_913": ("shop", 94, 91, 94),
    "Traffic_accident_902": ("road", 80, 79, 79),
}
"""Scenario, frames, first and last anomalous frame, 1-based."""
FRAMES = {
    **{name: frames for name, (_, frames, _, _) in ANNOTATION.items()},
    "MSAD_normal_testing_901": 50,
    "MSAD_normal_testing_902": 97,
    "MSAD_normal_shop901": 48,
    "MSAD_normal_street_highview902": 33,
    "MSAD_normal_highway903": 81,
}
RUNS = {name: (first - 1, last) for name, (_, _, first, last) in ANNOTATION.items()}
ANNOTATION_FILE = "anomaly_annotation.csv"
HEADER = "name,scenario,total frames,starting frame of anomaly,ending frame of anomaly"
ROWS = [HEADER, *(",".join(map(str, (name, *of))) for name, of in ANNOTATION.items())]
FORMS = ("i3d", "swin", "names", "short", "csv")


def short(name):
    """The name that one fork gives a normal training video."""
    return name.removeprefix("MSAD_normal_") if name in TRAIN_NORMAL else name


def lists(form):
    """The two lists of one of the forms that circulate, by file name."""
    if form == "names":
        return {"lists/msad_train.txt": TRAIN, "lists/msad_test.txt": TEST}
    if form == "csv":
        label = {n: n.rsplit("_", 1)[0] if n in ANNOTATION else "Normal" for n in TRAIN + TEST}
        rows = {s: [f"/d/{short(n)}__{crop}.npy,{label[n]}" for n in of for crop in (0, 1)] for s, of in SPLITS.items()}
        return {f"MSAD_{split}.csv": ["path,label", *of] for split, of in rows.items()}
    kind = "swin" if form == "swin" else "i3d"
    named = {n: short(n) if form == "short" else n for n in TRAIN + TEST}
    folders = {n: "normal-testing" for n in TEST_NORMAL} | {n: "abnormal-testing" for n in TEST_ABNORMAL}
    lines = {n: f"/media/someone/MSAD-{kind.upper()}-{folders.get(n, 'training')}/{named[n]}_{kind}.npy" for n in named}
    return {
        f"list/msad-{kind}.list": [lines[n] for n in TRAIN],
        f"list/msad-{kind}-test.list": [lines[n] for n in TEST],
    }


SPLITS = {"train": TRAIN, "test": TEST}


def make_root(folder, form="i3d", **changes):
    """A root with lists of one form, the annotation and the frame counts of all videos."""
    counts = json.dumps({"what": "generated", "frames": FRAMES})
    for name, lines in {**lists(form), ANNOTATION_FILE: ROWS, "frames.json": [counts], **changes}.items():
        if lines is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_features(folder, name="{}_i3d", width=64, crops=0, every=16):
    """A row for every so many frames of each video, in folders that say nothing; abnormal ones stand out a little."""
    rng = np.random.default_rng(7)
    for i, (video, frames) in enumerate(FRAMES.items()):
        rows = rng.standard_normal((max(frames // every, 1), *([crops] if crops else []), width))
        rows[: len(rows) // 2] += video in ANNOTATION
        place = folder / f"part {i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{name.format(video)}.npy", rows.astype(np.float32))
    return folder


def write_videos(folder, name=lambda video: video, frames=False):
    """A video of every name, of its length, or a folder with its frames."""
    noise = np.random.default_rng(7).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for video, count in FRAMES.items():
        if frames:
            (folder / name(video)).mkdir()
            for i in range(count):
                (folder / name(video) / f"{i:05d}.jpg").write_bytes(b"a picture")
        else:
            write_video(folder / f"{name(video)}.mp4", (noise for _ in range(count)), 10)
    return folder


def remove(root, *names):
    """Take files away from a root."""
    for name in names:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
