"""Roots in UBnormal's form."""

import numpy as np

from vadbench.data.media import write_video

ABNORMAL = {
    "training": ["abnormal_scene_3_scenario_4", "abnormal_scene_8_scenario_4_fog"],
    "validation": ["abnormal_scene_2_scenario_2", "abnormal_scene_29_scenario_5_smoke"],
    "test": ["abnormal_scene_1_scenario_1", "abnormal_scene_8_scenario_4", "abnormal_scene_27_scenario_6_fire"],
}
NORMAL = {
    "training": ["normal_scene_1_scenario1_2", "normal_scene_17_scenario_3_1", "normal_scene_9_scenario_1_fog"],
    "validation": ["normal_scene_5_scenario_3", "normal_scene_1_scenario3_3"],
    "test": ["normal_scene_18_scenario_4", "normal_scene_4_scenario_1"],
}
TRACKS = {
    "abnormal_scene_3_scenario_4": ["1,90,120"],
    "abnormal_scene_2_scenario_2": ["1,0,39"],
    "abnormal_scene_29_scenario_5_smoke": ["3,5,9", "1,20,35", "2,30,38"],
    "abnormal_scene_1_scenario_1": ["1,3,9"],
    "abnormal_scene_8_scenario_4": ["2,40,47", "4,0,0", "1, 10, 20", "3,12,15", "7,21,25"],
    "abnormal_scene_27_scenario_6_fire": ["1,0,49"],
}
"""Object, first and last frame of each line: alone, apart, overlapping, one frame, one behind the other."""
RUNS = {
    "abnormal_scene_2_scenario_2": ((0, 40),),
    "abnormal_scene_29_scenario_5_smoke": ((5, 10), (20, 39)),
    "abnormal_scene_1_scenario_1": ((3, 10),),
    "abnormal_scene_8_scenario_4": ((0, 1), (10, 26), (40, 48)),
    "abnormal_scene_27_scenario_6_fire": ((0, 50),),
}
"""The anomalous frames of the test and validation videos."""
TEST_FRAMES = {
    "abnormal_scene_1_scenario_1": 33,
    "abnormal_scene_8_scenario_4": 48,
    "abnormal_scene_27_scenario_6_fire": 50,
    "normal_scene_18_scenario_4": 40,
    "normal_scene_4_scenario_1": 17,
}
PLOVAD_LIST = [f"train/abnormal/{name}.npy" for name in ABNORMAL["training"]] + [
    *(f"train/normal/{name}.npy" for name in NORMAL["training"]),
    f"val/abnormal/{ABNORMAL['validation'][1]}.npy",
]
FOLDERS = {"training": "train", "validation": "val", "test": "test"}


def tracks_file(name):
    """The place of a video's tracks in the archive."""
    return f"Scene{name.split('_')[2]}/{name}_annotations/{name}_tracks.txt"


def make_root(folder, lists="scripts", **changes):
    """A root without videos; a change replaces a file's lines, ``None`` leaves the file out."""
    files = {tracks_file(name): lines for name, lines in TRACKS.items()}
    for kind, names in (("abnormal", ABNORMAL), ("normal", NORMAL)):
        files |= {f"{lists}/{kind}_{split}_video_names.txt": names[split] for split in names}
    for name, lines in {**files, **changes}.items():
        if lines is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder


def frames_of(name):
    return TEST_FRAMES.get(name, 50)


def write_clip(root, name):
    """The file of a video where the archive has it, a grey in each frame."""
    grey = (np.full((16, 16, 3), 5 * t % 256, np.uint8) for t in range(frames_of(name)))
    write_video(root / f"Scene{name.split('_')[2]}" / f"{name}.mp4", grey, 10)


def write_features(root, dim):
    """A row a frame in PLOVAD's folders, higher where a frame of test or validation is anomalous."""
    for kind, names in (("abnormal", ABNORMAL), ("normal", NORMAL)):
        for split, folder in FOLDERS.items():
            (root / folder / kind).mkdir(parents=True)
            for name in names[split]:
                rows = np.random.default_rng(len(name)).standard_normal((frames_of(name), dim)).astype("f4")
                for start, end in RUNS.get(name, ()):
                    rows[start:end] += 1
                np.save(root / folder / kind / f"{name}.npy", rows)
    return root
