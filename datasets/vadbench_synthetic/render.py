"""Rendering of scripts to frames, and of frames to a video file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vadbench.data import media
from vadbench_synthetic.canvas import MARGIN, SIZE, Brush, Floats
from vadbench_synthetic.scene import LIGHTS, background, sensor
from vadbench_synthetic.script import Script

FPS = 10
PRESET, CRF = "superfast", 30
"""Quality of the video files. At slower presets x264's look-ahead reads memory that it has not set when a picture is
as small as ours, and the same frames give different bytes (measured: every second video at ``veryfast``)."""
CHUNK = 100
"""Frames painted at once: bounds the memory at some 10 MB."""


def paint(script: Script, times: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Paint some frames of a script.

    Args:
        times: frame numbers in ascending order; what a frame looks like does not depend on the others.

    Returns:
        ``(len(times), SIZE, SIZE, 3)`` RGB.
    """
    camera, t = script.camera, np.asarray(times, np.float32)
    pixels = np.repeat(background(camera)[None], len(t), 0)
    cast = [*script.actors, *(actor for event in script.events for actor in event.actors)]
    cast.sort(key=lambda actor: (actor.glows, actor.ground))
    lit = False
    for actor in cast:
        if actor.glows and not lit:
            pixels *= np.array(LIGHTS[camera.light], np.float32)
            lit = True
        rows = np.flatnonzero((t >= actor.start) & (t < actor.end))
        if len(rows):
            actor.draw(Brush(pixels, rows, t[rows]))
    if not lit:
        pixels *= np.array(LIGHTS[camera.light], np.float32)
    return _expose(script, pixels, t)


def _expose(script: Script, pixels: Floats, t: Floats) -> NDArray[np.uint8]:
    """Apply the sensor to painted frames: a shaking cut-out with noise."""
    dx, dy = sensor(script.camera, t)
    frames = np.empty((len(t), SIZE, SIZE, 3), np.float32)
    for k in range(len(t)):
        top, left = MARGIN + int(dy[k]), MARGIN + int(dx[k])
        frames[k] = pixels[k, top : top + SIZE, left : left + SIZE]
        noise = np.random.default_rng((*script.seed, int(t[k]))).bytes(SIZE * SIZE)
        grain = np.frombuffer(noise, np.uint8).reshape(SIZE, SIZE, 1).astype(np.float32)
        frames[k] += (grain / 127.5 - 1) * script.camera.noise
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def frames(script: Script) -> Iterator[NDArray[np.uint8]]:
    """Yield every frame of a script in order, ``(SIZE, SIZE, 3)`` each."""
    for first in range(0, script.frames, CHUNK):
        yield from paint(script, np.arange(first, min(first + CHUNK, script.frames)))


def film(script: Script, path: Path) -> None:
    """Write the video file of a script; the file appears whole or not at all."""
    media.write_video(path, frames(script), FPS, CRF, PRESET)
