"""Curves with as many points as a picture can show, where a split has a million distinct scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most ``points`` of a curve's points, evenly along it, both ends among them.

    >>> x = np.linspace(0, 1, 1001)
    >>> [len(axis) for axis in thinned(x, x**2, 100)]
    [99, 99]
    """
    if len(x) <= points:
        return x, y
    way = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    places = np.searchsorted(way, np.linspace(0, way[-1], points - 1))
    kept = np.unique(np.append(places.clip(max=len(x) - 1), len(x) - 1))
    return x[kept], y[kept]
