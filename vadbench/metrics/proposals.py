"""Predicted segments of one video and their match with the annotated ones, on runs of rows, never on single frames.

Every rule of :mod:`vadbench.metrics.localization` shares them; they are those of VadCLIP's published evaluation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.glossary import IOU_THRESHOLDS
from vadbench.scoring.rows import Floats, Ints

DEPTH = 0.6
"""The share of its range in the video by which a class may fall below its maximum within a run."""
VIDEO_SHARE = 0.7
"""Weight of the video's score of a class in the score of a segment."""
TOP = 16
"""One frame in this many counts for a video's score of a class, the mean over its best frames."""


class Proposals(NamedTuple):
    """Predicted segments of one video, ordered by class and time: four arrays of one length.

    ``start`` and ``end`` are half-open, in rows.
    """

    label: Ints
    start: Ints
    end: Ints
    score: Floats


def propose(probabilities: NDArray[np.float32], stride: int) -> Proposals:
    """Return segments of every class in one video, by VadCLIP's evaluation.

    A segment is a longest run of rows in which the class is above ``max - 0.6 (max - min)`` of its probability in this
    video; a class whose probability never changes has none. Its score is the highest probability in it plus 0.7 times
    the video's score of the class. Precision and order of the arithmetic are those of the authors' code under NumPy 2:
    the threshold is compared in float64, scores are float32.

    Args:
        probabilities: ``(rows, classes)``.
        stride: frames a row stands for.
    """
    highest, lowest = probabilities.max(0), probabilities.min(0)
    threshold = highest - DEPTH * (highest - lowest).astype(np.float64)
    video_score = _video_score(probabilities, stride)
    # One class a line, with a row on each side that no run reaches.
    padded = np.full((len(highest), len(probabilities) + 2), -np.inf, dtype=np.float32)
    padded[:, 1:-1] = probabilities.T
    inside = (padded > threshold[:, None]) & (video_score > 0)[:, None]
    label, edge = np.nonzero(inside[:, 1:] != inside[:, :-1])  # starts and ends in turn
    peak = np.maximum.reduceat(padded.ravel(), label * padded.shape[1] + edge + 1)
    label = label[::2]
    return Proposals(label, edge[::2], edge[1::2], peak[::2] + np.float32(VIDEO_SHARE) * video_score[label])


def _video_score(probabilities: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Return ``(classes,)`` mean over the best sixteenth of the frames, which share the scores of their rows.

    The last row counts as a whole one, also where it stands for fewer frames. Under ``native`` its own number of frames
    would change mAP@IoU by at most 0.0004, as measured on 60 runs on synthetic and UCSD Ped2 at strides of 1 to 4.
    """
    count = max(1, len(probabilities) * stride // TOP)
    best = np.sort(probabilities, axis=0)[::-1][: -(-count // stride)]
    # Frames are added one by one from the best down, in float32: the rounding of the authors' code.
    mean: NDArray[np.float32] = np.repeat(best, stride, axis=0)[:count].mean(0)
    return mean


def match(proposals: Proposals, start: Ints, end: Ints, segments: Ints) -> NDArray[np.bool_]:
    """Return ``(proposals, thresholds)`` true where a proposal gets an annotated segment of its class.

    Proposals choose in descending order of score, equal scores by time: of the segments still free that it
    overlaps with at least the threshold, each takes the one with the largest intersection over union (the first of
    equal ones). At every threshold a segment is taken once.

    Args:
        proposals: of one video.
        start, end: their frames, half-open.
        segments: ``(segments, 3)`` class id, first frame, one past the last frame.
    """
    thresholds = np.array(IOU_THRESHOLDS)
    label, first, last = segments.T
    shared = np.clip(np.minimum(end[:, None], last) - np.maximum(start[:, None], first), 0, None)
    iou = shared / ((end - start)[:, None] + (last - first) - shared)
    iou[proposals.label[:, None] != label] = 0
    hits = np.zeros((len(start), len(thresholds)), dtype=bool)
    free = np.ones((len(thresholds), len(segments)), dtype=bool)
    order = np.argsort(-proposals.score, kind="stable")
    for place in order[(iou >= thresholds[0]).any(1)[order]]:
        wanted = np.where(free & (iou[place] >= thresholds[:, None]), iou[place], 0.0)
        best = wanted.argmax(1)
        got = np.flatnonzero(wanted.any(1))
        hits[place, got] = True
        free[got, best[got]] = False
    return hits
