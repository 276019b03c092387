"""Running a method over videos: several at once, long ones in windows, within bounded memory; its answers checked."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
import torch

from vadbench.base.arithmetic import arithmetic
from vadbench.base.errors import PluginError
from vadbench.base.types import Progress, silent
from vadbench.features.crops import Joining
from vadbench.features.shard import FeatureRows
from vadbench.inputs import VideoInput
from vadbench.method import Method, Scores
from vadbench.scoring.checks import checked
from vadbench.scoring.video_scores import VideoScores, joined_crops, joined_windows, require_one_form
from vadbench.scoring.windows import Window, window_rows, windows
from vadbench.training.loop import autocast

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
        PluginError: the method returned scores of the wrong shape, or not finite, or other kinds of them for some
            videos.
    """
    method.eval()
    longest = window_rows(method.reach)
    out: list[VideoScores] = []
    progress("scoring", 0, total)
    if method.config.needs().company == "split":
        for scores in _in_company(method, videos, precision):
            out.append(scores)
            progress("scoring", len(out), total)
        require_one_form(out)
        return out
    for is_long, several in itertools.groupby(videos, lambda crops: _is_long(crops[0], longest)):
        in_windows = (_in_windows(method, crops, precision, joined) for crops in several)
        for scores in in_windows if is_long else _together(method, several, precision, joined):
            out.append(scores)
            progress("scoring", len(out), total)
    require_one_form(out)
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
    return joined_crops([scores.part(window.scored) for scores in _scored(method, crops, precision)], joined)


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
            yield joined_crops(pending, joined)
            pending = []
            counts.popleft()


def _in_windows(method: Method, crops: Sequence[VideoInput], precision: str, joined: Joining) -> VideoScores:
    """Score a long video, joining its crops in each window: the scores of all crops would take much memory."""
    reach, first = method.reach, crops[0]
    parts = [
        score_window(method, (crop.window(w.start, w.stop) for crop in crops), w, precision, joined)
        for w in windows(reach, window_rows(reach), first.row_count)
    ]
    if len({p.form for p in parts}) > 1:
        raise PluginError(
            f"{type(method).__name__}: of the {len(parts)} windows of {first.name} only some have class scores or a"
            " branch; give the same of every video"
        )
    if parts[0].video:
        raise PluginError(
            f"{type(method).__name__}: {first.name} was scored in {len(parts)} windows, whose scores of a whole video"
            " cannot be joined; leave Scores.video out where the reach does not cover the video"
        )
    return joined_windows(parts)


def _scored(method: Method, videos: Iterable[VideoInput], precision: str) -> Iterator[VideoScores]:
    """Yield scores of one video or crop after the other."""
    for group in _groups(videos):
        placed = [_placed(video, method.task.device) for video in group]
        with _computing(method, precision):
            scores = list(_answer(method, placed))
        if len(scores) != len(group):
            raise PluginError(
                f"{type(method).__name__}.score got {len(group)} videos and returned {len(scores)} scores"
            )
        yield from (checked(method, v, s) for v, s in zip(group, scores, strict=True))


def _answer(method: Method, videos: Sequence[VideoInput]) -> Iterable[Scores]:
    """Return what a method gives for videos, which is checked one by one.

    Raises:
        PluginError: it gives no list of scores.
    """
    found: Any = method.score(videos)
    # The rows of a single tensor would be taken for the scores of so many videos.
    if isinstance(found, torch.Tensor) or not isinstance(found, Iterable):
        raise PluginError(
            f"score() of {type(method).__name__} must return Scores for each video, in a list, found"
            f" {type(found).__name__}"
        )
    return found


@contextmanager
def _computing(method: Method, precision: str) -> Iterator[None]:
    recipe, device = method.config.recipe, method.task.device
    deterministic = recipe is not None and recipe.deterministic
    with torch.inference_mode(), arithmetic(precision, device, deterministic), autocast(precision, device):
        yield


def _in_company(method: Method, videos: Iterable[Sequence[VideoInput]], precision: str) -> Iterator[VideoScores]:
    """Yield scores of videos that the method is given in one call, as an iterator, and may answer one after the other.

    Raises:
        PluginError: the numbers of videos and scores differ, or a video has several crops.
    """
    kind, given = type(method).__name__, deque[VideoInput]()

    def each() -> Iterator[VideoInput]:
        for crops in videos:
            if len(crops) > 1:
                raise PluginError(
                    f"{kind} scores videos in company and cannot be given the {len(crops)} crops of {crops[0].name} one"
                    " by one; score one crop, or set rows.crops=bag"
                )
            given.append(replace(crops[0], streams={}))
            yield _placed(_read(crops[0]), method.task.device)

    answers: Iterator[Scores] | None = None
    while True:
        with _computing(method, precision):
            answers = iter(_answer(method, cast(Sequence[VideoInput], each()))) if answers is None else answers
            scores = next(answers, None)
        if (scores is None) != (not given):
            raise PluginError(f"{kind}.score must give as many scores as it is given videos, in their order")
        if scores is None:
            return
        yield checked(method, given.popleft(), scores)


def _groups(videos: Iterable[VideoInput]) -> Iterator[list[VideoInput]]:
    group: list[VideoInput] = []
    rows = 0
    for video in videos:
        more = video.row_count * video.crop_count
        if group and rows + more > ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(_read(video))
        rows += more
    if group:
        yield group


def _read(video: VideoInput) -> VideoInput:
    """Return the video with the rows of its time line in memory, in float32: their file need not stay open."""
    if not video.streams:
        return video
    line = next(iter(video.streams.values()))
    rows = _writable(line.read())
    return video.with_line(replace(line, read=lambda: rows))


def _placed(video: VideoInput, device: torch.device) -> VideoInput:
    """Return the video with streams that are read as float32 tensors on the device, each once."""

    def tensors(read: Callable[[], FeatureRows]) -> Callable[[], torch.Tensor]:
        return cache(lambda: torch.from_numpy(_writable(read())).to(device))

    return replace(video, streams={n: replace(s, read=tensors(s.read)) for n, s in video.streams.items()})


def _writable(rows: FeatureRows) -> FeatureRows:
    """Return rows in float32, copied only from a mapped file."""
    kept = np.asarray(rows, np.float32)
    return kept if kept.flags.writeable else kept.copy()
