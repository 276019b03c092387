"""Files in a run folder with the scores of a split and its ground truth."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from vadbench.base.errors import DataError, RunError, VadbenchError, first_complaint, one_line
from vadbench.base.files import regular, replacing
from vadbench.base.metric_keys import is_branch, legal_branch
from vadbench.base.stored_arrays import StoredArray, read_values, stored_array
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.records.folders import read_record, trained_threshold
from vadbench.records.keys import restored
from vadbench.records.record import REMARKS, RESULT, SCORES
from vadbench.records.remark_file import read_remarks, write_remarks
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

_BRANCH, _EXTRA, _VIDEO, _COST = "branch ", "extra ", "video ", "cost "
"""Prefixes of the names of branches, extras, rules for scores of whole videos, and costs in a scores file."""
_NAMED = (_BRANCH, _EXTRA, _VIDEO, _COST)
_ONLY_RULE = "video"
"""Name in a scores file of the scores of whole videos where the method has one rule, which has no name."""
_RATES = "rates"
"""Name in a scores file of the videos' frames a second, NaN where unknown; older files have none."""
_SCENARIOS = "scenarios"
"""Name in a scores file of the videos' scenarios, where the data set has some."""
_BY_CLASS = "by_class"
"""Name in a scores file of what says that the data set annotates no classes; other files lack it."""
_KINDS = {
    **dict.fromkeys(("names", "labels", "class_names"), "U"),
    **dict.fromkeys(("frames", "rows", "stride", "normal", "segments", "runs"), "i"),
    "anomaly": "f",
    "localises_normal": "b",
}
"""NumPy's kind of each array that every scores file has."""
_FURTHER = {_SCENARIOS: "U", _BY_CLASS: "b"}
"""NumPy's kind of each array that is no scores and that some files have."""
MOST_BYTES = 2 * 2**30
"""Bytes that the arrays of a scores file may have together (our decision): a small archive can hold any number."""


def save_split(split: ScoredSplit, path: Path) -> None:
    """Write everything but the rules, which the run's record has.

    Arrays become one .npz file without pickled objects, remarks a file beside it.
    """
    write_remarks(path.with_name(REMARKS), split.given, split.stride)
    index = range(len(split.videos))
    segments = [(i, split.classes.id(s.label), s.start, s.end) for i in index for s in split.videos[i].segments]
    runs = [(i, start, end) for i in index for start, end in split.videos[i].runs]
    arrays: dict[str, Any] = {
        "names": np.array([s.name for s in split.given]),
        "labels": np.array([json.dumps(v.labels) for v in split.videos]),
        "frames": np.array([s.frames for s in split.given], np.int64),
        "rows": np.array([len(s.anomaly) for s in split.given], np.int64),
        "stride": np.int64(split.stride),
        "anomaly": np.concatenate([s.anomaly for s in split.given]),
        "class_names": np.array(split.classes.names),
        "normal": np.int64(split.classes.normal),
        "localises_normal": np.bool_(split.normal_segments),
        "segments": np.array(segments, np.int64).reshape(-1, 4),
        "runs": np.array(runs, np.int64).reshape(-1, 3),
    }
    if all(s.classes is not None for s in split.given):
        arrays["classes"] = np.concatenate([s.classes for s in split.given if s.classes is not None])
    for branch in split.given[0].branches:
        arrays[f"{_BRANCH}{branch}"] = np.concatenate([s.branches[branch] for s in split.given])
    for extra in split.given[0].extras:
        arrays[f"{_EXTRA}{extra}"] = np.concatenate([s.extras[extra] for s in split.given])
    for rule in split.given[0].video:
        arrays[f"{_VIDEO}{rule}" if rule else _ONLY_RULE] = np.stack([s.video[rule] for s in split.given])
    if any(s.rate is not None for s in split.given):
        arrays[_RATES] = np.array([np.nan if s.rate is None else s.rate for s in split.given], np.float64)
    if any(v.scenario for v in split.videos):
        arrays[_SCENARIOS] = np.array([v.scenario for v in split.videos])
    if not split.by_class:
        arrays[_BY_CLASS] = np.bool_(False)
    for cost in dict.fromkeys(name for s in split.given for name in s.costs):
        arrays[f"{_COST}{cost}"] = np.array([s.costs.get(cost, np.nan) for s in split.given], np.float64)
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def load_split(folder: Path, *, remarks: bool = False) -> ScoredSplit:
    """Return the scores and the ground truth that an evaluation left in its folder.

    Args:
        folder: of the evaluation.
        remarks: read the remarks in words as well, which may be many and are measured by nothing.

    Raises:
        RunError: the record or the scores are missing, damaged or contradict each other.
    """
    try:
        record = read_record(folder)
        rules = restored(Protocol, record.protocol)
    except ValidationError as error:
        raise RunError(
            f"cannot read {folder / RESULT}: protocol: {first_complaint(error)}; run the method again"
        ) from error
    threshold = record.threshold
    if threshold is None and record.trained_on == record.dataset:
        threshold = trained_threshold(folder)  # of an older record
    path = folder / SCORES
    try:
        # Branches of the first edition may be called otherwise.
        arrays = _read_arrays(regular(path), _legal if record.edition == 1 else str)
    # A damaged file makes zipfile, zlib and NumPy raise nearly anything, MemoryError included.
    except Exception as error:
        raise RunError(f"cannot read {path}: {one_line(error)}; run the method again") from error
    try:
        _require_values(arrays)
        split = replace(_restored(arrays, rules, record.unit_scores), threshold=threshold)
        _ = split.rows  # making them finds what else is wrong: segments past the end, scores that are not finite
    except (TypeError, ValueError, RecursionError, VadbenchError) as error:
        raise RunError(f"cannot read {path}: {one_line(error)}; run the method again") from error
    if remarks:
        found = read_remarks(folder / REMARKS, {s.name: len(s.anomaly) for s in split.given})
        split = replace(split, given=[replace(s, remarks=found.get(s.name)) for s in split.given])
    return split


