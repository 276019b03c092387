"""The spacing of the rows of a stream: how long it is from one to the next, in frames or in seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from vadbench.base.errors import ConfigError

_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)([fs])")
_SHORTEST, _LONGEST = 1e-3, 1e6
_ROUNDING = 1e-9
"""Share of a row that a product of two decimal fractions may be off."""
_NEAR = 0.6
"""Rows of a video of median length that an inferred spacing may differ by from the median one: rounding makes up to a
half."""


@dataclass(frozen=True)
class RowSpacing:
    """The time from one row to the next.

    Args:
        value: how many of the unit; fractions are allowed.
        unit: frames of the video, or seconds.
    """

    value: float
    unit: Literal["frames", "seconds"]

    @classmethod
    def parse(cls, text: str) -> RowSpacing:
        """Return the spacing that ``24f`` or ``0.96s`` names.

        Raises:
            ConfigError: it names none.

        >>> RowSpacing.parse("0.96s"), str(RowSpacing.parse("23.04f"))
        (RowSpacing(value=0.96, unit='seconds'), '23.04f')
        """
        match = _FORM.fullmatch(text.strip())
        if match is None or not _SHORTEST <= float(match[1]) <= _LONGEST:
            raise ConfigError(
                f"the spacing of a stream's rows is a number of frames or seconds, such as 24f or 0.96s, found '{text}'"
            )
        return cls(float(match[1]), "frames" if match[2] == "f" else "seconds")

    def __str__(self) -> str:
        return f"{self.value:.12g}{self.unit[0]}"

    @property
    def in_words(self) -> str:
        """The spacing for notes: ``23.04 frames``."""
        return f"{self.value:.12g} {self.unit}"

    def frames(self, rate: float | None) -> float | None:
        """Return the spacing in frames of a video; ``None`` if it is in seconds and the frame rate is not known."""
        if self.unit == "frames":
            return self.value
        return None if rate is None else self.value * rate


def rows_of(frames: int, spacing: float) -> int:
    """Return the number of rows that a video of some frames makes, the last one for what is left over."""
    return max(math.ceil(frames / spacing - _ROUNDING), 1)


def spacing_fits(rows: int, frames: int, spacing: float) -> bool:
    """Return True if a video of ``frames`` frames can have ``rows`` rows.

    The rest behind the last whole row may have a row or none, and one row more or less than that is tolerated.

    >>> [spacing_fits(rows, 100, 24.0) for rows in (2, 3, 4, 5, 6, 7)]
    [False, True, True, True, True, False]
    """
    exact = frames / spacing
    return math.floor(exact + _ROUNDING) - 1 <= rows <= math.ceil(exact - _ROUNDING) + 1


def inferred_spacing(rows: Sequence[int], lengths: Sequence[float]) -> tuple[float, int]:
    """Return the spacing that explains the row counts of the most videos, as round a number as does, and how many.

    A video of length ``t`` whose rows are ``s`` apart has ``t / s`` of them, rounded up or down: with ``n`` rows, ``s``
    is between ``t / (n + 1)`` and ``t / (n - 1)``. The spacing is in the range that is in most of these intervals.

    Args:
        rows: of each video, at least one.
        lengths: of each, in frames or in seconds.

    >>> inferred_spacing([100, 250, 33], [2400, 6010, 800])
    (24.0, 3)
    """
    bounds = [(t / (n + 1), t / (n - 1) if n > 1 else math.inf) for n, t in zip(rows, lengths, strict=True)]
    # At one place beginnings come before ends: the intervals are closed.
    steps = sorted([(low, -1) for low, _ in bounds] + [(high, 1) for _, high in bounds])
    most = inside = 0
    low = high = 0.0
    for i, (place, kind) in enumerate(steps):
        inside -= kind
        if inside > most:
            most, low, high = inside, place, steps[i + 1][0]
    # Of a few short videos the range is wide: stay near the spacing that needs no rounding.
    middle = min(max(median(t / n for n, t in zip(rows, lengths, strict=True)), low), high)
    near = _NEAR / median(rows)
    return _roundest(max(low, middle * (1 - near)), min(high, middle * (1 + near)), middle), most


def _roundest(low: float, high: float, middle: float) -> float:
    """Return the number from ``low`` to ``high`` that has the fewest decimals, the one nearest to ``middle``."""
    for decimals in range(-3, 12):
        if low <= (value := round(middle, decimals)) <= high and value > 0:
            return value
    return middle
