"""Running a method over videos, keeping the scores, and laying them beside the ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vadbench.dataset import ClassTable, Progress, Video, silent
from vadbench.errors import DataError, PluginError, RunError
from vadbench.features.store import FeatureStore
from vadbench.files import replacing
from vadbench.method import Method, Scores
from vadbench.metrics.rows import ScoredRows
from vadbench.protocols import class_positives_per_row, positives_per_row, require_frames, row_frames
from vadbench.training import arithmetic, autocast

ROWS_AT_ONCE = 16384


@dataclass(frozen=True)
class VideoScores:
    """Scores of one video as kept: ``anomaly`` (rows,), ``classes`` (rows, classes) or ``None``, true frame count."""

    name: str
    frames: int
    anomaly: NDArray[np.float32]
    classes: NDArray[np.float32] | None

    def without_classes(self) -> VideoScores:
        """The anomaly scores alone, for a data set with other classes."""
        return VideoScores(self.name, self.frames, self.anomaly, None)


def score_videos(
    method: Method, store: FeatureStore, names: Sequence[str], precision: str = "fp32", progress: Progress = silent
) -> list[VideoScores]:
    """Score videos from their stored features, several at once within a bounded number of rows.

    Raises:
        PluginError: the method returned scores of the wrong shape, or not finite.
    """
    method.eval()
    out: list[VideoScores] = []
    for group in _groups(names, store):
        progress("scoring", len(out), len(names))
        tensors = [torch.from_numpy(np.array(store.rows(n)[0], np.float32)).to(method.task.device) for n in group]
        with torch.inference_mode(), arithmetic(precision), autocast(precision, method.task.device):
            scores = method.score(tensors)
        if len(scores) != len(group):
            raise PluginError(
                f"{type(method).__name__}.score got {len(group)} videos and returned {len(scores)} scores"
            )
        for name, rows, score in zip(group, tensors, scores, strict=True):
            out.append(_checked(method, name, len(rows), store.frames(name), score))
    progress("scoring", len(names), len(names))
    return out


def _groups(names: Sequence[str], store: FeatureStore) -> Iterator[list[str]]:
    group: list[str] = []
    rows = 0
    for name in names:
        length = store.rows(name).shape[1]
        if group and rows + length > ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(name)
        rows += length
    if group:
        yield group


def _checked(method: Method, name: str, rows: int, frames: int, scores: Scores) -> VideoScores:
    anomaly = scores.anomaly.float().cpu().numpy()
    classes = None if scores.classes is None else scores.classes.float().cpu().numpy()
    expected = (rows, len(method.task.classes))
    for what, array, shape in (("anomaly scores", anomaly, (rows,)), ("class scores", classes, expected)):
        if array is None:
            continue
        if array.shape != shape:
            raise PluginError(f"{type(method).__name__}: {what} of {name} must be {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise PluginError(f"{type(method).__name__}: {what} of {name} are not all finite")
    return VideoScores(name, frames, anomaly, classes)


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
        scores = [
            VideoScores(str(name), int(frames), arrays["anomaly"][a:b], None if classes is None else classes[a:b])
            for name, frames, a, b in zip(arrays["names"], arrays["frames"], ends - arrays["rows"], ends, strict=True)
        ]
        return scores, int(arrays["stride"])
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"cannot read {path}: {error}; run the method again") from error


def align(
    scores: Sequence[VideoScores], videos: Mapping[str, Video], stride: int, classes: ClassTable, tolerance: int = 0
) -> ScoredRows:
    """Lay scores beside the ground truth built from each video's own segments, keyed by name.

    Args:
        scores: of the videos of a split.
        videos: the split's videos by name.
        stride: frames from one row to the next.
        classes: the data set's class table.
        tolerance: frames by which a stated frame count may be off, and a segment may end past its video; what is past
            the end is cut off.

    Raises:
        DataError: a video's annotated frame count differs from its features', or a segment lies past its end.
    """
    for s in scores:
        require_frames(s.name, videos[s.name].frames, s.frames, tolerance)
        for start, end in [*videos[s.name].runs, *((g.start, g.end) for g in videos[s.name].segments)]:
            if start >= s.frames or end > s.frames + tolerance:
                raise DataError(
                    f"{s.name}: segment [{start}, {end}) lies past its {s.frames} frames;"
                    " the annotation and the video do not belong together"
                )
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
