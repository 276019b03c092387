"""Read the frames of a user's videos with their times, upright, from files, folders, growing files and streams.

Unlike :mod:`vadbench.data.media`, which reads data sets exactly as others read them, this follows the container's
information on how and when its frames are to be shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from vadbench.base.errors import MediaError
from vadbench.data.arrival import Arrival, note_on_length
from vadbench.data.containers import decoded_count, stated_end
from vadbench.data.frame_numbers import numbering_note
from vadbench.data.image_folders import list_images, read_image
from vadbench.data.media import Frame
from vadbench.watch.connection import Connection, reason_of
from vadbench.watch.sources import VideoSource

_USUAL_RATE = 25.0


@dataclass(frozen=True)
class Picture:
    """Frame with the start and end of its display, in seconds from the first one; calling ``frame`` returns it."""

    time: float
    until: float
    read: Callable[[], Frame]


@dataclass(frozen=True)
class DecodedFrame:
    """Frame that is already decoded, with the interface of one that is not."""

    frame: Frame

    def __call__(self) -> Frame:
        return self.frame


@dataclass
class Reader:
    """Reader of one source, once.

    Args:
        source: the source to read.
        follow: wait for more data at the end of a growing file.
        timeout: seconds without new data after which a file has ended and a stream is lost.
        fps: frames per second of a folder of frames.
    """

    source: VideoSource
    follow: bool = False
    timeout: float = 10.0
    fps: float = _USUAL_RATE
    declared: int | None = None
    """Number of frames according to the container, known once reading has begun."""
    length: float | None = None
    """Seconds that the video lasts according to the container, known once reading has begun."""
    unseen_end: str | None = None
    """Note on a file that states no length, or on images that do not count, known once reading has begun."""
    damaged: int = 0
    """Number of damaged frames of a stream, which are shown as the decoder guesses them."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _connection: Connection | None = None
    _until: float = 0.0

    def stop(self) -> None:
        """End reading, from another thread: what was read of a stream or a growing file is then all of it."""
        self._stopped.set()
        if self._connection is not None:
            self._connection.wake()

    def __iter__(self) -> Generator[Picture, None, None]:
        """Yield every frame in the order of presentation.

        Raises:
            MediaError: there is no video, it is damaged, or a stream was lost; names the frame, after all before it.
        """
        if isinstance(self.source.place, Path) and self.source.place.is_dir():
            # Decoded in order: a damaged image ends the video at its place, not wherever a thread finds it first.
            images = list_images(self.source.place)
            self.unseen_end = numbering_note(images)
            for number, image in enumerate(images):
                frame = DecodedFrame(read_image(image, number, upright=True))
                yield Picture(number / self.fps, (number + 1) / self.fps, frame)
            return
        with Connection(self.source, self.follow, self.timeout, self._stopped) as connection:
            self._connection = connection
            yield from self._decoded(connection)

    def _decoded(self, connection: Connection) -> Iterator[Picture]:
        container, stream = connection.container, connection.stream
        self.declared = decoded_count(stream)
        arrival = None
        # A stream that is still being written does not know its length, and has no end yet.
        if isinstance(self.source.place, Path) and not self.follow:
            arrival = Arrival(self.source.place, container, stream)
            self.unseen_end = note_on_length(self.source.place, container, stream)
            if (end := stated_end(container, stream)) is not None:
                self.length = end - float((stream.start_time or 0) * (stream.time_base or 0))
        clock = _Clock(float(stream.average_rate or 0) or _USUAL_RATE)
        count = 0
        while connection.piped or not self._stopped.is_set():
            try:
                frame = next(connection.frames, None)
            except (av.error.FFmpegError, OSError) as error:
                if self._stopped.is_set():
                    break
                raise MediaError(self._lost(count, connection.failure or reason_of(error, self.timeout))) from error
            if frame is not None and frame.is_corrupt:
                if not self.source.live:
                    raise MediaError(self._lost(count, "the decoder had to guess"))
                self.damaged += 1
            if arrival is not None:
                lost = arrival.lost_at_end() if frame is None else arrival.lost_before(frame.pts, frame.duration)
                if lost is not None:
                    raise MediaError(self._lost(count, lost))
            if frame is None:
                break
            shown, self._until = clock.times(frame)
            yield Picture(shown, self._until, partial(_upright, frame))
            count += 1
        if connection.failure:
            raise MediaError(self._lost(count, connection.failure))
        if not count and not self._stopped.is_set():
            raise MediaError(f"{self.source.shown}: expected at least one frame, decoded none")

    def _lost(self, count: int, reason: str) -> str:
        what, fix = ("broken off", "start again") if self.source.live else ("damaged", "copy it again")
        due = "" if self.source.live else f", {self._until:.2f} s"
        return f"{self.source.shown}: {what} at frame {count}{due} ({reason}); {fix}"


class _Clock:
    """Clock that derives times from a container's time stamps, which may be missing or restart within a stream."""

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        self._zero: float | None = None
        self._next = 0.0
        self._last = 0.0

    def times(self, frame: av.VideoFrame) -> tuple[float, float]:
        base = float(frame.time_base or 0)
        duration = frame.duration * base or self._step
        stamp = None if frame.pts is None else frame.pts * base
        if stamp is None:
            shown = self._next
        else:
            if self._zero is None or stamp - self._zero < self._last:
                self._zero = stamp - self._next
            shown = stamp - self._zero
        self._last, self._next = shown, shown + duration
        return shown, self._next


def _upright(frame: av.VideoFrame) -> Frame:
    """Return RGB in the orientation given by the container: phones held upright film rotated frames and note it,
    and cameras at the front mirror theirs."""
    rgb: Frame = frame.to_ndarray(format="rgb24")  # type: ignore[assignment]
    given: Any = frame.side_data.get("DISPLAYMATRIX")
    if given is None:
        return rgb
    # Where a step to the right (a, b) and one down (c, d) lead on the screen; cameras turn and mirror frames.
    a, b, _, c, d = (int(value) for value in np.frombuffer(given, np.int32)[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        rgb, (down, right) = rgb.swapaxes(0, 1), (b, c)
    else:
        down, right = d, a
    return np.ascontiguousarray(rgb[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
