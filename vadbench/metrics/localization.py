"""Temporal localisation: how well predicted segments match annotated ones (mAP@IoU).

Class probabilities become a number in three steps, on rows and intervals only, never on single frames:

    propose   runs of rows in which a class is probable, measured by its own range in that video
    match     proposals to annotated segments of their class and video, at all IoU thresholds at once
    rank      the proposals of all videos by score: average precision per class, mean over classes

The rule ``native`` is per-class interpolated average precision as ActivityNet's evaluation defines it. Going down the
ranking, every proposal is right (it got a segment) or wrong. Precision after each is made monotone from the right, that
is replaced by the best precision at this or any higher recall, and AP is the area under the resulting step curve over
recall. The mean is over the abnormal classes that have an annotated segment; one that is never predicted counts 0.

Another rule is a subclass of :class:`Localisation` that a protocol's spec names. It shares proposals and matching, and
says otherwise how long a video lasts, what a right proposal counts and over which classes the mean is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.glossary import IOU_THRESHOLDS
from vadbench.metrics.multiplicities import FramesByPlace, Multiplicities, cumulative
from vadbench.metrics.proposals import Proposals, match, propose
from vadbench.metrics.ranking import NO_CLASSES, NO_PROBABILITIES
from vadbench.scoring.protocol import localisation_class
from vadbench.scoring.rows import Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NATIVE = "native"
"""The rule of this module."""
KEYS = (*(f"mAP@{iou}" for iou in IOU_THRESHOLDS), "mAP@IoU")


@dataclass(frozen=True, eq=False)
class LocalisedVideo:
    """A video with its class probabilities and its annotated segments.

    Args:
        name: for error messages.
        probabilities: ``(rows, classes)``, finite, used in float32; ``None`` where the method has none.
        frames: frame count by the protocol, at least 1. A row beyond it stands for nothing.
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

    This is the rule ``native``; a subclass overrides :meth:`truth`, :meth:`area`, :meth:`means`, :meth:`remark` and
    ``unannotated`` where its own differs.

    Args:
        class_names: by id.
        normal: id of the normal class.
        video: ``(proposals,)`` index of the video of each.
        label: ``(proposals,)`` class ids.
        hits: ``(proposals, thresholds)`` as :func:`match` gives them.
        annotated: ``(videos, classes)`` number of annotated segments.
        reason: why the metrics are undefined, where the method or the data set has no classes.
    """

    unannotated: ClassVar[float] = np.nan
    """AP of a class without annotated segments: NaN leaves the class out of the means."""
    class_names: tuple[str, ...]
    normal: int
    video: Ints
    label: Ints
    hits: NDArray[np.bool_]
    annotated: Ints
    reason: str | None = None

    @staticmethod
    def truth(frames: int, segments: Ints, all_rows: int, normal: int | None) -> tuple[int, Ints]:
        """Return the number of frames of a video, and its annotated segments, as this rule counts them.

        Args:
            frames: its number by the protocol. A row beyond the number returned stands for nothing.
            segments: ``(segments, 3)`` class id, first frame, one past the last frame.
            all_rows: frames of all its rows at full stride.
            normal: id of the normal class where a normal video may count as one segment of it, else ``None``.
        """
        segments = segments[segments[:, 1] < frames]
        segments[:, 1:] = segments[:, 1:].clip(max=frames)
        return frames, segments

    @staticmethod
    def area(above: Floats, weight: Floats) -> Floats:
        """Return ``(resamples,)`` sum of the precision at every right proposal, once for each time that it was drawn.

        Args:
            above: ``(right proposals, resamples)`` drawn proposals that rank above, in order of rank.
            weight: ``(right proposals, resamples)`` how often each was drawn; its copies rank one below the other.
        """
        # Right copies in a row only raise precision, so the last of them stands for all.
        precision = np.cumsum(weight, axis=0) / np.maximum(above + weight, 1)
        best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        total: Floats = (best * weight).sum(0)
        return total

    def means(self, ap: Floats, draws: Floats) -> Floats:
        """Return ``(thresholds, resamples)`` means over classes of average precision.

        Args:
            ap: ``(thresholds, classes, resamples)``.
            draws: ``(resamples, videos)`` how often each video is drawn.
        """
        ap = np.delete(ap, self.normal, axis=1)
        defined = ~np.isnan(ap)
        means = np.full(ap[:, 0].shape, np.nan)
        np.divide(np.where(defined, ap, 0).sum(1), defined.sum(1), out=means, where=defined.any(1))
        return means

    def remark(self) -> str | None:
        """Return the reason why the means are undefined, or were not computed."""
        if not np.delete(self.annotated, self.normal, axis=1).any():
            return "no abnormal class has an annotated segment in the split"
        return None

    @property
    def ap(self) -> NDArray[np.float64]:
        """``(thresholds, classes)`` average precision; ``unannotated`` where a class has no annotated segment."""
        first: NDArray[np.float64] = self._ap(self._once)[..., 0]
        return first

    def metrics(self) -> dict[str, MetricValue]:
        """Return ``mAP@0.1`` to ``mAP@0.5`` and their mean ``mAP@IoU``, without intervals."""
        values = {key: float(value[0]) for key, value in self.resampled(self._once).items()}
        return {
            key: MetricValue(
                value=None if np.isnan(value) else value, low=None, high=None, reason=self.reason or self.remark()
            )
            for key, value in values.items()
        }

    def resampled(self, draws: Floats) -> dict[str, NDArray[np.float64]]:
        """Return ``(resamples,)`` values of every metric, NaN where a resample has no annotated segment to count.

        Args:
            draws: ``(resamples, videos)`` how often each video is drawn, from
                :func:`vadbench.metrics.bootstrap.draw_videos`; a video drawn twice counts as two videos.
        """
        if self.reason:
            return {key: np.full(len(draws), np.nan) for key in KEYS}
        means = self.means(self._ap(draws), draws)
        return dict(zip(KEYS, [*means, means.mean(0)], strict=True))

    @property
    def _once(self) -> NDArray[np.float64]:
        return np.ones((1, len(self.annotated)))

    def _ap(self, draws: Floats) -> NDArray[np.float64]:
        """Return average precision, ``(thresholds, classes, resamples)``."""
        drawn = Multiplicities(draws)
        area = np.zeros((len(IOU_THRESHOLDS), len(self.class_names), len(draws)))
        # Precision is only needed where a proposal is right at some threshold.
        found = [i for i in np.flatnonzero(self.annotated.any(0)) if self.hits[self.label == i].any()]
        steps = {class_id: self._steps(class_id, drawn) for class_id in found}
        for resamples, by_video in drawn.blocks:
            for class_id, (counts, video, hits) in steps.items():
                above = cumulative(counts @ by_video, np.zeros(by_video.shape[1]))
                weight = by_video[video].astype(np.float64)
                for i, right in enumerate(hits.T):
                    area[i, class_id, resamples] = self.area(above[right], weight[right])
        total = drawn.sums(self.annotated).T
        ap = np.full(area.shape, self.unannotated)
        np.divide(area, total, out=ap, where=total > 0)
        return ap

    def _steps(self, class_id: np.intp, drawn: Multiplicities) -> tuple[csr_array, Ints, NDArray[np.bool_]]:
        """Return the proposals of a class that are right at some threshold, and those above each.

        Returns:
            ``(steps, videos)`` proposals between one such proposal and the next, and ``(steps,)`` the videos and
            ``(steps, thresholds)`` the hits of these.
        """
        own = self.label == class_id
        video, hits = self.video[own], self.hits[own]
        steps = np.flatnonzero(hits.any(1))
        # The first step below each proposal; those below the last step do not matter.
        place = np.searchsorted(steps, np.arange(len(video)), "right")
        ranked = place < len(steps)
        higher = FramesByPlace(place[ranked], video[ranked], np.ones(np.count_nonzero(ranked), np.int64))
        (counts,) = drawn.matrices([higher], 0, len(steps), len(steps))
        return counts, video[steps], hits[steps]


def localisation_rule(name: str) -> type[Localisation]:
    """Return the rule that protocols mean by ``localization=<name>``: ``native``, or that of the protocol of this name.

    Raises:
        PluginError: no installed plugin brings it, or it cannot be imported.
    """
    return Localisation if name == NATIVE else localisation_class(name, Localisation)


def localise(
    videos: Sequence[LocalisedVideo],
    stride: int,
    class_names: Sequence[str],
    normal: int,
    rule: str = NATIVE,
    normal_segments: bool = False,
    by_class: bool = True,
) -> Localisation:
    """Propose, match and rank the segments of a split.

    Proposals of equal score rank by the order of the videos, then by time. (The reference leaves this to an unstable
    sort, so on data with ties its own numbers may differ a little from one machine to the next.)

    Args:
        videos: of the split, in a stable order.
        stride: frames from one row to the next.
        class_names: by id, the normal one included.
        normal: id of the normal class.
        rule: its name, as in :attr:`vadbench.scoring.protocol.Protocol.localization`. ``native`` ends the last row of a
            video at its frame count, within or behind it, and cuts annotated segments there.
        normal_segments: whether all of a normal video is one annotated segment of the normal class, for a rule that
            asks for this; ``native`` leaves the normal class out.
        by_class: as in :class:`vadbench.scoring.rows.ScoredRows`; without classes, nothing is matched.

    Raises:
        DataError: probabilities or segments do not fit the classes.
        PluginError: there is no such rule.
    """
    kind = localisation_rule(rule)
    classes = len(class_names)
    annotated = np.zeros((len(videos), classes), dtype=np.int64)
    found: list[tuple[Proposals, NDArray[np.bool_]]] = []
    lacking = any(v.probabilities is None for v in videos)
    reason = NO_CLASSES if not by_class else NO_PROBABILITIES if lacking else None
    for index, video in enumerate(videos if reason is None else ()):
        assert video.probabilities is not None
        if video.probabilities.shape[1:] != (classes,):
            found_shape = video.probabilities.shape
            raise DataError(f"{video.name}: expected probabilities of {classes} classes, found shape {found_shape}")
        rows = np.ascontiguousarray(video.probabilities, dtype=np.float32)
        segments: Ints = np.array(video.segments, dtype=np.int64).reshape(-1, 3)
        if not ((segments[:, 0] >= 0) & (segments[:, 0] < classes)).all():
            raise DataError(f"{video.name}: a segment's class id must be from 0 to {classes - 1}; check the classes")
        frames, segments = kind.truth(video.frames, segments, len(rows) * stride, normal if normal_segments else None)
        rows = rows[: -(-frames // stride)]
        proposals = propose(rows, stride)
        annotated[index] = np.bincount(segments[:, 0], minlength=classes)
        end = np.where(proposals.end == len(rows), frames, proposals.end * stride)
        found.append((proposals, match(proposals, proposals.start * stride, end, segments)))
    lengths = [len(p.label) for p, _ in found]
    scores = np.concatenate([np.zeros(0, np.float32), *(p.score for p, _ in found)])
    order = np.argsort(-scores, kind="stable")
    return kind(
        class_names=tuple(class_names),
        normal=normal,
        video=np.repeat(np.arange(len(lengths)), lengths)[order],
        label=np.concatenate([np.zeros(0, np.int64), *(p.label for p, _ in found)])[order],
        hits=np.concatenate([np.zeros((0, len(IOU_THRESHOLDS)), dtype=bool), *(h for _, h in found)])[order],
        annotated=annotated,
        reason=reason,
    )