def _legal(array: str) -> str:
    """Return the name in today's files of an array of the first edition."""
    return _BRANCH + legal_branch(array.removeprefix(_BRANCH)) if array.startswith(_BRANCH) else array


def _of(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of one kind by the rest of their names."""
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _read_arrays(path: Path, legal: Callable[[str], str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a scores file; only those that it should have are read, once all headers fit each other.

    Raises:
        DataError: an array is missing, damaged or of another kind or shape, or they are too large.
    """
    with zipfile.ZipFile(path) as archive:
        members = {legal(m.filename.removesuffix(".npy")): m for m in archive.infolist()}

        def header_of(name: str, file: IO[bytes]) -> StoredArray:
            return stored_array(file, f"'{name}'", members[name].file_size)

        def values(name: str) -> NDArray[Any]:
            with archive.open(members[name]) as file:
                return read_values(file, f"'{name}'", header_of(name, file))

        headers = {}
        for name, member in members.items():
            with archive.open(member) as file:
                headers[name] = header_of(name, file)
        if missing := sorted(_KINDS.keys() - headers.keys()):
            raise DataError(f"it lacks {', '.join(missing)}")
        if sum(header.nbytes for header in headers.values()) > MOST_BYTES:
            raise DataError(f"expected arrays of at most {MOST_BYTES:,} bytes together, found more")
        known = _require_shapes(headers, int(values("rows").sum()) if headers["rows"].dtype.kind == "i" else 0)
        return {name: values(name) for name in known}


def _require_shapes(arrays: Mapping[str, StoredArray], rows: int) -> list[str]:
    """Return the names of the arrays that a scores file may have, or raise if one has another kind or shape.

    Args:
        arrays: their headers.
        rows: of all videos.

    Raises:
        DataError: says what is wrong.
    """
    scored = [n for n in arrays if n in ("anomaly", "classes", _ONLY_RULE, _RATES) or n.startswith(_NAMED)]
    further = {name: kind for name, kind in _FURTHER.items() if name in arrays}
    kinds = _KINDS | further | dict.fromkeys(scored, "f")
    for name, kind in kinds.items():
        if arrays[name].dtype.kind != kind:
            raise DataError(f"'{name}' must be of kind {kind}, found {arrays[name].dtype}")
    partial = [name for name in scored if name == _RATES or name.startswith(_COST)]
    videos, classes = arrays["names"].size, arrays["class_names"].size
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(scored, (rows,))
    shapes |= {name: (videos, classes) for name in scored if name.startswith((_ONLY_RULE, _VIDEO))}
    shapes |= dict.fromkeys(("names", "labels", "frames", "rows", *partial), (videos,)) | {"class_names": (classes,)}
    shapes |= dict.fromkeys(("stride", "normal", "localises_normal"), ())
    shapes |= {name: shape for name, shape in ((_SCENARIOS, (videos,)), (_BY_CLASS, ())) if name in further}
    shapes |= {n: (arrays[n].shape[0], width) for n, width in (("segments", 4), ("runs", 3)) if arrays[n].shape}
    if "classes" in arrays:
        shapes["classes"] = (rows, classes)
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise DataError(f"'{name}' must have shape {shape}, found {arrays[name].shape}")
    return list(kinds)


def _require_values(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise if an array points at no video or class, or has values that none can have.

    Raises:
        DataError: says what is wrong.
    """
    named = [name for name in arrays if name.startswith(_NAMED)]
    scored = [name for name in arrays if name in ("anomaly", "classes", _ONLY_RULE, _RATES, *named)]
    partial = [name for name in scored if name == _RATES or name.startswith(_COST)]
    videos, classes = arrays["names"].size, arrays["class_names"].size
    segments, runs = arrays["segments"], arrays["runs"]
    owners = np.concatenate([segments[:, 0], runs[:, 0]])
    wrong = {
        "a video twice": len(np.unique(arrays["names"])) < videos,
        "a class twice": len(np.unique(arrays["class_names"])) < classes,
        "a class without a name": (arrays["class_names"] == "").any(),
        "a name that no metric can carry": not all(is_branch(name.partition(" ")[2]) for name in named),
        "a video without rows or frames": (np.minimum(arrays["rows"], arrays["frames"]) < 1).any(),
        "a stride below 1": arrays["stride"] < 1,
        "an index of the normal class that is out of range": not 0 <= arrays["normal"] < classes,
        "a segment of no video": ((owners < 0) | (owners >= videos)).any(),
        "a segment of no class": ((segments[:, 1] < 0) | (segments[:, 1] >= classes)).any(),
        "a segment that ends before it starts": (runs[:, 1] >= runs[:, 2]).any(),
        "a score that is not finite": not all(np.isfinite(arrays[n]).all() for n in scored if n not in partial),
        "a cost or a frame rate that is infinite or below 0": any(
            (arrays[n] < 0).any() or np.isinf(arrays[n]).any() for n in partial
        ),
        "a frame rate of 0": (arrays.get(_RATES, np.ones(1)) == 0).any(),
    }
    for what, found in wrong.items():
        if found:
            raise DataError(f"it has {what}")


def _restored(arrays: dict[str, NDArray[Any]], rules: Protocol, unit_scores: bool) -> ScoredSplit:
    table = ClassTable(tuple(VideoClass(str(name)) for name in arrays["class_names"]), int(arrays["normal"]))
    classes = arrays.get("classes")
    branches, extras, of_video, costs = (_of(prefix, arrays) for prefix in (_BRANCH, _EXTRA, _VIDEO, _COST))
    of_video |= {"": arrays[_ONLY_RULE]} if _ONLY_RULE in arrays else {}
    ends = np.cumsum(arrays["rows"])
    rates = arrays.get(_RATES, np.full(len(arrays["names"]), np.nan))
    scenarios = arrays.get(_SCENARIOS, [""] * len(arrays["names"]))
    scores, videos = [], []
    for i, (name, labels) in enumerate(zip(arrays["names"], arrays["labels"], strict=True)):
        own = slice(int(ends[i] - arrays["rows"][i]), int(ends[i]))
        scores.append(
            VideoScores(
                str(name),
                int(arrays["frames"][i]),
                arrays["anomaly"][own],
                None if classes is None else classes[own],
                {branch: values[own] for branch, values in branches.items()},
                {extra: values[own] for extra, values in extras.items()},
                {rule: values[i] for rule, values in of_video.items()},
                {cost: float(values[i]) for cost, values in costs.items() if not np.isnan(values[i])},
                rate=None if np.isnan(rates[i]) else float(rates[i]),
            )
        )
        segments = arrays["segments"][arrays["segments"][:, 0] == i, 1:].tolist()
        videos.append(
            Video(
                str(name),
                tuple(str(label) for label in json.loads(str(labels))),
                segments=tuple(Segment(table.names[c], start, end) for c, start, end in segments),
                binary=tuple((start, end) for start, end in arrays["runs"][arrays["runs"][:, 0] == i, 1:].tolist()),
                scenario=str(scenarios[i]),
            )
        )
    normal_segments = bool(arrays["localises_normal"])
    return ScoredSplit(
        scores,
        videos,
        int(arrays["stride"]),
        table,
        rules,
        normal_segments,
        unit_scores,
        by_class=bool(arrays.get(_BY_CLASS, True)),
    )
