"""Roots in the form of NWPU Campus: TDSD's four lists, or empty videos in two folders that share names."""

import json

LISTS = {
    "trainingSet_train.txt": ("Train", range(149)),
    "testingSet_train.txt": ("Train", range(149, 305)),
    "trainingSet_test_label.txt": ("Test", range(167)),
    "testingSet_test.txt": ("Test", range(167, 242)),
}
ABNORMAL = {*range(80), *range(167, 211)}
"""Abnormal videos of the folder Test: 80 of the list with labels, 44 of the other."""


def stem(i):
    return f"D{i // 10:03d}_{i % 10:02d}"


def make_root(folder, videos=False, lists=True):
    """All 547 videos, in lists (without the final newline), as files, or both."""
    folder.mkdir(exist_ok=True)
    for name, (side, numbers) in LISTS.items():
        if lists:
            marks = [f" {int(i in ABNORMAL)}" if name.endswith("label.txt") else "" for i in numbers]
            (folder / name).write_text("\n".join(stem(i) + mark for i, mark in zip(numbers, marks, strict=True)))
        if videos:
            (folder / side).mkdir(exist_ok=True)
            for i in numbers:
                (folder / side / f"{stem(i)}.avi").touch()
    return folder


def truth(path, abnormal=ABNORMAL, label=None):
    """The frames of every video of the folder Test and of the normal ones that TDSD tests on."""
    videos = {f"Train_{stem(i)}": {"frames": 30, "segments": []} for i in LISTS["testingSet_train.txt"][1]}
    for i in range(242):
        segments = [[label, i % 7, 12 + i % 9]] if i in abnormal else []
        videos[f"Test_{stem(i)}"] = {"frames": 30, "segments": segments}
    path.write_text(json.dumps({"videos": videos}))
    return path
