"""Videos that the checks make up: rows of every stream, bags of crops, files to decode, or nothing but a length."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.method_config import MethodConfig
from vadbench.base.spacing import rows_of
from vadbench.data.media import write_video
from vadbench.data.timed_frames import FrameDecoder, VideoExtent
from vadbench.dataset import ClassTable, Segment, Video
from vadbench.inputs import StreamInput, TimedFrame, TrainingVideo, VideoInput
from vadbench.testing.guards import CHECKS_FOLDER
from vadbench.training.batches import weak_labels

NOISE = 0.05
"""Deviation of each value of a row from the anchor of its class, which has length 1."""
LENGTH = 10.0
"""Length of a row as a vector, about that of OpenAI's CLIPs."""
CROPS = 3
"""Crops of a bag."""
SPACINGS = (1.5, 0.4, 1.0)
"""Rows of the time line to a row of the streams beside it, in turn."""
SIZE = (48, 64)
"""Height and width of a frame."""
RATE = 25
MOST_FRAMES = 400
"""Maximum number of frames of a video that is decoded."""


class Footage:
    """Makes videos as a method's settings ask for them; the same arguments make the same video.

    Args:
        config: of the method.
        classes: class table of the videos.
        anchors: a vector of length 1 for each class by the name of a stream, ``(classes, dim)``; the rows of a video
            are near those of their classes.
    """

    def __init__(self, config: MethodConfig, classes: ClassTable, anchors: dict[str, NDArray[np.float32]]) -> None:
        self._needs, self._stride = config.needs(), config.rows.stride
        self._crops = CROPS if config.rows.crops == "bag" and anchors else 1
        self._classes, self._anchors = classes, anchors
        self.read: set[str] = set()
        """What was read of videos: names of streams, and ``frames``."""

    def lengths(self, wanted: Sequence[int]) -> list[int]:
        """Return numbers of rows, those of videos that are decoded cut to what is quick to decode."""
        most = max(2, MOST_FRAMES // self._stride)
        return [min(n, most) for n in wanted] if self._needs.frames else list(wanted)

    def video(self, length: int, label: int, seed: int, name: str = "video") -> VideoInput:
        """Return a video of some rows that is normal but for its middle third, which is of a class."""
        frames = length * self._stride - self._stride // 3
        rng = np.random.default_rng([seed, length, label])
        streams = {}
        for number, stream in enumerate(self._anchors):
            spacing = self._stride * (SPACINGS[(number - 1) % len(SPACINGS)] if number else 1.0)
            count = rows_of(frames, spacing) if number else length
            rows = self._rows(stream, count, length * self._stride / spacing, label, rng)
            streams[stream] = StreamInput(_Given(rows, stream, self.read), count, spacing)
        decode = self._decoder(frames, label, seed) if self._needs.frames else None
        return VideoInput(
            name=name,
            row_count=length,
            stride=self._stride,
            frame_count=frames,
            streams=streams,
            crop_count=self._crops,
            frame_rate=RATE if decode else None,
            decode=decode,
            truth=self._truth(name, frames, label) if self._needs.supervision == "oracle" else None,
        )

    def sample(self, video: VideoInput, names: Sequence[str]) -> TrainingVideo:
        """Return a video with weak labels for training."""
        labels, first = weak_labels(names, self._classes)
        return TrainingVideo(**vars(replace(video, truth=None)), labels=labels, first_class=first)

    def cut(self, video: VideoInput, rows: int) -> VideoInput:
        """Return the first rows of a video as if nothing of it existed after them.

        Of another stream what began before the cut is there: its last row may reach past it.
        """
        frames = min(video.frame_count, rows * video.stride)
        streams = {}
        for number, (name, own) in enumerate(video.streams.items()):
            count = min(own.count, rows_of(frames, own.spacing)) if number else rows
            streams[name] = replace(own, count=count, read=_Given(own.read()[..., :count, :], name, self.read))
        decode = None if video.decode is None else _Cut(video.decode, frames)
        return replace(video, row_count=rows, frame_count=frames, streams=streams, decode=decode)

    def _rows(self, stream: str, count: int, spread: float, label: int, rng: np.random.Generator) -> NDArray[Any]:
        anchors = self._anchors[stream]
        place = (np.arange(count) + 0.5) / spread
        classes = np.where((place >= 1 / 3) & (place < 2 / 3), label, self._classes.normal)
        shape = (self._crops, count) if self._crops > 1 else (count,)
        noise = rng.normal(0, NOISE, (*shape, anchors.shape[1])).astype(np.float32)
        rows: NDArray[Any] = np.float32(LENGTH) * (anchors[classes] + noise)
        return rows

    def _decoder(self, frames: int, label: int, seed: int) -> _Watched:
        path = self._folder / f"{frames}-{label}-{seed}.mp4"
        if not path.exists():
            write_video(path, _pictures(frames, label == self._classes.normal, seed), RATE, preset="ultrafast")
        return _Watched(FrameDecoder(path, VideoExtent(frames, RATE)), self.read)

    @cached_property
    def _folder(self) -> Path:
        return folder_of(self, CHECKS_FOLDER)

    def _truth(self, name: str, frames: int, label: int) -> Video:
        own = self._classes.names[label]
        anomalous = label != self._classes.normal and frames > 2
        segments = (Segment(own, frames // 3, 2 * frames // 3),) if anomalous else ()
        return Video(name, (own,), frames=frames, segments=segments)


def drawn_anchors(classes: int, width: int, seed: int) -> NDArray[np.float32]:
    """Return random directions ``(classes, width)``."""
    drawn = np.random.default_rng([seed, width]).normal(size=(classes, width))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def folder_of(owner: object, prefix: str) -> Path:
    """Return a new temporary folder, which is removed with its owner."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class _Given:
    """Reads rows, and notes it; pickles with the rows, as a video of a file does with its path."""

    rows: Any
    stream: str
    read: set[str]

    def __call__(self) -> Any:
        self.read.add(self.stream)
        return self.rows

    def __reduce__(self) -> tuple[object, ...]:
        return partial, (_itself, self.rows)


def _itself(rows: Any) -> Any:
    return rows


class _Watched:
    """Decodes, and notes it."""

    def __init__(self, decoder: FrameDecoder, read: set[str]) -> None:
        self._decoder, self._read = decoder, read

    def __call__(self, first: int, every: int) -> Iterator[TimedFrame]:
        self._read.add("frames")
        return self._decoder(first, every)

    def __copy__(self) -> _Watched:
        return _Watched(copy(self._decoder), self._read)

    def __reduce__(self) -> tuple[object, ...]:
        return self._decoder.__reduce__()


class _Cut:
    """Decodes a video as if it ended after some frames."""

    def __init__(self, decode: Callable[[int, int], Iterator[TimedFrame]], end: int) -> None:
        self._decode, self._end = copy(decode), end

    def __call__(self, first: int, every: int) -> Iterator[TimedFrame]:
        for frame in self._decode(first, every):
            if frame.number >= self._end:
                return
            yield frame


def _pictures(frames: int, normal: bool, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield a grey scene in which a square crawls; in the middle third of a video that is not normal it jumps."""
    rng, (height, width) = np.random.default_rng([seed, frames]), SIZE
    scene = rng.integers(60, 120, (height, width, 3), np.uint8)
    x = y = 0
    for i in range(frames):
        jumps = not normal and frames <= 3 * i < 2 * frames
        x, y = (int(rng.integers(width - 12)), int(rng.integers(height - 12))) if jumps else ((x + 1) % (width - 12), y)
        picture = scene.copy()
        picture[y : y + 12, x : x + 12] = 250
        yield picture
