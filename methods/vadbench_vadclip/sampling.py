"""How a video becomes a training sample of a fixed number of rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def training_sample(features: NDArray[np.floating[Any]], length: int) -> NDArray[np.float32]:
    """Rows of one training sample (spec 3.4), the same at every call.

    Of more than ``length`` rows the means of ``length`` bins of nearly equal size are taken, rounded to the type that
    the rows are stored in; fewer rows are filled up with zeros.

    Args:
        features: ``(rows, dim)``, at least one row.

    Returns:
        ``(length, dim)``.
    """
    rows = len(features)
    if rows <= length:
        sample = np.zeros((length, features.shape[1]), np.float32)
        sample[:rows] = features
        return sample
    edges = np.arange(length + 1) * rows // length
    means = np.empty((length, features.shape[1]), features.dtype)
    # Bin by bin: numpy's reduceat takes eight times as long. Without ``out``, in which float16 would be summed.
    for i, (start, end) in enumerate(pairwise(edges)):
        means[i] = features[start:end].mean(0)
    return means.astype(np.float32)
