"""Frames of a data set's videos as a method is given them, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vadbench.base.errors import MediaError, PluginError, StorageError
from vadbench.base.files import Remembered, file_stamp
from vadbench.base.locations import cache_root
from vadbench.data.image_folders import list_images
from vadbench.data.media import ShownFrames, frame_rate, lazy_frames, shown_frames, source_id
from vadbench.dataset import Video
from vadbench.inputs import TimedFrame

_EDITION = "2"
"""Stamp of counts; those of another one were made before frames that never arrived were noticed."""


class VideoExtent(NamedTuple):
    """The number of frames of a video, every one of which was decoded, and how many are shown in a second."""

    frames: int
    rate: float | None


class FrameCounts:
    """A file of the extents of videos that were decoded before, by the identity of their content.

    Args:
        path: the file; made when something is first counted.
    """

    def __init__(self, path: Path) -> None:
        self._remembered = Remembered(path)

    def extent(self, path: Path) -> VideoExtent:
        """Return the extent of a video; a file is decoded to its end unless it was before.

        Raises:
            MediaError: the file is missing or damaged; names the frame.
        """
        if path.is_dir():
            return VideoExtent(len(list_images(path)), None)
        key = (source_id(path),)
        if before := self._remembered.find(key, _EDITION):
            frames, rate = before.split(" ")
            return VideoExtent(int(frames), float(rate) or None)
        found = VideoExtent(sum(1 for _ in lazy_frames(path)), frame_rate(path))
        with suppress(StorageError):  # a cache that cannot be written costs time and nothing else
            self._remembered.add(key, _EDITION, f"{found.frames} {found.rate or 0.0}")
        return found


def stated_rates(videos: Iterable[Video]) -> dict[str, float]:
    """Return the frame rates of the videos whose files are here and state one.

    A container is opened once; what it states is remembered in the cache under the size, inode and times of its file.
    """
    remembered, rates = _remembered(cache_root() / "frame_rates.jsonl"), {}
    for video in videos:
        if video.path is not None and (rate := _stated_rate(video.path, remembered)) is not None:
            rates[video.name] = rate
    return rates


def _stated_rate(path: Path, remembered: Remembered) -> float | None:
    """Return the frames in a second of a file; ``None`` for a folder of images, or of a file that cannot be read."""
    try:
        if path.is_dir():
            return None
        key, stamp = (str(path.resolve()),), file_stamp(path.stat())
        if (before := remembered.find(key, stamp)) is not None:
            return float(before) or None
        rate = frame_rate(path)
    except (OSError, MediaError):
        return None
    with suppress(StorageError):  # as above
        remembered.add(key, stamp, str(rate or 0.0))
    return rate


@lru_cache(maxsize=4)
def _remembered(path: Path) -> Remembered:
    return Remembered(path)


class FrameDecoder:
    """Decodes a video for a method: from any frame on, every so many, one pass at a time and one frame in memory.

    Every call begins anew and closes the pass before. A copy, pickled or not, has no pass of its own yet.

    Args:
        path: the video file or the folder of images.
        extent: of the video.
    """

    def __init__(self, path: Path, extent: VideoExtent) -> None:
        self._path, self._extent = path, extent
        self._going: ShownFrames | None = None

    @property
    def count(self) -> int:
        """Frames of the video."""
        return self._extent.frames

    @property
    def rate(self) -> float | None:
        """Frames in a second, where that is known."""
        return self._extent.rate

    def __reduce__(self) -> tuple[object, ...]:
        return FrameDecoder, (self._path, self._extent)

    def __call__(self, first: int, every: int) -> Iterator[TimedFrame]:
        """Yield frame ``first`` and every so many after it, up to the end of the video.

        Raises:
            MediaError: the video is damaged, or ends before its last frame; names the frame.
            PluginError: ``every`` is below 1, or another pass began before this one ended.
        """
        if every < 1:
            raise PluginError(f"frames(every=...) takes a number from 1 on, found {every}")
        if self._going is not None:
            self._going.close()
        going = self._going = shown_frames(self._path)
        number = 0
        try:
            for number, (seconds, read) in enumerate(going):
                if number >= first and (number - first) % every == 0:
                    yield TimedFrame(number, self._shown_at(number, seconds), read())
            if self._going is not going:
                raise PluginError(
                    f"{self._path.name}: its frames were asked for again before the pass at frame {number} had ended;"
                    " end a pass before the next, or keep what it gave"
                )
            if number + 1 < self._extent.frames:
                raise MediaError(
                    f"{self._path}: ends after frame {number}, it has {self._extent.frames} frames; copy it again"
                )
        finally:
            going.close()

    def _shown_at(self, number: int, seconds: float | None) -> float:
        if seconds is not None:
            return seconds
        return number / self._extent.rate if self._extent.rate else math.nan
