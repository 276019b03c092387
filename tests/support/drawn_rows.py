"""Scored rows of all kinds, drawn by hypothesis, and their frames one by one."""

import numpy as np
from hypothesis import strategies as st

from vadbench.scoring.rows import ScoredRows

SCORES = {
    "continuous": lambda rng, n: rng.random(n),
    "tied": lambda rng, n: np.round(rng.random(n), 1),
    "two values": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "one value": lambda rng, n: np.full(n, 0.5),
    "whole numbers": lambda rng, n: rng.integers(-2, 3, n).astype(float),
}
SHARES = {
    "normal": lambda rng, frames: np.zeros_like(frames),
    "abnormal": lambda rng, frames: frames,
    "mixed": lambda rng, frames: rng.integers(0, frames + 1),
    "one segment": lambda rng, frames: np.where(np.arange(len(frames)) == len(frames) // 2, frames, 0),
}


@st.composite
def drawn_rows(draw, videos=8, longest=10, most=6, dtypes=(np.float32, np.float64)):
    """Rows of several lengths, some of no frame; videos of one row, all normal, all abnormal and mixed ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.lists(st.sampled_from(sorted(SHARES)), min_size=1, max_size=videos))
    lengths = [int(rng.integers(1, longest + 1)) for _ in kinds]
    frames = [rng.integers(0, most + 1, n) for n in lengths]
    positives = [SHARES[kind](rng, own) for kind, own in zip(kinds, frames, strict=True)]
    scores = SCORES[draw(st.sampled_from(sorted(SCORES)))](rng, sum(lengths))
    return rows_of(
        np.repeat(np.arange(len(kinds)), lengths),
        scores.astype(draw(st.sampled_from(dtypes))),
        np.concatenate(frames),
        np.concatenate(positives),
        rng.random(len(kinds)) + 0.1,
    )


def rows_of(video, scores, frames, positives, hours=None):
    """Rows without classes of as many videos as have a row."""
    names = tuple(f"v{i}" for i in range(int(video.max()) + 1))
    return ScoredRows(video, names, scores, frames, positives, None, None, ("Normal", "Anomaly"), 0, hours=hours)


def videos_of(rows):
    """Scores and truth of the frames of each video, a pair of arrays for each."""
    found = []
    for v in range(len(rows.names)):
        own = rows.video == v
        counts = np.stack([rows.positives[own], rows.frames[own] - rows.positives[own]], 1)
        truth = np.repeat(np.tile([True, False], len(counts)), counts.ravel())
        found.append((np.repeat(rows.scores[own], rows.frames[own]), truth))
    return found
