"""Comparison of two methods by paired resampling: which is better, and do the test videos suffice to tell?

A metric's samples are an array ``(seeds, resamples)``: its value on the same draws of the test videos for every seed
and every method, from :func:`vadbench.metrics.bootstrap.draw_videos`. A method stands for the mean over its seeds. The
draws say how much depends on which videos were filmed, and the pairing takes out what is hard for both methods; seeds
are averaged and not drawn, three being too few.

The p-value inverts the percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 15):
twice the share of resamples in which the difference lacks the sign that it has in most. Several p-values of one table
are adjusted as in Holm, A simple sequentially rejective multiple test procedure, 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.bootstrap import interval, percentiles
from vadbench.metrics.carriers import Carriers

ALPHA = 0.05
"""Largest adjusted p-value at which two methods are told apart."""
ROUNDING = 1e-12
"""Differences below it come from the order of additions and count as none."""

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """The difference of a metric between two methods.

    Args:
        value: the first minus the second, a fraction.
        low, high: its 95 % interval.
        p: two-sided p-value of there being no difference; 1 for identical scores, at least ``2 / (resamples + 1)``.
        reason: why there is no interval and no p-value.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Standing:
    """The place of a row in a column of a table.

    Args:
        best: no row has a better value.
        second: only the best rows have a better value.
        tied: not the best, but the test videos do not suffice to tell it from the best. False where that cannot be
            said, ``p`` being ``None``.
        p: of no difference to the best, adjusted for the number of rows; ``None`` for the best itself, and where
            either lacks samples.
    """

    best: bool = False
    second: bool = False
    tied: bool = False
    p: float | None = None


def paired_difference(a: Samples, b: Samples, value_a: float, value_b: float, carried: Carriers) -> Difference:
    """Return by how much a metric is higher for ``a`` than for ``b``, by paired resampling.

    Where too few videos carry what the metric counts there is neither an interval nor a p-value.

    Args:
        a, b: ``(seeds, resamples)`` values on the same draws, NaN where undefined; numbers of seeds may differ. A
            resample in which the metric is undefined for any seed is left out.
        value_a, value_b: means over seeds on all videos.
        carried: the videos that carry what the metric counts.

    Raises:
        ValueError: the resamples are not as many on both sides.
    """
    samples = _paired(a, b)
    value = float(_without_rounding(value_a - value_b))
    if carried.too_few:
        return Difference(value, reason=carried.verdict)
    low, high, reason = percentiles(samples)
    return Difference(value, low, high, _p_value(samples), reason)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being several: compared with 0.05 they err in 5 % of all families of tests.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    # The smallest of m p-values counts m times, the next m - 1 times, and none less than the one before.
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values, np.float64)[order] * factors), 1.0)
    return [float(p) for p in adjusted]


def rank_column(
    values: Sequence[float | None], samples: Sequence[Samples | None], better: Literal["higher", "lower"]
) -> list[Standing]:
    """Return the standing of every row of a column, in the order given.

    Every row is compared with the best one, and Holm's adjustment is over the column. Equal values share a place.

    Args:
        values: means over seeds; ``None`` for a row without one, which has no place.
        samples: ``(seeds, resamples)`` of each row on draws of the same videos; ``None`` where its scores are missing.
        better: which direction is better.
    """
    signed = np.array([np.nan if v is None else v if better == "higher" else -v for v in values])
    if np.isnan(signed).all():
        return [Standing() for _ in values]
    behind = np.nanmax(signed) - signed
    best = behind <= ROUNDING
    others = np.where(best, np.nan, behind)
    second = others <= np.min(others, where=~np.isnan(others), initial=np.inf) + ROUNDING
    champion = samples[int(best.argmax())]
    p_values: dict[int, float] = {}
    for i in np.flatnonzero(~np.isnan(others)).tolist():
        own = samples[i]
        p = None if champion is None or own is None else _p_value(_paired(champion, own))
        if p is not None:
            p_values[i] = p
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [
        Standing(bool(best[i]), bool(second[i]), tied=i in adjusted and adjusted[i] > ALPHA, p=adjusted.get(i))
        for i in range(len(values))
    ]


def seed_mean_interval(samples: Samples, carried: Carriers) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the mean over seeds of samples ``(seeds, resamples)``.

    ``(None, None)`` where the metric is undefined in more than half of the resamples, or too few videos carry what it
    counts.
    """
    low, high, _ = interval(samples.mean(0), carried)
    return low, high


def _paired(a: Samples, b: Samples) -> NDArray[np.float64]:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"paired samples need the same draws, found {a.shape[1]} and {b.shape[1]} resamples")
    return _without_rounding(a.mean(0) - b.mean(0))


def _p_value(differences: NDArray[np.float64]) -> float | None:
    """Return the two-sided p-value of no difference; ``None`` where fewer than half of the resamples are defined."""
    defined = differences[~np.isnan(differences)]
    if len(defined) < len(differences) / 2:
        return None
    fewer = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (1 + int(fewer)) / (1 + len(defined)))


def _without_rounding(differences: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.where(np.abs(differences) < ROUNDING, 0.0, differences)
