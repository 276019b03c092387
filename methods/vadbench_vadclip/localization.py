"""VadCLIP's mAP@IoU as the authors' code computes it, including its quirks.

AP is the sum over right proposals of the precision at their rank, divided by the number of segments; a class without
segments gets 0. The mean is over all classes, normal included, and 0 altogether if any class is never predicted. A
video lasts for all frames of its rows. No torch is imported: stored scores are measured with this.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from vadbench.metrics.localization import Localisation
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.scoring.rows import Floats, Ints


class VadClipLocalisation(Localisation):
    """The rule ``vadclip``."""

    unannotated: ClassVar[float] = 0.0

    @staticmethod
    def truth(frames: int, segments: Ints, all_rows: int, normal: int | None) -> tuple[int, Ints]:
        """Return the full stride of every row, and uncut segments; a normal video may be one of the normal class."""
        if normal is not None and not len(segments):
            segments = np.array([[normal, 0, all_rows]])
        return all_rows, segments

    @staticmethod
    def area(above: Floats, weight: Floats) -> Floats:
        """Return the area under the precision at each rank, not interpolated."""
        right_above = np.cumsum(weight, axis=0) - weight
        total = np.zeros(weight.shape[1])
        for copy in range(1, int(weight.max(initial=0)) + 1):
            total += ((right_above + copy) / (above + copy) * (weight >= copy)).sum(0)
        return total

    def means(self, ap: Floats, draws: Floats) -> Floats:
        """Return means over all classes, 0 in a resample in which some class is not predicted."""
        videos, classes = self.annotated.shape
        predicted = np.bincount(self.label * videos + self.video, minlength=classes * videos)
        means: Floats = ap.mean(1) * (Multiplicities(draws).sums(predicted.reshape(classes, videos).T) > 0).all(1)
        return means

    def remark(self) -> str | None:
        """Return a remark on a class that is never predicted, if there is one."""
        unpredicted = [name for i, name in enumerate(self.class_names) if i not in self.label]
        return f"0 by VadCLIP's definition: no segment of class {unpredicted[0]} is predicted" if unpredicted else None
