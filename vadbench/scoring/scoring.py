"""Running a method over videos: several at once, long ones in windows, within bounded memory; its answers checked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vadbench.base.errors import PluginError
from vadbench.base.metric_keys import is_branch
from vadbench.base.types import Progress, silent
from vadbench.features.crops import Joining, joining
from vadbench.features.shard import FeatureRows
from vadbench.features.source import FeatureSource
from vadbench.method import Method, Scores
from vadbench.scoring.alignment import VideoScores
from vadbench.scoring.windows import Window, window_rows, windows
from vadbench.training.loop import arithmetic, autocast

ROWS_AT_ONCE = 16384
"""Rows of several videos or crops that a method is given in one call at most; one alone may have more."""


def score_videos(
    method: Method,
    features: FeatureSource,
    crops: Mapping[str, Sequence[str]],
    frames: Mapping[str, int],
    precision: str = "fp32",
    progress: Progress = silent,
) -> list[VideoScores]:
    """Score videos from their features, several at once within a bounded number of rows.

    A video that is longer than the method's window (:func:`vadbench.scoring.windows.window_rows`) is scored window by
    window, as ``vadbench score`` does: only a window of one crop of its rows is in memory.

    Args:
        method: scores rows.
        features: where the rows are.
        crops: which crops of each video are scored; :func:`vadbench.features.crops.joining` says how their scores
            are joined.
        frames: how long each video is.
        precision: arithmetic of the method, as in a recipe.
        progress: told how many videos are done.

    Raises:
        PluginError: the method returned scores of the wrong shape, or not finite.
    """
    method.eval()
    longest, joined = window_rows(method.reach), joining(features.fingerprint)
    out: list[VideoScores] = []
    progress("scoring", 0, len(crops))
    opened = (_Opened(name, frames[name], features.video_rows(name, crops[name])) for name in crops)
    for is_long, videos in itertools.groupby(opened, lambda video: video.count > longest):
        in_windows = (_in_windows(method, video, precision, joined) for video in videos)
        for scores in in_windows if is_long else _together(method, videos, crops, precision, joined):
            out.append(scores)
            progress("scoring", len(out), len(crops))
    return out


def score_window(
    method: Method,
    crops: Sequence[Callable[[], FeatureRows]],
    window: Window,
    precision: str,
    *,
    joined: Joining = "mean",
    name: str = "this video",
    frames: int = 0,
) -> VideoScores:
    """Return scores of the rows of a window that count; the method sees the others as well.

    Args:
        method: in evaluation mode.
        crops: each gives the rows ``(window.stop - window.start, dim)`` of one crop, asked for in turn.
        window: of the video.
        precision: arithmetic of the method.
        joined: how the scores of several crops are joined.
        name: of the video.
        frames: of the whole video.

    Raises:
        PluginError: as :func:`score_videos`.
    """
    rows = window.stop - window.start
    pieces = (_Piece(name, frames, rows, window.scored, read) for read in crops)
    return _JOINED[joined](list(_scored(method, pieces, precision)))


@dataclass(frozen=True)
class _Opened:
    """A video whose files are open: its rows, mapped, of each crop that is scored."""

    name: str
    frames: int
    rows: Mapping[str, FeatureRows]

    @property
    def count(self) -> int:
        return len(next(iter(self.rows.values())))


def _together(
    method: Method, videos: Iterable[_Opened], crops: Mapping[str, Sequence[str]], precision: str, joined: Joining
) -> Iterator[VideoScores]:
    """Yield scores of videos that are no longer than a window, several at once."""
    pieces = (
        _Piece(v.name, v.frames, v.count, slice(v.count), partial(_cut, rows, 0, v.count))
        for v in videos
        for rows in v.rows.values()
    )
    pending: list[VideoScores] = []
    for scores in _scored(method, pieces, precision):
        pending.append(scores)
        if len(pending) == len(crops[scores.name]):
            yield _JOINED[joined](pending)
            pending = []


def _cut(rows: FeatureRows, first: int, last: int) -> FeatureRows:
    return rows[first:last]


def _in_windows(method: Method, video: _Opened, precision: str, joined: Joining) -> VideoScores:
    """Score a long video, joining its crops in each window: the scores of all crops would take much memory."""
    reach, name = method.reach, video.name
    parts = [
        score_window(
            method,
            [partial(_cut, rows, window.start, window.stop) for rows in video.rows.values()],
            window,
            precision,
            joined=joined,
            name=name,
            frames=video.frames,
        )
        for window in windows(reach, window_rows(reach), video.count)
    ]
    if len({(p.classes is None, *sorted(p.branches)) for p in parts}) > 1:
        raise PluginError(
            f"{type(method).__name__}: of the {len(parts)} windows of {name} only some have class scores or a branch;"
            " give the same of every video"
        )
    classes = [p.classes for p in parts if p.classes is not None]
    return VideoScores(
        name,
        video.frames,
        np.concatenate([p.anomaly for p in parts]),
        np.concatenate(classes) if classes else None,
        {branch: np.concatenate([p.branches[branch] for p in parts]) for branch in parts[0].branches},
    )


@dataclass(frozen=True)
class _Piece:
    """Rows that a method is given as one video: how many, which of them count, and how to read them."""

    name: str
    frames: int
    count: int
    counted: slice
    read: Callable[[], FeatureRows]


class _Loaded(NamedTuple):
    """The rows ``(rows, dim)`` of a piece, copied in float32: its file need not stay open."""

    name: str
    frames: int
    counted: slice
    rows: NDArray[np.float32]


def _scored(method: Method, pieces: Iterable[_Piece], precision: str) -> Iterator[VideoScores]:
    """Yield scores of one piece after the other."""
    for group in _groups(pieces):
        tensors = [torch.from_numpy(piece.rows).to(method.task.device) for piece in group]
        with torch.inference_mode(), arithmetic(precision), autocast(precision, method.task.device):
            scores = method.score(tensors)
        if len(scores) != len(group):
            raise PluginError(
                f"{type(method).__name__}.score got {len(group)} videos and returned {len(scores)} scores"
            )
        yield from (_checked(method, p, s) for p, s in zip(group, scores, strict=True))


def _groups(pieces: Iterable[_Piece]) -> Iterator[list[_Loaded]]:
    group: list[_Loaded] = []
    rows = 0
    for piece in pieces:
        if group and rows + piece.count > ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(_Loaded(piece.name, piece.frames, piece.counted, np.array(piece.read(), np.float32)))
        rows += piece.count
    if group:
        yield group


def _mean(crops: Sequence[VideoScores]) -> VideoScores:
    """Return the mean of the scores of a video's crops, which have the same number of rows."""
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


