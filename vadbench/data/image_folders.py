"""Folders of images as videos: which of their files are frames, in which order, and how one is read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from vadbench.base.errors import MediaError
from vadbench.base.files import regular
from vadbench.data.frame_numbers import require_numbering

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".webm", ".mkv", ".mov"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
_OF_PAGES = ("TIFF", "PNG")
"""Formats of images of which a file may hold several, all meant to be shown."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image is turned upright, by its orientation in EXIF."""


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order: ``2.jpg`` before ``10.jpg``. Hidden files are left out.

    Raises:
        MediaError: there are none, there are videos beside them, or they are not the frames of one video, numbered
            without a gap; names them.
    """
    seen = [(p.suffix.lower(), p) for p in folder.iterdir() if not p.name.startswith(".")]
    images = [p for suffix, p in seen if suffix in IMAGE_SUFFIXES]
    if images and (video := next((p for suffix, p in seen if suffix in VIDEO_SUFFIXES), None)) is not None:
        raise MediaError(
            f"{folder}: expected a folder of frames, found {video.name} beside {min(images).name}; move one kind away"
        )
    if not images:
        raise MediaError(f"{folder}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none")
    images.sort(key=lambda p: (natural(p.name), p.name))
    require_numbering(folder, images)
    return images


def read_image(path: Path, index: int, upright: bool = False) -> NDArray[np.uint8]:
    """Read an image of a folder as a frame.

    Args:
        path: of the image.
        index: number of the frame, for messages.
        upright: turn it as the camera notes that it was held.

    Raises:
        MediaError: it is damaged, has more than 8 bits a channel, or holds several pictures.
    """
    try:
        with Image.open(regular(path)) as image:
            # What a camera adds to a JPEG file, such as a preview, is no further frame.
            if image.format in _OF_PAGES and (pages := getattr(image, "n_frames", 1)) > 1:
                raise MediaError(
                    f"{path}: frame {index} must be one picture, found {pages} in the file; write each into a file of"
                    " its own"
                )
            if image.mode.startswith(("I", "F")):
                raise MediaError(f"{path}: frame {index} must have 8 bits a channel, found mode {image.mode}")
            picture = image.convert("RGB")
            # Asked for after the pixels: of TIFF, Pillow has turned them and says that they are upright.
            turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1)) if upright else None
            return np.array(picture if turn is None else picture.transpose(turn))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: damaged image (frame {index}): {error}; copy it again") from error


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names as people do: ``2.jpg`` before ``10.jpg``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]
