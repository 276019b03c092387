"""Files of scores that others computed: which video each is of, and what is in it.

A folder has one file a video; one ``.npz``, ``.json`` or ``.csv`` file may have all. One array of all videos says
nowhere where a video begins, so it is read only beside a list of names and lengths.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from vadbench.base.errors import DataError, first_line, listed, shortened
from vadbench.data.annotations.count_files import read_counts
from vadbench.scoring.given_scores import GivenScores, VideoNames, from_entry, is_crop, numbers
from vadbench.scoring.score_tables import from_csv, from_text

SUFFIXES = (".npy", ".npz", ".json", ".csv", ".txt")
_LARGEST = 4 << 30
"""Bytes that an array may have (our decision)."""
_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def read_scores(paths: Sequence[Path], videos: Collection[str]) -> dict[str, GivenScores]:
    """Return the scores in files by the names of the videos that they are of.

    Scores of a name that is no video's stand under that name: the caller knows what to make of them.

    Args:
        paths: folders and files.
        videos: names of the videos.

    Raises:
        DataError: nothing is there, a file cannot be read or has no such form, or two are of one video.
    """
    names = VideoNames(videos)
    files = [file for path in paths for file in _files(path)]
    lists = [p for p in files if p.suffix.lower() in (".txt", ".csv", ".json", ".list") and _is_list_of(p, files)]
    found: dict[str, list[GivenScores]] = {}
    for path in files:
        if path in lists:
            continue
        for scores in _read(path, names, lists):
            found.setdefault(names.find(scores.name) or scores.name, []).append(scores)
    if not found:
        raise DataError(f"no scores in {listed(paths, 3)}: expected files that end in {', '.join(SUFFIXES)}")
    return {name: _joined(name, own) for name, own in found.items()}


def _files(path: Path) -> list[Path]:
    """Return a file, or the files of scores below a folder; links out of it are not followed."""
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"no file or folder {path}; expected scores as {', '.join(SUFFIXES)}")
        return [path]
    root = Path(os.path.realpath(path))
    below = (Path(folder) / name for folder, _, files in os.walk(path) for name in files)
    kept = (p for p in below if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in kept if Path(os.path.realpath(p)).is_relative_to(root))


def _is_list_of(path: Path, files: Sequence[Path]) -> bool:
    """Return True if a file is the list of names and lengths beside the only array."""
    arrays = [p for p in files if p.suffix.lower() == ".npy"]
    return len(files) == 2 and len(arrays) == 1 and path not in arrays


def _read(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    yield from reader(path, names, lists)


def _from_npy(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    with path.open("rb") as file:
        array = _array(file, str(path), path.stat().st_size)
    if names.find(path.stem) is not None:
        yield GivenScores(path.stem, numbers(array, str(path)), str(path))
    elif lists:
        yield from _cut(numbers(array, str(path)), path, lists[0])
    else:
        raise DataError(
            f"{path}: one array does not say where a video begins, nor which comes first; give a list of names and"
            " lengths beside it (lines 'name frames'), or one file a video"
        )


def _cut(values: NDArray[Any], path: Path, lengths: Path) -> Iterator[GivenScores]:
    """Yield the parts of one array of all videos, by a list of their names and lengths in the order of the array."""
    counts = read_counts(lengths)
    total = sum(counts.values())
    if total != len(values):
        raise DataError(
            f"{path} has {len(values)} scores, the {len(counts)} lengths in {lengths} make {total}; give the list that"
            " belongs to it"
        )
    start = 0
    for name, count in counts.items():
        yield GivenScores(name, values[start : start + count], f"{path}, {shortened(name)}")
        start += count


def _from_npz(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                where = f"{path}, {shortened(member.filename.removesuffix('.npy'))}"
                with archive.open(member) as file:
                    arrays[member.filename.removesuffix(".npy")] = _array(file, where, member.file_size)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: expected an archive of arrays, found {first_line(error)}; fetch it again") from error
    if names.find(path.stem) is not None and not any(names.find(name) for name in arrays):
        own = arrays.get("scores", next(iter(arrays.values()), np.empty(0)))
        if len(arrays) > 1 and "scores" not in arrays:
            raise DataError(f"{path}: expected an array 'scores', found {listed(list(arrays), 5)}")
        yield GivenScores(path.stem, numbers(own, str(path)), str(path))
        return
    for name, array in arrays.items():
        where = f"{path}, {shortened(name)}"
        yield GivenScores(name, numbers(array, where), where)


def _array(file: Any, where: str, size: int) -> NDArray[Any]:
    """Return the array of a .npy file, refused by its header alone where it holds objects or is too large."""
    try:
        shape, fortran, dtype = _HEADERS[npy_format.read_magic(file)](file)
        if dtype.hasobject:
            raise DataError(f"{where} holds pickled Python objects, which can run code and are never opened")
        count = int(np.prod(shape, dtype=np.float64))
        if dtype.kind not in "fiu" or count * dtype.itemsize > min(size, _LARGEST):
            raise DataError(f"{where}: expected an array of numbers, found {dtype} of shape {shape}; fetch it again")
        content = file.read(count * dtype.itemsize)
        return np.frombuffer(content, dtype, count).reshape(shape, order="F" if fortran else "C")
    except DataError:
        raise
    except Exception as error:  # a damaged header makes numpy's parsers raise nearly anything
        raise DataError(f"{where}: expected an array of scores, found {first_line(error)}; fetch it again") from error


def _from_json(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    content = load_json(path)
    if names.find(path.stem) is not None and not _has_videos(content, names):
        yield from_entry(path.stem, content, str(path))
        return
    videos = content.get("videos", content) if isinstance(content, dict) else None
    if not isinstance(videos, dict) or not videos:
        raise DataError(
            f"{path}: expected scores by the names of videos, or the name of a video for the file, found"
            f" {shortened(content)}"
        )
    for name, entry in videos.items():
        yield from_entry(name, entry, f"{path}, {shortened(name)}")


def _has_videos(content: Any, names: VideoNames) -> bool:
    if not isinstance(content, dict):
        return False
    return isinstance(content.get("videos"), dict) or any(names.find(str(key)) for key in content)


def load_json(path: Path) -> Any:
    """Return the content of a JSON file that has numbers of any kind.

    Raises:
        DataError: it cannot be read, is not JSON, names one key twice, or has NaN or infinity.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in entries if keys.count(key) > 1)
            raise DataError(f"{path}: {shortened(twice)} stands there twice; keep one of the two")
        return entries

    def refused(constant: str) -> Any:
        raise DataError(f"{path}: found {constant}; expected finite numbers")

    try:
        return json.loads(path.read_bytes(), object_pairs_hook=unique, parse_constant=refused)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON: {first_line(error)}; fetch it again") from error


def _joined(name: str, given: Sequence[GivenScores]) -> GivenScores:
    """Return the scores of a video, those of its crops as their mean.

    Raises:
        DataError: two files of one video, or crops of other lengths.
    """
    if len(given) == 1:
        return given[0]
    if not all(is_crop(g.name) for g in given) or len({len(g.values) for g in given}) > 1:
        places = " and ".join(g.where for g in given[:2])
        raise DataError(f"two scores of {name!r}, in {places}; keep one (crops end in __0, __1, ...)")
    return replace(given[0], values=np.mean([g.values for g in given], axis=0))


_READERS: Mapping[str, Callable[[Path, VideoNames, Sequence[Path]], Iterator[GivenScores]]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".json": _from_json,
    ".csv": from_csv,
    ".txt": from_text,
}
