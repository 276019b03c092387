"""Temporal localisation: how well predicted segments lie on annotated ones (mAP@IoU).

Class probabilities become a number in three steps, on rows and intervals only, never on single frames:

    propose   runs of rows in which a class is probable, measured by its own range in that video
    match     proposals to annotated segments of their class and video, at all IoU thresholds at once
    rank      the proposals of all videos by score: average precision per class, mean over classes

Two rules share the proposals and the matching; proposals are those of VadCLIP's published evaluation.

``native``: per-class interpolated average precision as ActivityNet's evaluation defines it. Going down the ranking,
every proposal is right (it got a segment) or wrong. Precision after each is made monotone from the right, that is
replaced by the best precision at this or any higher recall, and AP is the area under the resulting step curve over
recall. The mean is over the abnormal classes that have an annotated segment; one that is never predicted counts 0.

``vadclip``: what the authors' code computes, quirks included. AP is the sum over right proposals of the precision at
their rank, divided by the number of segments; a class without segments gets 0. The mean is over all classes, the normal
one included, and 0 altogether if any class is never predicted. A video lasts for all frames of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError
from vadbench.metrics.definitions import IOU_THRESHOLDS, MetricValue
from vadbench.metrics.proposals import Proposals, match, propose
from vadbench.scoring.rows import Ints

LocalizationRule = Literal["native", "vadclip"]
"""Whose reading of average precision and its mean."""
KEYS = (*(f"mAP@{iou}" for iou in IOU_THRESHOLDS), "mAP@IoU")


@dataclass(frozen=True, eq=False)
class LocalisedVideo:
    """One video with its class probabilities and its annotated segments.

    Args:
        name: for error messages.
        probabilities: ``(rows, classes)``, finite, used in float32; ``None`` where the method has none.
        frames: true frame count, at least 1. A row beyond it stands for nothing.
        segments: ``(class id, first frame, one past the last frame)``, in annotated order; same-class segments may
            overlap and count one by one. A video without segments is normal.

    Raises:
        DataError: there is no row or frame, or a segment is empty.
    """

    name: str
    probabilities: NDArray[np.float32] | None
    frames: int
    segments: Sequence[tuple[int, int, int]]

    def __post_init__(self) -> None:
        rows = 1 if self.probabilities is None else len(self.probabilities)
        if self.frames < 1 or rows < 1:
            raise DataError(f"{self.name}: needs at least one row and one frame, found {rows} and {self.frames}")
        for _, start, end in self.segments:
            if not 0 <= start < end:
                raise DataError(f"{self.name}: a segment must have 0 <= start < end, found [{start}, {end})")


@dataclass(frozen=True, eq=False)
class Localisation:
    """All proposals of a split in descending order of score, each right or wrong; made by :func:`localise`.

    Matching stays within a video, so any resampling of videos is a weighting of these proposals.

    Args:
        class_names: by id.
        normal: id of the normal class.
        rule: how APs and their mean are computed.
        video: ``(proposals,)`` index of the video of each.
        label: ``(proposals,)`` class ids.
        hits: ``(proposals, thresholds)`` as :func:`match` gives them.
        annotated: ``(videos, classes)`` number of annotated segments.
        reason: why nothing is defined, where the method gives no class probabilities.
    """

    class_names: tuple[str, ...]
    normal: int
    rule: LocalizationRule
    video: Ints
    label: Ints
    hits: NDArray[np.bool_]
    annotated: Ints
    reason: str | None = None

    @property
    def ap(self) -> NDArray[np.float64]:
        """``(thresholds, classes)`` average precision; NaN where undefined, which for ``vadclip`` it never is."""
        first: NDArray[np.float64] = self._ap(self._once)[..., 0]
        return first

    def metrics(self) -> dict[str, MetricValue]:
        """``mAP@0.1`` to ``mAP@0.5`` and their mean ``mAP@IoU``, without intervals."""
        values = {key: float(value[0]) for key, value in self.resampled(self._once).items()}
        return {
            key: MetricValue(value=None if np.isnan(value) else value, low=None, high=None, reason=self._remark())
            for key, value in values.items()
        }

    def resampled(self, draws: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """``(resamples,)`` values of every metric, NaN where a resample has no annotated segment to count.

        Args:
            draws: ``(resamples, videos)`` how often each video is drawn, from
                :func:`vadbench.metrics.bootstrap.draw_videos`; a video drawn twice counts as two videos.
        """
        if self.reason:
            return {key: np.full(len(draws), np.nan) for key in KEYS}
        ap = self._ap(draws)
        if self.rule == "vadclip":
            videos, classes = self.annotated.shape
            predicted = np.bincount(self.label * videos + self.video, minlength=classes * videos)
            means = ap.mean(1) * (draws @ predicted.reshape(classes, videos).T > 0).all(1)
        else:
            ap = np.delete(ap, self.normal, axis=1)
            defined = ~np.isnan(ap)
            means = np.full(ap[:, 0].shape, np.nan)
            np.divide(np.where(defined, ap, 0).sum(1), defined.sum(1), out=means, where=defined.any(1))
        return dict(zip(KEYS, [*means, means.mean(0)], strict=True))

    def _remark(self) -> str | None:
        """Why the means are undefined, or 0 without having been computed."""
        if self.reason:
            return self.reason
        unpredicted = [name for i, name in enumerate(self.class_names) if i not in self.label]
        if self.rule == "vadclip" and unpredicted:
            return f"0 by VadCLIP's definition: no segment of class {unpredicted[0]} is predicted"
        if self.rule == "native" and not np.delete(self.annotated, self.normal, axis=1).any():
            return "no abnormal class has an annotated segment in the split"
        return None

    @property
    def _once(self) -> NDArray[np.float64]:
        return np.ones((1, len(self.annotated)))

    def _ap(self, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(thresholds, classes, resamples)``."""
        by_video = np.ascontiguousarray(draws.T)
        area = np.zeros((len(IOU_THRESHOLDS), len(self.class_names), len(draws)))
        for class_id in np.flatnonzero(self.annotated.any(0)):
            own = self.label == class_id
            video, hits = self.video[own], self.hits[own]
            # Precision is only needed where a proposal is right at some threshold.
            steps = np.flatnonzero(hits.any(1))
            above, weight = _drawn_above(video, steps, by_video), by_video[video[steps]]
            for i, right in enumerate(hits[steps].T):
                area[i, class_id] = _area(above[right], weight[right], interpolated=self.rule == "native")
        total = (draws @ self.annotated).T
        empty = 0.0 if self.rule == "vadclip" else np.nan
        ap = np.full(area.shape, empty)
        np.divide(area, total, out=ap, where=total > 0)
        return ap


