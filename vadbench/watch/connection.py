"""Open containers: files, growing files, and bodies of HTTP responses, which FFmpeg reads as pipes."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from vadbench.base.errors import MediaError, first_line
from vadbench.data.containers import video_stream
from vadbench.watch.sources import VideoSource

_POLL_SECONDS = 0.1
_PLAYLISTS = (".m3u8", ".mpd")
"""Suffixes of playlists: FFmpeg must fetch the addresses in them by itself."""


class Connection:
    """Open container, with errors of its source that FFmpeg does not notice.

    Args:
        source: the source to open.
        follow: wait for more data at the end of a growing file.
        timeout: seconds without new data after which a file has ended and a stream is lost.
        stop: while it is set, a source that is read as a pipe has ended.

    Attributes:
        container: the container that FFmpeg opened.
        stream: its video stream.
        frames: frames of that stream, in the order of presentation.
        piped: FFmpeg reads the source as a pipe, not by itself.

    Raises:
        MediaError: there is no video, or the source cannot be reached.
    """

    def __init__(self, source: VideoSource, follow: bool, timeout: float, stop: threading.Event) -> None:
        self._source, self._timeout = source, timeout
        self._pipe: _GrowingFile | _HttpBody | None = None
        place = source.place
        if isinstance(place, str):
            parts = urlsplit(place)
            if parts.scheme.lower() in ("http", "https") and not parts.path.lower().endswith(_PLAYLISTS):
                self._pipe = _HttpBody(source, timeout, stop)
        elif follow:
            self._pipe = _GrowingFile(place, timeout, stop)
        self.container, self.stream, self.frames = self._open(follow)
        self.piped = self._pipe is not None

    def wake(self) -> None:
        """End a wait for the data of a pipe, from another thread; after ``stop`` was set."""
        if isinstance(self._pipe, _HttpBody):
            self._pipe.wake()

    @property
    def failure(self) -> str:
        """Reason why the source was not read to its end; empty if it was."""
        return self._pipe.failure if self._pipe else ""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
        self._close_pipe()

    def _open(self, follow: bool) -> tuple[InputContainer, VideoStream, Iterator[av.VideoFrame]]:
        shown = self._source.shown
        hint = "; a file that grows must be of a kind that can be read so, such as .mkv or .ts" if follow else ""
        try:
            container = self._from_pipe()
            if container is not None:
                stream = _video(container, shown)
                if (frames := self._begun(container, stream)) is not None:
                    return container, stream, frames
            container = self._by_itself()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = self.failure or reason_of(error, self._timeout)
            self._close_pipe()
            raise MediaError(f"{shown}: not a readable video ({reason}){hint}") from error
        stream = _video(container, shown)
        return container, stream, container.decode(stream)

    def _from_pipe(self) -> InputContainer | None:
        try:
            return av.open(self._pipe, "r") if self._pipe else None
        except av.error.InvalidDataError:
            self._give_up()
            return None

    def _begun(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame] | None:
        """Return the frames if the first can be read; a pipe with its index at the end is past them by then."""
        frames = container.decode(stream)
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
        """Let FFmpeg read the source by itself, which works if it is complete."""
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
        # An absolute path cannot be read as a protocol, and a playlist on disk must not name other sources.
        return av.open(str(place.resolve()), options={"protocol_whitelist": "file"})


class _GrowingFile:
    """File that is still being written, as a pipe: it ends when no data has come for a while."""

    failure = ""

    def __init__(self, path: Path, patience: float, stop: threading.Event) -> None:
        self._file: BinaryIO = path.open("rb")
        self._patience, self._stop = patience, stop
        self._ended = False

    def read(self, size: int) -> bytes:
        began = time.monotonic()
        data = b""
        while not (self._stop.is_set() or (data := self._file.read(size)) or self._ended):
            self._ended = not self._stop.wait(_POLL_SECONDS) and time.monotonic() - began > self._patience
        return data

    def close(self) -> None:
        self._file.close()


class _HttpBody:
    """Body of an HTTP response, as a pipe that knows whether it is complete: FFmpeg takes a lost connection for the
    end."""

    def __init__(self, source: VideoSource, timeout: float, stop: threading.Event) -> None:
        self.failure = ""
        self._timeout, self._stop = timeout, stop
        request = _request(str(source.place))
        try:
            self._answer: HTTPResponse = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise MediaError(f"{source.shown}: the server answers {error.code} {error.reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            reason = reason_of(getattr(error, "reason", error), timeout)
            raise MediaError(f"{source.shown}: cannot be reached ({reason}); check the address") from error
        # The answer closes its own at its end, in the thread that reads it.
        self._socket = socket.socket(fileno=os.dup(self._answer.fileno()))

    def read(self, size: int) -> bytes:
        data = b""
        if self.failure or self._stop.is_set():
            return data
        try:
            data = self._answer.read1(size)
        except TimeoutError:
            failure = f"nothing came for {self._timeout:g} s"
        except (OSError, HTTPException):
            failure = "the server dropped the connection"
        else:
            failure = ""
            if not data and self._answer.length:
                failure = f"the server dropped the connection, {self._answer.length} bytes before the end"
        if not self._stop.is_set():  # or it broke off because of that
            self.failure = failure
        return data

    def wake(self) -> None:
        """End a wait for more of the answer, from another thread."""
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._answer.close()
        self._socket.close()


def _video(container: InputContainer, shown: str) -> VideoStream:
    try:
        stream = video_stream(container, shown)
    except MediaError:
        container.close()
        raise
    stream.thread_type = "AUTO"
    return stream


def _request(address: str) -> urllib.request.Request:
    """Return a request for an address that may have a user and a password, as those of cameras do."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers={"User-Agent": "vadbench"})
    if at:
        # Not sent to another address if the server redirects.
        given = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {given}")
    return request


def reason_of(error: Any, timeout: float) -> str:
    """Return the reason of an error of FFmpeg, the system or a server, in one line."""
    if isinstance(error, av.error.ExitError | TimeoutError):
        return f"nothing came for {timeout:g} s"
    return first_line(getattr(error, "strerror", None) or error)
