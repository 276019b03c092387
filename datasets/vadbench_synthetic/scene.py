"""Cameras, the street each of them sees, and the life in it that is no anomaly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from vadbench_synthetic import actors
from vadbench_synthetic.actors import Actor, Look, random_colour
from vadbench_synthetic.canvas import CANVAS, MARGIN, Brush, Colour, Floats, hashed, triangle, wave

LIGHTS: dict[str, Colour] = {"day": (1.0, 1.0, 1.0), "dusk": (0.78, 0.62, 0.58), "night": (0.44, 0.46, 0.57)}
"""Factors by which each light scales red, green and blue."""

CYCLIST_SPEED = (0.9, 1.6)
CAR_SPEED = (0.8, 2.0)
"""Pixels a frame."""


@dataclass(frozen=True)
class Camera:
    """A place and the camera that watches it.

    Args:
        light: a key of :data:`LIGHTS`.
        horizon: where the ground starts on the canvas; houses and sky are above.
        border: where the farther strip of ground ends and the nearer one starts.
        walkway_near: whether the walkway is the nearer strip and the road the farther one, or the other way round.
        noise: largest error of a pixel, in grey levels.
        shake: largest displacement of the picture, in pixels, up to :data:`MARGIN`.
        zoom: size of everything that moves; 1 in the data set.
        look: seeds walls, paving and texture.
    """

    light: str
    horizon: int
    border: int
    walkway_near: bool
    noise: int
    shake: int
    look: int
    zoom: float = 1.0

    @classmethod
    def draw_from(cls, rng: np.random.Generator) -> Camera:
        """Return a random camera."""
        return cls(
            light=str(rng.choice(["day", "day", "dusk", "night"])),
            horizon=int(rng.integers(20, 26)),
            border=int(rng.integers(42, 47)),
            walkway_near=bool(rng.integers(2)),
            noise=int(rng.integers(2, 10)),
            shake=int(rng.choice([0, 0, 1, 2])),
            look=int(rng.integers(1 << 30)),
        )

    def at(self, light: str) -> Camera:
        """Return the same camera at another time of day."""
        return replace(self, light=light)

    @property
    def walkway(self) -> tuple[int, int]:
        """Highest and lowest place on the canvas where feet touch the walkway."""
        return (self.border + 6, CANVAS - MARGIN - 3) if self.walkway_near else (self.horizon + 9, self.border - 3)

    @property
    def road(self) -> tuple[int, int]:
        """Highest and lowest place on the canvas where wheels touch the road."""
        return (self.horizon + 11, self.border - 3) if self.walkway_near else (self.border + 9, CANVAS - MARGIN - 2)

    def height(self, ground: float) -> float:
        """Return the height in pixels of a person whose feet are at ``ground``."""
        return self.zoom * (11.5 + 0.2 * (ground - 26))


def background(camera: Camera) -> Floats:
    """Return the empty street by daylight: ``(CANVAS, CANVAS, 3)`` between 0 and 255."""
    rng = np.random.default_rng(camera.look)
    picture = np.empty((CANVAS, CANVAS, 3), np.float32)
    picture[:] = (150, 180, 215)
    brush = Brush(picture[None], np.zeros(1, np.intp), np.zeros(1, np.float32))
    left = 0
    while left < CANVAS:
        right, top = left + int(rng.integers(12, 26)), int(rng.integers(0, 12))
        wall = rng.integers(70, 190) + rng.integers(-25, 26, 3)
        brush.box(left, top, right, camera.horizon, wall)
        for x in range(left + 3, right - 4, 6):
            for y in range(top + 3, camera.horizon - 5, 7):
                brush.box(x, y, x + 3, y + 4, wall * 0.55)
        left = right
    paving = rng.integers(140, 190) + rng.integers(-12, 13, 3)
    asphalt = rng.integers(60, 95) + rng.integers(-5, 6, 3)
    far, near = (asphalt, paving) if camera.walkway_near else (paving, asphalt)
    brush.box(-1, camera.horizon, CANVAS, camera.border, far)
    brush.box(-1, camera.border, CANVAS, CANVAS, near)
    brush.box(-1, camera.border - 1, CANVAS, camera.border + 0.5, (195, 195, 190))
    strip = (camera.border + 1, CANVAS) if camera.walkway_near else (camera.horizon, camera.border - 1)
    for x in range(int(rng.integers(0, 8)) - 8, CANVAS, 9):
        brush.capsule(x, strip[1], x + 6, strip[0], 0.3, paving * 0.8)
    lane = (camera.horizon + camera.border) / 2 if camera.walkway_near else (camera.border + CANVAS) / 2
    for x in range(int(rng.integers(0, 10)) - 10, CANVAS, 12):
        brush.box(x, lane - 0.5, x + 6, lane + 0.5, (205, 205, 195))
    return np.clip(picture + rng.integers(-7, 8, (CANVAS, CANVAS, 1)), 0, 255).astype(np.float32)


def sensor(camera: Camera, t: Floats) -> tuple[Floats, Floats]:
    """Return the displacement of the camera in each frame, horizontal and vertical, in whole pixels."""
    drift = [camera.shake * (wave(t / p) + hashed(t, camera.look % 997 + p) - 0.5) / 1.5 for p in (19, 29)]
    return np.rint(drift[0]), np.rint(drift[1])


def walker(rng: np.random.Generator, camera: Camera) -> Actor:
    """Return a pedestrian who strolls up and down the walkway."""
    ground = float(rng.uniform(*camera.walkway))
    height, look = camera.height(ground) * float(rng.uniform(0.9, 1.08)), Look.draw_from(rng)
    speed, begin = float(rng.uniform(0.12, 0.45)), float(rng.uniform(0, 2))
    span = CANVAS + 30

    def draw(brush: Brush) -> None:
        phase = brush.t * speed / (2 * span) + begin
        x = -15 + span * triangle(phase)
        actors.person(brush, x, ground, height, look, swing=wave(brush.t * speed / (0.55 * height)))

    return Actor(draw, ground)


def traffic(rng: np.random.Generator, camera: Camera, frames: int) -> list[Actor]:
    """Return a car that drives along the road once, with its headlights on at night."""
    facing = float(rng.choice([-1.0, 1.0]))
    ground = float(rng.uniform(*camera.road))
    height, colour = camera.height(ground), random_colour(rng, 30, 225)
    speed, start, van = float(rng.uniform(*CAR_SPEED)), int(rng.integers(-40, frames)), bool(rng.integers(4) == 0)
    reach = 1.2 * height

    def x(brush: Brush) -> Floats:
        along = (brush.t - start) * speed - reach
        return along if facing > 0 else CANVAS - along

    def draw(brush: Brush) -> None:
        actors.car(brush, x(brush), ground, height, colour, facing, van)

    def light(brush: Brush) -> None:
        actors.headlights(brush, x(brush), ground, height, facing, 0.5)

    end = start + int((CANVAS + 2 * reach) / speed) + 1
    body = Actor(draw, ground, start, end)
    return [body, Actor(light, ground, start, end, glows=True)] if camera.light == "night" else [body]


def street_tree(rng: np.random.Generator, camera: Camera) -> Actor:
    """Return a green tree at the foot of the houses."""
    ground, x = camera.horizon + 2.0, float(rng.uniform(6, CANVAS - 6))
    leaves = (float(rng.integers(35, 75)), float(rng.integers(85, 130)), float(rng.integers(35, 65)))
    draw = partial(actors.tree, x=x, y=ground, height=float(rng.uniform(11, 16)), leaves=leaves, sway=0.9)
    return Actor(draw, ground)


def bird(rng: np.random.Generator, frames: int) -> Actor:
    """Return a bird that crosses the sky."""
    start, speed = int(rng.integers(0, frames)), float(rng.choice([-1, 1]) * rng.uniform(0.7, 1.4))
    height = float(rng.uniform(7, 18))

    def draw(brush: Brush) -> None:
        x = CANVAS / 2 + speed * (brush.t - start - 40)
        actors.bird(brush, x, height + 2 * wave(brush.t / 31), 2.0)

    return Actor(draw, 0.0, start, start + 80)


def normal_life(rng: np.random.Generator, camera: Camera, frames: int) -> list[Actor]:
    """Return everything that happens in any video of this camera."""
    life = [walker(rng, camera) for _ in range(int(rng.integers(1, 5)))]
    for _ in range(int(rng.integers(1, 2 + frames // 120))):
        life += traffic(rng, camera, frames)
    life += [street_tree(rng, camera) for _ in range(int(rng.integers(0, 3)))]
    life += [bird(rng, frames) for _ in range(int(rng.integers(0, 3)))]
    return life
