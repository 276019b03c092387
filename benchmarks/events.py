"""How many events the two rules of a threshold find in rendered minutes, as docs/own-videos.md shows it.

    OMP_NUM_THREADS=1 python benchmarks/events.py

Of 24 minutes of the streets of ``synthetic``, ten frames a second, 12 hold two events each and 12 none. They are scored
by two methods without training: once by the rule that such methods have, which takes the threshold from the scores of
the video itself, and once with events from 0.5 on, of any length. An event that was planted is found where one that was
reported overlaps it; an event that was reported is false where it overlaps none that was planted.

It takes about three minutes of one core of a CPU, and writes the table into the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from marked import between
from tabulate import tabulate
from vadbench_synthetic.events import EVENTS
from vadbench_synthetic.render import film
from vadbench_synthetic.script import Event, Script, cameras, write

import vadbench
from vadbench.base.files import write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own-videos.md"
MARKS = "<!-- events: written by benchmarks/events.py -->", "<!-- end of events -->"
MINUTES, FRAMES = 12, 600
METHODS: dict[str, dict[str, Any]] = {
    "`zero-shot`": {"method": "zero-shot", "dataset": "synthetic"},
    "`descriptions-frame`, bank `synthetic`": {"method": "descriptions-frame", "descriptions": "synthetic"},
}
RULES: dict[str, dict[str, Any]] = {
    "the video's own scores": {},
    "0.5, of any length": {"threshold": 0.5, "min_length": 0},
}
Frames = tuple[int, int]
"""First frame, one past the last."""


def planted(minute: int) -> list[tuple[str, int, int]]:
    """Return class, first frame and one past the last of the two events of a minute; every class comes four times."""
    kinds, later = sorted(EVENTS), 10 * minute
    first, second = kinds[minute % len(kinds)], kinds[(minute + 1 + minute // len(kinds)) % len(kinds)]
    return [(first, 100 + later, 180 + later), (second, 350 + later, 400 + later)]


def script(minute: int, events: Sequence[tuple[str, int, int]]) -> Script:
    """Return a minute with the given events, or without events a quiet minute of another scene."""
    scene = write("Normal", (0, 9 if events else 8, minute), cameras(0), (FRAMES, FRAMES))
    rng = np.random.default_rng(minute)
    made = [Event(kind, start, end, tuple(EVENTS[kind](rng, scene.camera, start, end))) for kind, start, end in events]
    return replace(scene, events=tuple(made))


def count(planted: Sequence[Frames], reported: Sequence[Frames]) -> tuple[int, int]:
    """Return how many planted events are found, and how many of the reported ones are false."""
    found = sum(any(overlap(event, other) for other in reported) for event in planted)
    return found, sum(not any(overlap(event, other) for other in planted) for event in reported)


def overlap(one: Frames, other: Frames) -> bool:
    """Say whether two events share a frame."""
    return one[0] < other[1] and other[0] < one[1]


def lines(minutes: int, folder: Path) -> Iterator[list[Any]]:
    """Yield a line of the table for every method and rule.

    Args:
        minutes: how many with events, and how many without.
        folder: for the videos and what is made of them.
    """
    truth = [planted(minute) for minute in range(minutes)] + [[] for _ in range(minutes)]
    videos = [folder / f"{index}.mp4" for index in range(2 * minutes)]
    for index, (path, events) in enumerate(zip(videos, truth, strict=True)):
        film(script(index % minutes, events), path)
    for name, method in METHODS.items():
        for rule, options in RULES.items():
            results = vadbench.score(videos, out=folder / "scored", device="cpu", **method, **options)
            made = []
            for events, result in zip(truth, results, strict=True):
                table = result.events
                reported = [(int(a), int(b)) for a, b in zip(table["first_frame"], table["end_frame"], strict=True)]
                made.append(count([(start, end) for _, start, end in events], reported))
            found = sum(hits for hits, _ in made)
            false = [sum(wrong for _, wrong in part) for part in (made[:minutes], made[minutes:])]
            yield [name, rule, f"{found} of {2 * minutes}", *false]


def table(minutes: int) -> str:
    """Return the table in Markdown."""
    headers = ["method", "events begin at", "found", "false, minutes with events", "false, quiet minutes"]
    with TemporaryDirectory() as place:
        return tabulate(list(lines(minutes, Path(place))), headers, tablefmt="pipe") + "\n"


def main() -> None:
    """Write the table into the page, or print one of fewer minutes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, help="print a table of N minutes with events and N without", metavar="N")
    minutes = parser.parse_args().minutes
    if minutes:
        print(table(minutes))
    else:
        write_text(PAGE, between(PAGE, table(MINUTES), MARKS))


if __name__ == "__main__":
    main()
