"""A root of UCF-Crime with features in the layouts of authors."""

import numpy as np

DIM = 64
LENGTHS = (1, 15, 16, 17, 47, 48, 49, 200)
"""Frames of the test videos: the short ones and those around a whole number of rows are where layouts differ."""
ABNORMAL = {47: [(10, 20)], 49: [(1, 5), (40, 49)], 200: [(100, 180)]}
"""Their intervals as UCF-Crime writes them: 1-based, both ends inside."""


def video_name(kind, i):
    return f"Abuse{i:03d}_x264" if kind == "Abuse" else f"Normal_Videos_{i:03d}_x264"


def all_videos():
    """Name to frames of both splits."""
    test = [("Abuse" if n in ABNORMAL else "Normal", i, n) for i, n in enumerate(LENGTHS)]
    train = [("Abuse" if i % 2 else "Normal", 100 + i, 150 + 7 * i) for i in range(12)]
    return {video_name(kind, i): n for kind, i, n in test}, {video_name(kind, i): n for kind, i, n in train}


def values(name, rows, crop=0):
    """Rows of a video, a little higher in abnormal ones."""
    rng = np.random.default_rng([sum(name.encode()), crop])
    return (rng.standard_normal((rows, DIM)) + name.startswith("Abuse")).astype(np.float32)


def snippets(frames):
    return max(frames // 16, 1)


def write(root, layout, dtype=np.float32):
    """Features of all videos below the root, in a folder that is called like nothing in particular."""
    folder = root / "some features"
    test, train = all_videos()
    for name, frames in (test | train).items():
        place = folder / ("Abuse" if name.startswith("Abuse") else "Normal")
        place.mkdir(parents=True, exist_ok=True)
        if layout == "anomalyclip":
            np.save(place / f"{name}.npy", values(name, frames).astype(dtype))
            continue
        crops = np.stack([values(name, snippets(frames), c) for c in range(10)]).astype(dtype)
        if layout == "vadclip":
            for c in range(10):
                np.save(place / f"{name}__{c}.npy", crops[c])
        elif layout == "rows-crops":
            np.save(place / f"{name}_i3d.npy", crops.swapaxes(0, 1))
        else:
            np.save(place / f"{name}.npy", crops)
    return folder


SNIPPETS = ("--set", "rows.stride=16")
