"""Containers of video files: how they are opened, which of their streams is the video, and what they state of it."""

from __future__ import annotations

from pathlib import Path

import av
import av.error
import av.logging
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vadbench.base.errors import MediaError
from vadbench.base.files import regular


def _keep_level(level: int | None) -> None:
    """Take the place of :func:`av.logging.set_level`, which would install PyAV's callback again."""


# PyAV's own callback takes the interpreter's lock in a decoder's thread, for which freeing that decoder may wait while
# it has the lock. FFmpeg's prints, at the level set here only what ends the process. Older torchvision, which may be
# imported after this module, would install PyAV's again by the function that is replaced.
av.logging.restore_default_callback()
av.logging.set_libav_level(av.logging.PANIC)
av.logging.set_level = _keep_level

MATROSKA = "matroska,webm"
TS = "mpegts"
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_WITHOUT_LENGTH = frozenset({TS, "mpeg"})
"""FFmpeg's names of kinds of containers that state no length; for these it estimates one from the last time stamps."""

_FROM_ZERO = frozenset({MATROSKA, "flv"})
_SAME_VIDEO = frozenset({"hls", "dash"})
"""Playlists, whose streams show one video in several qualities."""
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def open_video(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        MediaError: the file is missing or no video.
    """
    try:
        # A relative path could be taken for a protocol, such as 10:15.mp4; a playlist must not name other sources.
        return av.open(str(regular(path).absolute()), options={"protocol_whitelist": "file"})
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such video; check the data root") from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a readable video ({reason_of(error)}); copy or download it again") from error


def reason_of(error: Exception) -> str:
    """Return the reason of an error of FFmpeg or the system."""
    return str(getattr(error, "strerror", None) or error)


def video_stream(container: InputContainer, shown: str) -> VideoStream:
    """Return the stream that is the video; attached pictures such as cover art are none.

    Args:
        container: the open file.
        shown: its name in messages.

    Raises:
        MediaError: there is none, or there are several; lists what was found.
    """
    every = list(container.streams.video)
    if not every:
        raise MediaError(f"{shown}: expected a video stream, found none")
    videos = [s for s in every if not s.disposition & _PICTURES]
    if not videos:
        raise MediaError(f"{shown}: expected a video stream, found attached pictures only ({_listed(every)})")
    if len(videos) > 1:
        # A thumbnail that is not marked as one: a single frame, or none at all, beside a stream of many.
        videos = [s for s in videos if s.frames > 1] or videos
    if len(videos) > 1 and container.format.name not in _SAME_VIDEO:
        raise MediaError(
            f"{shown}: expected one video stream, found {len(videos)} ({_listed(videos)}); copy the one that is meant"
            " into a file of its own, such as with ffmpeg -i IN -map 0:INDEX -c copy OUT"
        )
    return videos[0]


def decoded_count(stream: VideoStream) -> int | None:
    """Return the number of frames that a container states, without those that its edit list cuts.

    ``None`` where it states none; decoding alone tells the true count.
    """
    if not stream.frames:
        return None
    # With an edit list, FFmpeg marks the frames outside of it in its index and decodes them without showing them.
    entries = stream.index_entries if stream.container.format.name == MP4 else ()
    cut = sum(1 for entry in entries if entry.is_discard)
    return len(entries) - cut if cut else stream.frames


def stated_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the second on the clock of the file at which it states to end; ``None`` where it states no length."""
    kind = container.format.name
    if kind in _WITHOUT_LENGTH or container.duration is None:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    length, start = container.duration / av.time_base, (container.start_time or 0) / av.time_base
    # Matroska and most flv files state the time of the end, others how long it takes from the start.
    return length if kind in _FROM_ZERO and length > start else start + length


def _listed(streams: list[VideoStream]) -> str:
    return ", ".join(
        f"{s.index}: {s.codec_context.name} {s.codec_context.width} x {s.codec_context.height}"
        + (f" of {s.frames} frames" if s.frames else "")
        for s in streams
    )
