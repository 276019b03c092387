"""Progress of long work: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vadbench.base.files import WAITING
from vadbench.base.text import plain
from vadbench.base.types import Progress

EVERY = 20.0
"""Seconds between two lines in a log file or a notebook."""


@contextmanager
def shown_progress(own: Progress | None = None) -> Iterator[Progress]:
    """Yield a progress callback: bars on a terminal; elsewhere a line at most every :data:`EVERY` seconds, and one as
    soon as it waits for another process.

    Args:
        own: a callback of the caller's, which is yielded instead.
    """
    if own is not None:
        yield own
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int, detail: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, detail=detail)
            bars.update(tasks[stage], completed=done, total=total, detail=detail, visible=done < total)

        yield report


class _Lines:
    """Writes lines to standard error."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY

    def __call__(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if stage.startswith(WAITING):
            if not done:
                print(f"note: {plain(stage)}", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next and done < total:
            self._next = time.monotonic() + EVERY
            print(f"note: {plain(stage)}: {done:,} of {total:,}", file=sys.stderr, flush=True)
