"""Videos read without the frames that no other frame depends on, which saves a fifth to three tenths of the
decoding.

A frame that was not decoded is given as the nearest decoded one before it, so that frames keep their numbers. The times
of all frames are read from the container without decoding; a container that does not state them is refused. Damage is
seen in the decoded frames and in the structure of the file, not within a frame that is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import av.error

from vadbench.base.errors import MediaError
from vadbench.data.arrival import Arrival
from vadbench.data.containers import open_video, reason_of, video_stream
from vadbench.data.media import Frame, to_rgb


def reference_frames(path: Path, codec_threads: int | None = None) -> Iterator[Callable[[], Frame]]:
    """Yield the frames of a video file as :func:`vadbench.data.media.lazy_frames` does, as many and in the same order,
    of which those that no other depends on are the nearest other one before them.

    Args:
        path: of the video file.
        codec_threads: as for :func:`vadbench.data.media.lazy_frames`.

    Raises:
        MediaError: the file is missing, is no video, is damaged, has no frame, or does not state when each of its
            frames is shown; names the file and the frame.
    """
    numbers = {time: number for number, time in enumerate(_times(path))}
    number, held = 0, None
    with open_video(path) as container:
        stream = video_stream(container, str(path))
        stream.thread_type = "AUTO"
        stream.thread_count = codec_threads or 0
        stream.codec_context.skip_frame = "NONREF"
        frames = container.decode(stream)
        while True:
            try:
                frame = next(frames, None)
            except (av.error.FFmpegError, OSError) as error:
                raise MediaError(f"{path}: damaged after frame {number} ({reason_of(error)}); copy it again") from error
            if frame is None:
                break
            if frame.is_corrupt:
                raise MediaError(f"{path}: damaged after frame {number} (the decoder had to guess); copy it again")
            shown = numbers.get(frame.pts, -1) if frame.pts is not None else -1
            if shown != 0 if held is None else shown <= number:
                raise _untold(path, "frames come at other times than it states")
            for _ in range(number, shown if held is not None else 0):
                yield held  # type: ignore[misc]
            number, held = shown, partial(to_rgb, frame)
    if held is None:
        raise MediaError(f"{path}: expected at least one frame, decoded none")
    for _ in range(number, len(numbers)):
        yield held


def _times(path: Path) -> list[int]:
    """Return the times of all frames of a video in the order in which they are shown, in units of the container.

    Raises:
        MediaError: as :func:`reference_frames`.
    """
    packets = []
    with open_video(path) as container:
        stream = video_stream(container, str(path))
        arrival = Arrival(path, container, stream)
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    if packet.pts is None:
                        raise _untold(path, "it does not state when a frame is shown")
                    packets.append((packet.pts, packet.duration))
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"{path}: damaged ({reason_of(error)}); copy it again") from error
        packets.sort()
        # As if all of them had been decoded: what is passed over on purpose is not lost.
        for time, duration in packets:
            if (lost := arrival.lost_before(time, duration)) is not None:
                raise MediaError(f"{path}: damaged at {arrival.place} ({lost}); copy it again")
        if (lost := arrival.lost_at_end()) is not None:
            raise MediaError(f"{path}: damaged at {arrival.place} ({lost}); copy it again")
    times = [time for time, _ in packets]
    if len(set(times)) < len(times):
        raise _untold(path, "it states one time for several frames")
    return times


def _untold(path: Path, found: str) -> MediaError:
    return MediaError(f"{path}: which frames would be passed over cannot be told, as {found}; extract without --skip")
