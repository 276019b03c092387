"""Engines, which run the cells of a benchmark on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class LostTask:
    """Result of a task whose worker died on every attempt, with the reason in words; or, with ``engine``, of one that
    may never have begun, because the whole engine is lost."""

    reason: str
    engine: bool = False


@dataclass(frozen=True)
class LastResult(Generic[R]):
    """Result of a task whose process can do no other one, because its device failed.

    An engine ends that process and does the other tasks in others; in its own process it does no other task.
    """

    result: R
    reason: str


class Engine(Protocol):
    """Runs tasks and reports each when it ends."""

    def run_all(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R | LastResult[R]],
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
