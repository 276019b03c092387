"""The six kinds of anomaly, and for each the harmless things that look a little like it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vadbench_synthetic import actors
from vadbench_synthetic.actors import Actor, Look, random_colour
from vadbench_synthetic.canvas import CANVAS, Brush, hashed, triangle, wave
from vadbench_synthetic.scene import CAR_SPEED, CYCLIST_SPEED, Camera, traffic

Builder = Callable[[np.random.Generator, Camera, int, int], list[Actor]]
"""A function that builds the actors of one event between two frames."""


def explosion(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a flash and a ball of fire that sinks into rising smoke, with smaller bursts after it."""
    strip = camera.walkway if rng.integers(2) else camera.road
    x, y, salt = float(rng.uniform(18, 54)), float(rng.uniform(*strip)), int(rng.integers(1 << 16))
    size, every = camera.zoom * float(rng.uniform(8.5, 12)), int(rng.integers(24, 40))
    rise = np.float32(0.35 * size)

    def smoke(brush: Brush) -> None:
        grown = np.clip((brush.t - start) / 12, 0, 1) * np.clip((end - brush.t) / 12, 0, 1)
        actors.smoke(brush, x, y - 4, 0.75 * size, salt, grown)

    def fire(brush: Brush) -> None:
        since = brush.t - start
        age, first = since % every, since < every
        ball = np.where(first, 1.0, 0.72) * size * (0.9 + 0.2 * hashed(brush.t, salt))
        ball = ball * np.clip((age + 2) / 6, 0, 1) * np.clip((every + 4 - age) / every, 0, 1)
        flash = np.clip(1 - age / 4, 0, 1) * np.where(first, 0.8, 0.4)
        brush.disc(x, y - rise, ball + 2, (255, 150, 60), alpha=0.45, soft=1.4 * size, add=True)
        brush.disc(x, y - rise, ball, (250, 120, 25), alpha=0.9, soft=3.0)
        for k in range(5):
            dx, dy = (hashed(brush.t * 0 + k, salt) - 0.5) * 1.5, (hashed(brush.t * 0 + k, salt + 9) - 0.5) * 1.5
            brush.disc(x + dx * ball, y - rise + dy * ball, 0.4 * ball, (255, 170, 50), alpha=0.8, soft=2.5)
        brush.disc(x, y - rise, 0.5 * ball, (255, 240, 170), alpha=0.95, soft=3.0)
        brush.disc(x, y - rise, 1.5 * size, (255, 240, 210), alpha=flash, soft=2.5 * size, add=True)

    return [Actor(smoke, y, start, end), Actor(fire, y, start, end, glows=True)]


