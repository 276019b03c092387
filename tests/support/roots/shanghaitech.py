"""Roots in ShanghaiTech's form under AnomalyCLIP's lists."""

import json

import numpy as np

TRAIN = ["01_001", "01_0014"]
TEST = ["01_0015", "12_0142", "02_003"]
SPANS = {
    "0014": {"anomalies": [{"vehicle": [[3, 4]]}], "length": 16},
    "0015": {"anomalies": [{"chasing": [[1, 2]], "jumping": [[5, 8], [10, 10]]}], "length": 17},
    "0142": {"anomalies": [{"throwing object": [[1, 1]]}], "length": 1},
}
RUNS = {"01_0014": (16, [(2, 4)]), "01_0015": (17, [(0, 2), (4, 8), (9, 10)]), "12_0142": (1, [(0, 1)])}


def make_root(folder, masks="npy", runs=RUNS, **changes):
    """A root with masks in one of their forms; a change replaces a file's content, ``None`` leaves the file out."""
    files = {
        "SH_Train.txt": "\n".join(TRAIN),
        "SH_Test.txt": "\n".join(TEST),
        "semantic_annotation.json": json.dumps(SPANS),
        "frame_masks.json": json.dumps({k: {"n": n, "runs": r} for k, (n, r) in runs.items()}),
    }
    if masks != "json":
        del files["frame_masks.json"]
    if masks == "npy":
        place = folder / "testing" / "test_frame_mask"
        place.mkdir(parents=True)
        for name, (frames, spans) in runs.items():
            mask = np.zeros(frames, np.uint8)
            for start, end in spans:
                mask[start:end] = 1
            np.save(place / f"{name}.npy", mask)
    for name, text in {**files, **changes}.items():
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder
