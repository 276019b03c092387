"""Frames of one's own videos with their times, upright, from files, folders, growing files and streams.

Unlike :mod:`vadbench.data.media`, which reads data sets exactly as others read them, this heeds what a container says
about how its frames are to be shown and when.
"""

from __future__ import annotations

import base64
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException, HTTPResponse
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from vadbench.base.errors import MediaError, first_line
from vadbench.data.media import Frame, read_frames
from vadbench.watch.sources import VideoSource

_POLL_SECONDS = 0.1
_USUAL_RATE = 25.0
_PLAYLISTS = (".m3u8", ".mpd")
"""Addresses of lists of further addresses: FFmpeg must fetch them all by itself."""


@dataclass(frozen=True)
class Picture:
    """A frame: when it is shown, in seconds from the first one, until when, and the frame itself when it is called."""

    time: float
    until: float
    read: Callable[[], Frame]


@dataclass(frozen=True)
class DecodedFrame:
    """A frame that has been read already, to be called like one that has not."""

    frame: Frame

    def __call__(self) -> Frame:
        return self.frame


@dataclass
class Reader:
    """Reads one source, once.

    Args:
        source: what to read.
        follow: a file still grows: wait for more at its end.
        timeout: seconds without anything new after which a file has ended and a stream is lost.
        fps: frames a second of a folder of frames.
    """

    source: VideoSource
    follow: bool = False
    timeout: float = 10.0
    fps: float = _USUAL_RATE
    declared: int | None = None
    """Frames that the container says it has, known once reading has begun."""
    length: float | None = None
    """Seconds that the container says it lasts, likewise."""
    damaged: int = 0
    """Damaged frames of a stream, which are shown as the decoder guesses them."""
    stop: threading.Event = field(default_factory=threading.Event)
    """When it is set, a growing file is at its end."""

    def __iter__(self) -> Iterator[Picture]:
        """Every frame in the order of presentation.

        Raises:
            MediaError: there is no video, it is damaged, or a stream was lost; names the frame. All before it was read.
        """
        if isinstance(self.source.place, Path) and self.source.place.is_dir():
            # Each at once: a damaged image ends the video where it lies, not where some thread comes upon it.
            for number, frame in enumerate(read_frames(self.source.place)):
                yield Picture(number / self.fps, (number + 1) / self.fps, DecodedFrame(frame))
            return
        with _Connection(self) as connection:
            yield from self._decoded(connection)

    def _decoded(self, connection: _Connection) -> Iterator[Picture]:
        container = connection.container
        stream = container.streams.video[0]
        self.declared = stream.frames or None
        # A stream that is being written does not know.
        if not (self.follow or self.source.live) and container.duration:
            self.length = container.duration / av.time_base
        clock = _Clock(float(stream.average_rate or 0) or _USUAL_RATE)
        count = 0
        while True:
            try:
                frame = next(connection.frames, None)
            except (av.error.FFmpegError, OSError) as error:
                raise MediaError(self._lost(count, connection.failure or _reason(error, self.timeout))) from error
            if frame is None:
                break
            if frame.is_corrupt:
                if not self.source.live:
                    raise MediaError(self._lost(count, "the decoder had to guess"))
                self.damaged += 1
            shown, until = clock.times(frame)
            yield Picture(shown, until, partial(_upright, frame))
            count += 1
        if connection.failure:
            raise MediaError(self._lost(count, connection.failure))
        if not count:
            raise MediaError(f"{self.source.shown}: expected at least one frame, decoded none")

    def _lost(self, count: int, reason: str) -> str:
        what, mend = ("broken off", "start again") if self.source.live else ("damaged", "copy it again")
        return f"{self.source.shown}: {what} at frame {count} ({reason}); {mend}"


class _Clock:
    """Times from a container's stamps, which may be missing, or start again in the middle of a stream."""

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


class _Connection:
    """An open container, and what went wrong beneath it without FFmpeg noticing."""

    def __init__(self, reader: Reader) -> None:
        source, follow, timeout = reader.source, reader.follow, reader.timeout
        self._source, self._timeout = source, timeout
        self._pipe: _Growing | _Body | None = None
        place = source.place
        if isinstance(place, str):
            parts = urlsplit(place)
            if parts.scheme.lower() in ("http", "https") and not parts.path.lower().endswith(_PLAYLISTS):
                self._pipe = _Body(source, timeout)
        elif follow:
            self._pipe = _Growing(place, timeout, reader.stop)
        self.container, self.frames = self._open(follow)

    @property
    def failure(self) -> str:
        """Why what was read is not all there is; empty where it is."""
        return self._pipe.failure if self._pipe else ""

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
        self._close_pipe()

    def _open(self, follow: bool) -> tuple[InputContainer, Iterator[av.VideoFrame]]:
        shown = self._source.shown
        hint = "; a file that grows must be of a kind that can be read so, such as .mkv or .ts" if follow else ""
        try:
            container = self._from_pipe()
            if container is not None and (frames := self._begun(container)) is not None:
                return container, frames
            container = self._by_itself()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = self.failure or _reason(error, self._timeout)
            self._close_pipe()
            raise MediaError(f"{shown}: not a readable video ({reason}){hint}") from error
        return container, container.decode(_video(container, shown))

    def _from_pipe(self) -> InputContainer | None:
        try:
            return av.open(self._pipe, "r") if self._pipe else None
        except av.error.InvalidDataError:
            self._give_up()
            return None

    def _begun(self, container: InputContainer) -> Iterator[av.VideoFrame] | None:
        """The frames, if the first can be had; where the index is at the end of a pipe, they have passed by then."""
        frames = container.decode(_video(container, self._source.shown))
        try:
            first = next(frames, None)
        except av.error.InvalidDataError:
            first = None
        if first is not None or self.failure:
            return chain([] if first is None else [first], frames)
        container.close()
        self._give_up()
        return None

    def _give_up(self) -> None:
        """Let FFmpeg look by itself: where all of it is there already, it can."""
        if not self.failure:
            self._close_pipe()
            self._pipe = None

    def _close_pipe(self) -> None:
        if self._pipe:
            self._pipe.close()

    def _by_itself(self) -> InputContainer:
        place = self._source.place
        if isinstance(place, str):
            options = {"rtsp_transport": "tcp"} if place.lower().startswith("rtsp") else {}
            return av.open(place, options=options, timeout=(self._timeout, self._timeout))
        # A whole path cannot be taken for a protocol, and a playlist on disk may not name places elsewhere.
        return av.open(str(place.resolve()), options={"protocol_whitelist": "file"})


class _Growing:
    """A file that is still being written, as a pipe: its end is where nothing has come for a while."""

    failure = ""

    def __init__(self, path: Path, patience: float, stop: threading.Event) -> None:
        self._file: BinaryIO = path.open("rb")
        self._patience, self._stop = patience, stop
        self._ended = False

    def read(self, size: int) -> bytes:
        began = time.monotonic()
        while not (data := self._file.read(size)) and not self._ended:
            self._ended = self._stop.wait(_POLL_SECONDS) or time.monotonic() - began > self._patience
        return data

    def close(self) -> None:
        self._file.close()


class _Body:
    """The body of an HTTP answer, as a pipe that knows whether all of it came: FFmpeg takes chunks that stop for the
    end."""

    def __init__(self, source: VideoSource, timeout: float) -> None:
        self.failure = ""
        self._timeout = timeout
        request = _request(str(source.place))
        try:
            self._answer: HTTPResponse = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise MediaError(f"{source.shown}: the server answers {error.code} {error.reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            reason = _reason(getattr(error, "reason", error), timeout)
            raise MediaError(f"{source.shown}: cannot be reached ({reason}); check the address") from error

    def read(self, size: int) -> bytes:
        if self.failure:
            return b""
        try:
            data = self._answer.read1(size)
        except TimeoutError:
            self.failure = f"nothing came for {self._timeout:g} s"
        except (OSError, HTTPException):
            self.failure = "the server dropped the connection"
        else:
            if not data and self._answer.length:
                self.failure = f"the server dropped the connection, {self._answer.length} bytes before the end"
            return data
        return b""

    def close(self) -> None:
        self._answer.close()


def _video(container: InputContainer, shown: str) -> VideoStream:
    if not container.streams.video:
        container.close()
        raise MediaError(f"{shown}: expected a video stream, found none")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _request(address: str) -> urllib.request.Request:
    """A request for an address that may name a user and a password, as cameras' do."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers={"User-Agent": "vadbench"})
    if at:
        # Not for whoever the server sends us on to.
        given = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {given}")
    return request


def _upright(frame: av.VideoFrame) -> Frame:
    """RGB as the container says it is to be shown: a phone held upright films lying frames and notes the turn."""
    rgb: Any = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def _reason(error: Any, timeout: float) -> str:
    if isinstance(error, av.error.ExitError | TimeoutError):
        return f"nothing came for {timeout:g} s"
    return first_line(getattr(error, "strerror", None) or error)
