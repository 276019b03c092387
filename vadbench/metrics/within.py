"""How much of the AUC lies within videos: pairs of frames of one video, of two, and what the means of videos tell.

The AUC within a video counts its pairs of an anomalous and a normal frame, so all that is said here of a split or of a
resample of its videos are sums over videos.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.ranking import Ranking, compact, ratio, value_of
from vadbench.scoring.rows import Ints, ScoredRows, WeightedRows

DIGITS = 12
"""Significant digits of the mean score of a video, so that means which are equal but for rounding tie."""

_Array = NDArray[np.float64]


class Within:
    """The pairs of an anomalous and a normal frame of each video, and the videos' mean scores.

    Args:
        rows: of the split.
        videos: how many it has.
        ranking: of the scores of the rows.

    Attributes:
        pairs: ``(videos,)`` number of pairs.
        concordant: ``(videos,)`` number of them in right order, ties counting a half.
        flat: one row for each video, with its mean score over frames.
    """

    def __init__(self, rows: WeightedRows, videos: int, ranking: Ranking) -> None:
        positives, negatives = (
            np.bincount(rows.video, counts, videos).astype(np.float64) for counts in (rows.positives, rows.negatives)
        )
        self.pairs: _Array = positives * negatives
        self.concordant: _Array = _concordant(rows, ranking.order, positives > 0, negatives)
        sums = np.bincount(rows.video, rows.scores * (rows.positives + rows.negatives), videos)
        means = sums / np.maximum(positives + negatives, 1)
        rounded = np.array([float(f"{mean:.{DIGITS - 1}e}") for mean in means])
        self.flat = WeightedRows(np.arange(videos), rounded, positives.astype(np.int64), negatives.astype(np.int64))

    @cached_property
    def aucs(self) -> _Array:
        """``(videos,)`` AUC within each video, NaN for one whose frames are of one kind."""
        return ratio(self.concordant, self.pairs)

    def metrics(self, auc: float | None, single: str) -> dict[str, MetricValue]:
        """Return ``AUC/within``, ``AUC/cross``, ``AUC/video``, ``AUC/flattened`` and ``pair-share``, by key.

        Args:
            auc: of the split; ``None`` where it has frames of one kind only.
            single: why metrics are undefined that need anomalous and normal frames.
        """
        _, means, positives, negatives = self.flat
        found = self.resampled(Multiplicities(np.ones((1, len(means)))), np.array([np.nan if auc is None else auc]))
        flattened = Ranking(means).hits(positives, negatives).auc
        values = {key: float(value) for key, (value,) in found.items()}
        unmixed = "no video has both anomalous and normal frames"
        alone = "no anomalous and normal frame are of different videos" if auc is not None else single
        return {
            "AUC/within": value_of(values["AUC/within"], unmixed),
            "AUC/cross": value_of(values["AUC/cross"], alone),
            "AUC/video": value_of(values["AUC/video"], unmixed),
            "AUC/flattened": value_of(flattened, single),
            "pair-share": value_of(values["pair-share"], single),
        }

    def resampled(self, drawn: Multiplicities, auc: _Array) -> dict[str, _Array]:
        """Return ``(resamples,)`` values by key of all but ``AUC/flattened``, NaN where undefined.

        A video drawn twice is two videos, and a pair of a frame of one and a frame of the other is of two videos.

        Args:
            drawn: how often the videos are drawn.
            auc: ``(resamples,)`` share of all pairs that are in right order, ties counting a half.
        """
        _, _, positives, negatives = self.flat
        pairs = drawn.sums(positives) * drawn.sums(negatives)
        # Whole numbers of pairs and of halves: without what dividing by their number has rounded.
        concordant = np.round(2 * auc * pairs) / 2
        own, own_pairs, mixed = drawn.sums(self.concordant), drawn.sums(self.pairs), self.pairs > 0
        return {
            "AUC/within": ratio(own, own_pairs),
            "AUC/cross": ratio(concordant - own, pairs - own_pairs),
            "AUC/video": ratio(drawn.sums(np.where(mixed, self.aucs, 0.0)), drawn.sums(mixed)),
            "pair-share": ratio(own_pairs, pairs),
        }


def within(rows: ScoredRows) -> Within:
    """Return the pairs within the videos of a split."""
    binary = rows.binary()
    return Within(binary, len(rows.names), Ranking(binary.scores))


def _concordant(rows: WeightedRows, order: Ints, abnormal: NDArray[np.bool_], negatives: _Array) -> _Array:
    """Return ``(videos,)`` pairs of frames of one video in right order.

    Args:
        order: row indices in descending order of score.
        abnormal: ``(videos,)`` whether there are positives; the others have no pairs.
        negatives: ``(videos,)`` negative frames.
    """
    videos = len(negatives)
    # Whole numbers of 16 bits are sorted by their digits, in linear time.
    video = rows.video.astype(np.uint16 if videos <= 2**16 else np.int64)
    order = order[abnormal[video[order]]]
    order = order[np.argsort(video[order], kind="stable")]
    video, scores = video[order], rows.scores[order]
    new = np.ones(len(order) + 1, dtype=bool)
    new[1:-1] = (video[1:] != video[:-1]) | (scores[1:] != scores[:-1])
    starts = np.flatnonzero(new)
    # Of the groups of one video and score only those with positives have pairs.
    place = np.flatnonzero((rows.positives > 0)[order])
    group = np.searchsorted(starts, place, "right") - 1
    owner, gained = video[place], rows.positives[order[place]]
    passed = np.append(0, np.cumsum(compact(rows.negatives)[order], dtype=np.int64))
    # All negatives of this video and those before it, less half of those down to this score and of those above it.
    below = np.cumsum(negatives * abnormal)[owner] - (passed[starts[group]] + passed[starts[group + 1]]) / 2
    return np.bincount(owner, gained * below, videos).astype(np.float64)
