"""Scores and ground truths that ``vadbench import-scores`` reads, and what its records say."""

import csv
import json
from pathlib import Path

import numpy as np

from filmed_plugin import TEST, by_frame, drawn


def written(folder):
    return sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*"))


def value(record, key):
    return record["metrics"][key]["value"]


def notes(record, word):
    return [note for note in record["notes"] if word in note]


def truth_file(path, later=0, **changes):
    """A ground truth in vadbench's form; the path."""
    videos = {
        name: {"frames": frames, "segments": [[label, a + later, min(b + later, frames)] for label, a, b in segments]}
        for name, (frames, segments) in TEST.items()
    } | changes
    path.write_text(json.dumps({"videos": {name: v for name, v in videos.items() if v is not None}}))
    return path


def out_of(record):
    """The folder of a record."""
    return Path(record["folder"])


def carrying(path, scores=None, later=0, **changes):
    """Scores with a ground truth of their own, some frames later; the path."""
    entries = {}
    for name, values in (drawn() if scores is None else scores).items():
        frames, segments = TEST[name]
        spans = [[a + later, min(b + later, frames) - 1] for _, a, b in segments]
        entries[name] = {"frames": frames, "spans_inclusive": spans, "scores": [float(v) for v in values]}
    path.write_text(json.dumps({"videos": entries | changes}))
    return path


def moved(scores, later):
    """Scores and truth of frames, that a number of frames later."""
    found = []
    for (name, _), (own, _) in zip(scores.items(), by_frame(scores), strict=True):
        mask = np.zeros(TEST[name][0], bool)
        for _, start, end in TEST[name][1]:
            mask[start + later : end + later] = True
        found.append((own, mask))
    return found


def label_rows(path, stride=16, later=0):
    """A csv file of scores with a label for each row; its path and the labels."""
    scores, rows, labels = drawn(5, stride), [], {}
    for name, values in scores.items():
        mask = np.pad(
            moved({name: values}, later)[0][1] if stride == 16 else by_frame({name: values}, stride)[0][1], (0, stride)
        )
        labels[name] = mask[: len(values) * stride : stride]
        rows += [(name, repr(float(v)), int(g)) for v, g in zip(values, labels[name], strict=True)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("video_id", "score", "gt"), *rows])
    return path, scores, labels


def without(*names):
    return {name: values for name, values in drawn().items() if name not in names}
