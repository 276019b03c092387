"""Engines, which run the cells of a benchmark on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class LostTask:
    """Result of a task whose worker died on every attempt, with the reason in words; or, with ``engine``, of one that
    may never have begun, because the whole engine is lost."""

    reason: str
    engine: bool = False


class Engine(Protocol):
    """Runs tasks and reports each when it ends."""

    def run_all(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R],
        started: Callable[[T], None],
        ended: Callable[[T, R | LostTask], None],
    ) -> None:
        """Run all tasks and return when the last has ended.

        Args:
            groups: tasks that share resources that are costly to open; a worker stays with a group as long as it can.
            work: does one task and must not raise. It must be picklable, as must tasks and results.
            started: called with a task that a worker begins, if the engine can tell.
            ended: called in this process, one task at a time. An exception in it ends everything.
        """
