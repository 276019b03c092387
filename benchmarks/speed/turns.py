"""Work timed in turns, each piece in its own process, so that other load on the machine slows all pieces alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from measuring import Seconds, once, process, rounds


@dataclass(frozen=True)
class Turn:
    """Work that a process does when it is its turn.

    Args:
        call: the timed function.
        facts: called after the last turn for further figures.
    """

    call: Callable[[], Any]
    facts: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class Taken:
    """Seconds of the turns of one process, and its facts."""

    seconds: list[Seconds]
    facts: dict[str, Any]


Side = tuple[Callable[..., Turn], Sequence[Any]]
"""A function that makes a turn, called in its process, and its arguments."""
_turns: list[Turn] = []
"""The turn of this process, as its only entry."""


def in_turns(threads: int, sides: Sequence[Side], quick: bool = False) -> list[Taken]:
    """Run all sides, one after the other, for as many rounds as :func:`measuring.rounds` takes."""
    with ExitStack() as stack:
        processes = [stack.enter_context(process(threads, quick)) for _ in sides]
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
