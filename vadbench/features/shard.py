"""The two files of one shard of a feature store: names, lines, lengths, and what to do about unfinished ends."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import FeatureError
from vadbench.base.files import regular
from vadbench.features.fingerprint import Fingerprint

FeatureRows = NDArray[np.floating[Any]]

_INDEX = re.compile(r"index-(\d+)-of-(\d+)\.jsonl")


@dataclass(frozen=True)
class ShardEntry:
    """A line of an index: one finished video.

    Args:
        name: the video's name.
        offset: rows, of all crops, before it in the file.
        rows: its rows in one crop.
        frames: its frames.
        source: id of the file it was made from.
        revision: how often it was made again because that file had changed; the highest one counts.
        declared: frame count that the file's container states, where it does.
        crops: how many of the fingerprint's crops it has, where that differs from video to video (regions).
    """

    name: str
    offset: int
    rows: int
    frames: int
    source: str
    revision: int
    declared: int | None = None
    crops: int | None = None


@dataclass(frozen=True)
class Shard:
    """The files of shard ``number`` of ``count``.

    Raises:
        FeatureError: ``number`` is not one of ``count``.
    """

    folder: Path
    number: int
    count: int
    fingerprint: Fingerprint

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise FeatureError(f"a shard is (i, n) with 0 <= i < n, found ({self.number}, {self.count})")

    @classmethod
    def all_in(cls, folder: Path, fingerprint: Fingerprint) -> list[Shard]:
        """Return every shard of a store, in the order of their file names."""
        found = (_INDEX.fullmatch(path.name) for path in sorted(folder.iterdir()))
        return [cls(folder, int(match[1]), int(match[2]), fingerprint) for match in found if match]

    @property
    def index(self) -> Path:
        return self.folder / f"index-{self.number}-of-{self.count}.jsonl"

    @property
    def rows(self) -> Path:
        return self.folder / f"rows-{self.number}-of-{self.count}.bin"

    def crops(self, entry: ShardEntry) -> int:
        """Return the number of crops of a video."""
        return len(self.fingerprint.crops) if entry.crops is None else entry.crops

    @property
    def row_bytes(self) -> int:
        """Length of one row in the file."""
        return self.fingerprint.dim * value_type(self.fingerprint).itemsize

    def read(self) -> tuple[list[ShardEntry], int]:
        """Return the finished videos and the bytes of their lines in the index. An unfinished last line is ignored.

        Raises:
            FeatureError: the index cannot be read, a line of it is damaged or contradicts those before it, or rows are
                missing.
        """
        entries: list[ShardEntry] = []
        length = end = 0
        try:
            lines = list(_complete_lines(self.index))
        except OSError as error:
            raise FeatureError(f"cannot read {self.index}: {error.strerror}; copy the store again") from error
        for number, line in enumerate(lines, start=1):
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                if number == len(lines):
                    break
                fields = None
            try:
                entry = ShardEntry(**fields)
                self.check(entry, end)
            except (TypeError, FeatureError) as error:
                reason = error if isinstance(error, FeatureError) else "its fields are not those of a video"
                raise FeatureError(
                    f"{self.index}: line {number} is damaged: {reason}; delete the store and extract again"
                ) from error
            entries.append(entry)
            length += len(line)
            end += self.crops(entry) * entry.rows
        expected = end * self.row_bytes
        found = self.rows.stat().st_size if self.rows.exists() else 0
        if found < expected:
            raise FeatureError(
                f"{self.rows} is truncated: its index speaks of {expected} bytes, found {found}; copy the store"
                " again, or delete it and extract again"
            )
        return entries, length

    def check(self, entry: ShardEntry, end: int) -> None:
        """Raise if an entry cannot follow ``end`` rows.

        Raises:
            FeatureError: a value is not of its type, or its rows are not those that its frames make, from there on.
        """
        optional = [n for n in (entry.declared, entry.crops) if n is not None]
        # True is an int as well.
        whole = all(type(n) is int for n in (entry.offset, entry.rows, entry.frames, entry.revision, *optional))
        if not whole or not isinstance(entry.name, str) or not isinstance(entry.source, str):
            raise FeatureError(f"name and source must be text and all else whole numbers, found {entry}")
        if not entry.name or entry.revision < 0 or entry.offset != end:
            raise FeatureError(f"expected a name, a revision of at least 0 and offset {end}, found {entry}")
        most = len(self.fingerprint.crops)
        if entry.crops is not None and (not self.fingerprint.regions or not 1 <= entry.crops <= most):
            raise FeatureError(f"only regions differ in number, from 1 to {most}, found {entry}")
        rows = -(-entry.frames // self.fingerprint.stride)
        if rows < 1 or entry.rows != rows:
            raise FeatureError(
                f"{entry.frames} frames at stride {self.fingerprint.stride} must make {rows} rows (at least one),"
                f" found {entry.rows}"
            )

    def recover(self) -> int:
        """Create the files, or cut off what a killed writer left unfinished.

        Returns:
            the number of rows, of all crops, that are finished.
        """
        self.rows.touch()
        self.index.touch()
        entries, length = self.read()
        os.truncate(self.index, length)
        end = entries[-1].offset + self.crops(entries[-1]) * entries[-1].rows if entries else 0
        os.truncate(self.rows, end * self.row_bytes)
        return end


def value_type(fingerprint: Fingerprint) -> np.dtype[Any]:
    """Return the type of a value in the file: little-endian on every machine."""
    return np.dtype(fingerprint.dtype).newbyteorder("<")


def check_finite(rows: FeatureRows, where: str, start: int) -> None:
    """Raise if rows have NaN or infinity.

    Args:
        rows: ``(n, dim)``.
        where: whose rows they are, for the message.
        start: the number of the first one, for the message.

    Raises:
        FeatureError: there is such a value.
    """
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise FeatureError(
            f"{where}: values must be finite, found NaN or infinity in row {start + bad[0]}; extract again"
        )


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte: the system may take fewer at a time, and a full disk shows only on the next try."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _complete_lines(path: Path) -> Iterator[bytes]:
    with regular(path).open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))
