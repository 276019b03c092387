"""Roots in the form of UCSD Ped2's official download."""

import numpy as np
from PIL import Image

INTERVALS = [[[1 + i], [10 + i]] for i in range(12)]


def make_root(folder):
    """All clips as tiny frames."""
    for side, count in (("Train", 16), ("Test", 12)):
        for i in range(1, count + 1):
            clip = folder / "UCSDped2" / side / f"{side}{i:03d}"
            clip.mkdir(parents=True)
            for t in range(1, 26):
                Image.fromarray(np.full((8, 12), t * 5, np.uint8)).save(clip / f"{t:03d}.tif")
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{a}:{b}];" for (a,), (b,) in INTERVALS]
    (folder / "UCSDped2" / "Test" / "UCSDped2.m").write_text("TestVideoFile = {};\n" + "\n".join(lines))
    return folder