def fire(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build flames that grow on the ground or at a house, with smoke above them."""
    strip = camera.walkway if rng.integers(2) else (camera.horizon, camera.horizon + 6)
    x, y, salt = float(rng.uniform(14, 58)), float(rng.uniform(*strip)), int(rng.integers(1 << 16))
    size = camera.zoom * float(rng.uniform(10, 16))

    def strength(brush: Brush) -> np.ndarray:
        return np.clip((brush.t - start + 3) / 12, 0, 1) * np.clip((end - brush.t + 3) / 12, 0, 1)

    def smoke(brush: Brush) -> None:
        actors.smoke(brush, x, y - 0.8 * size, 0.45 * size, salt, strength(brush))

    def burn(brush: Brush) -> None:
        actors.flames(brush, x, y, size, salt, strength(brush))

    return [Actor(smoke, y, start, end), Actor(burn, y, start, end, glows=True)]


def _pair(rng: np.random.Generator, camera: Camera) -> tuple[float, float, float, Look, Look]:
    ground = float(rng.uniform(*camera.walkway))
    return float(rng.uniform(18, 54)), ground, camera.height(ground), Look.draw_from(rng), Look.draw_from(rng)


def fighting(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build two people who hit each other: they lunge, sway and swing their arms faster than anyone else."""
    x, ground, height, *looks = _pair(rng, camera)
    salt = int(rng.integers(1 << 16))

    def draw(brush: Brush) -> None:
        away = 0.5 * (np.clip(start - brush.t, 0, None) + np.clip(brush.t - end, 0, None))
        active = away == 0
        for side, look in zip((-1.0, 1.0), looks, strict=True):
            jump = hashed(np.floor(brush.t / 3), salt + int(side)) - 0.5
            lunge = wave(brush.t / 7 + 0.25 * side)
            place = x + side * (0.3 * height + away) + active * 0.16 * height * (lunge + jump)
            punch = 0.3 + 0.3 * wave(brush.t / 4 + 0.3 * side), 0.3 + 0.3 * wave(brush.t / 5 + 0.5 + 0.3 * side)
            hands = tuple(np.where(active, p, 0.05) for p in punch)
            lift = np.where(active, -0.05 + 0.25 * wave(brush.t / 5 + side), 0.3)
            upright = np.where(active, 0.78 + 0.18 * wave(brush.t / 6 + 0.5 * side), 1.0)
            swing = np.where(active, 0.7 + 0.3 * lunge, wave(brush.t / 12))
            actors.person(brush, place, ground, height, look,
                          upright=upright, facing=-side, swing=swing, hands=hands, lift=lift)  # fmt: skip

    return [Actor(draw, ground, start - 90, end + 90)]


def meeting(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build two people who stand together, hug or dance slowly."""
    x, ground, height, *looks = _pair(rng, camera)
    apart, lift = float(rng.uniform(0.14, 0.26)), float(rng.choice([0.1, 0.25, -0.1]))

    def draw(brush: Brush) -> None:
        away = 0.4 * (np.clip(start - brush.t, 0, None) + np.clip(brush.t - end, 0, None))
        met = away == 0
        for side, look in zip((-1.0, 1.0), looks, strict=True):
            place = x + side * (apart * height + away) + met * 0.06 * height * wave(brush.t / 45)
            hands = tuple(np.where(met, reach, 0.05) for reach in (0.3, 0.24 + 0.04 * wave(brush.t / 30)))
            actors.person(brush, place, ground, height, look, facing=-side, hands=hands,
                          swing=np.where(met, 0.1, wave(brush.t / 14)), lift=np.where(met, lift, 0.3))  # fmt: skip

    return [Actor(draw, ground, start - 100, end + 100)]


def vehicle_on_walkway(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a car or van that drives along the walkway, in one direction or to and fro."""
    ground, van = float(rng.uniform(*camera.walkway)), bool(rng.integers(2))
    height, colour = camera.height(ground), random_colour(rng, 30, 225)
    x, facing, _ = _passes(rng, start, end, CAR_SPEED, height)

    def draw(brush: Brush) -> None:
        actors.car(brush, x(brush), ground, height, colour, facing, van)

    def light(brush: Brush) -> None:
        actors.headlights(brush, x(brush), ground, height, facing, 0.5)

    body = Actor(draw, ground, start, end)
    return [body, Actor(light, ground, start, end, glows=True)] if camera.light == "night" else [body]


def cyclist(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a person who rides a bicycle along the walkway."""
    return _rider(rng, camera, camera.walkway, start, end)


def cyclist_on_road(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a person who rides a bicycle where bicycles belong."""
    return _rider(rng, camera, camera.road, start, end)


def _rider(rng: np.random.Generator, camera: Camera, strip: tuple[int, int], start: int, end: int) -> list[Actor]:
    ground = float(rng.uniform(*strip))
    height, look = camera.height(ground), Look.draw_from(rng)
    bike = random_colour(rng, 30, 225)
    x, facing, passes = _passes(rng, start, end, CYCLIST_SPEED, height)

    def draw(brush: Brush) -> None:
        lap = np.floor((brush.t - start) * passes / (end - start))
        actors.cyclist(brush, x(brush), ground, height, look, facing * np.where(lap % 2 == 0, 1.0, -1.0), bike)

    return [Actor(draw, ground, start, end)]


def _passes(
    rng: np.random.Generator, start: int, end: int, speed: tuple[float, float], height: float
) -> tuple[Callable[[Brush], np.ndarray], float, int]:
    """Return a path to and fro across the frame that fills the time: ``x``, first direction, number of crossings."""
    facing, span = float(rng.choice([-1.0, 1.0])), CANVAS + 0.8 * height
    passes = max(1, round((end - start) * float(rng.uniform(*speed)) / span))

    def x(brush: Brush) -> np.ndarray:
        along = span * triangle((brush.t - start) * passes / (2 * (end - start))) - 0.4 * height
        return along if facing > 0 else CANVAS - along

    return x, facing, passes


def fallen_person(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a person who walks, collapses, lies on the ground and gets up again at the end."""
    ground, facing = float(rng.uniform(*camera.walkway)), float(rng.choice([-1.0, 1.0]))
    height, look = camera.height(ground) * 1.05, Look.draw_from(rng)
    x, speed = float(rng.uniform(20, 52)), 0.3

    def draw(brush: Brush) -> None:
        walked = np.clip(brush.t - start, None, 0) + np.clip(brush.t - end, 0, None)
        down = np.clip((brush.t - start) / 6, 0, 1) * np.clip((end - brush.t) / 6, 0, 1)
        swing = np.where(walked == 0, 0.25, wave(brush.t * speed / (0.55 * height)))
        actors.person(brush, x + facing * speed * walked, ground, height, look,
                      upright=1 - down, facing=facing, swing=swing)  # fmt: skip

    return [Actor(draw, ground, start - 200, end + 200)]


def sitting(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a person on a bench."""
    ground = float(rng.uniform(*camera.walkway))
    draw = partial(actors.sitter, x=float(rng.uniform(14, 58)), y=ground, height=camera.height(ground),
                   look=Look.draw_from(rng))  # fmt: skip
    return [Actor(draw, ground, start, end)]


def dog_walk(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a dog that wanders along the walkway."""
    ground, facing = float(rng.uniform(*camera.walkway)), float(rng.choice([-1.0, 1.0]))
    height, grey = camera.height(ground), float(rng.integers(30, 170))
    x, colour = _passes(rng, start, end, (0.3, 0.7), height)[0], (grey, 0.8 * grey, 0.6 * grey)
    return [Actor(lambda brush: actors.dog(brush, x(brush), ground, height, facing, colour), ground, start, end)]


def pram_walk(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a person who pushes a pram."""
    ground, facing = float(rng.uniform(*camera.walkway)), float(rng.choice([-1.0, 1.0]))
    height, look, colour = camera.height(ground), Look.draw_from(rng), random_colour(rng, 30, 200)
    speed, offset = float(rng.uniform(0.15, 0.35)), float(rng.uniform(0, 30))

    def draw(brush: Brush) -> None:
        along = (brush.t - start) * speed + offset
        x = along if facing > 0 else CANVAS - along
        actors.pram(brush, x, ground, height, facing, colour)
        actors.person(brush, x, ground, height, look, facing=facing, hands=(0.2, 0.2), lift=0.18,
                      swing=wave(brush.t * speed / (0.55 * height)))  # fmt: skip

    return [Actor(draw, ground, start, end)]


def parked_car(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a car that stands at the kerb, on the road side of it."""
    ground = camera.border - 2.0 if camera.walkway_near else camera.border + 9.0
    colour, van = random_colour(rng, 30, 225), bool(rng.integers(2))
    draw = partial(actors.car, x=float(rng.uniform(12, 60)), y=ground, height=camera.height(ground), colour=colour,
                   facing=1.0, van=van)  # fmt: skip
    return [Actor(draw, ground, start, end)]


def busy_road(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build several cars on the road, one after the other."""
    return [actor for _ in range(2) for actor in traffic(rng, camera, end)]


def sun_flare(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build the sun, or at night a floodlight, that dazzles the camera and comes and goes."""
    x, y, size = float(rng.uniform(10, 62)), float(rng.uniform(4, 26)), float(rng.uniform(6, 10))

    def draw(brush: Brush) -> None:
        bright = np.clip(1.3 * triangle((brush.t - start) / (end - start)), 0, 1) * (0.85 + 0.15 * wave(brush.t / 9))
        brush.disc(x, y, size, (200, 180, 130), alpha=0.9 * bright, soft=3.2 * size, add=True)
        brush.disc(x, y, 0.5 * size, (255, 250, 225), alpha=0.95 * bright, soft=4.0)

    return [Actor(draw, y, start, end, glows=True)]


def dazzling_headlights(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a car that stands on the road with its full beam towards the camera."""
    ground, x = float(rng.uniform(*camera.road)), float(rng.uniform(14, 58))
    height, colour = camera.height(ground), random_colour(rng, 30, 120)

    def body(brush: Brush) -> None:
        actors.car(brush, x, ground, height, colour, 1.0, False)

    def light(brush: Brush) -> None:
        for side in (-0.45, 0.45):
            actors.headlights(brush, x + (side - 0.95) * height, ground, height, 1.0, 0.9)

    return [Actor(body, ground, start, end), Actor(light, ground, start, end, glows=True)]


def shop_window(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a warmly lit shop window whose lamps flicker a little."""
    x, width, salt = float(rng.uniform(6, 52)), float(rng.uniform(9, 15)), int(rng.integers(1 << 16))

    def draw(brush: Brush) -> None:
        alpha = 0.75 + 0.2 * hashed(np.floor(brush.t / 3), salt)
        brush.box(x, camera.horizon - 9, x + width, camera.horizon - 1, (250, 165, 60), alpha)
        brush.box(x + 2, camera.horizon - 7, x + width / 2 - 1, camera.horizon - 2, (255, 215, 120), alpha)

    return [Actor(draw, camera.horizon, start, end, glows=True)]


def autumn_tree(rng: np.random.Generator, camera: Camera, start: int, end: int) -> list[Actor]:
    """Build a tree with red and golden leaves in the wind."""
    ground = camera.horizon + float(rng.uniform(2, 8))
    leaves = (float(rng.integers(205, 245)), float(rng.integers(95, 150)), float(rng.integers(20, 50)))
    draw = partial(actors.tree, x=float(rng.uniform(12, 60)), y=ground, height=float(rng.uniform(13, 19)),
                   leaves=leaves, sway=2.2)  # fmt: skip
    return [Actor(draw, ground, start, end)]


EVENTS: dict[str, Builder] = {
    "Cyclist": cyclist,
    "Explosion": explosion,
    "Fallen person": fallen_person,
    "Fighting": fighting,
    "Fire": fire,
    "Vehicle on walkway": vehicle_on_walkway,
}
"""Official class name -> builder of its actors."""

DISTRACTORS: dict[str, tuple[Builder, ...]] = {
    "Cyclist": (cyclist_on_road, pram_walk),
    "Explosion": (sun_flare, dazzling_headlights),
    "Fallen person": (sitting, dog_walk),
    "Fighting": (meeting,),
    "Fire": (shop_window, autumn_tree),
    "Vehicle on walkway": (parked_car, busy_road),
}
"""Look-alikes of each class; they appear in normal and abnormal videos alike."""
