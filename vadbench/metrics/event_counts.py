"""Events as an operator counts them: runs of frames from a threshold on, matched with the annotated segments.

The threshold is the run's, in which test labels have no part (:attr:`vadbench.scoring.split.ScoredSplit.threshold`).
Without one, or after post-processing, which changes the scores that it was made for, it is the lowest that at most 1 %
of the frames of the test split's normal videos reach; resamples keep it.

All videos are laid behind each other on one time line of frames, on which an event is an interval and no interval spans
two videos. Nothing is counted frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.dataset import Video, merged
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.glossary import EVENT_IOUS
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.ranking import ratio, value_of
from vadbench.scoring.rows import Floats, Ints, ScoredRows
from vadbench.scoring.split import ScoredSplit

KEYS = (
    *(f"event-{name}@{iou}" for iou in EVENT_IOUS for name in ("recall", "precision", "F1")),
    *("hit", "delay", "delay/seconds", "false-alarms-per-hour"),
)
ONE_IN = 100
"""Of this many frames of normal videos one may reach the threshold where it is chosen on them: our decision."""
AT_ONCE = 2**20
"""Weights of delays that are looked at together; bounds memory."""


CHOSEN_ON_TEST = "events are counted above a threshold chosen on the normal test videos"
"""Beginning of the remark on metrics of events where the run has no threshold of its own."""


class Threshold(NamedTuple):
    """The score from which on frames belong to predicted events, and a remark where it is not the run's own.

    ``value`` is ``None`` where nothing gives one; ``remark`` then says why.
    """

    value: float | None
    remark: str = ""


def event_threshold(split: ScoredSplit) -> Threshold:
    """Return the threshold of a split's events."""
    if split.threshold is not None and not split.rules.post:
        return Threshold(split.threshold)
    why = "the run has none of its own"
    if split.threshold is not None:
        why = "post-processing changes the scores that the run's own was made for"
    rows = split.rows
    kept = (rows.frames > 0) & ~rows.abnormal[rows.video]
    if not kept.any():
        return Threshold(None, f"no threshold: {why}, and the split has no normal video to choose one on")
    value = _rarely_reached(rows.scores[kept], rows.frames[kept])
    return Threshold(
        value,
        f"{CHOSEN_ON_TEST}: at most 1 % of their frames reach {value:.4g}; {why}",
    )


