"""Thresholds of events: given, of a run, of a quiet stretch, or of the scores of the video itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vadbench.base.text import score_text

SPREADS, LEAST_RISE = 3.0, 2.0
"""How far a video's own threshold lies above its median: in spreads of its scores, and at least in log-odds where
scores are between 0 and 1. Our decision, from 12 videos of a minute with two planted events each and 12 without any,
scored by ``zero-shot`` and by a bank of descriptions: with 2 spreads quiet videos have up to twice as many events, with
4 spreads two more of the 24 planted ones are missed."""
QUANTILE, MARGIN = 0.99, 0.25
"""A calibrated threshold: this quantile of the quiet scores, and this share of its distance from their median more."""
USUAL_FALL = 1.0
"""How far below a threshold that was not measured an event ends, in log-odds: half of :data:`LEAST_RISE`."""
WARM_UP = 30.0
"""Seconds of a stream after which the scores seen so far say a threshold."""
SHORTEST = 1.0
"""Seconds that an event lasts at least, unless asked otherwise: our decision."""
GIVEN = "given"
"""Origin of a threshold that the user gave."""
_SIGMA = 1.4826
"""Standard deviations in a median absolute deviation, for normally distributed values."""
_SURE = 1e-6
"""Scores are this far from 0 and from 1 at least before their odds are taken."""
_SAMPLE = 65_536


@dataclass(frozen=True)
class EventThreshold:
    """Scores at which events begin and end.

    Args:
        value: an event begins with a row of at least this score.
        low: an event ends where a row has a lower score; at most ``value``.
        origin: where it comes from, in words.
    """

    value: float
    low: float
    origin: str

    @property
    def words(self) -> str:
        """Where events begin and end, and why there, for reading."""
        end = f", events end below {score_text(self.low, '.4g')}" if self.low < self.value else ""
        return f"{score_text(self.value, '.4g')}{end} ({self.origin})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a summary."""
        return {"threshold": self.value, "threshold_end": self.low, "threshold_origin": self.origin}


def fixed_threshold(value: float, origin: str, unit: bool = True, low: float | None = None) -> EventThreshold:
    """Return a threshold that is known beforehand; ``unit`` scores are between 0 and 1, of others the scale is unknown.

    >>> fixed_threshold(0.5, "given").low
    0.2689...
    >>> fixed_threshold(0.5, "given", low=0.48).low
    0.48
    """
    if low is not None:
        return EventThreshold(value, low, origin)
    inside = unit and 0 < value < 1
    return EventThreshold(value, _scores(_values(value, unit) - USUAL_FALL, unit).item() if inside else value, origin)


def calibrated_threshold(scores: ArrayLike, unit: bool, source: str) -> EventThreshold:
    """Return the threshold of a stretch in which nothing happens.

    It lies above the 99th percentile of its scores, by a quarter of the distance between that and their median; an
    event ends below that percentile. Distances are in log-odds where scores are between 0 and 1.

    Args:
        scores: at least one.
        unit: scores are between 0 and 1.
        source: the stretch, in words.
    """
    values = _values(scores, unit)
    level, high = np.quantile(values, [0.5, QUANTILE])
    origin = f"99th percentile of {values.size:,} rows of {source}, and a quarter of its distance from their median"
    return _above(scores, level + np.array([1, 1 + MARGIN]) * (high - level), unit, origin)


def end_note(threshold: EventThreshold, median: float) -> str:
    """Return what to change where an event would mostly not end, as half of the scores do not lie below the lower
    threshold; an empty string where they do."""
    if median < threshold.low:
        return ""
    advice = "raise --threshold-end" if threshold.origin == GIVEN else "give --threshold and --threshold-end"
    low = score_text(threshold.low, ".4g")
    return f"events end below {low}, but half of the rows are not below it, so an event may not end; {advice}"


def own_threshold(scores: ArrayLike, unit: bool) -> EventThreshold:
    """Return the threshold that the scores of a video itself say.

    It lies above their median by three spreads, each 1.4826 times the median absolute deviation, and by 2 at least; an
    event ends half way. Distances are in log-odds where scores are between 0 and 1. Other scores have no natural least
    distance: where most of them are equal, it is half the distance to the highest.

    Args:
        scores: at least one.
        unit: scores are between 0 and 1.
    """
    values = _values(scores, unit)
    level = np.median(values)
    rise = SPREADS * _SIGMA * np.median(np.abs(values - level))
    if unit:
        rise, least = max(rise, LEAST_RISE), f", at least {LEAST_RISE:g}, in log-odds"
    else:
        rise, least = rise or (values.max() - level) / 2, ""
    return _above(
        scores, level + np.array([0.5, 1]) * rise, unit, f"of the video itself: median and {SPREADS:g} spreads{least}"
    )


class ScoreSample:
    """Scores of a video in bounded space: all of them, or every second, fourth and so on of a long one.

    Which ones are kept does not depend on the windows in which they come.
    """

    def __init__(self) -> None:
        self._kept: list[float] = []
        self._rows, self._each = 0, 1

    def add(self, scores: NDArray[np.float32]) -> None:
        """Take the next scores."""
        self._kept += scores[-self._rows % self._each :: self._each].tolist()
        self._rows += len(scores)
        while len(self._kept) > _SAMPLE:
            self._kept = self._kept[::2]
            self._each *= 2

    @property
    def values(self) -> NDArray[np.float64]:
        """Return the scores that are kept."""
        return np.array(self._kept)


def _above(scores: ArrayLike, values: NDArray[np.float64], unit: bool, origin: str) -> EventThreshold:
    """Return the threshold of two values, the lower one first; scores at the median itself never reach it."""
    least = np.nextafter(np.median(np.asarray(scores, np.float32)), np.float32(np.inf))
    low, value = np.maximum(_scores(values, unit), least).tolist()
    return EventThreshold(value, low, origin)


def _values(scores: ArrayLike, unit: bool) -> NDArray[np.float64]:
    """Return scores on the scale on which distances are taken: log-odds, or the scores themselves."""
    values = np.asarray(scores, np.float64)
    if not unit:
        return values
    inside = np.clip(values, _SURE, 1 - _SURE)
    odds: NDArray[np.float64] = np.log(inside / (1 - inside))
    return odds


def _scores(values: NDArray[np.float64], unit: bool) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values)) if unit else values
