"""Thumbnails of a video, side by side in one jpeg, if its file is available."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av.error
from PIL import Image, UnidentifiedImageError

from vadbench.base.errors import DataError, MediaError
from vadbench.base.files import regular
from vadbench.base.types import Progress, silent
from vadbench.data.containers import open_video, video_stream
from vadbench.data.image_folders import list_images
from vadbench.dataset import Dataset

PICTURES = 6
"""Number of thumbnails of a video, each from the middle of one of as many equal parts."""
HEIGHT, WIDEST = 54, 96
QUALITY = 55


class Strip(NamedTuple):
    """Thumbnails side by side: the jpeg as a ``data:`` address, the frame of each and the width of each in pixels."""

    source: str
    frames: list[int]
    width: int


def make_strips(
    dataset: Dataset, frames: dict[str, int], progress: Progress = silent
) -> tuple[dict[str, Strip], list[str]]:
    """Make strips of the test videos whose files exist, with a note on each file that cannot be read.

    Args:
        dataset: the data set at its root on disk.
        frames: number of frames of the wanted videos, by name.
        progress: called with the number of finished videos.

    Raises:
        DataError: the data set's lists are missing or contradict each other.
    """
    strips, notes = {}, []
    present = [v for v in dataset.videos("test") if v.name in frames and v.path is not None and v.path.exists()]
    for done, video in enumerate(present):
        progress("thumbnails", done, len(present), video.name)
        assert video.path is not None
        try:
            strips[video.name] = make_strip(video.path, frames[video.name])
        except DataError as error:
            notes.append(f"no thumbnails of {video.name}: {error}")
    progress("thumbnails", len(present), len(present))
    return strips, notes


def make_strip(path: Path, frames: int) -> Strip:
    """Make a strip from a video file or a folder of images.

    In a file, frames are found by time, from the frame rate: if it varies, they may be some frames off.

    Args:
        path: the video file or folder.
        frames: number of frames of the video.

    Raises:
        MediaError: the video cannot be read.
    """
    wanted = spread_frames(0, frames)
    found = read_small(path, wanted)
    if len(found) < len(wanted):
        raise MediaError(f"{path}: expected {frames} frames, found fewer")
    return joined_strip(found, wanted)


def spread_frames(first: int, frames: int) -> list[int]:
    """Return the frames to show of a stretch: the middle ones of at most :data:`PICTURES` equal parts."""
    count = min(PICTURES, frames)
    return [first + (2 * i + 1) * frames // (2 * count) for i in range(count)]


def read_small(path: Path, wanted: Sequence[int]) -> list[Image.Image]:
    """Return small pictures of frames of a video file or folder of images, without those past its end.

    Raises:
        MediaError: the video cannot be read.
    """
    try:
        return [small_picture(image) for image in (_images if path.is_dir() else _seek)(path, wanted)]
    except (av.error.FFmpegError, OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: cannot be read ({error}); copy it again") from error


def small_picture(image: Image.Image) -> Image.Image:
    """Return a picture in the size of those of a strip."""
    width = max(1, min(WIDEST, round(image.width * HEIGHT / image.height)))
    return image.convert("RGB").resize((width, HEIGHT), Image.Resampling.BILINEAR)


def joined_strip(found: Sequence[Image.Image], wanted: Sequence[int]) -> Strip:
    """Return pictures of one size as a strip.

    Args:
        found: at least one picture.
        wanted: the frame of each.
    """
    width = found[0].width
    strip = Image.new("RGB", (width * len(found), HEIGHT))
    for i, image in enumerate(found):
        strip.paste(image, (i * width, 0))
    out = io.BytesIO()
    strip.save(out, "JPEG", quality=QUALITY, optimize=True)
    return Strip(f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode('ascii')}", list(wanted), width)


def _images(folder: Path, wanted: Sequence[int]) -> Iterator[Image.Image]:
    images = list_images(folder)
    for index in wanted:
        if index < len(images):
            with Image.open(regular(images[index])) as image:
                yield image


def _seek(path: Path, wanted: Sequence[int]) -> Iterator[Image.Image]:
    """Yield the wanted frames, each decoded from the key frame before it: most of the video is never read."""
    with open_video(path) as container:
        stream = video_stream(container, str(path))
        rate, base = stream.average_rate, stream.time_base
        if not rate or not base:
            return
        for index in wanted:
            # Half a frame early, so that rounding cannot select the next one.
            target = (stream.start_time or 0) + round((index - 0.5) / rate / base)
            container.seek(max(0, target), stream=stream)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts >= target:
                    yield Image.fromarray(frame.to_ndarray(format="rgb24"))
                    break
