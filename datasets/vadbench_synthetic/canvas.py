"""Painting anti-aliased shapes into many frames at once.

Only ``+ - * /``, square roots, comparisons and integer hashes are used, never ``sin`` or ``exp``: those differ in
their last bit between machines, and one bit can change an encoded video.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]

SIZE = 64
"""Width and height of a rendered frame in pixels."""
MARGIN = 4
"""Pixels painted beyond each edge of the frame, so that a shaking camera has something to look at."""
CANVAS = SIZE + 2 * MARGIN
"""Width and height of the painted area; every coordinate in this package is on the canvas."""


def wave(phase: ArrayLike) -> Floats:
    """Return a sine-like wave of period 1 made of two parabolas, between -1 and 1."""
    x = np.asarray(phase, np.float32)
    x = x - np.floor(x)
    return np.where(x < 0.5, 16 * x * (0.5 - x), -16 * (x - 0.5) * (1 - x)).astype(np.float32)


def triangle(phase: ArrayLike) -> Floats:
    """Return 0 at whole phases, 1 half-way between them, and straight lines in between."""
    x = np.asarray(phase, np.float32)
    return (1 - np.abs(2 * (x - np.floor(x)) - 1)).astype(np.float32)


def hashed(t: Floats, salt: int) -> Floats:
    """Return white noise in [0, 1): one value for every whole frame number and salt."""
    with np.errstate(over="ignore"):
        h = t.astype(np.uint32) * np.uint32(2654435761) + np.uint32(salt * 40503 % 2**32)
        h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(3266489917)
    return ((h ^ (h >> np.uint32(16))) >> np.uint32(8)).astype(np.float32) / np.float32(2**24)


class Brush:
    """Paints shapes that move with time into the frames an actor is seen in.

    Coordinates, radii and colours are scalars or one value a frame. Colours are RGB between 0 and 255.

    Args:
        pixels: ``(frames, CANVAS, CANVAS, 3)`` float32, changed in place.
        rows: indices of the frames to paint.
        t: the frame numbers of those rows in the video's own count.
    """

    def __init__(self, pixels: Floats, rows: NDArray[np.intp], t: Floats) -> None:
        self.pixels, self.rows, self.t = pixels.reshape(-1, 3), rows, t

    def capsule(
        self,
        ax: ArrayLike,
        ay: ArrayLike,
        bx: ArrayLike,
        by: ArrayLike,
        radius: ArrayLike,
        colour: ArrayLike,
        alpha: ArrayLike = 1.0,
        *,
        soft: float = 1.0,
        stroke: float = 0.0,
        add: bool = False,
    ) -> None:
        """Paint everything within ``radius`` of the line from a to b.

        ``soft`` is the width of the edge, ``stroke`` paints only a ring of that half-width at the radius, and ``add``
        adds light instead of covering what is there.
        """
        ax, ay, bx, by, r = (self._frames(v) for v in (ax, ay, bx, by, radius))
        reach = r + stroke + soft / 2
        left, top = np.floor(np.minimum(ax, bx) - reach), np.floor(np.minimum(ay, by) - reach)
        dx = self._span(left, np.maximum(ax, bx) + reach) - ax[:, None]
        dy = self._span(top, np.maximum(ay, by) + reach) - ay[:, None]
        ux, uy = bx - ax, by - ay
        along = (dx * ux[:, None])[:, None, :] + (dy * uy[:, None])[:, :, None]
        along = np.clip(along / (ux * ux + uy * uy + np.float32(1e-6))[:, None, None], 0, 1)
        off_x = dx[:, None, :] - along * ux[:, None, None]
        off_y = dy[:, :, None] - along * uy[:, None, None]
        inside = r[:, None, None] - np.sqrt(off_x * off_x + off_y * off_y)
        if stroke:
            inside = stroke - np.abs(inside)
        self._blend(left, top, np.clip(inside / soft + 0.5, 0, 1), colour, alpha, add)

    def disc(self, x: ArrayLike, y: ArrayLike, radius: ArrayLike, colour: ArrayLike, **style: Any) -> None:
        """Paint a filled circle; ``style`` as in :meth:`capsule`."""
        self.capsule(x, y, x, y, radius, colour, **style)

    def box(
        self, x0: ArrayLike, y0: ArrayLike, x1: ArrayLike, y1: ArrayLike, colour: ArrayLike, alpha: ArrayLike = 1.0
    ) -> None:
        """Paint an upright rectangle."""
        x0, y0, x1, y1 = (self._frames(v)[:, None] for v in (x0, y0, x1, y1))
        left, top = np.floor(x0[:, 0]), np.floor(y0[:, 0])
        xs, ys = self._span(left, x1[:, 0]), self._span(top, y1[:, 0])
        across = np.clip(np.minimum(xs - x0, x1 - xs) + 0.5, 0, 1)
        down = np.clip(np.minimum(ys - y0, y1 - ys) + 0.5, 0, 1)
        self._blend(left, top, across[:, None, :] * down[:, :, None], colour, alpha, False)

    def _frames(self, value: ArrayLike) -> Floats:
        return np.broadcast_to(np.asarray(value, np.float32), self.t.shape)

    @staticmethod
    def _span(first: Floats, last: Floats) -> Floats:
        """Return pixel coordinates from ``first`` on, enough for the widest frame: ``(frames, pixels)``."""
        return first[:, None] + np.arange(int(np.max(last - first)) + 2, dtype=np.float32)

    def _blend(self, left: Floats, top: Floats, cover: Floats, colour: ArrayLike, alpha: ArrayLike, add: bool) -> None:
        cover = cover * self._frames(alpha)[:, None, None]
        k, i, j = np.nonzero(cover > 1 / 256)
        x, y = left.astype(np.intp)[k] + j, top.astype(np.intp)[k] + i
        seen = (x >= 0) & (x < CANVAS) & (y >= 0) & (y < CANVAS)
        k, i, j = k[seen], i[seen], j[seen]
        at = (self.rows[k] * CANVAS + y[seen]) * CANVAS + x[seen]
        paint = np.broadcast_to(np.asarray(colour, np.float32), (len(self.t), 3))[k]
        below = self.pixels[at]
        self.pixels[at] = below + cover[k, i, j][:, None] * (paint if add else paint - below)
