"""The inputs of a method: videos with their streams of features or their frames, training data and batches.

The harness makes all of them; a method only reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import PluginError
from vadbench.base.seeds import Purpose, generator
from vadbench.dataset import ClassTable, Video

if TYPE_CHECKING:
    from torch import Tensor


class TimedFrame(NamedTuple):
    """A decoded frame: its number in the video, the second at which it is shown, and uint8 RGB ``(H, W, 3)``."""

    number: int
    seconds: float
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class StreamInput:
    """One stream of features of a video.

    Args:
        read: returns the rows ``(rows, dim)``, or ``(crops, rows, dim)`` of a bag: a memory-mapped numpy array, mapped
            afresh at each call, in :meth:`vadbench.method.Method.view`; a float32 tensor on the method's device in
            :meth:`vadbench.method.Method.score`.
        count: number of rows.
        spacing: frames from one row to the next; fractions are allowed.
    """

    read: Callable[[], Any]
    count: int
    spacing: float

    @classmethod
    def of_rows(cls, rows: Any, spacing: float) -> StreamInput:
        """Return a stream of rows that are at hand, an array or a tensor."""
        return cls(partial(_itself, rows), rows.shape[-2], spacing)

    @property
    def rows(self) -> Any:
        """The rows, read anew at every access."""
        return self.read()

    @property
    def centres(self) -> NDArray[np.float64]:
        """``(rows,)`` centres of the rows in frames from the video's beginning; seconds times the frame rate."""
        return np.asarray((np.arange(self.count) + 0.5) * self.spacing, np.float64)


