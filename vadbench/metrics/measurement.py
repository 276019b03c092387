"""Measurement of a scored split: the one place where scores become an AUC, an AP and all other metrics.

Needs the scores and their ground truth alone: neither the method nor the features nor the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vadbench.base.metric_keys import MetricKey
from vadbench.metrics import event_counts
from vadbench.metrics.bootstrap import Draws, resampled_metrics, with_intervals
from vadbench.metrics.definitions import BRANCH_METRICS, DEFINITIONS, HEADLINES, MetricValue
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.glossary import UNPROCESSED
from vadbench.metrics.localization import KEYS, Localisation, LocalisedVideo, localise
from vadbench.scoring.split import ScoredSplit


class Family(Protocol):
    """Metrics that are computed together, from one look at the scores."""

    def metrics(self) -> Mapping[str, MetricValue]:
        """Return their values by key, without intervals."""

    def resampled(self, draws: Draws) -> Mapping[str, NDArray[np.float64]]:
        """Return ``(resamples,)`` values by key in resamples of the videos, NaN where undefined.

        Args:
            draws: ``(resamples, videos)`` multiplicities.
        """


def _families(split: ScoredSplit) -> dict[frozenset[str], Callable[[], Family]]:
    """Return the families beside the ranking metrics by the keys that they measure."""
    return {
        frozenset(KEYS): lambda: localised(split),
        frozenset(event_counts.KEYS): lambda: event_counts.find_events(split),
    }


def point_values(split: ScoredSplit, metrics: Collection[str]) -> dict[str, MetricValue]:
    """Return those of the asked metrics that there are, without intervals and without those of branches."""
    found = dict(evaluate(split.rows, split.rules.drop_zeros))
    for keys, make in _families(split).items():
        if not keys.isdisjoint(metrics):
            found |= make().metrics()
    return {key: found[key] for key in metrics if key in found}


def measure(split: ScoredSplit) -> dict[str, MetricValue]:
    """Return every metric with its interval, those of each branch as ``AUC(<branch>)`` and so on.

    Where the rules ask for post-processing, the headline metrics without it are ``AUC/unprocessed`` and so on.
    """
    families = [make() for make in _families(split).values()]
    found = dict(evaluate(split.rows, split.rules.drop_zeros))
    for family in families:
        found |= family.metrics()
    values = {key: found[key] for key in (*(k for k in DEFINITIONS if k in found), *found)}

    def others(draws: Draws) -> dict[str, NDArray[np.float64]]:
        return {key: samples for family in families for key, samples in family.resampled(draws).items()}

    metrics = with_intervals(split.rows, values, drop_zeros=split.rules.drop_zeros, others=others)
    for branch in split.scores[0].branches:
        own = np.concatenate([s.branches[branch] for s in split.scores])
        rows = replace(split.rows, scores=own, class_scores=None, class_positives=None)
        of_branch = with_intervals(rows, {k: v for k, v in evaluate(rows).items() if k in BRANCH_METRICS})
        metrics |= {str(MetricKey(name, branch)): value for name, value in of_branch.items()}
    if split.rules.post:
        rows = replace(split.unprocessed.rows, class_scores=None, class_positives=None)
        before = with_intervals(rows, {k: v for k, v in evaluate(rows).items() if k in HEADLINES})
        metrics |= {name + UNPROCESSED: value for name, value in before.items()}
    return metrics


def resampled(split: ScoredSplit, metrics: Sequence[str], draws: Draws) -> dict[str, NDArray[np.float64]]:
    """Return ``(resamples,)`` values of metrics in resamples of the videos, NaN where undefined.

    Args:
        split: the scored split.
        metrics: keys as in :mod:`vadbench.metrics.definitions`, without those of branches.
        draws: ``(resamples, videos)``, from :func:`vadbench.metrics.bootstrap.draw_videos`.
    """
    found = resampled_metrics(split.rows, metrics, draws, split.rules.drop_zeros)
    for keys, make in _families(split).items():
        if not keys.isdisjoint(metrics):
            found |= make().resampled(draws)
    before = [name.removesuffix(UNPROCESSED) for name in metrics if name.endswith(UNPROCESSED)]
    if before and split.rules.post:
        values = resampled(split.unprocessed, before, draws)
        found |= {name + UNPROCESSED: samples for name, samples in values.items()}
    return {name: found[name] for name in metrics if name in found}


def localised(split: ScoredSplit) -> Localisation:
    """Return segments that the class probabilities propose, matched with the annotated ones."""
    truth = [[(split.classes.id(s.label), s.start, s.end) for s in v.segments] for v in split.videos]
    # As long as for every other metric, which need not be the true length.
    lengths = split.rows.video_frames.tolist()
    return localise(
        [LocalisedVideo(s.name, s.classes, n, t) for s, n, t in zip(split.scores, lengths, truth, strict=True)],
        split.stride,
        split.classes.names,
        split.classes.normal,
        split.rules.localization,
        split.normal_segments,
        split.by_class,
    )
