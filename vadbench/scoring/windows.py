"""Windows of a video that is too long to be scored in one call: one rule for runs and for a user's videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vadbench.method import Reach

ROWS_OF_PARTS = 4096
"""Rows of a window where a score depends on neighbours: any number gives the same scores."""
ROWS_OF_WHOLE = 131_072
"""Rows of a window where a score depends on the whole video. No test video of a published data set has as many, a row a
frame (the longest known one, of UCF-Crime, has 107,997), so none of them is cut."""


@dataclass(frozen=True)
class Window:
    """Rows of a video that are scored in one call.

    Args:
        start: number of the first row that the method sees.
        stop: one past the last that it sees.
        first: number of the first row whose score counts.
        last: one past the last whose score counts.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def scored(self) -> slice:
        """The rows whose scores count, among those that are seen."""
        return slice(self.first - self.start, self.last - self.start)


def window_rows(reach: Reach, stream: bool = False) -> int:
    """Return the number of rows that a window scores: whole chunks; a single one of a stream, which has to be quick."""
    if stream:
        return reach.chunk
    most = ROWS_OF_WHOLE if reach.whole else ROWS_OF_PARTS
    return max(reach.chunk, most // reach.chunk * reach.chunk)


def next_window(reach: Reach, rows: int, done: int, there: int, ended: bool) -> Window | None:
    """Return the window after the rows that have scores; ``None`` if some of its rows are yet to come, or none is left.

    Windows follow each other from the video's first row on, so that chunks are those of the whole video, and see
    the margins on both sides. Where the whole video matters, a last window that would be shorter sees the rows before
    it as well, and is as long as any other.

    Args:
        reach: of the method.
        rows: rows of a window, from :func:`window_rows`.
        done: rows that have scores.
        there: rows that are known.
        ended: whether these are all.
    """
    last = done + rows
    if not ended and there < last + (0 if reach.whole else reach.margin):
        return None
    last = min(last, there)
    if last == done:
        return None
    if reach.whole:
        return Window(max(0, last - rows), last, done, last)
    return Window(max(0, done - _before(reach)), min(last + reach.margin, there), done, last)


def windows(reach: Reach, rows: int, there: int) -> Iterator[Window]:
    """Yield all windows of a video of ``there`` rows: one where it is no longer than a window."""
    done = 0
    while window := next_window(reach, rows, done, there, ended=True):
        yield window
        done = window.last


def first_needed(reach: Reach, rows: int, done: int, there: int) -> int:
    """Return the first row that a window yet to come may see; arguments as for :func:`next_window`."""
    return max(0, min(done, there - rows) if reach.whole else done - _before(reach))


def _before(reach: Reach) -> int:
    """Return the margin in whole chunks: the first of them must begin where one of the video's does."""
    return -(-reach.margin // reach.chunk) * reach.chunk
