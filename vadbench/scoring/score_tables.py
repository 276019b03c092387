"""Tables of scores: csv files with a column of scores, and text files with one score a line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError, first_line, shortened
from vadbench.base.files import regular
from vadbench.scoring.given_scores import GivenScores, VideoNames, numbers

_LARGEST_TEXT = 512 << 20
"""Bytes that a text file of scores may have (our decision)."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def from_csv(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    """Yield the scores of a csv file: of all videos with a column of names, else of the one that it is named after.

    Raises:
        DataError: no such columns, or something else than a number in one of them.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        rows = [(f"{path}, line {reader.line_num}", row) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a row of a csv file: {first_line(error)}") from error
    if not rows:
        raise DataError(f"{path}: the file is empty; fetch it again")
    header = [cell.strip().casefold() for cell in rows[0][1]]
    if "score" not in header:
        if names.find(path.stem) is None or any(len(row) != 1 for _, row in rows):
            raise DataError(
                f"{rows[0][0]}: expected the header 'video_id,score' or 'video_id,score,gt', found {shortened(header)}"
            )
        yield GivenScores(path.stem, _parsed([(where, row[0]) for where, row in rows], path), str(path))
        return
    video = next((header.index(n) for n in ("video_id", "video", "name") if n in header), None)
    if video is None and names.find(path.stem) is None:
        raise DataError(
            f"{rows[0][0]}: expected a column 'video_id', found {shortened(header)}; or name the file after its video"
        )
    groups: dict[str, list[tuple[str, list[str]]]] = {}
    for where, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"{where}: expected {len(header)} columns as in the header, found {len(row)}")
        groups.setdefault(path.stem if video is None else row[video].strip(), []).append((where, row))
    score, label = header.index("score"), header.index("gt") if "gt" in header else None
    for name, own in groups.items():
        values = _parsed([(where, row[score]) for where, row in own], path)
        given = GivenScores(name, values, str(path) if video is None else f"{path}, {shortened(name)}")
        if label is not None:
            marks = _parsed([(where, row[label]) for where, row in own], path)
            if not np.isin(marks, (0, 1)).all():
                raise DataError(f"{given.where}: expected a gt of 0 or 1")
            given = replace(given, labels=marks == 1)
        yield given


def from_text(path: Path, names: VideoNames, lists: Sequence[Path]) -> Iterator[GivenScores]:
    """Yield the scores of a text file with one a line, which is named after its video.

    Raises:
        DataError: a line has something else.
    """
    lines = [(f"{path}, line {i}", line.split()) for i, line in enumerate(_text(path).splitlines(), 1) if line.strip()]
    if not lines or any(len(words) != 1 for _, words in lines):
        where, words = next(((w, x) for w, x in lines if len(x) != 1), (str(path), []))
        raise DataError(f"{where}: expected one score a line, found {shortened(' '.join(words))}")
    yield GivenScores(path.stem, _parsed([(where, words[0]) for where, words in lines], path), str(path))


def content_of(path: Path) -> bytes:
    """Return the content of a text file, whose size is bounded.

    Raises:
        DataError: it cannot be read, or is too large.
    """
    try:
        if regular(path).stat().st_size > _LARGEST_TEXT:
            raise DataError(
                f"{path}: expected a file of scores of at most {_LARGEST_TEXT >> 20} MiB, found a larger one"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _text(path: Path) -> str:
    try:
        return content_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path}: {first_line(error)}") from error


def _parsed(cells: Sequence[tuple[str, str]], path: Path) -> NDArray[np.float64]:
    found = []
    for where, cell in cells:
        if not _NUMBER.fullmatch(cell.strip()):
            raise DataError(f"{where}: expected a finite number, found {shortened(cell)}")
        found.append(float(cell))
    return np.asarray(numbers(found, str(path)), np.float64)
