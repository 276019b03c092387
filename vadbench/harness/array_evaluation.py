"""Every metric from arrays or files of scores and ground truth, without torch and without a data set plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from vadbench.base.arguments import number, require_texts, whole
from vadbench.base.classes import ClassTable, VideoClass
from vadbench.base.errors import ConfigError, DataError, first_complaint, first_line, shortened
from vadbench.base.ground_truth import HALF_OPEN, Segment, Truth, Video, VideoTruth
from vadbench.data.annotations.lists import MOST_FRAMES
from vadbench.data.annotations.truth_files import read_truth
from vadbench.harness.recorded_rows import find_stride, lay, matched
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.measurement import measure
from vadbench.scoring.given_scores import GivenScores, Values, numbers, runs_of
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.score_files import read_scores
from vadbench.scoring.split import ScoredSplit

_Files = str | PathLike[str]
NORMAL, ANOMALY = "Normal", "Anomaly"


def evaluate(
    scores: Mapping[str, ArrayLike] | _Files,
    truth: Mapping[str, Any] | _Files,
    *,
    stride: int | None = None,
    frames: Mapping[str, int] | None = None,
    class_scores: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    post: str = "",
    tail: str = "hold",
    rate: float | None = None,
    tolerance: int | None = None,
) -> dict[str, MetricValue]:
    """Return every metric of scores, with 95 % confidence intervals from resampling the videos.

    >>> import numpy as np
    >>> scores = {"a": [0.1, 0.9, 0.2], "b": [0.3, 0.2]}
    >>> truth = {"a": np.repeat([0, 1, 0], 16), "b": np.zeros(32, int)}
    >>> evaluate(scores, truth, stride=16)["AUC"].value
    1.0

    Args:
        scores: ``(rows,)`` scores of each video by its name, larger for more anomalous; or a file or folder of them, in
            a form that ``vadbench import-scores`` reads.
        truth: of each of these videos, by its name: a mask with one 0 or 1 a frame, or a list of segments
            ``(first, end)`` or ``(class, first, end)``, 0-based and half-open, empty for a normal video; or a JSON file
            as ``vadbench data export`` writes it.
        stride: frames from one row to the next; by default found from the lengths of the videos.
        frames: numbers of frames of videos whose truth does not say them; by default ``stride`` for each row.
        class_scores: ``(rows,)`` probabilities by video and class; the metrics of classes need them, and classes in
            ``truth``.
        post: post-processing, such as ``"gaussian(10)"``.
        tail: what frames behind those of the last row count: ``hold`` its score, ``zero`` 0; ``rows`` and
            ``rows-prolonged`` leave them out, and count frames of a last row that reaches past the end as well, as
            normal ones or as the last frame of the video is.
        rate: frames a second of the videos, for false alarms per hour and delays in seconds.
        tolerance: frames by which lengths may be off, 2 by default.

    Returns:
        values by metric key (``vadbench list metrics``); an undefined one has the value ``None`` and a reason.

    Raises:
        DataError: scores and truth do not belong together, or have another form.
        ConfigError: an option takes no such value.
    """
    require_texts(post=post, tail=tail)
    rules = _rules(post, tail)
    if not isinstance(frames, Mapping | None):
        raise ConfigError(f"frames must be a dict of numbers by the names of videos, found {shortened(frames)}")
    stride = None if stride is None else whole("stride", stride, 1, 10_000)
    frames = {name: whole(f"frames of {name}", count, 1, MOST_FRAMES) for name, count in (frames or {}).items()}
    rate = None if rate is None else number("rate", rate, "frames a second, more than 0", lambda given: given > 0)
    tolerance = None if tolerance is None else whole("tolerance", tolerance, 0, 100_000)
    annotated = read_truth(Path(truth)) if isinstance(truth, str | PathLike) else _truth(truth, frames or {})
    given = _given(scores, annotated, class_scores or {})
    videos, classes, by_class = _videos(annotated)
    videos, _ = matched(given, videos, "the ground truth", allow_incomplete=False)
    spacing, _ = find_stride(given, videos, stride)
    videos = [v if v.frames else replace(v, frames=len(given[v.name].values) * spacing) for v in videos]
    laid = lay(given, videos, classes, spacing, rules, tolerance)
    split = ScoredSplit(
        [replace(s, rate=rate) for s in laid.scores],
        videos,
        spacing,
        classes,
        rules,
        unit_scores=all(s.anomaly.min() >= 0 and s.anomaly.max() <= 1 for s in laid.scores),
        by_class=by_class,
    )
    return measure(split)


def _rules(post: str, tail: str) -> Protocol:
    try:
        return Protocol.model_validate({"name": "native", "post": post, "tail": tail})
    except ValidationError as error:
        raise ConfigError(first_complaint(error)) from error


def _given(
    scores: Mapping[str, ArrayLike] | _Files, truth: Truth, class_scores: Mapping[str, Mapping[str, ArrayLike]]
) -> dict[str, GivenScores]:
    if isinstance(scores, str | PathLike):
        return read_scores([Path(scores)], list(truth.videos))
    if not isinstance(scores, Mapping):
        raise DataError(f"expected a dict of scores by the names of videos, or a file, found {shortened(scores)}")
    if not scores:
        raise DataError("expected scores of at least one video, found none")
    if not isinstance(class_scores, Mapping) or not all(isinstance(own, Mapping) for own in class_scores.values()):
        raise DataError(f"expected class_scores by video and class, found {shortened(class_scores)}")
    if unknown := [name for name in class_scores if name not in scores]:
        raise DataError(f"class_scores has {shortened(unknown[0])}, which has no scores; add them, or leave it out")
    found = {}
    for name, values in scores.items():
        own, rows = class_scores.get(name), _numbers(values, name)
        classes = None if own is None else {c: _numbers(v, f"{name}, class {c}") for c, v in own.items()}
        if any(len(v) != len(rows) for v in (classes or {}).values()):
            raise DataError(f"{name}: expected {len(rows)} probabilities of each class, one a row of scores")
        found[name] = GivenScores(name, rows, name, classes=classes)
    return found


def _numbers(values: ArrayLike, where: str) -> Values:
    return numbers(_array(values, where), where)


def _array(values: ArrayLike, where: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:  # of rows of several lengths
        raise DataError(f"{where}: expected an array, found {first_line(error)}") from error


def _is_whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _truth(truth: Mapping[str, Any], frames: Mapping[str, int]) -> Truth:
    """Return the ground truth of masks and segments by video.

    Raises:
        DataError: it has another form.
    """
    if not isinstance(truth, Mapping):
        raise DataError(f"expected a dict of ground truth by the names of videos, or a file, found {shortened(truth)}")
    return Truth("given", {name: _of_video(entry, frames.get(name), name) for name, entry in truth.items()})


def _of_video(entry: Any, frames: int | None, name: str) -> VideoTruth:
    if not isinstance(entry, Sequence | np.ndarray) or isinstance(entry, str) or getattr(entry, "ndim", 1) == 0:
        raise DataError(f"{name}: expected a mask or a list of segments, found {shortened(entry)}")
    flat = len(entry) and not isinstance(entry[0], Sequence | np.ndarray)
    if flat:
        mask = _array(entry, name)
        if mask.ndim != 1 or mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
            raise DataError(f"{name}: expected a mask of 0 and 1, one a frame, found {shortened(mask.tolist())}")
        return VideoTruth(runs_of(mask == 1), len(mask), name)
    return VideoTruth(tuple(_segment(segment, name) for segment in entry), frames, name)


def _segment(segment: Any, name: str) -> tuple[str | None, int, int]:
    """Return the class, the first frame and one past the last frame of a segment."""
    match segment.tolist() if isinstance(segment, np.ndarray) else segment:
        case (first, end):
            label = None
        case (str() as label, first, end) if label.casefold() != NORMAL.casefold():
            pass
        case _:
            raise DataError(
                f"{name}: expected (first, end) or (class, first, end) of an anomaly, found {shortened(segment)}"
            )
    if not (_is_whole(first) and _is_whole(end) and 0 <= first < end):
        raise DataError(f"{name}: expected a segment of whole frames with 0 <= first < end, found {shortened(segment)}")
    return label, int(first), int(end)


def _videos(truth: Truth) -> tuple[list[Video], ClassTable, bool]:
    """Return the videos of a ground truth, the classes that it names, and whether it names that of every segment."""
    found = {name: own.at(own.frames, HALF_OPEN) for name, own in truth.videos.items()}
    labels = [label for own in found.values() for label, _, _ in own.segments]
    names = sorted({label or ANOMALY for label in labels} | (set() if any(labels) else {ANOMALY}))
    table = ClassTable((VideoClass(NORMAL), *(VideoClass(name) for name in names)), normal=0)
    videos = []
    for name, own in found.items():
        segments = tuple(Segment(label or ANOMALY, first, end) for label, first, end in own.segments)
        present = tuple(dict.fromkeys(s.label for s in segments)) or (NORMAL,)
        videos.append(Video(name, present, frames=own.frames, segments=segments))
    return videos, table, bool(labels) and None not in labels
