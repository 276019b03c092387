"""The input of every frame-level metric: scored rows that carry their frames as weights.

A method scores one row per 16 frames or so, and all frames of a row share its score. Ranking rows with weights is
therefore exact and 16 times smaller than ranking frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError

WORTH_JOINING = 0.9
"""Rows are joined where at most this share of them is left: it copies all columns, and few fewer rows save little."""

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


class WeightedRows(NamedTuple):
    """Rows of a two-class ranking problem: four arrays of one length.

    ``positives`` and ``negatives`` are the frames of each kind that share the row's score.
    """

    video: Ints
    scores: Floats
    positives: Ints
    negatives: Ints

    def keep(self, kept: NDArray[np.bool_]) -> WeightedRows:
        """Return the rows where ``kept`` is true."""
        return WeightedRows(self.video[kept], self.scores[kept], self.positives[kept], self.negatives[kept])


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """All videos of a split, concatenated.

    Args:
        video: ``(rows,)`` index into ``names`` of the video of each row.
        names: video names.
        scores: ``(rows,)`` anomaly scores, finite, larger means more anomalous.
        frames: ``(rows,)`` frames the row stands for; 0 is allowed (a row beyond the end of its video).
        positives: ``(rows,)`` number of them inside any segment.
        class_scores: ``(rows, classes)`` probability of every class; ``None`` where the method has none.
        class_positives: ``(rows, classes)`` frames inside a segment of each class (classes may overlap), the normal
            column being ``frames - positives``; ``None`` where the data set annotates no classes. The dtype may be
            unsigned and as small as the counts allow: widen it before subtracting.
        class_names: class names by id, the normal one included.
        normal: id of the normal class.
        unit_scores: the scores are between 0 and 1 by the method's word; otherwise a fixed threshold means nothing.
        by_class: false where the data set annotates no classes, whatever the method gives.
        hours: ``(videos,)`` length of each video, NaN where its frame rate is not known; ``None`` where none is.

    Raises:
        DataError: lengths differ, a score is not finite, or counts contradict each other.
    """

    video: Ints
    names: tuple[str, ...]
    scores: Floats
    frames: Ints
    positives: Ints
    class_scores: Floats | None
    class_positives: Ints | None
    class_names: tuple[str, ...]
    normal: int
    unit_scores: bool = True
    by_class: bool = True
    hours: Floats | None = None

    def __post_init__(self) -> None:
        rows, classes = len(self.scores), len(self.class_names)
        for name in ("video", "scores", "frames", "positives", "class_scores", "class_positives"):
            array, shape = getattr(self, name), (rows, classes) if name.startswith("class") else (rows,)
            if array is None:
                continue
            if array.shape != shape:
                raise DataError(f"'{name}' must have shape {shape} to match the scores, found {array.shape}")
            kind = "f" if name.endswith("scores") else "iu"
            if array.dtype.kind not in kind:
                what = "floating point" if kind == "f" else "integers"
                raise DataError(f"'{name}' must be {what}, found {array.dtype}; convert it before making rows")
        if not 0 <= self.normal < classes:
            raise DataError(f"'normal' must be a class id from 0 to {classes - 1}, found {self.normal}")
        self._refuse((self.video < 0) | (self.video >= len(self.names)), "a video index without a name")
        self._refuse(~np.isfinite(self.scores), "a score that is not finite")
        self._refuse((self.positives < 0) | (self.positives > self.frames), "positives outside 0..frames")
        if self.class_scores is not None:
            self._refuse(~np.isfinite(self.class_scores).all(1), "a class probability that is not finite")
        if self.class_positives is not None:
            counts = self.class_positives
            outside = (counts < 0) | (counts > self.frames[:, None])
            self._refuse(outside.any(1), "class positives outside 0..frames")
            wrong = counts[:, self.normal] != self.frames - self.positives
            self._refuse(wrong, "a normal class whose positives are not frames - positives")

    def _refuse(self, bad: NDArray[np.bool_] | np.bool_, what: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            index = int(self.video[row])
            name = self.names[index] if 0 <= index < len(self.names) else f"index {index}"
            raise DataError(f"{what} at row {row} (video {name}); {int(bad.sum())} such rows; check scores and labels")

    @cached_property
    def video_frames(self) -> Ints:
        """``(videos,)`` frames of each video."""
        return self.per_video(self.frames)

    @cached_property
    def video_positives(self) -> Ints:
        """``(videos,)`` anomalous frames of each video."""
        return self.per_video(self.positives)

    @property
    def total(self) -> int:
        """Frames of the split."""
        return int(self.frames.sum())

    @property
    def prevalence(self) -> float | None:
        """Share of anomalous frames, ``None`` without frames."""
        return float(self.positives.sum() / self.total) if self.total else None

    @cached_property
    def abnormal(self) -> NDArray[np.bool_]:
        """``(videos,)`` true for videos with an anomalous frame."""
        return self.video_positives > 0

    @cached_property
    def normal_videos(self) -> NDArray[np.bool_]:
        """``(videos,)`` true for videos with frames, none of them anomalous."""
        return ~self.abnormal & (self.video_frames > 0)

    def per_video(self, counts: NDArray[Any]) -> Ints:
        """Return ``(videos,)`` sums of integer counts ``(rows,)``."""
        return np.bincount(self.video, counts, minlength=len(self.names)).astype(np.int64)

    def of_videos(self, kept: NDArray[np.bool_]) -> ScoredRows:
        """Return the rows of the videos where ``kept``, ``(videos,)``, is true, without classes."""
        rows = kept[self.video]
        return replace(
            self,
            video=(np.cumsum(kept) - 1)[self.video[rows]],
            names=tuple(name for name, own in zip(self.names, kept, strict=True) if own),
            scores=self.scores[rows],
            frames=self.frames[rows],
            positives=self.positives[rows],
            class_scores=None,
            class_positives=None,
            hours=None if self.hours is None else self.hours[kept],
        )

    def binary(self) -> WeightedRows:
        """Return anomalous against normal frames by the anomaly score."""
        return _merge_runs(self.video, self.scores, self.positives, self.frames)

    def one_vs_rest(self, class_id: int) -> WeightedRows:
        """Return frames of one class against all others by the class's probability."""
        assert self.class_scores is not None and self.class_positives is not None
        scores = np.ascontiguousarray(self.class_scores[:, class_id])
        return _merge_runs(self.video, scores, self.class_positives[:, class_id], self.frames)


def _merge_runs(video: Ints, scores: Floats, positives: Ints, frames: Ints) -> WeightedRows:
    """Join neighbouring rows of one video with one score: per-frame scores that were repeated for 16 frames shrink."""
    if not len(scores):
        return WeightedRows(video, scores, positives, frames)
    new = (scores[1:] != scores[:-1]) | (video[1:] != video[:-1])
    if 1 + np.count_nonzero(new) > WORTH_JOINING * len(scores):
        return WeightedRows(video, scores, positives, frames - positives)
    starts = np.flatnonzero(np.concatenate(([True], new)))
    inside = np.add.reduceat(positives, starts, dtype=np.int64)
    return WeightedRows(video[starts], scores[starts], inside, np.add.reduceat(frames, starts, dtype=np.int64) - inside)
