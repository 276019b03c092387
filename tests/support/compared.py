"""Scored splits to compare."""

import numpy as np

from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Riot"), VideoClass("Fire")), normal=0)
VIDEOS, FRAMES = 30, 64


def scored(seed, strength, stride=8, rules=NATIVE.rules, table=TABLE, videos=VIDEOS):
    """Half of the videos anomalous from frame 16 to 40; the stronger, the better the scores."""
    rng = np.random.default_rng(seed)
    truth, scores = [], []
    for i in range(videos):
        label = ("Normal", "Riot", "Normal", "Fire")[i % 4]
        segments = () if label == "Normal" else (Segment(label, 16, 40),)
        truth.append(Video(f"v{i}", (label,), segments=segments))
        middle = (np.arange(FRAMES // stride) + 0.5) * stride
        inside = (middle > 16) & (middle < 40) & (label != "Normal")
        logits = rng.normal(size=(len(middle), len(table)))
        logits[:, 0] += strength * np.where(inside, -1, 1)
        if label != "Normal":
            logits[inside, ("Normal", "Riot", "Fire").index(label)] += strength
        classes = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
        scores.append(VideoScores(f"v{i}", FRAMES, 1 - classes[:, 0], classes))
    return ScoredSplit(scores, truth, stride, table, rules)
