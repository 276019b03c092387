"""Moving things in a street: people, cars, bicycles, animals, trees, flames.

Each function paints one thing with a brush. ``x`` and ``y`` are where it touches the ground, ``height`` is that of a
standing person there, so everything keeps its proportions under perspective.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vadbench_synthetic.canvas import Brush, Colour, Floats, hashed, wave

SKIN: Colour = (205, 160, 130)
RUBBER: Colour = (25, 25, 28)


@dataclass(frozen=True)
class Actor:
    """Something to paint from frame ``start`` up to ``end``.

    Args:
        draw: paints it for the frames of the brush.
        ground: height of its base on the canvas; an actor that stands lower is nearer and is painted later.
        glows: shines by itself, so night does not darken it.
    """

    draw: Callable[[Brush], None]
    ground: float
    start: int = 0
    end: int = 1 << 30
    glows: bool = False


def random_colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    """Return a random colour with channels from ``low`` up to ``high``."""
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


@dataclass(frozen=True)
class Look:
    """Clothes of a person."""

    shirt: Colour
    trousers: Colour

    @classmethod
    def draw_from(cls, rng: np.random.Generator) -> Look:
        """Return random clothes."""
        return cls(random_colour(rng, 20, 230), random_colour(rng, 15, 110))


def person(
    brush: Brush,
    x: ArrayLike,
    y: ArrayLike,
    height: float,
    look: Look,
    *,
    upright: ArrayLike = 1.0,
    facing: float = 1.0,
    swing: ArrayLike = 0.0,
    hands: Sequence[ArrayLike] | None = None,
    lift: ArrayLike = 0.3,
) -> None:
    """Paint a person.

    Args:
        upright: 1 standing, 0 lying on the ground with the head towards ``facing``.
        facing: 1 to the right, -1 to the left.
        swing: legs apart, -1 to 1.
        hands: how far each hand is in front of the shoulders, in heights; by default they swing against the legs.
        lift: how far the hands hang below the shoulders, in heights; negative is above.
    """
    x, y, up = np.asarray(x, np.float32), np.asarray(y, np.float32), np.asarray(upright, np.float32)
    swing = np.asarray(swing, np.float32)
    norm = np.sqrt(up * up + (1 - up) * (1 - up))
    ux, uy = facing * (1 - up) / norm, -up / norm
    sx, sy = -uy, ux

    def at(along: ArrayLike, side: ArrayLike = 0.0) -> tuple[Floats, Floats]:
        along, side = np.asarray(along, np.float32) * height, np.asarray(side, np.float32) * height
        return x + along * ux + side * sx, y - 0.08 * height * (1 - up) + along * uy + side * sy

    if hands is None:
        hands = (0.16 * swing, -0.16 * swing)
    for leg in (-1.0, 1.0):
        brush.capsule(*at(0.48), *at(0.02, leg * (0.04 + 0.17 * swing)), 0.065 * height, look.trousers)
    brush.capsule(*at(0.5), *at(0.76), 0.125 * height, look.shirt)
    for hand in hands:
        brush.capsule(*at(0.76), *at(0.76 - np.asarray(lift), facing * np.asarray(hand)), 0.045 * height, look.shirt)
    brush.disc(*at(0.93), 0.1 * height, SKIN)


def sitter(brush: Brush, x: float, y: float, height: float, look: Look) -> None:
    """Paint a person on a bench."""
    nod = 0.02 * height * wave(brush.t / 23)
    brush.box(x - 0.5 * height, y - 0.3 * height, x + 0.5 * height, y - 0.22 * height, (110, 75, 45))
    for foot in (-0.45, 0.4):
        brush.box(x + foot * height, y - 0.25 * height, x + (foot + 0.06) * height, y, (60, 45, 35))
    brush.capsule(x, y - 0.34 * height, x + 0.24 * height, y - 0.34 * height, 0.07 * height, look.trousers)
    brush.capsule(x + 0.24 * height, y - 0.34 * height, x + 0.25 * height, y, 0.06 * height, look.trousers)
    brush.capsule(x, y - 0.36 * height, x + nod, y - 0.62 * height, 0.12 * height, look.shirt)
    brush.disc(x + nod, y - 0.8 * height, 0.1 * height, SKIN)


def car(brush: Brush, x: ArrayLike, y: float, height: float, colour: Colour, facing: float, van: bool) -> None:
    """Paint a car, or a van where ``van``; about twice as long as a person is high."""
    x = np.asarray(x, np.float32)
    long, high = 0.95 * height, 0.42 * height
    glass: Colour = (150, 175, 190)
    if van:
        brush.box(x - long, y - 1.0 * height, x + long, y - 0.14 * height, colour)
        front = x + facing * 0.62 * long
        brush.box(front - 0.22 * long, y - 0.85 * height, front + 0.22 * long, y - 0.52 * height, glass)
    else:
        brush.box(x - 0.6 * long, y - 0.78 * height, x + 0.6 * long, y - high, colour)
        brush.box(x - 0.5 * long, y - 0.7 * height, x - 0.05 * long, y - high, glass)
        brush.box(x + 0.05 * long, y - 0.7 * height, x + 0.5 * long, y - high, glass)
        brush.box(x - long, y - 0.48 * height, x + long, y - 0.14 * height, colour)
    for wheel in (-0.6, 0.6):
        brush.disc(x + wheel * long, y - 0.14 * height, 0.16 * height, RUBBER)


def headlights(brush: Brush, x: ArrayLike, y: float, height: float, facing: float, strength: float) -> None:
    """Paint the light in front of a car: a small hot core in a wide bloom."""
    x = np.asarray(x, np.float32) + facing * 0.95 * height
    brush.disc(x, y - 0.35 * height, 0.3 * height, (255, 245, 215), alpha=0.55 * strength, soft=height, add=True)
    brush.disc(x, y - 0.35 * height, 0.13 * height, (255, 250, 230), alpha=strength)


def cyclist(brush: Brush, x: ArrayLike, y: float, height: float, look: Look, facing: ArrayLike, bike: Colour) -> None:
    """Paint a person riding a bicycle."""
    x, facing = np.asarray(x, np.float32), np.asarray(facing, np.float32)
    hub = y - 0.22 * height
    for wheel in (-0.36, 0.36):
        brush.capsule(x + wheel * height, hub, x + wheel * height, hub, 0.21 * height, RUBBER, stroke=0.045 * height)
    brush.capsule(x - 0.33 * height * facing, hub, x + 0.02 * height * facing, hub - 0.24 * height, 0.04 * height, bike)
    brush.capsule(x - 0.05 * height * facing, hub, x + 0.28 * height * facing, hub - 0.32 * height, 0.04 * height, bike)
    turn = brush.t / 7
    hip = x - 0.14 * height * facing
    for leg in (0.0, 0.5):
        foot_x, foot_y = x + 0.1 * height * wave(turn + leg), hub + 0.1 * height * wave(turn + leg + 0.25)
        brush.capsule(hip, hub - 0.36 * height, foot_x, foot_y, 0.06 * height, look.trousers)
    chest, bar = x + 0.1 * height * facing, x + 0.3 * height * facing
    brush.capsule(hip, hub - 0.4 * height, chest, hub - 0.66 * height, 0.11 * height, look.shirt)
    brush.capsule(chest, hub - 0.62 * height, bar, hub - 0.36 * height, 0.045 * height, look.shirt)
    brush.disc(chest + 0.06 * height * facing, hub - 0.84 * height, 0.1 * height, SKIN)


def pram(brush: Brush, x: ArrayLike, y: float, height: float, facing: float, colour: Colour) -> None:
    """Paint a pram in front of the person who walks at ``x``."""
    x = np.asarray(x, np.float32) + 0.45 * facing * height
    for wheel in (-0.14, 0.14):
        brush.disc(x + wheel * height, y - 0.07 * height, 0.07 * height, RUBBER)
    brush.capsule(x - 0.14 * height, y - 0.28 * height, x + 0.14 * height, y - 0.28 * height, 0.13 * height, colour)
    brush.capsule(x - 0.2 * facing * height, y - 0.3 * height, x - 0.4 * facing * height, y - 0.5 * height, 0.6, RUBBER)


def dog(brush: Brush, x: ArrayLike, y: float, height: float, facing: float, colour: Colour) -> None:
    """Paint a dog on its four legs."""
    x = np.asarray(x, np.float32)
    back, step = y - 0.28 * height, 0.06 * height * wave(brush.t / 5)
    for leg in (-0.22, -0.16, 0.16, 0.22):
        away = step if leg in (-0.22, 0.16) else -step
        brush.capsule(x + leg * height, back, x + leg * height + away, y, 0.035 * height, colour)
    brush.capsule(x - 0.24 * height, back, x + 0.24 * height, back, 0.09 * height, colour)
    brush.disc(x + 0.34 * facing * height, back - 0.12 * height, 0.09 * height, colour)


def tree(brush: Brush, x: float, y: float, height: float, leaves: Colour, sway: float) -> None:
    """Paint a tree with a swaying crown."""
    brush.capsule(x, y, x, y - 0.8 * height, 0.06 * height, (70, 50, 35))
    crown = x + sway * wave(brush.t / 37)
    for dx, dy, r, shade in ((-0.2, 0.85, 0.24, 0.85), (0.22, 0.9, 0.22, 0.95), (0.0, 1.1, 0.27, 1.08)):
        colour = tuple(min(255.0, c * shade) for c in leaves)
        brush.disc(crown + dx * height, y - dy * height, r * height, colour, soft=2.0)


def bird(brush: Brush, x: ArrayLike, y: ArrayLike, size: float) -> None:
    """Paint a bird in flight."""
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    flap = size * wave(brush.t / 4)
    for side in (-1.0, 1.0):
        brush.capsule(x, y, x + side * size, y - flap, 0.5, (35, 35, 40))


def flames(brush: Brush, x: float, y: float, size: float, salt: int, strength: ArrayLike = 1.0) -> None:
    """Paint tongues of fire ``size`` pixels high that rise and flicker, with the glow around them."""
    strength = np.asarray(strength)
    brush.disc(x, y - 0.4 * size, 0.5 * size, (120, 50, 10), alpha=0.5 * strength, soft=1.4 * size, add=True)
    for k in range(9):
        life = brush.t * np.float32(0.09) + np.float32((k * 5 % 9) / 9)
        life = life - np.floor(life)
        spread = (k % 3 - 1) * 0.22 * size * (1 - 0.5 * life) + 0.12 * size * (hashed(brush.t, salt + k) - 0.5)
        colour = np.stack([np.full_like(life, 255), 225 - 175 * life, 110 - 100 * life], 1)
        brush.disc(x + spread, y - 0.12 * size - life * size, (0.26 - 0.18 * life) * size, colour,
                   alpha=0.85 * strength, soft=1.5)  # fmt: skip


def smoke(brush: Brush, x: float, y: float, size: float, salt: int, strength: ArrayLike = 1.0) -> None:
    """Paint grey puffs that rise and thin out to about three times ``size`` above ``y``."""
    for k in range(5):
        life = brush.t * np.float32(0.03) + np.float32(k / 5)
        life = life - np.floor(life)
        drift = 0.5 * size * life * wave(brush.t / 41 + salt % 7 / 7 + k / 5)
        grey = 55.0 + 12 * (k % 3)
        brush.disc(x + drift, y - life * 2.6 * size, (0.3 + 0.5 * life) * size, (grey, grey, grey),
                   alpha=0.6 * (1 - life) * np.asarray(strength), soft=0.5 * size)  # fmt: skip
