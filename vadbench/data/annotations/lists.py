"""Official lists and annotations as users have them.

Files come from many hands: every line may be wrong. All messages name the file and the line. A list's paths are never
opened: they are checked and reduced to a name, and :mod:`vadbench.data.annotations.video_files` looks the name up.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from vadbench.base.errors import DataError, shortened
from vadbench.base.files import regular
from vadbench.data.image_folders import VIDEO_SUFFIXES

_SUFFIXES = VIDEO_SUFFIXES | {".npy"}
_NUMBER = re.compile(r"[-+]?[0-9]+([.][0-9]*)?(e[-+]?[0-9]+)?|-?nan|-?inf", re.IGNORECASE)
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_NUMBERS_BEFORE_IDS = 2
MOST_FRAMES = 10_000_000
"""Longest video that a file may state (our decision, four days at 30 frames a second): damage must not cost memory."""
MOST_BYTES = 256 << 20
"""Largest list or annotation (our decision): spans of a million videos are half as large."""
BEHIND_SUFFIX = re.compile(rf"({'|'.join(map(re.escape, sorted(_SUFFIXES)))})\s", re.IGNORECASE)
"""A suffix of a video or feature file with something behind it."""
_CROP = re.compile(r"__\d+$")
FEATURE_KINDS = ("clip", "i3d", "swin")
"""Words for the kind of features that may end the name of a file of them, as in ``<video>_i3d.npy``."""


@dataclass(frozen=True)
class ListEntry:
    """A video in a list.

    Args:
        name: file name without its suffix; the key of the video.
        where: file and line, for messages.
        folder: name of the folder it is in, "" where the list gives none.
        label: the list's own label column, "" where it has none.
        first: absolute number of the video's first frame (AnomalyCLIP's lists).
        frames: how many frames it has, where the list says so (AnomalyCLIP's lists).
        ids: class ids (AnomalyCLIP's lists).
    """

    name: str
    where: str
    folder: str = ""
    label: str = ""
    first: int = 0
    ids: tuple[int, ...] = ()
    frames: int | None = None


@dataclass(frozen=True)
class Interval:
    """An annotated interval with its two numbers as the file gives them."""

    label: str
    first: int
    last: int
    where: str


def read_lines(path: Path) -> list[tuple[str, str]]:
    """Read the lines of a text file that are not blank, each with its place ("file, line n") for messages.

    Raises:
        DataError: the file cannot be read, is not UTF-8 text, or has no lines.
    """
    lines = []
    for number, raw in enumerate(_read(path).removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{where}: expected UTF-8 text, found byte {raw[error.start]:#04x}; fetch it again"
            ) from None
        if "\0" in text:
            raise DataError(f"{where}: expected text, found binary data; fetch it again")
        if text:
            lines.append((where, text))
    if not lines:
        raise DataError(f"{path}: the list is empty; fetch it again")
    return lines


def read_json(path: Path, fractions: bool = False) -> Any:
    """Read the content of a JSON file, whose numbers are all whole, or may have decimals where fractions are allowed.

    Raises:
        DataError: it cannot be read, is not JSON, is nested too deeply, has a number that :func:`whole` refuses, or an
            object has two entries of one name.
    """
    plain, once = (partial(check, where=str(path)) for check in (whole, _named_once))
    real = partial(_decimal, where=str(path)) if fractions else plain
    try:
        return json.loads(_read(path), parse_int=plain, parse_float=real, parse_constant=plain, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON: {error}; fetch it again") from error


def whole(value: object, where: str) -> int:
    """Return a whole number of a file, from its text or from JSON.

    Raises:
        DataError: it is no whole number, or has more than nine digits, which no frame number has.
    """
    if type(value) not in (int, str) or not _WHOLE.fullmatch(str(value)):
        raise DataError(f"{where}: expected a whole number of at most nine digits, found {shortened(value)}")
    return int(str(value))


def _named_once(entries: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    """Return an object of JSON, which may say two things of one name: Python's reader takes the last of them."""
    found: dict[str, Any] = {}
    for name, value in entries:
        if name in found:
            raise DataError(f"{where}: {shortened(name)} has an entry already; keep one of the two")
        found[name] = value
    return found


def _decimal(text: str, where: str) -> float:
    if not math.isfinite(number := float(text)):
        raise DataError(f"{where}: expected a number, found {shortened(text)}")
    return number


def _read(path: Path) -> bytes:
    try:
        if (size := regular(path).stat().st_size) > MOST_BYTES:
            raise DataError(
                f"{path}: expected a list or an annotation of at most {MOST_BYTES >> 20} MiB, found {size >> 20};"
                " name another file"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def video_name(file_name: str) -> str:
    """Return a file's name without the suffix of a video or feature file; any other suffix is part of the name.

    >>> video_name("Bad.Boys.1995__#00-10-00_label_A"), video_name("Abuse001_x264.mp4")
    ('Bad.Boys.1995__#00-10-00_label_A', 'Abuse001_x264')
    """
    path = PurePosixPath(file_name)
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name


def without_kind(file_name: str, kinds: Collection[str] = FEATURE_KINDS) -> str:
    """Return a file's name without the suffix of a video or feature file, and without the kind of the features.

    >>> without_kind("Assault_2_i3d.npy"), without_kind("Assault_2.npy")
    ('Assault_2', 'Assault_2')
    """
    name = video_name(file_name)
    ends = [f"_{kind}" for kind in kinds if name.endswith(f"_{kind}") and name != f"_{kind}"]
    return name.removesuffix(max(ends, key=len, default=""))


def listed_path(text: str, where: str, root: Path | None) -> tuple[str, str]:
    """Return the folder ("" where there is none) and the video name of a path in a list.

    Args:
        root: the data root; ``None`` for a list of another machine's absolute paths, where only the name counts.

    Raises:
        DataError: the path climbs with ``..``, or is absolute and outside the root.
    """
    parts = re.split(r"[\\/]", text)
    if ".." in parts:
        raise DataError(f"{where}: path {text!r} must not contain '..'; write it relative to the data root")
    absolute = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    if absolute and root is not None and not Path(text).is_relative_to(root.absolute()):
        raise DataError(f"{where}: path {text!r} is outside the data root {root}; write it relative to the root")
    name = video_name(parts[-1])
    if not name:
        raise DataError(f"{where}: expected the path of a video, found {text!r}")
    return parts[-2] if len(parts) > 1 else "", name


def read_list(path: Path, root: Path | None) -> list[ListEntry]:
    """Read a list of one video a line: its path, and in AnomalyCLIP's lists ``first last id [id ...]`` after it.

    Args:
        path: the list.
        root: as in :func:`listed_path`.

    Raises:
        DataError: empty, a path that leaves the root, something else after it, or a video listed twice.
    """
    entries = []
    for where, text in read_lines(path):
        listed, numbers = split_numbers(text)
        if len(numbers) < _NUMBERS_BEFORE_IDS + 1:
            listed, numbers = text, []
        values = [whole(n, where) for n in numbers]
        if BEHIND_SUFFIX.search(listed) or min(values, default=0) < 0:
            raise DataError(f"{where}: expected a path alone or 'path first last id', found {shortened(text)}")
        folder, name = listed_path(listed, where, root)
        first, last, *ids = values or [0, 0]
        if last < first:
            raise DataError(f"{where}: expected first <= last frame, found {first} {last}")
        frames = last - first + 1 if values else None
        entries.append(ListEntry(name, where, folder, first=first, ids=tuple(ids), frames=frames))
    return listed_once(entries)


def split_numbers(text: str) -> tuple[str, list[str]]:
    """Split a line into its text, which may contain spaces, and the numbers at its end; the first word is no number.

    Numbers with decimals count as such, so that they are refused as numbers and not taken for a part of a name.
    """
    words = text.split()
    behind = list(itertools.takewhile(_NUMBER.fullmatch, reversed(words[1:])))
    return text.rsplit(None, len(behind))[0], behind[::-1]


def read_csv_list(path: Path) -> list[ListEntry]:
    """Read a list in VadCLIP's form, ``path,label`` with a header and a row for each crop, as one entry a video.

    Raises:
        DataError: no header, a row without both columns, a ``..``, or a video with two labels.
    """
    lines = read_lines(path)
    entries: dict[str, ListEntry] = {}
    for number, (where, text) in enumerate(lines):
        try:
            row = next(csv.reader([text], strict=True))
        except csv.Error as error:
            raise DataError(f"{where}: not a row of a csv file: {error}") from error
        if number == 0:
            if row != ["path", "label"]:
                raise DataError(f"{where}: expected the header 'path,label', found {shortened(text)}; fetch it again")
            continue
        if len(row) != 2 or not all(row):
            raise DataError(f"{where}: expected a path and a label, found {shortened(text)}")
        _, name = listed_path(row[0], where, None)
        name = video_name(_CROP.sub("", name))
        entry = entries.setdefault(name, ListEntry(name, where, label=row[1]))
        if entry.label != row[1]:
            raise DataError(f"{where}: {name!r} is labelled {row[1]!r} here and {entry.label!r} in {entry.where}")
    if not entries:
        raise DataError(f"{path}: the list is empty; fetch it again")
    return list(entries.values())


def pairs(numbers: Sequence[str], label: str, where: str) -> list[Interval]:
    """Return intervals from the numbers of an annotation line; ``-1 -1`` stands for none.

    Raises:
        DataError: not whole numbers, not in pairs, or not ``0 <= first <= last``.
    """
    values = [whole(n, where) for n in numbers]
    if len(values) % 2:
        raise DataError(f"{where}: expected pairs of first and last frame, found {len(values)} numbers")
    found = [pair for pair in zip(values[::2], values[1::2], strict=True) if pair != (-1, -1)]
    for first, last in found:
        if not 0 <= first <= last:
            raise DataError(f"{where}: expected 0 <= first <= last frame, found {first} {last}")
    return [Interval(label, first, last, where) for first, last in found]


def add_once(table: dict[str, list[Interval]], name: str, intervals: list[Interval], where: str) -> None:
    """Add a video's intervals to a table of them.

    Raises:
        DataError: the video is there already.
    """
    if name in table:
        raise DataError(f"{where}: {name!r} has a line already; keep one of the two")
    table[name] = intervals


def listed_once(entries: list[ListEntry]) -> list[ListEntry]:
    """Return the entries of a list.

    Raises:
        DataError: a video is listed twice.
    """
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.name in seen:
            raise DataError(f"{entry.where}: {entry.name!r} is listed already in {seen[entry.name]}; keep one of them")
        seen[entry.name] = entry.where
    return entries
