"""Roots in the form of CUHK Avenue's download, with masks as MATLAB and scipy write them."""

import json

import numpy as np
from scipy.io import savemat

LENGTHS = {n: 20 + n for n in range(1, 22)}
MASKS = {n: [(n % 5, 8), (12, 20 + n)] for n in LENGTHS}
"""Anomalous frames by the masks, half-open."""
LABELS = {n: [(2, 7 + n % 3), (11, 19)] for n in LENGTHS}
"""Anomalous frames by the labels of frames."""


def save_masks(path, frames, runs, size=(4, 6), dtype=np.uint8, compressed=True, **others):
    """An image a frame as a cell of ``volLabel``; an anomalous frame has a single pixel set."""
    images = np.empty((1, frames), object)
    for t in range(frames):
        images[0, t] = np.zeros(size, dtype)
        if any(start <= t < end for start, end in runs):
            images[0, t][t % size[0], t % size[1]] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {**others, "volLabel": images}, do_compression=compressed)


def make_root(folder, masks=True, labels=""):
    """Empty videos in the two folders, and masks and labels of frames (``json`` or ``npy``) as asked."""
    for side, count in (("training", 16), ("testing", 21)):
        (folder / f"{side}_videos").mkdir(parents=True)
        for n in range(1, count + 1):
            (folder / f"{side}_videos" / f"{n:02d}.avi").touch()
    for n in LENGTHS if masks else ():
        save_masks(folder / "ground_truth_demo" / "testing_label_mask" / f"{n}_label.mat", LENGTHS[n], MASKS[n])
    if labels == "json":
        videos = {f"{n:02d}": [LENGTHS[n], LABELS[n]] for n in LENGTHS}
        (folder / "frame_labels.json").write_text(json.dumps({"what": "labels", "videos": videos}))
    if labels == "npy":
        np.save(folder / "frame_labels_avenue.npy", label_array())
    return folder


def label_array():
    """One row of a table, video after video."""
    arrays = [np.zeros(LENGTHS[n]) for n in LENGTHS]
    for n, array in zip(LENGTHS, arrays, strict=True):
        for start, end in LABELS[n]:
            array[start:end] = 1
    return np.concatenate(arrays)[None]
