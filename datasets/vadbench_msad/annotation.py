"""MSAD's names and its annotation of abnormal videos: the scenario, the length and the interval of each."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from vadbench.base.errors import DataError, UnknownNameError, one_line, shortened
from vadbench.data.annotations.lists import MOST_FRAMES, Interval, read_lines, video_name, whole, without_kind

SCENARIOS = (
    "frontdoor",
    "highway",
    "mall",
    "office",
    "park",
    "parkinglot",
    "pedestrian_street",
    "restaurant",
    "road",
    "shop",
    "sidewalk",
    "street_highview",
    "train",
    "warehouse",
)
NORMAL_PREFIX = "MSAD_normal_"
_TESTING = re.compile(rf"{NORMAL_PREFIX}testing_[0-9]{{1,4}}")
_TRAINING = re.compile(rf"(?P<prefix>{NORMAL_PREFIX})?(?P<scenario>{'|'.join(SCENARIOS)})[0-9]{{1,4}}")
_ABNORMAL = re.compile(r"(?P<label>[A-Za-z_]+?)_[0-9]{1,4}")
_COLUMNS = 5


@dataclass(frozen=True)
class VideoKind:
    """What the name of a video says: its class, "" for a normal one, and its scenario, "" where that is unknown."""

    label: str
    scenario: str = ""


@dataclass(frozen=True)
class Annotated:
    """The annotation of an abnormal video; the interval is 1-based with both ends inside, and has the class ""."""

    scenario: str
    frames: int
    interval: Interval


def full_name(listed: str) -> str:
    """Return the name of a video as the authors write it: without the encoder of its features, and not shortened.

    >>> full_name("Assault_2_i3d.npy"), full_name("warehouse22")
    ('Assault_2', 'MSAD_normal_warehouse22')
    """
    name = without_kind(listed)
    match = _TRAINING.fullmatch(name)
    return NORMAL_PREFIX + name if match and not match["prefix"] else name


def short_names(name: str) -> tuple[str, ...]:
    """Return the names without their beginning under which normal training videos circulate as well."""
    return (name.removeprefix(NORMAL_PREFIX),) if _TRAINING.fullmatch(name) else ()


def kind_of(name: str, where: str) -> VideoKind:
    """Return what the full name of a video says.

    Raises:
        DataError: it is no name of a video of this data set.
    """
    if _TESTING.fullmatch(name):
        return VideoKind("")
    if match := _TRAINING.fullmatch(name):
        return VideoKind("", match["scenario"])
    match = _ABNORMAL.fullmatch(name)
    if not match or name.startswith(NORMAL_PREFIX):
        raise DataError(
            f"{where}: expected a name such as Assault_2, {NORMAL_PREFIX}testing_1 or {NORMAL_PREFIX}mall3, found"
            f" {shortened(name)}"
        )
    return VideoKind(match["label"])


def read_annotation(path: Path) -> dict[str, Annotated]:
    """Read rows ``name,scenario,frames,first,last`` behind a header, by video.

    Raises:
        DataError: a row of another form, two of one video, or an interval that is none.
    """
    lines = read_lines(path)
    header = "expected the header 'name,scenario,total frames,...'"
    found: dict[str, Annotated] = {}
    for number, (where, text) in enumerate(lines):
        try:
            row = [column.strip() for column in next(csv.reader([text], strict=True))]
        except csv.Error as error:
            raise DataError(f"{where}: not a row of a csv file: {error}") from error
        if number == 0:
            if row[:2] != ["name", "scenario"]:
                raise DataError(f"{where}: {header}, found {shortened(text)}; add it or fetch the file again")
            continue
        if len(row) != _COLUMNS or not all(row):
            raise DataError(f"{where}: expected 'name,scenario,frames,first,last', found {shortened(text)}")
        name, (frames, first, last) = video_name(row[0]), (whole(value, where) for value in row[2:])
        if row[1] not in SCENARIOS:
            raise DataError(f"{where}: {one_line(UnknownNameError('scenario', row[1], SCENARIOS))}")
        if not 1 <= frames <= MOST_FRAMES or not 1 <= first <= last:
            raise DataError(
                f"{where}: expected 1 <= first <= last frame of 1 to {MOST_FRAMES} frames, found {first} {last} of"
                f" {frames}"
            )
        if name in found:
            raise DataError(f"{where}: {name!r} has a line already, {found[name].interval.where}; keep one of the two")
        found[name] = Annotated(row[1], frames, Interval("", first, last, where))
    if not found:
        raise DataError(f"{path}: expected a row for each abnormal video, found none; fetch it again")
    return found
