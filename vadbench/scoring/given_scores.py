"""Scores of one video as somebody else computed them, in the forms that circulate."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError, shortened
from vadbench.base.ground_truth import OVERRUN, VideoTruth
from vadbench.data.annotations.lists import MOST_FRAMES, video_name, whole

Values = NDArray[np.floating[Any]]

NO_ALIASES: Mapping[str, str] = MappingProxyType({})
_SCORES, _CLASSES, _FRAMES, _SPANS, _SEGMENTS = "scores", "classes", "frames", "spans_inclusive", "segments"
_PARTS = 3
"""Numbers of a scored segment: its first frame, its last one, its score."""
_FRAME = re.compile(r"[0-9]{1,9}")
_DECORATION = re.compile(r"(.+)_(?:preds?|scores?|anomaly|i3d|clip|swin)", re.IGNORECASE | re.DOTALL)
_CROP = re.compile(r"(.+)__([0-9]{1,3})", re.DOTALL)
_LONGEST_NAME = 1000
"""Characters of a name that is looked for, folders included (our decision)."""
_TOO_LARGE = 1e300
"""Magnitude of scores that is taken for infinity: sums of larger ones leave the range of numbers."""


@dataclass(frozen=True, eq=False)
class GivenScores:
    """Scores of one video in a file.

    Args:
        name: of the video as the file has it.
        values: ``(rows,)`` anomaly scores, finite, in float32 or float64.
        where: file and place in it, for messages.
        stride: frames from one row to the next, where the form says it: 1 for scored segments.
        frames: the video's number of frames, where the file states it.
        truth: the ground truth that the file carries, ``None`` without one.
        labels: ``(rows,)`` true in anomalous rows, where the file carries its ground truth as a label a row.
        classes: ``(rows,)`` probabilities by the name of the class; ``None`` without any.
        unfinished: frames behind those of the last row count 0, and nothing says how many there are.
    """

    name: str
    values: Values
    where: str
    stride: int | None = None
    frames: int | None = None
    truth: VideoTruth | None = None
    labels: NDArray[np.bool_] | None = None
    classes: Mapping[str, Values] | None = None
    unfinished: bool = False


class VideoNames:
    """The names of videos, found by those of files: with a suffix, a word for what is in them, or a crop behind.

    Args:
        videos: their names.
        aliases: videos by other names that their files may have.
    """

    def __init__(self, videos: Collection[str], aliases: Mapping[str, str] = NO_ALIASES) -> None:
        self._known = {_key(a): name for a, name in aliases.items()} | {_key(name): name for name in videos}

    def find(self, text: str) -> str | None:
        """Return the video whose name a text is, else the longest that it begins with; ``None`` if there is none."""
        forms = [text] if len(text) <= _LONGEST_NAME else []
        for form in forms:
            if (found := self._known.get(_key(form))) is not None:
                return found
            plainer = [video_name(form), *(m[1] for kind in (_DECORATION, _CROP) if (m := kind.fullmatch(form)))]
            forms += [p for p in plainer if p not in forms]
        return None


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def crop_number(text: str) -> int | None:
    """Return the number of a crop that the name of a file ends in; ``None`` if there is none."""
    plain = video_name(text)
    while match := _DECORATION.fullmatch(plain):
        plain = video_name(match[1])
    return int(found[2]) if (found := _CROP.fullmatch(plain)) else None


def is_entry(content: Any) -> bool:
    """Return True if the content of a JSON file is an entry of one video rather than entries by name."""
    if not isinstance(content, dict):
        return isinstance(content, list)
    by_frame = bool(content) and all(type(v) in (int, float) for v in content.values())
    return by_frame or bool({_SCORES, _SEGMENTS} & content.keys())


def from_entry(name: str, entry: Any, where: str) -> GivenScores:
    """Return the scores of a video from an entry of a JSON file.

    An entry is a list of numbers, ``{frame: score}`` with frames at one distance, or an object with ``scores`` (either
    of these) or ``segments`` (``[first, last inclusive, score]``, a later one overwrites, uncovered frames are 0), and
    perhaps ``frames``, ``classes`` (lists by class name) and ``spans_inclusive`` (0-based ``[first, last]``).

    Raises:
        DataError: it has another form, or a number that is not finite.
    """
    if not isinstance(entry, dict) or not ({_SCORES, _SEGMENTS} & entry.keys()):
        values, stride = _rows(entry, where)
        return GivenScores(name, values, where, stride)
    frames = None if entry.get(_FRAMES) is None else _count(entry[_FRAMES], where)
    if _SCORES in entry:
        values, stride = _rows(entry[_SCORES], where)
    else:
        values, stride = _of_segments(entry[_SEGMENTS], frames, where), 1
    truth = None if entry.get(_SPANS) is None else VideoTruth(inclusive_spans(entry[_SPANS], where), frames, where)
    classes = _by_class(entry.get(_CLASSES), len(values), where)
    unfinished = _SCORES not in entry and frames is None
    return GivenScores(name, values, where, stride, frames, truth, classes=classes, unfinished=unfinished)


def numbers(values: Sequence[Any] | NDArray[Any], where: str) -> Values:
    """Return finite scores as an array: in float32 where they are an array of floats no longer than that, else in
    float64.

    Raises:
        DataError: there is none, or one is no finite number.
    """
    array = np.asarray(values) if isinstance(values, np.ndarray) else _array(values, where)
    if array.dtype.kind in "iuf":
        short = array.dtype.kind == "f" and array.dtype.itemsize <= np.dtype(np.float32).itemsize
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            array = array.astype(np.float32 if short else np.float64)
    array = array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array  # a row or a column
    if array.dtype.kind != "f" or array.ndim != 1 or not 1 <= len(array) <= MOST_FRAMES:
        raise DataError(
            f"{where}: expected one score a row, found {array.dtype} of shape {array.shape}; save one array of floats a"
            " video"
        )
    if not np.isfinite(array).all():
        at = int((~np.isfinite(array)).argmax())
        raise DataError(f"{where}: score {at} is {array[at]}; expected finite numbers")
    return array


def inclusive_spans(spans: Any, where: str) -> tuple[tuple[str | None, int, int], ...]:
    """Return segments without a class from 0-based spans with both ends inside.

    Raises:
        DataError: they have another form.
    """
    found: list[tuple[str | None, int, int]] = []
    for span in spans if isinstance(spans, list) else [spans]:
        match span:
            case [first, last] if 0 <= (start := whole(first, where)) <= (end := whole(last, where)):
                found.append((None, start, end + 1))
            case _:
                raise DataError(
                    f"{where}: expected spans [first, last] with 0 <= first <= last, found {shortened(span)}"
                )
    return tuple(found)


def runs_of(labels: NDArray[np.bool_]) -> tuple[tuple[str | None, int, int], ...]:
    """Return the segments without a class of an array that is true in anomalous frames."""
    edges = np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0)).tolist()
    return tuple((None, first, end) for first, end in zip(edges[::2], edges[1::2], strict=True))


def _array(values: Sequence[Any], where: str) -> NDArray[Any]:
    if not all(type(v) in (int, float) for v in values):
        wrong = next(v for v in values if type(v) not in (int, float))
        raise DataError(f"{where}: expected numbers, found {shortened(wrong)}")
    finite = [v if not abs(v) >= _TOO_LARGE else math.inf if v > 0 else -math.inf for v in values]
    return np.array(finite, np.float64)


def _rows(entry: Any, where: str) -> tuple[Values, int | None]:
    """Return the scores of a list or of ``{frame: score}``, and the distance of the rows where that gives it."""
    if isinstance(entry, list):
        return numbers(entry, where), None
    if not isinstance(entry, dict) or not entry or not all(_FRAME.fullmatch(str(k)) for k in entry):
        raise DataError(f"{where}: expected a list of scores or {{frame: score}}, found {shortened(entry)}")
    scores = sorted(((int(k), v) for k, v in entry.items()), key=lambda score: score[0])
    frames = [frame for frame, _ in scores]
    steps = {b - a for a, b in itertools.pairwise(frames)}
    if len(steps) > 1 or frames[0] >= (step := min(steps, default=frames[0] + 1)):
        raise DataError(
            f"{where}: expected scores of frames at one distance from the first on, found distances"
            f" {sorted(steps)[:5]} from frame {frames[0]}; give a list of scores"
        )
    return numbers([v for _, v in scores], where), step if steps else None


def _of_segments(segments: Any, frames: int | None, where: str) -> Values:
    if not isinstance(segments, list) or not segments:
        raise DataError(f"{where}: expected segments [first, last, score], found {shortened(segments)}")
    found = []
    for segment in segments:
        if not isinstance(segment, list) or len(segment) != _PARTS:
            raise DataError(f"{where}: expected a segment [first, last, score], found {shortened(segment)}")
        first, last = whole(segment[0], where), whole(segment[1], where)
        if not 0 <= first <= last < MOST_FRAMES:
            raise DataError(f"{where}: expected 0 <= first <= last frame, found {first} {last}")
        found.append((first, last, float(numbers([segment[2]], where)[0])))
    end = max(last for _, last, _ in found) + 1
    if frames is not None and end > frames + OVERRUN:
        raise DataError(f"{where}: a segment ends with frame {end - 1}, past the {frames} frames; correct one of them")
    scores = np.zeros(frames or end)
    for first, last, value in found:
        scores[first : last + 1] = value
    return scores


def _by_class(entry: Any, rows: int, where: str) -> Mapping[str, Values] | None:
    if entry is None:
        return None
    if not isinstance(entry, dict) or not entry or not all(isinstance(values, list) for values in entry.values()):
        raise DataError(f"{where}: expected classes as {{name: [probability, ...]}}, found {shortened(entry)}")
    found = {name: numbers(values, f"{where}, class {shortened(name)}") for name, values in entry.items()}
    if any(len(values) != rows for values in found.values()):
        raise DataError(f"{where}: expected {rows} probabilities of each class, one a row of scores; correct the file")
    return found


def _count(frames: Any, where: str) -> int:
    count = whole(frames, where)
    if not 1 <= count <= MOST_FRAMES:
        raise DataError(f"{where}: expected a number of frames from 1 to {MOST_FRAMES}, found {count}")
    return count
