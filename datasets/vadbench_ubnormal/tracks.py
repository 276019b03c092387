"""UBnormal's tracks of anomalous objects: a text file for each abnormal video, ``object,first,last`` a line."""

from __future__ import annotations

import os
from pathlib import Path

from vadbench.base.errors import DataError, shortened
from vadbench.base.files import regular
from vadbench.data.annotations.lists import Interval, read_lines, whole

ABNORMAL = "Abnormal"
SUFFIX = "_tracks.txt"
"""End of the name of a video's file of tracks."""
FOLDER = "_annotations"
"""End of the name of the folder that the archive has such a file in."""

_ARRAY = b"\x93NUMPY"


def find_tracks(root: Path) -> dict[str, Path]:
    """Return the files of tracks anywhere below the root by video name; links are followed.

    A file in the folder that the archive has it in comes before others of its name, which pose methods use for labels
    of their own.

    Raises:
        DataError: two files could be those of one video.
    """
    found: dict[str, list[Path]] = {}
    seen: set[tuple[int, int]] = set()
    for folder, below, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for file in files:
            if file.endswith(SUFFIX):
                found.setdefault(file.removesuffix(SUFFIX), []).append(Path(folder, file))
    return {name: _chosen(name, sorted(paths)) for name, paths in found.items()}


def _chosen(name: str, paths: list[Path]) -> Path:
    best = [path for path in paths if path.parent.name == name + FOLDER] or paths
    if len(best) > 1:
        raise DataError(f"{best[0]} and {best[1]} are both the tracks of {name!r}; keep one of them")
    return best[0]


def read_tracks(path: Path) -> list[Interval]:
    """Read the first and the last frame of each track, 0-based and both of them inside; none from an empty file.

    Raises:
        DataError: it is an array, as the files of that name that pose methods publish, or a line has another form.
    """
    try:
        with regular(path).open("rb") as file:
            begin = file.read(len(_ARRAY))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if begin == _ARRAY:
        raise DataError(
            f"{path}: expected lines 'object,first,last', found a NumPy array, as pose methods publish their labels"
            " (0 is anomalous there, and each run lacks a frame); fetch the authors' annotation"
        )
    return [_track(text, where) for where, text in read_lines(path)] if begin else []


def _track(text: str, where: str) -> Interval:
    match text.split(","):
        case [number, start, end]:
            _, first, last = (whole(value.strip(), where) for value in (number, start, end))
        case _:
            raise DataError(f"{where}: expected 'object,first,last', found {shortened(text)}")
    if not 0 <= first <= last:
        raise DataError(f"{where}: expected 0 <= first <= last frame, found {first} {last}")
    return Interval(ABNORMAL, first, last, where)
