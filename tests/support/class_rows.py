"""Scored rows with classes, of as many videos as asked for."""

import numpy as np

from vadbench.scoring.rows import ScoredRows

CLASSES = ("Normal", "Abuse", "Arson", "Unseen")


def class_rows(seed, videos, longest=60, digits=9, most=16):
    """Half of the videos abnormal, one segment each, with classes; ``most`` frames a row at most."""
    rng = np.random.default_rng(seed)
    video = np.repeat(np.arange(videos), rng.integers(1, longest, videos))
    rows = len(video)
    frames = rng.integers(0, most + 1, rows)
    positives = np.where((video % 2 > 0) & (rng.random(rows) < 0.4), rng.integers(0, frames + 1), 0)
    truth = np.stack([frames - positives, *(positives * (video // 2 % 2 == i) for i in range(2)), 0 * positives], 1)
    scores = np.round(rng.random((rows, 4)) + 0.3 * (truth > 0), digits).astype(np.float32)
    names = tuple(f"v{i}" for i in range(videos))
    hours = rng.random(videos) + 0.1
    return ScoredRows(video, names, 1 - scores[:, 0], frames, positives, scores, truth, CLASSES, 0, hours=hours)
