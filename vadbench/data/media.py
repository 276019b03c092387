"""Videos in and out: exact decoding of files and image folders, and the writing of small mp4 files.

Frames are 0-based and come in presentation order, every one of them, because a single lost frame shifts all labels
behind it. PyAV is the only decoder: it reports damage as an error where others stop silently, and
:mod:`vadbench.data.arrival` tells of the frames that it never sees.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vadbench.base.errors import MediaError, StorageError
from vadbench.base.files import Remembered, file_stamp, regular, replacing
from vadbench.base.hashing import file_digest
from vadbench.base.locations import cache_root
from vadbench.data.arrival import Arrival
from vadbench.data.containers import decoded_count, open_video, reason_of, video_stream
from vadbench.data.image_folders import VIDEO_SUFFIXES as VIDEO_SUFFIXES
from vadbench.data.image_folders import list_images, read_image

Frame = NDArray[np.uint8]
"""A frame: ``(height, width, 3)`` RGB, 0 to 255."""
ShownFrames = Generator[tuple[float | None, Callable[[], Frame]], None, None]
"""Frames, each with the second at which it is shown, where that is known; a frame is made when it is called."""


_ENDS = 64 * 1024
_LOOKED_AT = 16
_ANY_NAME = "surrogateescape"
"""How names of files become bytes again that are not all UTF-8."""
_own = threading.local()
"""Of each thread: what converts frames to RGB."""
_FIRST_EDITION = 16
"""Digits of an id of the first edition; others have more."""


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield every frame of a video file or a folder of images, in presentation order.

    Raises:
        MediaError: the file is missing, is no video, is damaged, or has no frame; names the file and the frame.
    """
    for frame in lazy_frames(path):
        yield frame()


def lazy_frames(path: Path, upright: bool = False, codec_threads: int | None = None) -> Iterator[Callable[[], Frame]]:
    """Read frames as :func:`read_frames` does, but make an array of a frame only when it is called.

    A video is decoded completely either way; a skipped frame saves its conversion to RGB, and in a folder of images
    the reading of the file.

    Args:
        path: of the video or the folder.
        upright: turn images as their camera notes that it was held, as data sets do not.
        codec_threads: threads of the codec, ``None`` for as many as it likes; their number changes no frame. Several
            take more processor time for the same frames.
    """
    for _, frame in shown_frames(path, upright, codec_threads):
        yield frame


def shown_frames(path: Path, upright: bool = False, codec_threads: int | None = None) -> ShownFrames:
    """Read frames as :func:`lazy_frames` does, with their times, which are counted from the first frame; ``None`` where
    nothing tells them, as in a folder of images."""
    if path.is_dir():
        for index, image in enumerate(list_images(path)):
            yield None, partial(read_image, image, index, upright)
    else:
        yield from _decode(path, codec_threads)


def frame_rate(path: Path) -> float | None:
    """Return the frames in a second that the container states; ``None`` for a folder of images, or if it states none.

    Raises:
        MediaError: the file is missing or no video.
    """
    if path.is_dir():
        return None
    with open_video(path) as container:
        return float(video_stream(container, str(path)).average_rate or 0) or None


def declared_frames(path: Path) -> int | None:
    """Return the frame count that the container states, or the number of images of a folder.

    Frames that an edit list cuts are not counted, as they are not read. ``None`` where the container states no count,
    as webm does; decoding alone tells the true one.

    Raises:
        MediaError: the file is missing or no video.
    """
    if path.is_dir():
        return len(list_images(path))
    with open_video(path) as container:
        return decoded_count(video_stream(container, str(path)))


def source_id(path: Path) -> str:
    """Return an id of the content at ``path``: 32 hex digits of SHA-256 of a file, or of all images of a folder.

    Everything is read once and then remembered in the cache under the sizes, inodes and times of the files, so that
    it need not be read again.

    Raises:
        MediaError: no readable file is there.
    """
    try:
        files = list_images(path) if path.is_dir() else [path]
        stamp = hashlib.sha256()
        for file in files:
            stamp.update(f"{file.name}\0{file_stamp(file.stat())}\0".encode(errors=_ANY_NAME))
        remembered, key = _remembered(cache_root() / "sources.jsonl"), (str(path.resolve()),)
        if (before := remembered.find(key, stamp.hexdigest()[:32])) is not None:
            return before
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.name if path.is_dir() else ''}\0{file_digest(file)}\0".encode(errors=_ANY_NAME))
    except OSError as error:
        raise MediaError(f"cannot read {error.filename or path}: {error.strerror}") from error
    found = digest.hexdigest()[:32]
    with suppress(StorageError):  # a cache that cannot be written costs time and nothing else
        remembered.add(key, stamp.hexdigest()[:32], found)
    return found


