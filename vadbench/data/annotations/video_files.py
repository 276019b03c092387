"""Files of a data set found under its root: lists by their official names, videos by their own."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from vadbench.base.errors import DataError
from vadbench.data.annotations.lists import video_name
from vadbench.data.image_folders import IMAGE_SUFFIXES, VIDEO_SUFFIXES

SIDES = ("train", "test")


def find_files(root: Path, pattern: str) -> list[Path]:
    """Return files of a name (or glob pattern) in the root and one folder below, the root's first, else by path."""
    return [p for folder in ("", "*/") for p in sorted(root.glob(folder + pattern)) if p.is_file()]


class VideoFiles:
    """The video files and folders of frames below a root, found in one scan and looked up by name.

    A folder that is called like a video and holds an image is a folder of frames and is not listed any further: a data
    set may have millions of them. Names are compared in Unicode's composed form, because file systems differ in it.

    Args:
        root: where to look; links are followed.
        names: the videos whose folders of frames are looked for.

    Raises:
        DataError: a folder cannot be read.
    """

    def __init__(self, root: Path, names: Iterable[str] = ()) -> None:
        self._root = root
        self._wanted = {_key(n) for n in names}
        self._found: dict[str, list[Path]] = {}
        seen: set[tuple[int, int]] = set()
        folders = [root]
        while folders:
            folders += self._scan(folders.pop(), seen)

    @property
    def videos(self) -> list[Path]:
        """All video files found, by path."""
        return sorted(p for paths in self._found.values() for p in paths if p.suffix.lower() in VIDEO_SUFFIXES)

    def candidates(self, name: str, folder: str = "") -> list[Path]:
        """Return the files and folders that have a video's name, the most likely first: in the folder that its list
        names, a file before frames."""
        paths = self._found.get(_key(name), [])
        return sorted(paths, key=lambda p: (p.parent.name != folder, p.suffix.lower() not in VIDEO_SUFFIXES, p))

    def of_side(self, name: str, side: str) -> list[Path]:
        """Return the candidates of a name that occurs in folders of two sides, ``train`` and ``test``.

        Args:
            name: of the file.
            side: how the nearest of the folders that tell a side begins, in any case: ``testing_videos`` is of
                ``test``.
        """
        return [p for p in self.candidates(name) if _side(p.relative_to(self._root)) == side]

    def unlisted(self) -> list[Path]:
        """Return the video files that have none of the names."""
        return [p for p in self.videos if _key(video_name(p.name)) not in self._wanted]

    def _scan(self, folder: Path, seen: set[tuple[int, int]]) -> list[Path]:
        below = []
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                return []
            seen.add((status.st_dev, status.st_ino))
            frames_wanted = _key(folder.name) in self._wanted
            with os.scandir(folder) as entries:
                for entry in entries:
                    suffix = os.path.splitext(entry.name)[1].lower()
                    if entry.name.startswith("."):
                        continue
                    if suffix in VIDEO_SUFFIXES and entry.is_file():
                        self._found.setdefault(_key(video_name(entry.name)), []).append(folder / entry.name)
                    elif suffix in IMAGE_SUFFIXES:
                        if frames_wanted:
                            self._found.setdefault(_key(folder.name), []).append(folder)
                            return []
                    elif _is_folder(entry):
                        below.append(folder / entry.name)
        except OSError as error:
            raise DataError(f"cannot read {folder}: {error.strerror}; make it readable or move it away") from error
        return below


def _side(path: Path) -> str:
    told = (side for folder in reversed(path.parts[:-1]) for side in SIDES if folder.lower().startswith(side))
    return next(told, "")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to nothing
        return False


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)
