"""Ground truths in LaGoVAD's form: a list of videos of one class each, with spans in fractions of their lengths.

The numbers that the fractions were made from are those of each data set, in its own convention, so that fractions
become frames only where the data set and the length of the video are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vadbench.base.errors import DataError, shortened
from vadbench.base.ground_truth import LengthShare, VideoTruth
from vadbench.data.annotations.lists import listed_path

NORMAL = "normal"
"""The class of videos without a span, in any case of letters."""

HALF_OPEN = "0-based and half-open"
"""What numbers look like that need no conversion."""

_FORM = '{"path": file, "video_path": file, "class_name": name, "anomaly_span": [[start, end], ...]}'
_MOST = 2.0
"""A larger fraction is none of a length: ends lie past it by one or two frames at most."""


def fraction_truths(content: Sequence[Any], path: Path) -> dict[str, VideoTruth]:
    """Return the ground truth of each video of a list in LaGoVAD's form, by the stem of its file.

    Args:
        content: of the file.
        path: the file, for messages.

    Raises:
        DataError: an entry has another form, is there twice, or contradicts itself.
    """
    found: dict[str, VideoTruth] = {}
    for number, entry in enumerate(content, start=1):
        where = f"{path}, entry {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("anomaly_span"), list):
            raise DataError(f"{where}: expected {_FORM}, found {shortened(entry)}")
        name = _name(entry, where)
        where = f"{where}, {shortened(name)}"
        if name in found:
            raise DataError(f"{where}: the video has an entry already, {found[name].where}; keep one of the two")
        found[name] = VideoTruth(where=where, shares=_shares(entry, where))
    return found


def convention(videos: Mapping[str, VideoTruth]) -> str:
    """Return what the numbers that fractions were made from look like; an empty string where nothing tells.

    A span at frame 0 excludes numbers from 1, an end at the length of the video excludes numbers from 0 with the last
    frame inside.
    """
    shares = [share for video in videos.values() for share in video.shares]
    at_start, at_end = any(s.first == 0 for s in shares), any(s.last >= 1 for s in shares)
    if not (at_start or at_end):
        return ""
    if at_start and at_end:
        return HALF_OPEN
    return "0-based with the last frame inside" if at_start else "1-based with both ends inside"


def _name(entry: Mapping[str, Any], where: str) -> str:
    """Return the stem of the files of an entry, on which the feature file and the video must agree."""
    texts = [entry[key] for key in ("path", "video_path") if entry.get(key) is not None]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: expected the path of a file in 'path' or 'video_path', found {shortened(texts)}")
    names = [listed_path(text, where, None)[1] for text in texts]
    if len(set(names)) > 1:
        raise DataError(f"{where}: 'path' is of {names[0]!r} and 'video_path' of {names[1]!r}; correct one of them")
    return names[0]


def _shares(entry: Mapping[str, Any], where: str) -> tuple[LengthShare, ...]:
    label = entry.get("class_name")
    if label is not None and (not isinstance(label, str) or not label.strip()):
        raise DataError(f"{where}: expected the name of a class in 'class_name', found {shortened(label)}")
    shares = tuple(_share(span, label, where) for span in entry["anomaly_span"])
    if label is not None and (label.casefold() == NORMAL) == bool(shares):
        found = f"{len(shares)} spans" if shares else "no span"
        raise DataError(f"{where}: the video is of class {label!r} and has {found}; correct one of the two")
    return shares


def _share(span: Any, label: str | None, where: str) -> LengthShare:
    match span:
        case [int() | float() as first, int() | float() as last] if not {bool} & {type(first), type(last)}:
            pass
        case _:
            raise DataError(f"{where}: expected a span [start, end], found {shortened(span)}")
    if not 0 <= first <= last <= _MOST:
        raise DataError(
            f"{where}: expected a span of fractions of the length, 0 <= start <= end <= 1, found [{first}, {last}]"
        )
    return LengthShare(label, float(first), float(last))
