"""How a video becomes a training sample of a fixed number of rows, and is cut into chunks for scoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


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
    sums = np.add.reduceat(features, edges[:-1], axis=0, dtype=np.float32)
    means = (sums / np.diff(edges)[:, None]).astype(features.dtype)
    return means.astype(np.float32)


def to_chunks(rows: Tensor, length: int) -> Tensor:
    """Cut a video into chunks for scoring (spec 3.5), the last one filled up with zeros.

    The authors' code adds a chunk of zeros where ``length`` divides the number of rows; nothing that is kept depends
    on it, so it is left out.

    Args:
        rows: ``(rows, dim)``, at least one row.

    Returns:
        ``(chunks, length, dim)``.
    """
    missing = -len(rows) % length
    return F.pad(rows, (0, 0, 0, missing)).view(-1, length, rows.shape[1])


def chunk_lengths(rows: int, length: int) -> Tensor:
    """How many rows of each chunk of :func:`to_chunks` are the video's, int64 ``(chunks,)``, on the CPU."""
    return torch.tensor([min(length, rows - start) for start in range(0, rows, length)])
