"""Confidence intervals from resampling videos with replacement.

Frames of one video are not independent, so whole videos are drawn. A resample is a row of multiplicities (how often
each video was drawn), and a metric on it is the metric with every row's frames multiplied by its video's number.

Two exact identities make 1,000 resamples cheap. The AUC is a quadratic form in the multiplicities: the concordant pairs
of frames, counted once for every pair of videos, serve all resamples. AP changes only at scores of positive rows, so
the rows between two of them are added up per video before any resample is looked at (:mod:`vadbench.metrics.sweep`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.carriers import Carriers, carriers
from vadbench.metrics.definitions import PLACE, MetricValue
from vadbench.metrics.evaluation import normal_video_alarms
from vadbench.metrics.operating import RESAMPLED, OperatingPoints
from vadbench.metrics.ranking import Ranking, ratio
from vadbench.metrics.sweep import StepSum, Sweep, Trapezoid, resampled_ap
from vadbench.metrics.within import Within
from vadbench.scoring.rows import Ints, ScoredRows, WeightedRows

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
QUADRATIC_LIMIT = 5000
"""Videos up to which the matrix of concordant counts is made (200 MB at the limit)."""
PLACES = frozenset({*PLACE, "pair-share"})
"""The keys of AUC and of its parts within and across videos."""

Draws = NDArray[np.float64]


def draw_videos(videos: int, resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Return ``(resamples, videos)`` multiplicities of resampling ``videos`` videos with replacement.

    The first resamples do not depend on how many are asked for, and two methods with the same videos get the same.
    """
    rng = np.random.default_rng(seed)
    draws = np.empty((resamples, videos))
    for row in draws:
        row[:] = np.bincount(rng.integers(videos, size=videos), minlength=videos)
    return draws


def concordance(rows: WeightedRows, holders: Ints, videos: int) -> NDArray[np.float64]:
    """Return ``(holders, videos)`` numbers of pairs of a positive and a negative frame, one of each, in right order.

    A pair in right order counts 1, a tie a half. ``holders`` are the sorted indices of the videos with positives.
    """
    positive = np.flatnonzero(rows.positives)
    positive = positive[np.argsort(rows.scores[positive])]
    ladder, weights = rows.scores[positive], rows.positives[positive]
    holder = np.searchsorted(holders, rows.video[positive])
    negative = np.flatnonzero(rows.negatives)
    negative = negative[np.argsort(rows.video[negative], kind="stable")]
    bounds = np.searchsorted(rows.video[negative], np.arange(videos + 1))
    # A negative row is half below every positive row from "left" on and wholly below those from "right" on.
    left = np.searchsorted(ladder, rows.scores[negative], "left")
    right = np.searchsorted(ladder, rows.scores[negative], "right")
    frames = rows.negatives[negative]
    matrix = np.zeros((len(holders), videos))
    for video in np.unique(rows.video[negative]):
        own = slice(bounds[video], bounds[video + 1])
        halves = np.bincount(left[own], frames[own], len(ladder) + 1) + np.bincount(
            right[own], frames[own], len(ladder) + 1
        )
        matrix[:, video] = np.bincount(holder, weights * np.cumsum(halves)[:-1] / 2, len(holders))
    return matrix