def _rarely_reached(scores: Floats, frames: Ints) -> float:
    """Return the lowest number that at most one in a hundred frames reach, as far as the scores' dtype can tell."""
    total = int(frames.sum())
    # Every row has a frame, so the row that exceeds the share is one of the ``top`` highest.
    top = min(len(scores), total // ONE_IN + 1)
    highest = np.argpartition(scores, len(scores) - top)[len(scores) - top :]
    highest = highest[np.argsort(scores[highest])[::-1]]
    exceeded = int((np.cumsum(frames[highest]) * ONE_IN > total).argmax())
    return float(np.nextafter(scores[highest[exceeded]], scores.dtype.type(np.inf)))


@dataclass(frozen=True, eq=False)
class EventCounts:
    """The events of a split, predicted and annotated; made by :func:`find_events`.

    Matching stays within a video, so any resampling of videos is a weighting of these counts.

    Args:
        names: of the videos.
        predicted: ``(videos,)`` number of predicted events.
        annotated: ``(videos,)`` number of annotated segments.
        matched: ``(videos, overlaps)`` number of matches at each of ``EVENT_IOUS``.
        normal: ``(videos,)`` true for videos without an anomalous frame.
        frames: ``(videos,)`` their lengths.
        rates: ``(videos,)`` frames in a second, NaN where unknown.
        hit: ``(hit segments,)`` index of the video of each.
        delay: ``(hit segments,)`` frames up to the first that reaches the threshold.
        lacking: why there is no threshold, empty where there is one.
    """

    names: tuple[str, ...]
    predicted: Ints
    annotated: Ints
    matched: Ints
    normal: NDArray[np.bool_]
    frames: Ints
    rates: NDArray[np.float64]
    hit: Ints
    delay: Ints
    lacking: str = ""

    def metrics(self) -> dict[str, MetricValue]:
        """Return the metrics of events without intervals."""
        once = self.resampled(np.ones((1, len(self.names))))
        return {key: value_of(float(value), self._reason(key)) for key, (value,) in once.items()}

    def resampled(self, draws: Floats) -> dict[str, NDArray[np.float64]]:
        """Return ``(resamples,)`` values of every metric, NaN where undefined.

        Args:
            draws: ``(resamples, videos)`` how often each video is drawn; a video drawn twice counts as two.
        """
        if self.lacking:
            return {key: np.full(len(draws), np.nan) for key in KEYS}
        hits = np.bincount(self.hit, minlength=len(self.names))
        alarms = np.where(self.normal, self.predicted, 0)
        # An unknown rate leaves every resample undefined, as it does the whole split.
        hours = np.where(self.normal, self.frames / self.rates / 3600, 0)
        counts = (self.annotated, self.predicted, hits, alarms, hours, *self.matched.T)
        annotated, predicted, found, false, hour, *matched = Multiplicities(draws).sums(np.stack(counts, 1)).T
        some = annotated > 0
        values = {}
        for iou, right in zip(EVENT_IOUS, matched, strict=True):
            values[f"event-recall@{iou}"] = ratio(right, annotated)
            # Without an annotated segment nothing can be right.
            values[f"event-precision@{iou}"] = ratio(right, np.where(some, predicted, 0))
            values[f"event-F1@{iou}"] = ratio(2 * right, np.where(some, annotated + predicted, 0))
        values["hit"] = ratio(found, annotated)
        values["delay"] = _medians(self.delay.astype(np.float64), self.hit, draws)
        values["delay/seconds"] = _medians(self.delay / self.rates[self.hit], self.hit, draws)
        values["false-alarms-per-hour"] = ratio(false, hour)
        return values

    def _reason(self, key: str) -> str:
        """Return why a metric is undefined, if it is."""
        if self.lacking:
            return self.lacking
        if key == "false-alarms-per-hour":
            unknown = self.normal & np.isnan(self.rates)
            return self._without_rate(unknown, "normal videos") if unknown.any() else "the split has no normal video"
        if not self.annotated.any():
            return "the split has no annotated segment"
        if not key.startswith("delay"):
            return "no frame reaches the threshold, so no event is predicted that could be right"
        if not len(self.hit):
            return "no frame of an annotated segment reaches the threshold"
        unknown = np.isnan(self.rates) & (np.bincount(self.hit, minlength=len(self.names)) > 0)
        return self._without_rate(unknown, "videos in which an annotated segment is hit")

    def _without_rate(self, unknown: NDArray[np.bool_], which: str) -> str:
        first = self.names[int(unknown.argmax())]
        return f"the frame rate of {int(unknown.sum())} {which} is unknown, the first is {first!r}"


def _medians(values: NDArray[np.float64], video: Ints, draws: Floats) -> NDArray[np.float64]:
    """Return ``(resamples,)`` medians of values that each count as often as their video is drawn; NaN of none."""
    medians = np.full(len(draws), np.nan)
    if not len(values) or np.isnan(values).any():
        return medians
    order = np.argsort(values)
    values, video = values[order], video[order]
    size = max(1, AT_ONCE // len(values))
    for start in range(0, len(draws), size):
        upto = np.cumsum(draws[start : start + size, video], axis=1)
        drawn = upto[:, -1]
        some = drawn > 0
        # With an even number of values there are two in the middle.
        middle = [(upto <= np.floor(place)[:, None]).sum(1)[some] for place in ((drawn - 1) / 2, drawn / 2)]
        medians[start : start + size][some] = (values[middle[0]] + values[middle[1]]) / 2
    return medians


def find_events(split: ScoredSplit) -> EventCounts:
    """Find the events of a split and match them.

    A predicted event is a longest run of frames that reach the threshold; rows that stand for no frame do not break it.
    Annotated are the distinct intervals of a video, whatever their classes, within the frames that count; where the
    anomalous frames are annotated apart from the classes, they are the runs of these.
    """
    rows, threshold = split.rows, event_threshold(split)
    videos = len(rows.names)
    offsets = np.cumsum(rows.video_frames) - rows.video_frames
    annotated = _annotated(split.annotated, rows.video_frames)
    owner, first, last = annotated[:, 0], *(offsets[annotated[:, 0]] + annotated[:, 1:].T)
    reached = np.inf if threshold.value is None else threshold.value
    start, end, video = _reached(rows, reached)
    earliest, beyond = np.searchsorted(end, first, "right"), np.searchsorted(start, last, "left")
    hit = beyond > earliest
    overlaps = _matched(start, end, first, last, earliest, np.maximum(beyond - earliest, 0))
    at_least = np.array(EVENT_IOUS) <= overlaps[:, None]
    matched = np.zeros((videos, len(EVENT_IOUS)), np.int64)
    np.add.at(matched, owner, at_least)
    return EventCounts(
        names=rows.names,
        predicted=np.bincount(video, minlength=videos),
        annotated=np.bincount(owner, minlength=videos),
        matched=matched,
        normal=~rows.abnormal,
        frames=rows.video_frames,
        rates=np.array([np.nan if s.rate is None else s.rate for s in split.given]),
        hit=owner[hit],
        delay=np.maximum(start[earliest[hit]] - first[hit], 0),
        lacking=threshold.remark if threshold.value is None else "",
    )


def _annotated(videos: Sequence[Video], frames: Ints) -> Ints:
    """Return ``(segments, 3)`` index of the video, first frame and one past the last, in this order, each once."""
    found = [(i, start, min(end, int(frames[i]))) for i, v in enumerate(videos) for start, end in _intervals(v)]
    table = np.array([(i, start, end) for i, start, end in found if start < end], np.int64).reshape(-1, 3)
    return np.unique(table, axis=0)


def _intervals(video: Video) -> set[tuple[int, int]]:
    """Return the annotated intervals of a video, those of its segments unless its anomalous frames are others."""
    own = {(s.start, s.end) for s in video.segments}
    return own if merged(video.segments) == video.runs else set(video.runs)


def _reached(rows: ScoredRows, threshold: float) -> tuple[Ints, Ints, Ints]:
    """Return first frame, one past the last and video of each predicted event, on one time line of all videos."""
    some = rows.frames > 0
    video, frames = rows.video[some], rows.frames[some]
    # In float64, as a threshold need not be a number that the scores' dtype has.
    above = rows.scores[some] >= np.float64(threshold)
    ends = np.cumsum(frames)
    new = np.diff(video, prepend=-1) != 0
    begins = above & (new | ~np.append(False, above[:-1]))
    stops = above & (np.append(new[1:], True) | ~np.append(above[1:], False))
    return (ends - frames)[begins], ends[stops], video[begins]


def _matched(start: Ints, end: Ints, first: Ints, last: Ints, earliest: Ints, overlapping: Ints) -> Floats:
    """Return ``(segments,)`` the intersection over union of each annotated segment with its predicted event, 0 of none.

    Pairs are matched from the largest overlap down, equal ones by the start of the predicted event, then of the
    segment. Those at a lower overlap take nothing from those above, so one matching serves every least overlap.

    Args:
        start, end: of predicted events, in order.
        first, last: of segments.
        earliest: index of the first event that may overlap each segment.
        overlapping: how many do.
    """
    segment = np.repeat(np.arange(len(first)), overlapping)
    event = np.arange(len(segment)) + np.repeat(earliest - (np.cumsum(overlapping) - overlapping), overlapping)
    shared = np.minimum(end[event], last[segment]) - np.maximum(start[event], first[segment])
    overlap = shared / ((end - start)[event] + (last - first)[segment] - shared)
    # A segment is overlapped this much by ten events at most, so few pairs are left.
    order = np.lexsort((segment, event, -overlap))
    order = order[overlap[order] >= EVENT_IOUS[0]]
    best, taken = np.zeros(len(first)), set[int]()
    for of_event, of_segment, value in zip(
        event[order].tolist(), segment[order].tolist(), overlap[order].tolist(), strict=True
    ):
        if of_event not in taken and not best[of_segment]:
            taken.add(of_event)
            best[of_segment] = value
    return best