def _drawn_above(video: Ints, steps: Ints, by_video: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(steps, resamples)`` drawn proposals that rank above each step.

    Args:
        video: ``(proposals,)`` video of each, in order of rank.
        steps: ascending ranks.
        by_video: ``(videos, resamples)`` multiplicities.
    """
    shape = (len(steps) + 1, len(by_video))
    step = np.searchsorted(steps, np.arange(len(video)), "right")  # the first one below each proposal
    counts = np.bincount(step * shape[1] + video, minlength=shape[0] * shape[1]).reshape(shape)
    return np.cumsum(counts[:-1].astype(np.float64) @ by_video, axis=0)


def _area(above: NDArray[np.float64], weight: NDArray[np.float64], interpolated: bool) -> NDArray[np.float64]:
    """``(resamples,)`` sum of the precision at every right proposal, once for each time that it was drawn.

    Args:
        above: ``(right proposals, resamples)`` drawn proposals that rank above, in order of rank.
        weight: ``(right proposals, resamples)`` how often each was drawn; its copies rank one below the other.
        interpolated: take the best precision at this or any lower rank.
    """
    right_above = np.cumsum(weight, axis=0) - weight
    if interpolated:
        # Right copies in a row only raise precision, so the last of them stands for all.
        precision = (right_above + weight) / np.maximum(above + weight, 1)
        best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        area: NDArray[np.float64] = (best * weight).sum(0)
        return area
    area = np.zeros(weight.shape[1])
    for copy in range(1, int(weight.max(initial=0)) + 1):
        area += ((right_above + copy) / (above + copy) * (weight >= copy)).sum(0)
    return area


def localise(
    videos: Sequence[LocalisedVideo],
    stride: int,
    class_names: Sequence[str],
    normal: int,
    rule: LocalizationRule = "native",
    normal_segments: bool = False,
) -> Localisation:
    """Propose, match and rank the segments of a split.

    Proposals of equal score rank by the order of the videos, then by time. (The reference leaves this to an unstable
    sort, so on data with ties its own numbers may differ a little from one machine to the next.)

    Args:
        videos: of the split, in a stable order.
        stride: frames from one row to the next; VadCLIP's is 16.
        class_names: by id, the normal one included.
        normal: id of the normal class.
        rule: ``native`` ends the last row of a video at its true frame count, within or behind it, and cuts
            annotated segments there; ``vadclip`` counts the full stride of every row and cuts nothing.
        normal_segments: whether all of a normal video is one annotated segment of the normal class. For ``vadclip``
            only: so it is in the authors' evaluation of XD-Violence, while the label of the same segments is unknown to
            that of UCF-Crime and the normal class has AP 0.

    Raises:
        DataError: probabilities or segments do not fit the classes.
    """
    classes = len(class_names)
    annotated = np.zeros((len(videos), classes), dtype=np.int64)
    found: list[tuple[Proposals, NDArray[np.bool_]]] = []
    reason = "there are no probabilities of these classes" if any(v.probabilities is None for v in videos) else None
    for index, video in enumerate(videos if reason is None else ()):
        assert video.probabilities is not None
        if video.probabilities.shape[1:] != (classes,):
            found_shape = video.probabilities.shape
            raise DataError(f"{video.name}: expected probabilities of {classes} classes, found shape {found_shape}")
        rows = np.ascontiguousarray(video.probabilities, dtype=np.float32)
        frames = video.frames if rule == "native" else len(rows) * stride
        rows = rows[: -(-frames // stride)]
        proposals = propose(rows, stride)
        segments = np.array(video.segments, dtype=np.int64).reshape(-1, 3)
        if not ((segments[:, 0] >= 0) & (segments[:, 0] < classes)).all():
            raise DataError(f"{video.name}: a segment's class id must be from 0 to {classes - 1}; check the classes")
        if rule == "native":
            segments[:, 1:] = segments[:, 1:].clip(max=frames)
        elif normal_segments and not len(segments):
            segments = np.array([[normal, 0, frames]])
        annotated[index] = np.bincount(segments[:, 0], minlength=classes)
        end = np.where(proposals.end == len(rows), frames, proposals.end * stride)
        found.append((proposals, match(proposals, proposals.start * stride, end, segments)))
    lengths = [len(p.label) for p, _ in found]
    scores = np.concatenate([np.zeros(0, np.float32), *(p.score for p, _ in found)])
    order = np.argsort(-scores, kind="stable")
    return Localisation(
        class_names=tuple(class_names),
        normal=normal,
        rule=rule,
        video=np.repeat(np.arange(len(lengths)), lengths)[order],
        label=np.concatenate([np.zeros(0, np.int64), *(p.label for p, _ in found)])[order],
        hits=np.concatenate([np.zeros((0, len(IOU_THRESHOLDS)), dtype=bool), *(h for _, h in found)])[order],
        annotated=annotated,
        reason=reason,
    )
