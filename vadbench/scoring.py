"""Running a method over videos, keeping the scores, and laying them beside the ground truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vadbench.dataset import ClassTable, Progress, Video, silent
from vadbench.errors import DataError, PluginError, RunError
from vadbench.features.source import FeatureSource
from vadbench.files import replacing
from vadbench.method import Method, Scores
from vadbench.metrics.rows import ScoredRows
from vadbench.protocols import Protocol, class_positives_per_row, positives_per_row, require_frames, row_frames
from vadbench.training import arithmetic, autocast

ROWS_AT_ONCE = 16384
_BRANCH = "branch "
"""What the names of branches begin with in a scores file."""


@dataclass(frozen=True)
class VideoScores:
    """Scores of one video as kept, with its true frame count.

    ``anomaly`` and each of ``branches`` are ``(rows,)``, ``classes`` is ``(rows, classes)`` or ``None``.
    """

    name: str
    frames: int
    anomaly: NDArray[np.float32]
    classes: NDArray[np.float32] | None
    branches: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def without_classes(self) -> VideoScores:
        """The anomaly scores alone, for a data set with other classes."""
        return replace(self, classes=None)


def score_videos(
    method: Method,
    features: FeatureSource,
    crops: Mapping[str, Sequence[str]],
    frames: Mapping[str, int],
    precision: str = "fp32",
    progress: Progress = silent,
) -> list[VideoScores]:
    """Score videos from their features, several at once within a bounded number of rows.

    Args:
        method: scores rows.
        features: where the rows are.
        crops: which crops of each video are scored; the mean over them is its score.
        frames: how long each video is.
        precision: arithmetic of the method, as in a recipe.
        progress: told how many videos are done.

    Raises:
        PluginError: the method returned scores of the wrong shape, or not finite.
    """
    method.eval()
    out: list[VideoScores] = []
    for group in _groups(features, crops):
        progress("scoring", len(out), len(crops))
        rows = [features.crop_rows(name, crop) for name, crop in group]
        tensors = [torch.from_numpy(np.array(r, np.float32)).to(method.task.device) for r in rows]
        with torch.inference_mode(), arithmetic(precision), autocast(precision, method.task.device):
            scores = method.score(tensors)
        if len(scores) != len(group):
            raise PluginError(
                f"{type(method).__name__}.score got {len(group)} videos and returned {len(scores)} scores"
            )
        checked = [
            _checked(method, name, len(r), frames[name], s) for (name, _), r, s in zip(group, rows, scores, strict=True)
        ]
        for _, same in itertools.groupby(checked, key=lambda s: s.name):
            out.append(_mean(list(same)))
    progress("scoring", len(crops), len(crops))
    return out


def _groups(features: FeatureSource, crops: Mapping[str, Sequence[str]]) -> Iterator[list[tuple[str, str]]]:
    group: list[tuple[str, str]] = []
    rows = 0
    for name, chosen in crops.items():
        length = len(chosen) * len(features.crop_rows(name, chosen[0]))
        if group and rows + length > ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group += [(name, crop) for crop in chosen]
        rows += length
    if group:
        yield group


def _mean(crops: Sequence[VideoScores]) -> VideoScores:
    """The mean of the scores of a video's crops, which have the same number of rows."""
    first = crops[0]
    if len(crops) == 1:
        return first
    classes = [c.classes for c in crops if c.classes is not None]
    return VideoScores(
        first.name,
        first.frames,
        np.mean([c.anomaly for c in crops], axis=0, dtype=np.float32),
        np.mean(classes, axis=0, dtype=np.float32) if classes else None,
        {branch: np.mean([c.branches[branch] for c in crops], axis=0, dtype=np.float32) for branch in first.branches},
    )