def resampled_auc(rows: WeightedRows, draws: Draws, among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return ``(resamples,)`` AUC of each resample, NaN where it lacks positives or negatives.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
        among: ``(videos,)`` the videos whose frames count; all by default.
    """
    return ratio(*resampled_pairs(rows if among is None else rows.keep(among[rows.video]), draws))


def resampled_pairs(rows: WeightedRows, draws: Draws) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(resamples,)`` pairs of a positive and a negative frame in right order, ties a half, and all pairs.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    videos = draws.shape[1]
    if videos > QUADRATIC_LIMIT:
        ranking = Ranking(rows.scores)
        found = [ranking.pairs(rows.positives * w[rows.video], rows.negatives * w[rows.video]) for w in draws]
        concordant, pairs = np.array(found).reshape(-1, 2).T
        return concordant, pairs
    holders = np.unique(rows.video[rows.positives > 0])
    concordant = ((draws[:, holders] @ concordance(rows, holders, videos)) * draws).sum(1)
    inside, outside = (np.bincount(rows.video, counts, videos) for counts in (rows.positives, rows.negatives))
    return concordant, (draws @ inside) * (draws @ outside)


def with_intervals(
    rows: ScoredRows,
    metrics: Mapping[str, MetricValue],
    drop_zeros: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    others: Callable[[Draws], Mapping[str, NDArray[np.float64]]] | None = None,
) -> dict[str, MetricValue]:
    """Return the same metrics with 95 % intervals.

    A resample in which a metric is undefined (no frame of a class, say) is left out for that metric. An interval is
    ``None``, with a reason, where fewer than half of the resamples are left or too few videos carry what the metric
    counts. Metrics that are undefined themselves, or that this module does not resample, are returned as they came.

    Args:
        metrics: from :func:`vadbench.metrics.evaluation.evaluate` on the same rows.
        drop_zeros: as given there.
        resamples: how many.
        seed: of the draws.
        others: values of further metrics in resamples of the same videos, NaN where undefined.
    """
    draws = draw_videos(len(rows.names), resamples, seed)
    samples = resampled_metrics(rows, metrics, draws, drop_zeros) | dict(others(draws) if others else {})
    return {
        key: _with_interval(value, samples[key], carriers(rows, key))
        if key in samples and value.value is not None
        else value
        for key, value in metrics.items()
    }


def resampled_metrics(
    rows: ScoredRows, keys: Collection[str], draws: Draws, drop_zeros: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Return ``(resamples,)`` values of every asked metric that comes from ranking, NaN where undefined."""
    binary = rows.binary()
    alarms, normal = normal_video_alarms(rows)
    samples = _places(binary, keys, draws) | _swept(rows, binary, keys, draws)
    if "AnoAUC" in keys:
        samples["AnoAUC"] = resampled_auc(binary, draws, rows.abnormal)
    samples["prevalence"] = ratio(draws @ rows.video_positives, draws @ rows.video_frames)
    samples["FAR"] = ratio(draws @ alarms, draws @ normal)
    if rows.class_scores is None or rows.class_positives is None:
        return samples
    for metric, mean, resampled in (("AUC", "mAUC", resampled_auc), ("AP", "mAP", resampled_ap)):
        classes = [i for i in range(len(rows.class_names)) if i != rows.normal]
        names = [(i, str(MetricKey(metric, of_class=rows.class_names[i]))) for i in classes]
        names = [(i, key) for i, key in names if mean in keys or key in keys]
        values = {key: resampled(rows.one_vs_rest(i), draws) for i, key in names}
        samples |= values
        if mean in keys:
            samples[mean] = _class_mean(np.array(list(values.values())), drop_zeros)
    return samples


def _places(binary: WeightedRows, keys: Collection[str], draws: Draws) -> dict[str, NDArray[np.float64]]:
    """Return resampled values of AUC and of its parts within and across videos, where any of them is asked for."""
    if PLACES.isdisjoint(keys):
        return {}
    own = Within(binary, draws.shape[1], Ranking(binary.scores))
    pairs = resampled_pairs(binary, draws)
    found = own.resampled(draws, *pairs) | {"AUC": ratio(*pairs)}
    if "AUC/flattened" in keys:
        found["AUC/flattened"] = resampled_auc(own.flat, draws)
    return found


def _swept(
    rows: ScoredRows, binary: WeightedRows, keys: Collection[str], draws: Draws
) -> dict[str, NDArray[np.float64]]:
    """Return resampled values of what depends on the order of all frames, from one sweep, where it is asked for."""
    sums = {key: kind(len(draws)) for key, kind in (("AP", StepSum), ("AP/trapezoid", Trapezoid)) if key in keys}
    pointed = not frozenset(RESAMPLED).isdisjoint(keys)
    if not (sums or pointed):
        return {}
    sweep = Sweep(binary, draws)
    points = OperatingPoints(rows, sweep, draws) if pointed else None
    counted: list[StepSum | OperatingPoints] = [*sums.values(), *([points] if points else [])]
    for block in sweep.blocks():
        for each in counted:
            each.add(block)
    return {key: area.value for key, area in sums.items()} | (points.values() if points else {})


def _class_mean(values: NDArray[np.float64], drop_zeros: bool) -> NDArray[np.float64]:
    """Return the mean over the classes ``(classes, resamples)`` that are defined in each resample."""
    kept = ~np.isnan(values) & ~(drop_zeros & (values == 0))
    return ratio(np.where(kept, values, 0.0).sum(0), kept.sum(0))


def interval(samples: NDArray[np.float64], carried: Carriers) -> tuple[float | None, float | None, str | None]:
    """Return the 95 % interval of ``(resamples,)`` values, as low end, high end and reason for neither.

    Args:
        samples: the values; undefined ones, NaN, are left out.
        carried: the videos that carry what the metric counts; no interval rests on too few.
    """
    if carried.too_few:
        return None, None, f"no interval: {carried.reason}"
    return percentiles(samples, tail(carried.count))


@lru_cache
def tail(videos: int) -> float:
    """Return the share of resamples that lie beyond each end of a 95 % interval which rests on a number of videos.

    Resamples of few videos spread less than other videos would, so it is less than (1 - 0.95) / 2: the share of a
    normal distribution beyond ``t sqrt(n / (n - 1))``, t being Student's quantile for n - 1 degrees of freedom (the
    expanded percentile interval of Hesterberg, What Teachers Should Know About the Bootstrap, 2015). For a hundred
    videos it is nearly the same; docs/metrics.md shows how often either interval holds the truth.
    """
    from scipy.special import ndtr, stdtrit  # not with the module, which is imported where no number is computed

    return float(ndtr(-stdtrit(videos - 1, (1 + LEVEL) / 2) * math.sqrt(videos / (videos - 1))))


def percentiles(
    samples: NDArray[np.float64], beyond: float = (1 - LEVEL) / 2
) -> tuple[float | None, float | None, str | None]:
    """Return the quantiles ``beyond`` and ``1 - beyond`` of ``(resamples,)`` values, and a reason for neither.

    Undefined values, NaN, are left out; with fewer than half of them defined there are no quantiles.
    """
    defined = samples[~np.isnan(samples)]
    if len(defined) < len(samples) / 2:
        return None, None, f"no interval: defined in only {len(defined)} of {len(samples)} resamples"
    low, high = np.quantile(defined, [beyond, 1 - beyond])
    return float(low), float(high), None


def _with_interval(value: MetricValue, samples: NDArray[np.float64], carried: Carriers) -> MetricValue:
    low, high, reason = interval(samples, carried)
    # A value may have a remark of its own.
    reasons = "; ".join(r for r in (reason, value.reason) if r)
    return MetricValue(value=value.value, low=low, high=high, reason=reasons or None)
