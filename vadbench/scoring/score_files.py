"""Files of scores that others computed: which video each is of, and what is in it.

A folder has one file a video; one ``.npz``, ``.json`` or ``.csv`` file may have all. One array of all videos says
nowhere where a video begins, so it is read only beside a list of names and lengths.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError, first_line, listed, shortened
from vadbench.base.files import regular
from vadbench.base.stored_arrays import read_values, stored_array
from vadbench.data.annotations.count_files import read_counts
from vadbench.data.annotations.lists import MOST_FRAMES
from vadbench.scoring.given_scores import (
    NO_ALIASES,
    GivenScores,
    VideoNames,
    crop_number,
    from_entry,
    is_entry,
    numbers,
)
from vadbench.scoring.score_tables import content_of, from_csv, from_text

SUFFIXES = (".npy", ".npz", ".json", ".csv", ".txt")
_MOST_ROWS = 10 * MOST_FRAMES
"""Scores that all files may have together (our decision): a small archive can claim any number."""
_NAMELESS = {"scores", "arr_0"}
"""Names of the only array of an archive that say nothing of a video."""


def read_scores(
    paths: Sequence[Path], videos: Collection[str], aliases: Mapping[str, str] = NO_ALIASES
) -> dict[str, GivenScores]:
    """Return the scores in files by the names of the videos that they are of.

    Scores of a name that is no video's stand under that name: the caller knows what to make of them.

    Args:
        paths: folders and files.
        videos: names of the videos.
        aliases: videos by other names that their files may have.

    Raises:
        DataError: nothing is there, a file cannot be read or has no such form, or two are of one video.
    """
    names = VideoNames(videos, aliases)
    files = [file for path in paths for file in files_of(path)]
    lists = _lists(files, names)
    found: dict[str, list[GivenScores]] = {}
    total = 0
    for path in (p for p in files if p not in lists):
        for scores in _read(path, names, lists):
            video = names.find(scores.name)
            if video is None and len(files) == 1 and scores.where == str(path):
                raise DataError(
                    f"{path}: one array does not say where a video begins, nor which comes first; give a list of names"
                    " and lengths beside it (a .npy file and lines 'name rows'), or one file a video, named after it"
                )
            if (total := total + len(scores.values)) > _MOST_ROWS:
                raise DataError(f"{path}: expected at most {_MOST_ROWS} scores in all files, found more")
            found.setdefault(video or scores.name, []).append(scores)
    if not found:
        raise DataError(f"no scores in {listed(paths, 3)}: expected files that end in {', '.join(SUFFIXES)}")
    return {name: _joined(name, own) for name, own in found.items()}


def files_of(path: Path) -> list[Path]:
    """Return a file, or the files of scores below a folder; links out of it are not followed.

    Raises:
        DataError: nothing is there.
    """
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"no file or folder {path}; expected scores as {', '.join(SUFFIXES)}")
        return [path]
    root = Path(os.path.realpath(path))
    below = (Path(folder) / name for folder, _, files in os.walk(path) for name in files)
    kept = (p for p in below if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())
    return sorted(p for p in kept if Path(os.path.realpath(p)).is_relative_to(root))


def _lists(files: Sequence[Path], names: VideoNames) -> list[Path]:
    """Return the list of names and lengths that is beside the only array, where that is of no single video."""
    arrays = [p for p in files if p.suffix.lower() == ".npy" and names.find(p.stem) is None]
    others = [p for p in files if p.suffix.lower() != ".npy" and names.find(p.stem) is None]
    return others if len(files) == 2 and len(arrays) == 1 else []


def _read(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    yield from reader(path, names, lists)


def _from_npy(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    try:
        with regular(path).open("rb") as file:
            values = numbers(_array(file, str(path), path.stat().st_size), str(path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if lists:
        yield from _cut(values, path, lists[0])
    else:
        yield GivenScores(path.stem, values, str(path))


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
    try:
        with zipfile.ZipFile(regular(path)) as archive:
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
            if len(members) < len(archive.infolist()):
                raise DataError(f"{path}: an array stands there twice; keep one of the two")
            for name, member in _of_one_video(path, members, names).items():
                where = str(path) if name == path.stem else f"{path}, {shortened(name)}"
                with archive.open(member) as file:
                    yield GivenScores(name, numbers(_array(file, where, member.file_size), where), where)
    except DataError:
        raise
    except Exception as error:  # a damaged archive makes zipfile and zlib raise nearly anything
        raise DataError(f"{path}: expected an archive of arrays, found {first_line(error)}; fetch it again") from error


def _of_one_video(
    path: Path, members: Mapping[str, zipfile.ZipInfo], names: VideoNames
) -> Mapping[str, zipfile.ZipInfo]:
    """Return the arrays of an archive by video: all, or the only one under the name of an archive of one video."""
    nameless = members.keys() <= _NAMELESS and len(members) == 1
    if any(names.find(name) for name in members) or not (nameless or names.find(path.stem)):
        return members
    if not nameless and "scores" not in members:
        raise DataError(f"{path}: expected an array 'scores', found {listed([shortened(m) for m in members], 5)}")
    return {path.stem: members.get("scores") or next(iter(members.values()))}


def _array(file: Any, where: str, size: int) -> NDArray[Any]:
    """Return the array of a .npy file, refused by its header alone where it holds objects or is too large."""
    try:
        stored = stored_array(file, where, size)
        if stored.dtype.kind not in "fiu" or stored.size > MOST_FRAMES:
            raise DataError(f"{where}: expected an array of numbers, at most {MOST_FRAMES}, found {stored}")
        return read_values(file, where, stored)
    except DataError as error:
        raise DataError(f"{error}; fetch it again, or save it as plain numbers") from error


def _from_json(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    content = load_json(path)
    if is_entry(content) or (names.find(path.stem) is not None and not _has_videos(content, names)):
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
            ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
            raise DataError(f"{path}: {shortened(twice)} stands there twice; keep one of the two")
        return entries

    def refused(constant: str) -> Any:
        raise DataError(f"{path}: found {constant}; expected finite numbers")

    try:
        return json.loads(content_of(path), object_pairs_hook=unique, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON: {first_line(error)}; fetch it again") from error


def _joined(name: str, given: Sequence[GivenScores]) -> GivenScores:
    """Return the scores of a video, those of its crops as their mean.

    Raises:
        DataError: two files of one video, or crops of other lengths.
    """
    if len(given) == 1:
        return given[0]
    crops = {crop_number(g.name) for g in given} - {None}
    # Crops are files of one array; classes or ground truth of several would not be read.
    plain = all(g.classes is None and g.truth is None and g.labels is None for g in given)
    if len(crops) < len(given) or len({len(g.values) for g in given}) > 1 or not plain:
        places = " and ".join(g.where for g in given[:2])
        raise DataError(
            f"two scores of {name!r}, in {places}; keep one (crops end in __0, __1, ... and have one length)"
        )
    return replace(given[0], values=np.mean([g.values for g in given], axis=0))


_READERS: Mapping[str, Callable[[Path, VideoNames, Sequence[Path]], Iterator[GivenScores]]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".json": _from_json,
    ".csv": from_csv,
    ".txt": from_text,
}
