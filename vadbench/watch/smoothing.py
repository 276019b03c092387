"""Post-processing of scores that come window by window: of each row once the rows that it depends on are there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from vadbench.base.errors import ConfigError
from vadbench.scoring.post import processed, rows_around
from vadbench.scoring.post_steps import canonical_post
from vadbench.scoring.video_scores import VideoScores, joined_windows


def streamed_post(post: str, stride: int) -> str:
    """Return post-processing in its one spelling, after making sure that it can be done while a video is read.

    Args:
        post: the steps.
        stride: frames from one row to the next.

    Raises:
        UnknownNameError, ConfigError: it is no list of steps, or one of them depends on the length of the video.
    """
    if rows_around(post, stride) is None:
        raise ConfigError(
            f"post-processing '{post}' depends on the length of the video, which is not known while it is read; give"
            " --post none, or other steps"
        )
    return canonical_post(post)


def processed_windows(
    windows: Iterable[tuple[int, VideoScores]], post: str, stride: int
) -> Iterator[tuple[int, VideoScores]]:
    """Yield the scores of a video after post-processing, the same as of the whole video.

    They are behind those that come by the rows that the steps look ahead, until the video ends. Costs are those of the
    windows that came.

    Args:
        windows: number of the first row and scores of windows that follow each other.
        post: the steps, of which none depends on the length of the video.
        stride: frames from one row to the next.
    """
    around = rows_around(post, stride) or 0
    held: VideoScores | None = None
    start = done = 0
    for window in itertools.chain(windows, [None]):
        costs: Mapping[str, float] = {}
        if window is not None:
            costs = window[1].costs
            new = replace(window[1], costs={})
            held = new if held is None else joined_windows([held, new])
        if held is None:
            return
        stop = start + len(held.anomaly)
        ready = stop if window is None else stop - around
        if ready > done:
            found = processed(held, post, stride).part(slice(done - start, ready - start))
            yield done, replace(found, costs=costs)
            done = ready
            kept = max(start, done - around)
            held, start = held.part(slice(kept - start, stop - start)), kept
