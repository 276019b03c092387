"""Roots with one file of test videos and their spans, in LaGoVAD's form or in vadbench's own."""

import json

import numpy as np

from vadbench.data.media import write_video

SETS = {
    "dota": {
        "0RJPQ_97dcs_000001": (30, "Abnormal", [(10, 20)]),
        "b8-1.x_000002": (35, "Abnormal", [(5, 35)]),
        "c_000003": (41, "Abnormal", [(0, 7)]),
    },
    "tad": {
        "01_Accident_901": (38, "Car Accident", [(4, 15), (20, 38)]),
        "05_else_902": (47, "Car Accident", [(13, 29)]),
        "Normal_903": (30, "Normal", []),
    },
    "lad": {
        "v_Crash_a_s901_c001": (29, "Crash", [(0, 11), (20, 29)]),
        "v_FallIntoWater_a_s902_c001": (31, "FallIntoWater", [(7, 23)]),
        "v_Normal_a_s903_c001": (40, "Normal", []),
    },
}
"""Frames, class and 0-based half-open spans of the videos of each data set."""


def entry(name, frames, label, spans, first=0, last=0):
    """An entry in LaGoVAD's form; the numbers are those of the spans and what is added to each."""
    return {
        "path": f"other_datasets/x_features/{name}.npy",
        "video_path": f"other_datasets/x_videos/{name}.mp4",
        "class_name": label,
        "descriptions": None,
        "anomaly_span": [[(start + first) / frames, (end + last) / frames] for start, end in spans],
    }


def own_form(videos, stated=True):
    """The same in vadbench's own form."""
    return {
        "videos": {
            name: {"frames": frames if stated else None, "segments": [[label, *span] for span in spans]}
            for name, (frames, label, spans) in videos.items()
        }
    }


def make_root(folder, name, form="fractions", counts="frames.json", with_videos=False):
    """A root of a data set; ``counts`` names the file of frame counts, if any."""
    videos = SETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    frames = {video: count for video, (count, _, _) in videos.items()}
    if form == "fractions":
        content = [entry(video, *facts) for video, facts in videos.items()]
        (folder / f"{name}_test_anno.json").write_text(json.dumps(content))
    else:
        (folder / "truth.json").write_text(json.dumps(own_form(videos)))
    if counts == "frames.json":
        (folder / counts).write_text(json.dumps(frames))
    elif counts:
        (folder / counts).write_text("\n".join(f"{video} {count}" for video, count in frames.items()))
    for video, count in frames.items() if with_videos else ():
        path = folder / "clips" / f"{video}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_video(path, (np.full((16, 16, 3), t, np.uint8) for t in range(count)), fps=10)
    return folder


def make_rows(folder, name):
    """Features, a row a frame as wide as the small CLIP's, louder where the spans are."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (video, (frames, _, spans)) in enumerate(SETS[name].items()):
        rows = np.random.default_rng(seed).standard_normal((frames, 64)).astype(np.float32)
        for start, end in spans:
            rows[start:end] += 1
        np.save(folder / f"{video}.npy", rows)
    return folder
