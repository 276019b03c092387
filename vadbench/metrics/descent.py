"""Rows from the highest score down, and the steps at which anything changes that areas and operating points count.

AUC, average precision, the area by the trapezoid rule and operating points change only at scores of positive rows. The
distinct ones are the steps, numbered from the highest down; negatives between two of them count together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.ranking import Ranking, compact
from vadbench.scoring.rows import Ints, WeightedRows


class Descent(NamedTuple):
    """Rows in descending order of score, five arrays of one length, and the number of steps.

    Attributes:
        video, positives, negatives: of each row, in small dtypes.
        step: of each row the first step that is not above it; the number of steps for one below the last.
        tied: whether the row has the score of that step.
        steps: how many there are.
    """

    video: NDArray[Any]
    positives: NDArray[Any]
    negatives: NDArray[Any]
    step: Ints
    tied: NDArray[np.bool_]
    steps: int


def descend(rows: WeightedRows, ranking: Ranking | None = None) -> Descent:
    """Return the rows from the highest score down.

    Args:
        rows: of the split.
        ranking: of their scores; made where it is not given.
    """
    ranking = Ranking(rows.scores) if ranking is None else ranking
    video, positives, negatives = (compact(column)[ranking.order] for column in (rows.video, *rows[2:]))
    # Groups of equal scores in which there are positives are the steps.
    group = np.unique(np.searchsorted(ranking.ends, np.flatnonzero(positives)))
    begun, done = np.zeros((2, len(video) + 1), np.int8)
    begun[np.where(group > 0, ranking.ends[group - 1] + 1, 0)] = done[ranking.ends[group] + 1] = 1
    step: Ints = np.cumsum(done[:-1], dtype=np.int32)
    tied = np.cumsum(begun[:-1], dtype=np.int32) > step
    return Descent(video, positives, negatives, step, tied, len(group))