def is_source(path: Path, recorded: str) -> bool:
    """Return True if features that were made from ``recorded``, as their store says, were made from what is at
    ``path``.

    Raises:
        MediaError: no readable file is there.
    """
    return recorded == (_first_edition_id(path) if len(recorded) == _FIRST_EDITION else source_id(path))


def _first_edition_id(path: Path) -> str:
    """Return the id in stores of vadbench's first edition: 16 hex digits of sha256 over the size and the first and last
    64 KiB of a file, or over the names and sizes of a folder's images and the bytes of 16 of them."""
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            images = list_images(path)
            for image in images:
                digest.update(f"{image.name}\0{image.stat().st_size}\0".encode(errors=_ANY_NAME))
            for image in images[:: max(1, len(images) // _LOOKED_AT)]:
                digest.update(regular(image).read_bytes())
        else:
            with regular(path).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest.update(f"{size}\0".encode())
                digest.update(file.read(_ENDS))
                file.seek(max(size - _ENDS, 0))
                digest.update(file.read(_ENDS))
    except OSError as error:
        raise MediaError(f"cannot read {error.filename or path}: {error.strerror}") from error
    return digest.hexdigest()[:_FIRST_EDITION]


@lru_cache(maxsize=4)
def _remembered(path: Path) -> Remembered:
    return Remembered(path)


def write_video(path: Path, frames: Iterable[Frame], fps: int, crf: int = 26, preset: str = "veryfast") -> int:
    """Write an H.264 file with x264 on one thread, so that the same frames give the same bytes.

    The file appears under its name only when it is complete.

    Args:
        path: ends in one of :data:`vadbench.data.image_folders.VIDEO_SUFFIXES`.
        frames: at least one, all of one size with even height and width.
        fps: frames per second.
        crf: x264's quality, 0 (lossless) to 51.
        preset: x264's trade of speed for size.

    Returns:
        the number of frames written.

    Raises:
        MediaError: no frame, or a frame of another or an odd size.
        StorageError: the disk is full or may not be written.
    """
    # Macroblock-tree rate control of this x264 sometimes gives other bytes for the same frames even on one thread
    # (about 1 file in 100 of 48 x 64 noise); without it 1,680 of 1,680 were equal.
    options = {"crf": str(crf), "preset": preset, "threads": "1", "x264-params": "mbtree=0"}
    with replacing(path) as temporary:
        return _encode(temporary, frames, fps, options)


def _encode(path: Path, frames: Iterable[Frame], fps: int, options: dict[str, str]) -> int:
    count, size = 0, (0, 0)
    # "bitexact" keeps the muxer's version out of the file.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("libx264", rate=fps, options=options)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            if not count:
                size = frame.shape[:2]
                stream.height, stream.width = size
            if frame.shape[:2] != size or size[0] % 2 or size[1] % 2:
                raise MediaError(
                    f"{path}: frame {count} must have the first frame's even height and width,"
                    f" found {frame.shape[:2]} after {size}"
                )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            count += 1
        if not count:
            raise MediaError(f"{path}: expected at least one frame to write, found none")
        container.mux(stream.encode())
    return count


def _decode(path: Path, codec_threads: int | None) -> ShownFrames:
    began = None
    with open_video(path) as container:
        stream = video_stream(container, str(path))
        stream.thread_type = "AUTO"
        stream.thread_count = codec_threads or 0
        arrival, frames = Arrival(path, container, stream), container.decode(stream)
        while True:
            try:
                frame = next(frames, None)
            except (av.error.FFmpegError, OSError) as error:
                raise MediaError(f"{path}: damaged at {arrival.place} ({reason_of(error)}); copy it again") from error
            # The decoder conceals small damage by guessing; the flag is the only trace of it.
            if frame is not None and frame.is_corrupt:
                raise MediaError(f"{path}: damaged at {arrival.place} (the decoder had to guess); copy it again")
            lost = arrival.lost_before(frame.pts, frame.duration) if frame is not None else arrival.lost_at_end()
            if lost is not None:
                raise MediaError(f"{path}: damaged at {arrival.place} ({lost}); copy it again")
            if frame is None:
                break
            began = frame.time if began is None else began
            yield None if frame.time is None or began is None else frame.time - began, partial(to_rgb, frame)
    if not arrival.count:
        raise MediaError(f"{path}: expected at least one frame, decoded none")


def to_rgb(frame: av.VideoFrame) -> Frame:
    """Return a decoded frame in RGB."""
    # A frame's own converter would be set up anew for each frame, with threads of its own.
    if not hasattr(_own, "converter"):
        _own.converter = VideoReformatter()
    picture = _own.converter.reformat(frame, format="rgb24", threads=1)
    (plane,) = picture.planes
    if picture is frame or plane.line_size != 3 * picture.width:
        rgb: Frame = picture.to_ndarray()
        return rgb
    # The memory of the converted frame, of which nothing else knows.
    return np.frombuffer(plane, np.uint8, plane.line_size * picture.height).reshape(picture.height, picture.width, 3)
