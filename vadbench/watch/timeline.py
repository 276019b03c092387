"""Keep the times and thumbnails of a video's frames while they are read."""

from __future__ import annotations

import io
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vadbench.base.errors import DataError
from vadbench.data.media import Frame
from vadbench.watch.reader import DecodedFrame, Reader

_THUMBNAIL = (192, 144)
_THUMBNAIL_SECONDS = 0.2
_THUMBNAILS = 1024


@dataclass(frozen=True)
class Thumbnail:
    """Thumbnail of a frame: the number of the frame and a JPEG file."""

    frame: int
    jpeg: bytes


class Timeline:
    """Times of the rows of a video, and thumbnails of its frames, stored while it is read.

    A video that breaks off ends here like any other, with the reason in :attr:`failure`: its earlier part is scored.

    Args:
        reader: reader of the video.
        stride: frames per row.
    """

    def __init__(self, reader: Reader, stride: int) -> None:
        self._reader, self._every = reader, stride
        self.name = reader.source.name
        self._lock = threading.Lock()
        self._thumbnails: list[Thumbnail] = []
        self.starts: deque[float] = deque()
        """Seconds at which the first frame of each row is shown, for rows without a score yet."""
        self.until = 0.0
        """Seconds at which the last frame decoded so far ends."""
        self.decoded = 0
        """Number of frames decoded so far."""
        self.failure: DataError | None = None

    def thumbnail(self, frame: int) -> Thumbnail | None:
        """Return the stored thumbnail nearest to a frame."""
        with self._lock:
            after = bisect_left(self._thumbnails, frame, key=lambda t: t.frame)
            near = self._thumbnails[max(0, after - 1) : after + 1]
            return min(near, key=lambda t: abs(t.frame - frame), default=None)

    def forget(self, before: int) -> None:
        """Drop thumbnails of frames that are no longer needed."""
        with self._lock:
            # The last of them may still be the nearest.
            passed = [t for t in self._thumbnails if t.frame < before]
            self._thumbnails = passed[-1:] + self._thumbnails[len(passed) :]

    def watched(self) -> Iterator[Callable[[], Frame]]:
        """Yield the frames of the reader, each made when it is called."""
        shown = -np.inf
        try:
            for number, picture in enumerate(self._reader):
                read = picture.read
                if number % self._every == 0:
                    self.starts.append(picture.time)
                    if picture.time - shown >= _THUMBNAIL_SECONDS:
                        shown = picture.time
                        frame = read()
                        self._keep(Thumbnail(number, _small_jpeg(frame)))
                        read = DecodedFrame(frame)
                self.until = picture.until
                yield read
        except DataError as error:
            self.failure = error

    def _keep(self, thumbnail: Thumbnail) -> None:
        with self._lock:
            self._thumbnails.append(thumbnail)
            if len(self._thumbnails) > _THUMBNAILS:
                self._thumbnails = self._thumbnails[::2]


def _small_jpeg(frame: Frame) -> bytes:
    image = Image.fromarray(frame)
    # Skips most pixels before it filters the rest.
    image.thumbnail(_THUMBNAIL, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()
