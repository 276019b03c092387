"""The grammar of post-processing, such as ``logistic, round(4), gaussian(10)``: steps by name, with their numbers.

Imports no numpy: settings and protocols are read by commands that compute nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from vadbench.base.errors import ConfigError, UnknownNameError

StepName = Literal["gaussian", "moving-mean", "median", "centre-weight", "logistic", "round"]
NONE = "none"
"""What a user writes for no step at all, where the method or the protocol proposes some."""
EXAMPLE = "logistic, round(4), gaussian(10)"

_STEP = re.compile(r"([^\s()]+)\s*(?:\(([^()]*)\))?")
_NUMBER = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(f?)", re.ASCII)


@dataclass(frozen=True)
class _Rule:
    """What a step takes: ``number`` in words, empty for none; ``default`` where it may be left out."""

    number: str = ""
    whole: bool = False
    least: Decimal = Decimal("0.000001")
    most: Decimal = Decimal(100_000)
    windowed: bool = False
    default: str = ""


_WINDOW = _Rule("a whole number of rows from 1 to 100000, or of frames as in 50f", True, Decimal(1), windowed=True)
_RULES: Mapping[StepName, _Rule] = {
    "gaussian": _Rule("a number of rows above 0 and up to 100000, or of frames as in 50f", windowed=True),
    "moving-mean": _WINDOW,
    "median": _WINDOW,
    "centre-weight": _Rule("a number above 0 and up to 1000", most=Decimal(1000), default="0.5"),
    "logistic": _Rule(),
    "round": _Rule("a whole number of decimals from 0 to 15", True, Decimal(0), Decimal(15)),
}
STEPS: tuple[StepName, ...] = tuple(_RULES)
"""The steps there are."""


@dataclass(frozen=True)
class Step:
    """A step of post-processing.

    Args:
        name: of the step.
        number: in its one spelling, without unit; empty for a step that takes none.
        frames: whether the number counts frames rather than rows.
    """

    name: StepName
    number: str = ""
    frames: bool = False

    def __str__(self) -> str:
        return f"{self.name}({self.number}{'f' if self.frames else ''})" if self.number else self.name

    def value(self, stride: int) -> float:
        """Return the number, in rows where it counts frames.

        Args:
            stride: frames from one row to the next.
        """
        return float(self.number or 0) / (stride if self.frames else 1)


@lru_cache
def post_steps(text: str) -> tuple[Step, ...]:
    """Return the steps that a text lists, in order; none for ``none`` and for a blank text.

    >>> [str(step) for step in post_steps("gaussian( 2.50 ),centre-weight")]
    ['gaussian(2.5)', 'centre-weight(0.5)']

    Raises:
        UnknownNameError: there is no such step.
        ConfigError: the text is no such list, or a number is not what the step takes.
    """
    parts = [part.strip() for part in text.split(",")]
    if parts in ([""], [NONE]):
        return ()
    if NONE in parts:
        raise ConfigError(f"'{NONE}' takes all post-processing away and must stand alone, found '{text}'; leave it out")
    return tuple(map(_step, parts))


def canonical_post(text: str) -> str:
    """Return a list of steps in its one spelling, which keys and records have; empty for none.

    Numbers are without needless digits, those that may be left out are there, and a comma and a blank stand between.

    >>> canonical_post("gaussian(10.0),round( 4 )"), canonical_post("none"), canonical_post("centre-weight")
    ('gaussian(10), round(4)', '', 'centre-weight(0.5)')

    Raises:
        UnknownNameError, ConfigError: as :func:`post_steps`.
    """
    return ", ".join(map(str, post_steps(text)))


def _step(text: str) -> Step:
    if not (found := _STEP.fullmatch(text)):
        raise ConfigError(f"expected steps of post-processing such as '{EXAMPLE}', found '{text}' as one of them")
    name = next((known for known in STEPS if known == found[1]), None)
    if name is None:
        raise UnknownNameError("step of post-processing", found[1], STEPS)
    rule, given = _RULES[name], found[2]
    if not rule.number:
        if given is not None:
            raise ConfigError(f"step '{name}' takes no number, found '{text}'; write '{name}'")
        return Step(name)
    if given is None:
        given = rule.default
    number = _NUMBER.fullmatch(given.strip())
    value = Decimal(number[1]) if number else None
    if (
        number is None
        or value is None
        or not rule.least <= value <= rule.most
        or (rule.whole and value % 1)
        or (number[2] and not rule.windowed)
    ):
        raise ConfigError(f"step '{name}' takes {rule.number}, found '{text}'; write it as {_written(name, rule)}")
    # Not as a float: 0.000001 would become 1e-06.
    return Step(name, f"{value.normalize():f}", bool(number[2]))


def _written(name: StepName, rule: _Rule) -> str:
    return f"{name}({rule.default or (4 if name == 'round' else 10)})"
