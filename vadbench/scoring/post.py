"""Post-processing: declared steps between the scores of a method and the metrics, such as smoothing over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.scoring.post_steps import Step, StepName, post_steps
from vadbench.scoring.video_scores import VideoScores

_Values = NDArray[np.float64]
_SORTED_AT_ONCE = 2**22
"""Values of windows that a median sorts at a time; bounds memory."""
_GAUSSIAN_ENDS = 4.0
"""Standard deviations behind which a Gaussian is cut: what scipy does by default."""
_NO_DECIMALS = 2.0**52
"""From here on a number in float64 is whole."""


def processed(scores: VideoScores, post: str, stride: int) -> VideoScores:
    """Return the scores of a video after post-processing of the anomaly score and every branch.

    Class probabilities, and everything else that is there, stay as they are.

    Args:
        scores: of the video.
        post: the steps, as in :attr:`vadbench.scoring.protocol.Protocol.post`.
        stride: frames from one row to the next.
    """
    steps = post_steps(post)

    def through(values: NDArray[Any]) -> NDArray[Any]:
        for step in steps:
            values = applied(step, values, stride)
        return values

    branches = {name: through(values) for name, values in scores.branches.items()}
    return replace(scores, anomaly=through(scores.anomaly), branches=branches)


def rows_around(post: str, stride: int) -> int | None:
    """Return how many rows before and behind a row its score depends on after post-processing.

    ``None`` where it depends on how long the video is.

    Args:
        post: the steps.
        stride: frames from one row to the next.
    """
    reach = 0
    for step in post_steps(post):
        if step.name == "centre-weight":
            return None
        if step.name == "gaussian":
            reach += int(_GAUSSIAN_ENDS * step.value(stride) + 0.5)
        elif step.name in ("moving-mean", "median"):
            reach += max(1, floor(step.value(stride) + 0.5)) // 2
    return reach


def within_unit(post: str, unit_scores: bool) -> bool:
    """Return True if scores are between 0 and 1 after post-processing: where they were, or a step makes them so.

    Args:
        post: the steps.
        unit_scores: whether they were before.
    """
    return unit_scores or any(step.name == "logistic" for step in post_steps(post))


def applied(step: Step, scores: NDArray[Any], stride: int) -> NDArray[Any]:
    """Return the scores ``(rows,)`` of a video after one step, computed in float64, in the dtype that they have.

    Args:
        step: the step.
        scores: of one video, at least one row.
        stride: frames from one row to the next.
    """
    result = _APPLIED[step.name](scores.astype(np.float64), step.value(stride))
    return result.astype(scores.dtype)


def _gaussian(scores: _Values, sigma: float) -> _Values:
    from scipy.ndimage import gaussian_filter1d

    smooth: _Values = gaussian_filter1d(scores, sigma, truncate=_GAUSSIAN_ENDS)
    return smooth


def _moving_mean(scores: _Values, width: float) -> _Values:
    from scipy.ndimage import correlate1d

    ones = np.ones(_window(width, len(scores)))
    # Sums of each window's own rows in one order, unlike running sums: equal windows have equal means.
    sums, counts = (correlate1d(rows, ones, mode="constant") for rows in (scores, np.ones(len(scores))))
    means: _Values = sums / counts
    return means


def _median(scores: _Values, width: float) -> _Values:
    size = _window(width, len(scores))
    before = size // 2
    # Rows that do not exist are sorted behind all others.
    padded = np.pad(scores, (before, size - 1 - before), constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)
    rows = np.arange(len(scores))
    counts = np.minimum(rows + size - before, len(scores)) - np.maximum(rows - before, 0)
    medians = np.empty_like(scores)
    step = max(1, _SORTED_AT_ONCE // size)
    for first in range(0, len(scores), step):
        ranked, there = np.sort(windows[first : first + step], axis=1), counts[first : first + step]
        own = np.arange(len(ranked))
        low, high = ranked[own, (there - 1) // 2], ranked[own, there // 2]
        medians[first : first + step] = low / 2 + high / 2
    return medians


def _window(width: float, rows: int) -> int:
    """Return the number of rows of a window, at least one; one that reaches past both ends needs not reach farther."""
    return min(max(1, floor(width + 0.5)), 2 * rows + 1)


def centre_weights(count: int, spread: float) -> _Values:
    """Return ``(count,)`` weights of a bell curve, 1 in the middle.

    Args:
        count: of rows or frames.
        spread: standard deviation of the curve, as a share of ``count``.
    """
    offset = (np.arange(count) - (count - 1) / 2) / (spread * count)
    weights: _Values = np.exp(-(offset**2) / 2)
    return weights


def _centre_weight(scores: _Values, spread: float) -> _Values:
    return scores * centre_weights(len(scores), spread)


def _logistic(scores: _Values, _: float) -> _Values:
    with np.errstate(over="ignore"):  # far below 0 the quotient is 0
        squeezed: _Values = 1 / (1 + np.exp(-scores))
    return squeezed


def _round(scores: _Values, decimals: float) -> _Values:
    with np.errstate(over="ignore"):
        rounded: _Values = np.where(np.abs(scores) < _NO_DECIMALS, np.round(scores, int(decimals)), scores)
    return rounded


_APPLIED: Mapping[StepName, Callable[[_Values, float], _Values]] = {
    "gaussian": _gaussian,
    "moving-mean": _moving_mean,
    "median": _median,
    "centre-weight": _centre_weight,
    "logistic": _logistic,
    "round": _round,
}
