"""Scores that look at no frame: what a data set gives away by the length of its videos and by the place of anomalies.

They are computed from frame counts and ground truth alone, a row a frame, so every table has them without a run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.measurement import point_values
from vadbench.scoring.post import centre_weights
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores


def length_scores(frames: int, abnormal: bool = False) -> NDArray[np.float64]:
    """Return minus the number of frames, for each of them: a shorter video is more anomalous.

    >>> length_scores(3).tolist()
    [-3.0, -3.0, -3.0]
    """
    return np.full(frames, -float(frames))


def centre_scores(frames: int, abnormal: bool = False) -> NDArray[np.float64]:
    """Return the density of a normal distribution about the middle of the video, 1 there: the edges are two standard
    deviations apart.

    >>> centre_scores(3).round(3).tolist()
    [0.801, 1.0, 0.801]
    """
    return centre_weights(frames, 0.5)


def label_scores(frames: int, abnormal: bool) -> NDArray[np.float64]:
    """Return 1 for every frame of an abnormal video and 0 for those of a normal one.

    >>> label_scores(2, abnormal=True).tolist(), label_scores(2, abnormal=False).tolist()
    ([1.0, 1.0], [0.0, 0.0])
    """
    return np.full(frames, float(abnormal))


def labelled_centre_scores(frames: int, abnormal: bool) -> NDArray[np.float64]:
    """Return the product of :func:`centre_scores` and :func:`label_scores`."""
    return centre_scores(frames) * label_scores(frames, abnormal)


@dataclass(frozen=True)
class BlindScore:
    """A score that looks at no frame.

    Args:
        of: gives the scores ``(frames,)`` of a video from its number of frames and whether any of them is anomalous.
        oracle: whether it uses the latter.
        unit_scores: whether the scores lie between 0 and 1.
    """

    of: Callable[[int, bool], NDArray[np.float64]]
    oracle: bool = False
    unit_scores: bool = True


CENTRE, ORACLE_LABEL = "blind-centre", "blind-oracle-label"
BLIND = {
    "blind-length": BlindScore(length_scores, unit_scores=False),
    CENTRE: BlindScore(centre_scores),
    ORACLE_LABEL: BlindScore(label_scores, oracle=True),
    "blind-oracle-centre": BlindScore(labelled_centre_scores, oracle=True),
}
"""The scores by the names that they have in tables and as methods."""


def blind_split(split: ScoredSplit, name: str) -> ScoredSplit:
    """Return the videos of a split, as long as its rules say, with the scores of :data:`BLIND` of that name."""
    blind, rows = BLIND[name], split.rows
    lengths, abnormal = rows.video_frames.tolist(), rows.abnormal.tolist()
    scores = [
        VideoScores(given.name, given.frames, blind.of(count, odd), None)
        for given, count, odd in zip(split.given, lengths, abnormal, strict=True)
    ]
    plain = split.unprocessed
    return replace(plain, given=scores, stride=1, unit_scores=blind.unit_scores, threshold=None)


def blind_metrics(split: ScoredSplit, metrics: Collection[str]) -> dict[str, dict[str, MetricValue]]:
    """Return metrics of every blind score on the videos of a split, by name and key, without intervals.

    Metrics of classes are left out: no blind score tells classes apart.

    Args:
        split: its own scores do not matter.
        metrics: keys as in :mod:`vadbench.metrics.definitions`.
    """
    # One after the other: a split has millions of frames.
    return {name: point_values(blind_split(split, name), metrics) for name in BLIND}
