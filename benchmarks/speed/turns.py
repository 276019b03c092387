"""Pieces of work that are done in turns, each in a process of its own that waits meanwhile, so that whatever else the
machine does slows all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from measuring import Seconds, once, process, rounds


@dataclass(frozen=True)
class Turn:
    """What a process does whenever it is its turn.

    Args:
        call: what is timed.
        facts: what else there is to know when all turns are over.
    """

    call: Callable[[], Any]
    facts: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class Taken:
    """What the turns of one process took, and its facts."""

    seconds: list[Seconds]
    facts: dict[str, Any]


Side = tuple[Callable[..., Turn], Sequence[Any]]
"""What makes a turn in its process, and its arguments."""
_turns: list[Turn] = []
"""In a process of its own: the one that it was given."""


def in_turns(threads: int, sides: Sequence[Side], quick: bool = False) -> list[Taken]:
    """Do the sides one after the other, as many rounds as :func:`measuring.rounds` says."""
    with ExitStack() as stack:
        processes = [stack.enter_context(process(threads)) for _ in sides]
        begun = [own.submit(_begin, make, arguments) for own, (make, arguments) in zip(processes, sides, strict=True)]
        for beginning in begun:
            beginning.result()
        taken = rounds(lambda: [own.submit(_call).result() for own in processes], quick)
        facts = [own.submit(_end).result() for own in processes]
    return [Taken(list(seconds), known) for seconds, known in zip(zip(*taken, strict=True), facts, strict=True)]


def _begin(make: Callable[..., Turn], arguments: Sequence[Any]) -> None:
    _turns.append(make(*arguments))


def _call() -> Seconds:
    return once(_turns[0].call)


def _end() -> dict[str, Any]:
    return _turns[0].facts()


def spread(values: Sequence[float], form: str = ".3g") -> str:
    """Return the median and, of several, the least and the greatest in brackets."""
    if len(values) == 1:
        return f"{values[0]:{form}} (once)"
    return f"{median(values):{form}} ({min(values):{form}}-{max(values):{form}})"
