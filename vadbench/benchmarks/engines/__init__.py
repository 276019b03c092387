"""Engines: where the cells of a benchmark are computed, on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class LostTask:
    """What comes back of a task whose worker died, more than once: why, in words."""

    reason: str


class Engine(Protocol):
    """Does tasks somewhere and tells of each as it ends."""

    def run_all(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R],
        started: Callable[[T], None],
        ended: Callable[[T, R | LostTask], None],
    ) -> None:
        """Do all tasks; returns when the last has ended.

        Args:
            groups: tasks that share what is costly to open; a worker stays with a group as long as it can.
            work: does one task and raises nothing. Like tasks and results it must pickle.
            started: called with a task that a worker begins, where the engine can tell.
            ended: called in this process, one at a time. What it raises ends everything.
        """