@dataclass(frozen=True, kw_only=True)
class VideoInput:
    """A video as a method sees it: rows of its streams, or its frames, and nothing of its ground truth.

    The first stream is the time line: there is one score for each of its rows. A method without streams has a row for
    every ``rows.stride`` frames. It pickles as a handle, without rows.

    Args:
        name: unique within the data set.
        row_count: rows to score. Exists without features too: ``ceil(frames / stride)``.
        stride: frames from one of these rows to the next.
        frame_count: frames of the video.
        streams: streams by name, the time line first.
        crop: the crop of the frame that the rows are of; empty where they are of all crops (a bag) or there are none.
        crop_count: crops of a bag; 1 where the rows are ``(rows, dim)``.
        frame_rate: frames in a second; ``None`` where it is not known.
        seed: of the run.
        first_row: number of the first row, not 0 in a window of a long video.
        decode: returns decoded frames from a frame on, every so many; ``None`` where there is no video file.
        truth: the annotated video, only for a method that declares itself an oracle.
    """

    name: str
    row_count: int
    stride: int
    frame_count: int
    streams: Mapping[str, StreamInput] = field(default_factory=dict)
    crop: str = ""
    crop_count: int = 1
    frame_rate: float | None = None
    seed: int = 0
    first_row: int = 0
    decode: Callable[[int, int], Iterator[TimedFrame]] | None = field(default=None, repr=False)
    truth: Video | None = field(default=None, repr=False)

    @classmethod
    def of_rows(cls, rows: Any, name: str = "video", stride: int = 1, seed: int = 0, **streams: Any) -> VideoInput:
        """Return a video of arrays or tensors, for tests and notebooks.

        Args:
            rows: ``(rows, dim)`` or, of a bag, ``(crops, rows, dim)`` of the stream ``clip``.
            name: of the video.
            stride: frames from one row to the next; the last row is taken to be whole.
            seed: of the run.
            streams: further streams by name, spread evenly over the video.
        """
        count = rows.shape[-2]
        made = {"clip": StreamInput.of_rows(rows, stride)}
        for other, own in streams.items():
            made[other] = StreamInput.of_rows(own, count * stride / own.shape[-2])
        return cls(name=name, row_count=count, stride=stride, frame_count=count * stride, streams=made, seed=seed)

    @property
    def key(self) -> str:
        """The name, with the crop where the rows are of one: distinct among the samples of a training."""
        return f"{self.name}:{self.crop}" if self.crop else self.name

    @property
    def rows(self) -> Any:
        """Rows of the time line, see :class:`StreamInput`: read anew at every access, so keep what you index.

        Raises:
            PluginError: the method has no stream.
        """
        if not self.streams:
            raise PluginError(f"video {self.name} has no rows: the method's needs() name no stream; name one there")
        return next(iter(self.streams.values())).read()

    def window(self, first: int, end: int) -> VideoInput:
        """Return the rows from ``first`` to before ``end`` as a video; streams but the time line stay whole."""
        if (first, end) == (0, self.row_count):
            return self
        cut = replace(self, row_count=end - first, first_row=self.first_row + first)
        if not self.streams:
            return cut
        line = next(iter(self.streams.values()))
        rows = StreamInput(lambda: line.read()[..., first:end, :], end - first, line.spacing)
        return cut.with_line(rows)

    def with_line(self, line: StreamInput) -> VideoInput:
        """Return the video with other rows as its time line."""
        return replace(self, streams={**self.streams, next(iter(self.streams)): line})

    def stream(self, name: str) -> StreamInput:
        """Return a stream by name, its rows as they are stored.

        Raises:
            PluginError: the method's ``needs()`` do not name it.
        """
        if name not in self.streams:
            there = ", ".join(self.streams) or "none"
            raise PluginError(f"video {self.name} has no stream '{name}', only {there}; name it in needs().streams")
        return self.streams[name]

    def nearest(self, name: str, index: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
        """Return the row of a stream whose centre is nearest to that of each row of the time line.

        Args:
            name: of the stream.
            index: ``(n,)`` rows of the time line. Of two that are equally near the earlier one is taken.
        """
        other = self.stream(name)
        starts = (self.first_row + np.asarray(index, np.int64)) * self.stride
        # The last row may stand for fewer frames.
        centres = (starts + np.clip(self.frame_count, starts + 1, starts + self.stride)) / 2
        # Row i of the other stream is nearest from i to i + 1 spacings on; a decimal fraction is rounded by less.
        place = np.ceil(centres / other.spacing - 1e-9) - 1
        return np.asarray(np.clip(place, 0, other.count - 1), np.intp)

    def aligned(self, name: str) -> Any:
        """Return a row of a stream for each row of the time line, by :meth:`nearest`: ``(row_count, dim)``."""
        index = self.nearest(name, np.arange(self.row_count))
        return self.stream(name).read()[..., index, :]

    def frames(self, every: int = 1) -> Iterator[TimedFrame]:
        """Decode the frames of the rows, every so many of them, anew at every call; one is in memory at a time.

        A frame belongs to row ``frame.number // video.stride - video.first_row``. Of those asked for a row may have
        none, where ``every`` is above ``stride``.

        Raises:
            PluginError: there is no video file.
            DataError: the file is damaged; names the frame.
        """
        if self.decode is None:
            raise PluginError(f"video {self.name} has no frames: say so in the method's needs(), with frames=True")
        end = (self.first_row + self.row_count) * self.stride
        decoded = self.decode(self.first_row * self.stride, every)
        try:
            for frame in decoded:
                if frame.number >= end:
                    break
                yield frame
        finally:
            close = getattr(decoded, "close", None)
            if close is not None:
                close()

    def rng(self) -> np.random.Generator:
        """Return a new generator, the same at every call: its draws depend on the run's seed, the video and its crop,
        never on which videos are scored with it."""
        place = (self.name, self.crop) if self.crop else (self.name,)
        return generator(Purpose.SCORE, self.seed, *place, *((self.first_row,) if self.first_row else ()))


def _itself(rows: Any) -> Any:
    return rows


@dataclass(frozen=True, kw_only=True)
class TrainingVideo(VideoInput):
    """A training video, or one crop of it, with its weak labels.

    Args:
        labels: ``(classes,)`` float32, 1 for each class that the video carries, at least one, and 0 for the others.
        first_class: id of the class that it names first.
    """

    labels: NDArray[np.float32]
    first_class: int


@dataclass(frozen=True)
class TrainingData:
    """The training videos in the order of the data set's list, each crop one where crops are samples.

    A method with ``supervision="one-class"`` gets the normal ones alone.
    """

    videos: Sequence[TrainingVideo]
    classes: ClassTable

    @cached_property
    def normal(self) -> Sequence[TrainingVideo]:
        """The normal videos."""
        return [v for v in self.videos if v.labels[self.classes.normal] > 0]

    @cached_property
    def abnormal(self) -> Sequence[TrainingVideo]:
        """The other videos."""
        return [v for v in self.videos if not v.labels[self.classes.normal] > 0]


@dataclass(frozen=True)
class Batch:
    """A training batch, abnormal videos first where the sampler has halves.

    Args:
        views: the results of :meth:`vadbench.method.Method.view` for each video, stacked: ``(videos, ...)``.
        labels: ``(videos, classes)`` float, the weak labels: 1 for each class that a video carries, at least one, and 0
            for the others.
        first: ``(videos,)`` int64, the class that each video names first. May be left out where no video carries
            several.
        names: of the videos.
        keys: their :attr:`VideoInput.key`.
        step: finished optimiser steps of the stage.
        epoch: counted from 0.
    """

    views: Mapping[str, Tensor]
    labels: Tensor
    first: Tensor = None  # type: ignore[assignment]
    names: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    step: int = 0
    epoch: int = 0

    def __post_init__(self) -> None:
        if self.first is None:
            object.__setattr__(self, "first", self.labels.argmax(1))


LossTerms = Mapping[str, "Tensor | Mapping[str, Tensor]"]
"""Named, weighted scalars; or, where groups of parameters have backward passes of their own, such terms by group."""
ArraysByKey = Mapping[str, NDArray[Any]]
"""Arrays by :attr:`VideoInput.key`, read when they are asked for."""
