"""Scripts: everything that happens in one video, written from a seed before anything is painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vadbench_synthetic.actors import Actor
from vadbench_synthetic.events import DISTRACTORS, EVENTS
from vadbench_synthetic.scene import Camera, normal_life

NORMAL = "Normal"
CAMERAS = 8
"""Places that the videos of one data set share."""


@dataclass(frozen=True)
class Event:
    """An anomaly in a script: its kind, first frame, one past the last, and who acts it out."""

    kind: str
    start: int
    end: int
    actors: tuple[Actor, ...]


@dataclass(frozen=True)
class Script:
    """A video before it is painted.

    Args:
        seed: the seed it was written from; also seeds the camera's noise.
        actors: everything in the picture but the events.
        events: the anomalies in the order of time, none for a normal video.
        distractors: the harmless look-alikes among the actors: name, first frame, one past the last.
    """

    seed: tuple[int, ...]
    camera: Camera
    frames: int
    actors: tuple[Actor, ...]
    events: tuple[Event, ...] = ()
    distractors: tuple[tuple[str, int, int], ...] = ()

    def seen(self, frame: int) -> tuple[str, set[str]]:
        """Return the class of a frame, :data:`NORMAL` outside every event, and the look-alikes on stage in it."""
        kind = next((event.kind for event in self.events if event.start <= frame < event.end), NORMAL)
        return kind, {name for name, start, end in self.distractors if start <= frame < end}

    def without_events(self) -> Script:
        """Return the same scene on a day when nothing happens."""
        return replace(self, events=())


def cameras(seed: int) -> list[Camera]:
    """Return the places of the data set of that seed, the same in its two splits."""
    rng = np.random.default_rng((seed, 0))
    return [Camera.draw_from(rng) for _ in range(CAMERAS)]


def write(
    kind: str, seed: tuple[int, ...], places: Sequence[Camera], frames: tuple[int, int], max_distractors: int = 2
) -> Script:
    """Write the script of one video.

    Args:
        kind: a class name, :data:`NORMAL` or a key of :data:`EVENTS`.
        seed: non-negative integers; equal seeds give equal scripts on every machine.
        places: one of them is taken, at any time of day.
        frames: least and greatest number of frames, at least 100; a longer video may hold two events.
    """
    rng = np.random.default_rng(seed)
    count = int(rng.integers(frames[0], frames[1] + 1))
    camera = places[int(rng.integers(len(places)))]
    camera = camera.at(str(rng.choice([camera.light, "day", "day", "dusk", "night"])))
    actors = normal_life(rng, camera, count)
    distractors = []
    for _ in range(int(rng.integers(1, max_distractors + 1)) if max_distractors else 0):
        alike = DISTRACTORS[str(rng.choice(list(DISTRACTORS)))]
        builder = alike[int(rng.integers(len(alike)))]
        start = int(rng.integers(0, count // 2))
        end = int(rng.integers(start + 60, count + 60))
        actors += builder(rng, camera, start, end)
        distractors.append((builder.__name__, start, end))
    events = [] if kind == NORMAL else _events(rng, kind, camera, count)
    return Script(seed, camera, count, tuple(actors), tuple(events), tuple(distractors))


def _events(rng: np.random.Generator, kind: str, camera: Camera, frames: int) -> list[Event]:
    """Place one event in the video, or in every third video of 240 frames and more one in each half."""
    halves = [(0, frames)]
    if frames >= 240 and rng.integers(3) == 0:
        halves = [(0, frames // 2), (frames // 2, frames)]
    events = []
    for first, last in halves:
        length = int(rng.integers(45, min(130, last - first - 25)))
        start = int(rng.integers(first + 10, last - length - 9))
        events.append(Event(kind, start, start + length, tuple(EVENTS[kind](rng, camera, start, start + length))))
    return events