def _checked(method: Method, name: str, rows: int, frames: int, scores: Scores) -> VideoScores:
    anomaly = scores.anomaly.float().cpu().numpy()
    classes = None if scores.classes is None else scores.classes.float().cpu().numpy()
    branches = {branch: s.float().cpu().numpy() for branch, s in scores.branches.items()}
    expected = (rows, len(method.task.classes))
    one_a_row = {"anomaly scores": anomaly} | {f"scores of branch {branch}": s for branch, s in branches.items()}
    every = [(what, array, (rows,)) for what, array in one_a_row.items()]
    for what, array, shape in every if classes is None else [*every, ("class scores", classes, expected)]:
        if array.shape != shape:
            raise PluginError(f"{type(method).__name__}: {what} of {name} must be {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise PluginError(f"{type(method).__name__}: {what} of {name} are not all finite")
    return VideoScores(name, frames, anomaly, classes, branches)


def save_scores(path: Path, scores: Sequence[VideoScores], stride: int, classes: ClassTable) -> None:
    """Write the scores of a split as one .npz file without pickled objects."""
    arrays: dict[str, Any] = {
        "names": np.array([s.name for s in scores]),
        "frames": np.array([s.frames for s in scores], dtype=np.int64),
        "rows": np.array([len(s.anomaly) for s in scores], dtype=np.int64),
        "stride": np.int64(stride),
        "anomaly": np.concatenate([s.anomaly for s in scores]),
        "class_names": np.array(classes.names),
        "normal": np.int64(classes.normal),
    }
    if all(s.classes is not None for s in scores):
        arrays["classes"] = np.concatenate([s.classes for s in scores if s.classes is not None])
    for branch in scores[0].branches:
        arrays[f"{_BRANCH}{branch}"] = np.concatenate([s.branches[branch] for s in scores])
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def load_scores(path: Path) -> tuple[list[VideoScores], int]:
    """Read back what :func:`save_scores` wrote: the scores and the stride of their rows in frames.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {k: file[k] for k in file.files}
        ends = np.cumsum(arrays["rows"])
        classes = arrays.get("classes")
        branches = {k.removeprefix(_BRANCH): v for k, v in arrays.items() if k.startswith(_BRANCH)}
        scores = [
            VideoScores(
                str(name),
                int(frames),
                arrays["anomaly"][a:b],
                None if classes is None else classes[a:b],
                {branch: values[a:b] for branch, values in branches.items()},
            )
            for name, frames, a, b in zip(arrays["names"], arrays["frames"], ends - arrays["rows"], ends, strict=True)
        ]
        return scores, int(arrays["stride"])
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"cannot read {path}: {error}; run the method again") from error


def align(
    scores: Sequence[VideoScores], videos: Mapping[str, Video], stride: int, classes: ClassTable, rules: Protocol
) -> ScoredRows:
    """Lay scores beside the ground truth built from each video's own segments, keyed by name.

    Args:
        scores: of the videos of a split.
        videos: the split's videos by name.
        stride: frames from one row to the next.
        classes: the data set's class table.
        rules: how many frames a video has, and by how much a stated count may be off or a segment end past it; what is
            past the end is cut off.

    Raises:
        DataError: a video's annotated frame count differs from its own, or a segment lies past its end.
    """
    if rules.tail == "rows":
        scores = [replace(s, frames=len(s.anomaly) * stride) for s in scores]
    else:
        for s in scores:
            _require_truth(s, videos[s.name], rules.tolerance)
    lengths = [len(s.anomaly) for s in scores]
    truth = [(videos[s.name], len(s.anomaly), stride, s.frames) for s in scores]
    with_classes = all(s.classes is not None for s in scores)
    return ScoredRows(
        video=np.repeat(np.arange(len(scores)), lengths),
        names=tuple(s.name for s in scores),
        scores=np.concatenate([s.anomaly for s in scores]).astype(np.float64),
        frames=np.concatenate([row_frames(r, k, f) for _, r, k, f in truth]),
        positives=np.concatenate([positives_per_row(v.runs, r, k, f) for v, r, k, f in truth]),
        class_scores=np.concatenate([s.classes for s in scores if s.classes is not None]) if with_classes else None,
        class_positives=np.concatenate([class_positives_per_row(v, classes, r, k, f) for v, r, k, f in truth])
        if with_classes
        else None,
        class_names=classes.names,
        normal=classes.normal,
    )


def _require_truth(scores: VideoScores, video: Video, tolerance: int) -> None:
    """Refuse a video whose annotation was made for another number of frames."""
    require_frames(video.name, video.frames, scores.frames, tolerance)
    for start, end in [*video.runs, *((g.start, g.end) for g in video.segments)]:
        if start >= scores.frames or end > scores.frames + tolerance:
            raise DataError(
                f"{video.name}: segment [{start}, {end}) lies past its {scores.frames} frames;"
                " the annotation and the video do not belong together"
            )
