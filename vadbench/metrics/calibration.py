"""Calibration: the share of anomalous frames among those with a score of, say, 0.7."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vadbench.scoring.rows import ScoredRows

BINS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
    """Frames by their score, in equal bins from 0 to 1; a bin holds its upper end.

    Args:
        scores: ``(bins,)`` mean score of each bin's frames, NaN for a bin without frames.
        shares: ``(bins,)`` share of them that is anomalous, NaN for a bin without frames.
        frames: ``(bins,)`` how many they are.
        error: expected calibration error, the mean of ``|scores - shares|`` over frames (Naeini et al., Obtaining Well
            Calibrated Probabilities Using Bayesian Binning, 2015); 0 is perfect.
    """

    scores: NDArray[np.float64]
    shares: NDArray[np.float64]
    frames: NDArray[np.int64]
    error: float


def reliability(rows: ScoredRows) -> Reliability | None:
    """Return the reliability of a split's anomaly score; ``None`` without frames or if scores leave 0 to 1."""
    if not rows.total or not rows.unit_scores or rows.scores.min() < 0 or rows.scores.max() > 1:
        return None
    place = np.clip(np.ceil(rows.scores * BINS).astype(np.int64) - 1, 0, BINS - 1)
    frames, positives, sums = (
        np.bincount(place, weights, BINS) for weights in (rows.frames, rows.positives, rows.scores * rows.frames)
    )
    with np.errstate(invalid="ignore"):
        scores, shares = sums / frames, positives / frames
    error = float(np.abs(sums - positives).sum() / rows.total)
    return Reliability(scores, shares, frames.astype(np.int64), error)
