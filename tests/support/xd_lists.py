"""XD-Violence's official test set, from the lists and annotations of the test data."""

import csv

from vadbench_xdviolence.dataset import XdViolence


def xdviolence(source, folder):
    """The data set with its lists written into a folder; skip where the test data is absent before calling."""
    for name in ("annotations.txt", "annotations_multiclasses.txt", "uws4vad_xdv_tframes.txt"):
        (folder / name).write_bytes((source / name).read_bytes())
    for split in ("train", "test"):
        with (source / f"vadclip_{split}_videos.csv").open(encoding="utf-8") as file:
            rows = [(f"/a/{r['video']}__{crop}.npy", r["label"]) for r in csv.DictReader(file) for crop in r["crops"]]
        with (folder / f"xd_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
    return XdViolence(folder)
