"""Running a method over videos: several at once, long ones in windows, within bounded memory; its answers checked."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch

from vadbench.base.errors import PluginError
from vadbench.base.metric_keys import is_branch
from vadbench.base.types import Progress, silent
from vadbench.features.crops import Joining
from vadbench.features.shard import FeatureRows
from vadbench.inputs import VideoInput
from vadbench.method import Method, Scores
from vadbench.scoring.alignment import VideoScores
from vadbench.scoring.windows import Window, window_rows, windows
from vadbench.training.loop import arithmetic, autocast

ROWS_AT_ONCE = 16384
"""Rows of several videos or crops that a method is given in one call at most; one alone may have more."""


def score_videos(
    method: Method,
    videos: Iterable[Sequence[VideoInput]],
    joined: Joining = "mean",
    precision: str = "fp32",
    progress: Progress = silent,
    total: int = 0,
) -> list[VideoScores]:
    """Score videos, several at once within a bounded number of rows.

    A video that is longer than the method's window (:func:`vadbench.scoring.windows.window_rows`) is scored window by
    window, as ``vadbench score`` does: only a window of one crop of its rows is in memory. One without streams is never
    cut, as it has no rows to hold, and would be decoded again for each window.

    Args:
        method: scores them.
        videos: the crops of each that are scored; asked for in turn.
        joined: how the scores of several crops are joined.
        precision: arithmetic of the method, as in a recipe.
        progress: told how many videos are done.
        total: how many there are.

    Raises:
        PluginError: the method returned scores of the wrong shape, or not finite.
    """
    method.eval()
    longest = window_rows(method.reach)
    out: list[VideoScores] = []
    progress("scoring", 0, total)
    for is_long, several in itertools.groupby(videos, lambda crops: _is_long(crops[0], longest)):
        in_windows = (_in_windows(method, crops, precision, joined) for crops in several)
        for scores in in_windows if is_long else _together(method, several, precision, joined):
            out.append(scores)
            progress("scoring", len(out), total)
    return out


def score_window(
    method: Method, crops: Iterable[VideoInput], window: Window, precision: str, joined: Joining = "mean"
) -> VideoScores:
    """Return scores of the rows of a window that count; the method sees the others as well.

    Args:
        method: in evaluation mode.
        crops: the rows of the window (``window.stop - window.start``) of each crop.
        window: of the video.
        precision: arithmetic of the method.
        joined: how the scores of several crops are joined.

    Raises:
        PluginError: as :func:`score_videos`.
    """
    return _JOINED[joined]([_counted(scores, window.scored) for scores in _scored(method, crops, precision)])


def _is_long(video: VideoInput, longest: int) -> bool:
    return bool(video.streams) and video.row_count > longest


def _together(
    method: Method, videos: Iterable[Sequence[VideoInput]], precision: str, joined: Joining
) -> Iterator[VideoScores]:
    """Yield scores of videos that are no longer than a window, several at once."""
    counts: deque[int] = deque()

    def every_crop() -> Iterator[VideoInput]:
        for crops in videos:
            counts.append(len(crops))
            yield from crops

    pending: list[VideoScores] = []
    for scores in _scored(method, every_crop(), precision):
        pending.append(scores)
        if len(pending) == counts[0]:
            yield _JOINED[joined](pending)
            pending = []
            counts.popleft()


def _in_windows(method: Method, crops: Sequence[VideoInput], precision: str, joined: Joining) -> VideoScores:
    """Score a long video, joining its crops in each window: the scores of all crops would take much memory."""
    reach, first = method.reach, crops[0]
    parts = [
        score_window(method, (crop.window(w.start, w.stop) for crop in crops), w, precision, joined)
        for w in windows(reach, window_rows(reach), first.row_count)
    ]
    if len({(p.classes is None, *sorted(p.branches)) for p in parts}) > 1:
        raise PluginError(
            f"{type(method).__name__}: of the {len(parts)} windows of {first.name} only some have class scores or a"
            " branch; give the same of every video"
        )
    classes = [p.classes for p in parts if p.classes is not None]
    return VideoScores(
        first.name,
        first.frame_count,
        np.concatenate([p.anomaly for p in parts]),
        np.concatenate(classes) if classes else None,
        {branch: np.concatenate([p.branches[branch] for p in parts]) for branch in parts[0].branches},
    )


def _counted(scores: VideoScores, counted: slice) -> VideoScores:
    """Return the scores of some rows."""
    return VideoScores(
        scores.name,
        scores.frames,
        scores.anomaly[counted],
        None if scores.classes is None else scores.classes[counted],
        {branch: s[counted] for branch, s in scores.branches.items()},
    )


def _scored(method: Method, videos: Iterable[VideoInput], precision: str) -> Iterator[VideoScores]:
    """Yield scores of one video or crop after the other."""
    for group in _groups(videos):
        placed = [_placed(video, method.task.device) for video in group]
        with torch.inference_mode(), arithmetic(precision), autocast(precision, method.task.device):
            scores = list(method.score(placed))
        if len(scores) != len(group):
            raise PluginError(
                f"{type(method).__name__}.score got {len(group)} videos and returned {len(scores)} scores"
            )
        yield from (_checked(method, v, s) for v, s in zip(group, scores, strict=True))


def _groups(videos: Iterable[VideoInput]) -> Iterator[list[VideoInput]]:
    group: list[VideoInput] = []
    rows = 0
    for video in videos:
        if group and rows + video.row_count > ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(_read(video))
        rows += video.row_count
    if group:
        yield group


def _read(video: VideoInput) -> VideoInput:
    """Return the video with a copy of the rows of its time line in float32: their file need not stay open."""
    if not video.streams:
        return video
    line = next(iter(video.streams.values()))
    rows = np.array(line.read(), np.float32)
    return video.with_line(replace(line, read=lambda: rows))


def _placed(video: VideoInput, device: torch.device) -> VideoInput:
    """Return the video with streams that are read as float32 tensors on the device, each once."""

    def tensors(read: Callable[[], FeatureRows]) -> Callable[[], torch.Tensor]:
        return cache(lambda: torch.from_numpy(np.array(read(), np.float32)).to(device))

    return replace(video, streams={n: replace(s, read=tensors(s.read)) for n, s in video.streams.items()})


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


def _checked(method: Method, video: VideoInput, scores: Scores) -> VideoScores:
    name, rows = video.name, video.row_count
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
    return VideoScores(name, video.frame_count, anomaly, classes, branches)
