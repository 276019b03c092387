"""What can be said of video files without decoding all of them: broken structures, and ends that nobody could see."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from vadbench.base.errors import MediaError, StorageError
from vadbench.base.files import Remembered, file_stamp
from vadbench.base.locations import cache_root
from vadbench.data.arrival import note_on_length
from vadbench.data.containers import open_video, video_stream
from vadbench.data.frame_numbers import numbering_note
from vadbench.data.image_folders import list_images
from vadbench.data.media import lazy_frames
from vadbench.data.structure import structural_break
from vadbench.dataset import Video


def require_sound(path: Path) -> None:
    """Raise if the structure of a video file is broken and frames of it are lost or damaged.

    Only a file of broken structure is decoded, to name the frame and its time; a folder of images has none.

    Raises:
        MediaError: it is damaged, or no video.
    """
    if path.is_dir():
        return
    with open_video(path) as container:
        kind = container.format.name
    if structural_break(path, kind) is not None:
        for _ in lazy_frames(path):
            pass


def length_note(path: Path) -> str | None:
    """Return what a video is, in words, if frames could be missing unseen: because its file states no length, or its
    images do not count.

    Raises:
        MediaError: the file is missing or no video.
    """
    if path.is_dir():
        return numbering_note(list_images(path))
    with open_video(path) as container:
        return note_on_length(path, container, video_stream(container, str(path)))


def length_notes(videos: Iterable[Video]) -> list[str]:
    """Return a note on the videos of which frames could be missing unseen, if there are any.

    A container is opened once; what it states is remembered in the cache under the size, inode and times of its file.
    """
    remembered, found = _remembered(cache_root() / "stated_lengths.jsonl"), []
    for video in videos:
        if video.path is not None and (note := _remembered_note(video.path, remembered)):
            found.append((video.name, note))
    if not found:
        return []
    name, note = found[0]
    return [f"{name!r} is {note}" + (f"; {len(found) - 1} other videos alike" if len(found) > 1 else "")]


def _remembered_note(path: Path, remembered: Remembered) -> str:
    """Return the note on a file; nothing of a file that cannot be read, of which others tell."""
    try:
        if path.is_dir():
            return length_note(path) or ""
        key, stamp = (str(path.resolve()),), file_stamp(path.stat())
        if (before := remembered.find(key, stamp)) is not None:
            return before
        note = length_note(path) or ""
    except (OSError, MediaError):
        return ""
    with suppress(StorageError):  # a cache that cannot be written costs time and nothing else
        remembered.add(key, stamp, note)
    return note


@lru_cache(maxsize=4)
def _remembered(path: Path) -> Remembered:
    return Remembered(path)