def _highest(regions: Sequence[VideoScores]) -> VideoScores:
    """Return the maximum of the scores of a video's regions, with the class probabilities of the region that has it."""
    first = regions[0]
    anomaly = np.stack([r.anomaly for r in regions])
    classes = [r.classes for r in regions if r.classes is not None]
    highest = anomaly.argmax(axis=0)
    return VideoScores(
        first.name,
        first.frames,
        anomaly.max(axis=0),
        np.stack(classes)[highest, np.arange(len(highest))] if classes else None,
        {branch: np.max([r.branches[branch] for r in regions], axis=0) for branch in first.branches},
    )


_JOINED: Mapping[Joining, Callable[[Sequence[VideoScores]], VideoScores]] = {"mean": _mean, "max": _highest}


def _checked(method: Method, piece: _Loaded, scores: Scores) -> VideoScores:
    name, rows = piece.name, len(piece.rows)
    anomaly = scores.anomaly.float().cpu().numpy()
    classes = None if scores.classes is None else scores.classes.float().cpu().numpy()
    branches = {branch: s.float().cpu().numpy() for branch, s in scores.branches.items()}
    expected = (rows, len(method.task.classes))
    if wrong := [branch for branch in branches if not is_branch(branch)]:
        raise PluginError(
            f"{type(method).__name__}: a branch name has letters, digits, '_' and '-', with single blanks between,"
            f" found {wrong[0]!r}; rename it, as its metrics are called AUC(<branch>)"
        )
    every = [("anomaly scores", anomaly, (rows,))]
    every += [(f"scores of branch {branch}", s, (rows,)) for branch, s in branches.items()]
    for what, array, shape in every if classes is None else [*every, ("class scores", classes, expected)]:
        if array.shape != shape:
            raise PluginError(f"{type(method).__name__}: {what} of {name} must be {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise PluginError(f"{type(method).__name__}: {what} of {name} are not all finite")
    counted = piece.counted
    return VideoScores(
        name,
        piece.frames,
        anomaly[counted],
        None if classes is None else classes[counted],
        {branch: s[counted] for branch, s in branches.items()},
    )
