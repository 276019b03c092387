"""Confidence intervals from resampling videos with replacement.

Frames of one video are not independent, so whole videos are drawn. A resample is a row of multiplicities (how often
each video was drawn), and a metric on it is the metric with every row's frames multiplied by its video's number.

One pass down the scores finds what ranks in all resamples (:mod:`vadbench.metrics.sweep`). Its cost grows with the
number of rows, and not with the pairs of videos.
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
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.operating import RESAMPLED, OperatingPoints
from vadbench.metrics.ranking import Ranking, ratio
from vadbench.metrics.sweep import Pairs, StepSum, Sweep, Trapezoid
from vadbench.metrics.within import Within
from vadbench.scoring.rows import ScoredRows, WeightedRows

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
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
    drawn = Multiplicities(draws)
    alarms, normal = normal_video_alarms(rows)
    samples = _ranked(rows, keys, drawn)
    samples["prevalence"] = ratio(drawn.sums(rows.video_positives), drawn.sums(rows.video_frames))
    samples["FAR"] = ratio(drawn.sums(alarms), drawn.sums(normal))
    if rows.class_scores is None or rows.class_positives is None:
        return samples
    values: dict[str, dict[str, NDArray[np.float64]]] = {"AUC": {}, "AP": {}}
    for i, name in enumerate(rows.class_names):
        names = {metric: str(MetricKey(metric, of_class=name)) for metric in values}
        asked = [metric for metric, key in names.items() if f"m{metric}" in keys or key in keys]
        if asked and i != rows.normal:
            for metric, found in _areas(rows.one_vs_rest(i), asked, drawn).items():
                values[metric][names[metric]] = found
    for metric, of_classes in values.items():
        samples |= of_classes
        if f"m{metric}" in keys:
            samples[f"m{metric}"] = _class_mean(np.array(list(of_classes.values())), drop_zeros)
    return samples


def _ranked(rows: ScoredRows, keys: Collection[str], drawn: Multiplicities) -> dict[str, NDArray[np.float64]]:
    """Return resampled values of what the anomaly score ranks, from one sort and one sweep, where it is asked for."""
    binary = rows.binary()
    normal = rows.normal_videos
    negatives = rows.video_frames - rows.video_positives
    sums = {key: kind(drawn.resamples) for key, kind in (("AP", StepSum), ("AP/trapezoid", Trapezoid)) if key in keys}
    pairs = None if PLACES.isdisjoint(keys) else Pairs(drawn.sums(negatives))
    among = Pairs(drawn.sums(negatives * ~normal), together=False) if "AnoAUC" in keys else None
    points = None if frozenset(RESAMPLED).isdisjoint(keys) else OperatingPoints(rows, drawn)
    counted = [*sums.values(), *(each for each in (pairs, among, points) if each is not None)]
    if not counted:
        return {}
    ranking = Ranking(binary.scores)
    Sweep(binary, drawn, ranking, normal if among or points else None).count(counted)
    found = {key: area.value for key, area in sums.items()} | (points.values() if points else {})
    if among:
        found["AnoAUC"] = among.value
    if pairs:
        own = Within(binary, drawn.videos, ranking)
        found |= own.resampled(drawn, pairs.concordant, pairs.all) | {"AUC": pairs.value}
        if "AUC/flattened" in keys:
            found |= {"AUC/flattened": _areas(own.flat, ["AUC"], drawn)["AUC"]}
    return found


def _areas(rows: WeightedRows, asked: Collection[str], drawn: Multiplicities) -> dict[str, NDArray[np.float64]]:
    """Return resampled AUC or AP or both, from one sweep."""
    negatives = np.bincount(rows.video, rows.negatives, drawn.videos)
    counted = {
        metric: Pairs(drawn.sums(negatives)) if metric == "AUC" else StepSum(drawn.resamples) for metric in asked
    }
    Sweep(rows, drawn).count(list(counted.values()))
    return {metric: each.value for metric, each in counted.items()}


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
