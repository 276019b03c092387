"""The scores of a video over time, in bounded space: extremes of intervals that grow with the video."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vadbench.watch.pipeline import StreamedRows

FLAT = 0.25
"""Share of an axis below which scores are drawn on an axis of their own."""


@dataclass
class ScoreCurve:
    """Extremes of the scores in each of at most :attr:`size` intervals of a video, which grow with it.

    Args:
        size: even number of intervals.
        times: seconds at which each begins.
        scores: the highest score in each.
        lows: the lowest score in each.
        classes: the highest probability of each class in each, ``(classes,)``; empty for a method without classes.
        end: seconds at which the last one ends.
        unit: scores are between 0 and 1.
    """

    size: int = 4096
    times: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    classes: list[NDArray[np.float32]] = field(default_factory=list)
    end: float = 0.0
    unit: bool = True
    _rows: int = 0
    _each: int = 1

    def add(self, rows: StreamedRows) -> None:
        """Take the next rows."""
        for i, (start, score) in enumerate(zip(rows.starts.tolist(), rows.anomaly.tolist(), strict=True)):
            if self._rows % self._each:
                self.scores[-1] = max(self.scores[-1], score)
                self.lows[-1] = min(self.lows[-1], score)
                if rows.classes is not None:
                    self.classes[-1] = np.maximum(self.classes[-1], rows.classes[i])
            else:
                if len(self.scores) == self.size:
                    self._halve()
                self.times.append(start)
                self.scores.append(score)
                self.lows.append(score)
                if rows.classes is not None:
                    # A view would hold all of the window, and what its array may be a part of.
                    self.classes.append(rows.classes[i].copy())
            self._rows += 1

    def span(self, threshold: float) -> tuple[float, float]:
        """Return the lowest and the highest score to draw, beside a threshold; those of a unit are all drawn alike."""
        drawn = [*self.scores, *self.lows, threshold, *((0.0, 1.0) if self.unit else ())]
        low, high = min(drawn), max(drawn)
        return low, high if high > low else low + 1

    def fitted(self, threshold: float) -> tuple[float, float] | None:
        """Return the lowest and the highest score where they take less than a quarter of :meth:`span`, in which their
        curve would be a flat line; the threshold may lie outside of them."""
        low, high = self.span(threshold)
        drawn = [*self.scores, *self.lows]
        lowest, highest = min(drawn), max(drawn)
        return (lowest, highest) if 0 < highest - lowest < FLAT * (high - low) else None

    def _halve(self) -> None:
        self.times = self.times[::2]
        self.scores = [max(pair) for pair in zip(self.scores[::2], self.scores[1::2], strict=True)]
        self.lows = [min(pair) for pair in zip(self.lows[::2], self.lows[1::2], strict=True)]
        self.classes = [np.maximum(*pair) for pair in zip(self.classes[::2], self.classes[1::2], strict=True)]
        self._each *= 2
