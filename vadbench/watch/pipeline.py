"""Turn frames of a video into rows and score them while they are decoded; only a few windows are in memory."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vadbench.base.needs import CLIP_STREAM
from vadbench.data.media import Frame
from vadbench.features.decoding import Decoder
from vadbench.features.encoders import FrameEncoder
from vadbench.features.shard import FeatureRows
from vadbench.inputs import StreamInput, VideoInput
from vadbench.method import Reach
from vadbench.scoring.scoring import score_window
from vadbench.scoring.video_scores import VideoScores
from vadbench.scoring.windows import first_needed, next_window, window_rows
from vadbench.watch.reader import Reader
from vadbench.watch.scorer import Scorer
from vadbench.watch.smoothing import processed_windows
from vadbench.watch.timeline import Timeline

FOLLOWED_BATCH = 16
"""Frames encoded at once if scores are needed soon."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class StreamedRows:
    """Consecutive rows of a video with their scores.

    Args:
        first: number of the first row.
        starts: ``(n,)`` seconds at which each row's first frame is shown.
        anomaly: ``(n,)``.
        classes: ``(n, classes)`` or ``None``.
        remarks: the texts on each row, ``None`` for a method that gives no remarks.
        costs: what these rows cost, by name.
    """

    first: int
    starts: NDArray[np.float64]
    anomaly: NDArray[np.float32]
    classes: NDArray[np.float32] | None
    remarks: Sequence[Sequence[str]] | None = None
    costs: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, first: int, starts: NDArray[np.float64], scores: VideoScores) -> StreamedRows:
        """Return scored rows from the scores that the method gave for them."""
        said = None if scores.remarks is None else scores.remarks.on_each(len(scores.anomaly))
        return cls(first, starts, scores.anomaly, scores.classes, said, scores.costs)


@dataclass
class Stopwatch:
    """Seconds spent on each activity, in the thread that scores."""

    seconds: dict[str, float] = field(default_factory=dict)
    _counted: float = 0.0

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Add the time of a block, less that of blocks within it."""
        began, before = time.perf_counter(), self._counted
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[what] = self.seconds.get(what, 0.0) + spent - (self._counted - before)
            self._counted = before + spent

    def each(self, what: str, items: Iterator[_T]) -> Iterator[_T]:
        """Yield the same items, adding the time that each is waited for."""
        while True:
            with self.of(what):
                item = next(items, None)
            if item is None:
                return
            yield item


class Pictures(Decoder, Timeline):
    """Decoder that prepares one video ahead of the encoder, and keeps times and thumbnails of its frames."""

    def __init__(self, reader: Reader, encoder: FrameEncoder) -> None:
        Decoder.__init__(self, [Path()], encoder.preparation, encoder.workers, encoder.pinned)
        Timeline.__init__(self, reader, encoder.fingerprint.stride)
        self.encoder = encoder

    def __exit__(self, *details: object) -> None:
        self._reader.stop()
        super().__exit__(*details)

    def read(self, path: Path) -> Iterator[Callable[[], Frame]]:
        """Yield the frames of the reader; the path is ignored."""
        return self.watched()


def score_pictures(pictures: Pictures, scorer: Scorer, follow: bool, watch: Stopwatch) -> Iterator[StreamedRows]:
    """Yield the scores of a video's rows of features as their windows become complete."""
    rows = encoded_rows(pictures, pictures.encoder, watch)
    windows = score_rows(rows, scorer, follow, watch, pictures.name)
    for first, scores in processed_windows(windows, scorer.post, scorer.stride) if scorer.post else windows:
        starts = np.array([pictures.starts.popleft() for _ in scores.anomaly])
        yield StreamedRows.of(first, starts, scores)


def encoded_rows(decoder: Decoder, encoder: FrameEncoder, watch: Stopwatch) -> Iterator[FeatureRows]:
    """Yield feature rows ``(crops, n, dim)`` of a decoder's first video, the values that extraction would store."""
    batches = watch.each("waiting for frames", decoder.batches(0))
    for rows in watch.each("encoding", encoder.crop_rows(batches)):
        yield np.stack(rows).astype(encoder.fingerprint.dtype, copy=False)


def score_rows(
    rows: Iterable[FeatureRows], scorer: Scorer, follow: bool, watch: Stopwatch, name: str = "video"
) -> Iterator[tuple[int, VideoScores]]:
    """Score rows ``(crops, n, dim)`` as they come, in the same windows as a run.

    The windows of a stream are smaller (:func:`vadbench.scoring.windows.window_rows`), which does not change the scores
    of a method unless it needs the whole video. ``name`` is the video's.

    Yields:
        The number of the first row, and the scores of it and the next ones.
    """
    reach = scorer.method.reach
    size = window_rows(reach, follow)
    held, done = _Held(), 0
    for new in itertools.chain(rows, [None]):
        ended = new is None
        if new is not None:
            held.add(new)
        if follow:
            size = _ready(reach, held.stop - done - (0 if ended else reach.margin))
        while window := next_window(reach, size, done, held.stop, ended):
            seen = partial(held.rows, window.start, window.stop)
            with watch.of("method"):
                inputs = row_inputs(scorer, name, seen, window.stop - window.start, window.start)
                found = score_window(scorer.method, inputs, window, scorer.precision)
            yield done, found
            done = window.last
        held.drop(first_needed(reach, size, done, held.stop))


def row_inputs(
    scorer: Scorer, name: str, read: Callable[[int | slice], FeatureRows], count: int, first: int = 0
) -> Iterator[VideoInput]:
    """Yield rows of a video as the method is given them: each crop for itself, or all as a bag.

    Args:
        scorer: the method, with the making of its features.
        name: of the video.
        read: returns the rows of a crop by its number, or of several as ``(crops, rows, dim)``.
        count: how many rows there are.
        first: number of the first of them.
    """
    stride, made_by = scorer.stride, scorer.fingerprint
    assert made_by is not None  # or there would be no rows
    bag = [("", slice(None), len(made_by.crops))]
    for crop, number, crops in bag if scorer.bag else [(c, i, 1) for i, c in enumerate(made_by.crops)]:
        yield VideoInput(
            name=name,
            row_count=count,
            stride=stride,
            frame_count=(first + count) * stride,
            streams={CLIP_STREAM: StreamInput(partial(read, number), count, stride)},
            crop=crop,
            crop_count=crops,
            seed=scorer.seed,
            first_row=first,
        )


def _ready(reach: Reach, waiting: int) -> int:
    """Return the number of rows of a stream's next window: all waiting rows that make whole chunks."""
    if reach.whole:
        return reach.chunk
    return max(reach.chunk, min(waiting, window_rows(reach)) // reach.chunk * reach.chunk)


class _Held:
    """Rows of a video that later windows may still need, in the order in which they came."""

    def __init__(self) -> None:
        self._parts: deque[FeatureRows] = deque()
        self._start = self.stop = 0

    def add(self, rows: FeatureRows) -> None:
        """Append rows ``(crops, n, dim)``."""
        self._parts.append(rows)
        self.stop += rows.shape[1]

    def rows(self, start: int, stop: int, crop: int | slice) -> FeatureRows:
        """Return the rows from ``start`` to ``stop`` of the video of one crop or, with a first axis, of several."""
        held: FeatureRows = np.concatenate([part[crop] for part in self._parts], axis=-2)
        return held[..., start - self._start : stop - self._start, :]

    def drop(self, before: int) -> None:
        """Drop all rows before a row."""
        while self._parts and self._start + self._parts[0].shape[1] <= before:
            self._start += self._parts.popleft().shape[1]
