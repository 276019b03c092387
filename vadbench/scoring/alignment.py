"""The alignment of rows of scores with annotated segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError
from vadbench.data.lengths import require_frames
from vadbench.dataset import ClassTable, Video, merged
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.rows import ScoredRows
from vadbench.scoring.video_scores import VideoScores


def row_frames(rows: int, stride: int, frames: int) -> NDArray[np.int64]:
    """Return the number of frames of each row: its own ``stride``, for the last row up to the end of the video.

    >>> row_frames(3, 4, 10).tolist(), row_frames(2, 4, 10).tolist()
    ([4, 4, 2], [4, 6])
    """
    starts, ends = _bounds(rows, stride, frames)
    counts: NDArray[np.int64] = np.maximum(ends - starts, 0)
    return counts


def positives_per_row(runs: Sequence[tuple[int, int]], rows: int, stride: int, frames: int) -> NDArray[np.int64]:
    """Return the frames of each row inside any of the half-open runs, which must not overlap.

    >>> positives_per_row([(3, 9)], 3, 4, 10).tolist()
    [1, 4, 1]
    """
    # A file of ground truth may have as many runs as frames: their frames before a row are looked up, not summed again.
    ascending = np.array(sorted(runs), np.int64).reshape(-1, 2)
    firsts, lasts = np.append(ascending, [[np.iinfo(np.int64).max] * 2], axis=0).T
    covered = np.append(0, np.cumsum(ascending[:, 1] - ascending[:, 0]))

    def before(frame: NDArray[np.int64]) -> NDArray[np.int64]:
        begun = np.searchsorted(firsts, frame)
        # The last run that begins before the frame may end after it.
        behind = np.where(begun > 0, np.maximum(lasts[begun - 1] - frame, 0), 0)
        counts: NDArray[np.int64] = covered[begun] - behind
        return counts

    starts, ends = _bounds(rows, stride, frames)
    inside: NDArray[np.int64] = np.maximum(before(ends) - before(starts), 0)
    return inside


def _bounds(rows: int, stride: int, frames: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first frame and one past the last frame of each row."""
    starts = np.arange(rows, dtype=np.int64) * stride
    ends = np.minimum(starts + stride, frames)
    if rows:
        ends[-1] = frames
    return starts, ends


def class_positives_per_row(
    video: Video, classes: ClassTable, rows: int, stride: int, frames: int
) -> NDArray[np.int64]:
    """Return ``(rows, classes)`` frames of each row inside a segment of each class; normal has the rest."""
    table = np.zeros((rows, len(classes)), dtype=np.int64)
    segments = [(classes.id(s.label), s) for s in video.segments]  # a name and an alias are one class
    for class_id in {i for i, _ in segments}:
        own = merged(s for i, s in segments if i == class_id)
        table[:, class_id] = positives_per_row(own, rows, stride, frames)
    table[:, classes.normal] = row_frames(rows, stride, frames) - positives_per_row(video.runs, rows, stride, frames)
    return table


def prolonged(video: Video, frames: int, counted: int) -> Video:
    """Return a video with the label of its last frame on the frames behind it, where more are counted than it has.

    >>> from vadbench.dataset import Segment
    >>> prolonged(Video("v", ("A",), segments=(Segment("A", 2, 10), Segment("A", 3, 5))), 10, 12).segments
    (Segment(label='A', start=2, end=12), Segment(label='A', start=3, end=5))

    Args:
        video: with its ground truth.
        frames: its true number of frames; what is annotated behind them is left out.
        counted: the number of frames that count.
    """
    if counted <= frames:
        return video

    def to(end: int) -> int:
        return counted if end >= frames else end

    return replace(
        video,
        segments=tuple(replace(s, end=to(s.end)) for s in video.segments if s.start < frames),
        binary=None if video.binary is None else tuple((a, to(b)) for a, b in video.binary if a < frames),
    )


def align(
    scores: Sequence[VideoScores],
    videos: Mapping[str, Video],
    stride: int,
    classes: ClassTable,
    rules: Protocol,
    unit_scores: bool = True,
    by_class: bool = True,
) -> ScoredRows:
    """Lay scores beside the ground truth built from each video's own segments, keyed by name.

    Args:
        scores: of the videos of a split.
        videos: the split's videos by name.
        stride: frames from one row to the next.
        classes: the data set's class table.
        rules: how many frames a video has, and by how much a stated count may be off or a segment end past it; what is
            past the end is cut off.
        unit_scores, by_class: as in :class:`vadbench.scoring.rows.ScoredRows`.

    Raises:
        DataError: a video's annotated frame count differs from its own, or a segment is past its end.
    """
    if rules.counts_rows:
        scores = [replace(s, frames=len(s.anomaly) * stride) for s in scores]
    else:
        for s in scores:
            _require_truth(s, videos[s.name], rules.tolerance)
    lengths = [len(s.anomaly) for s in scores]
    truth = [(videos[s.name], len(s.anomaly), stride, s.frames) for s in scores]
    counts = np.concatenate([row_frames(r, k, f) for _, r, k, f in truth])
    # No row has more positives than frames, and a column for each class takes more memory than all else.
    compact = np.min_scalar_type(counts.max(initial=0))
    with_classes = all(s.classes is not None for s in scores)
    return ScoredRows(
        video=np.repeat(np.arange(len(scores)), lengths),
        names=tuple(s.name for s in scores),
        # Not in float64: a float32 score is compared with 0.7 in float32, as in the papers' code, and sorts faster.
        scores=np.concatenate([s.anomaly for s in scores]),
        frames=counts,
        positives=np.concatenate([positives_per_row(v.runs, r, k, f) for v, r, k, f in truth]),
        class_scores=np.concatenate([s.classes for s in scores if s.classes is not None]) if with_classes else None,
        class_positives=np.concatenate(
            [class_positives_per_row(v, classes, r, k, f).astype(compact) for v, r, k, f in truth]
        )
        if with_classes and by_class
        else None,
        class_names=classes.names,
        normal=classes.normal,
        unit_scores=unit_scores,
        by_class=by_class,
        hours=np.array([s.frames / s.rate / 3600 if s.rate else np.nan for s in scores], np.float64),
    )


def _require_truth(scores: VideoScores, video: Video, tolerance: int) -> None:
    """Raise if the annotation of a video was made for another number of frames."""
    require_frames(video.name, video.frames, scores.frames, tolerance)
    for start, end in [*video.runs, *((g.start, g.end) for g in video.segments)]:
        if start >= scores.frames or end > scores.frames + tolerance:
            raise DataError(
                f"{video.name}: segment [{start}, {end}) is past its {scores.frames} frames;"
                " the annotation and the video do not belong together"
            )
