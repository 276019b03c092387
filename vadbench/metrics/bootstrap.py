"""Confidence intervals from resampling videos with replacement.

Frames of one video are not independent, so whole videos are drawn. A resample is a row of multiplicities (how often
each video was drawn), and a metric on it is the metric with every row's frames multiplied by its video's number.

One pass down the scores finds what ranks in all resamples (:mod:`vadbench.metrics.sweep`), or, of a split of many
videos, what each video adds to it (:mod:`vadbench.metrics.first_order`). The cost grows with the number of rows, and
not with the pairs of videos.
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
from vadbench.metrics.descent import Descent, descend
from vadbench.metrics.evaluation import normal_video_alarms
from vadbench.metrics.first_order import CHECKED, FirstOrder, many, near
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.operating import RESAMPLED, OperatingPoints
from vadbench.metrics.ranking import Ranking, ratio
from vadbench.metrics.sweep import Pairs, StepSum, Sweep, Trapezoid
from vadbench.metrics.within import Within
from vadbench.scoring.rows import Floats, Ints, ScoredRows, WeightedRows

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
PLACES = frozenset({*PLACE, "pair-share"})
"""The keys of AUC and of its parts within and across videos."""

Draws = Floats


def draw_videos(videos: int, resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Return ``(resamples, videos)`` multiplicities of resampling ``videos`` videos with replacement.

    The first resamples do not depend on how many are asked for, and two methods with the same videos get the same.
    """
    rng = np.random.default_rng(seed)
    draws = np.empty((resamples, videos), np.float32)
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
            of_class = rows.one_vs_rest(i)
            for metric, found in _areas(of_class, asked, drawn, descend(of_class)).items():
                values[metric][names[metric]] = found
    for metric, of_classes in values.items():
        samples |= of_classes
        if f"m{metric}" in keys:
            samples[f"m{metric}"] = _class_mean(np.array(list(of_classes.values())), drop_zeros)
    return samples


def _ranked(rows: ScoredRows, keys: Collection[str], drawn: Multiplicities) -> dict[str, NDArray[np.float64]]:
    """Return resampled values of what the anomaly score ranks, from one sort, where it is asked for."""
    asked = [key for key in ("AP", "AP/trapezoid", "AnoAUC") if key in keys] + ["AUC"] * (not PLACES.isdisjoint(keys))
    points = None if frozenset(RESAMPLED).isdisjoint(keys) else OperatingPoints(rows, drawn)
    if not asked and points is None:
        return {}
    binary, normal = rows.binary(), rows.normal_videos
    ranking = Ranking(binary.scores)
    descent = descend(binary, ranking)
    if many(binary, drawn.videos):
        found = _areas(binary, [key for key in asked if key != "AnoAUC"], drawn, descent)
        if "AnoAUC" in asked:
            among = binary._replace(negatives=binary.negatives * ~normal[binary.video])
            found["AnoAUC"] = _areas(among, ["AUC"], drawn, descend(among, ranking))["AUC"]
        if points:
            points.find(Sweep(descent, drawn, normal))
    else:
        # One sweep for all that is asked for.
        negatives = rows.video_frames - rows.video_positives
        counted = _counters([key for key in asked if key != "AnoAUC"], drawn, negatives)
        if "AnoAUC" in asked:
            counted["AnoAUC"] = Pairs(drawn.sums(negatives * ~normal), together=False)
        apart = normal if points or "AnoAUC" in asked else None
        Sweep(descent, drawn, apart).count([*counted.values(), *([points] if points else [])])
        found = {key: each.value for key, each in counted.items()}
    if points:
        found |= points.values()
    if "AUC" in asked:
        own = Within(binary, drawn.videos, ranking)
        found |= own.resampled(drawn, found["AUC"])
        if "AUC/flattened" in keys:
            found["AUC/flattened"] = _areas(own.flat, ["AUC"], drawn, descend(own.flat))["AUC"]
    return found


def _areas(
    rows: WeightedRows, asked: Collection[str], drawn: Multiplicities, descent: Descent
) -> dict[str, NDArray[np.float64]]:
    """Return resampled ``AUC``, ``AP`` and ``AP/trapezoid``, to first order where that is enough."""
    if not (asked and many(rows, drawn.videos)):
        return swept_areas(rows, asked, drawn, descent) if asked else {}
    found = FirstOrder(descent, drawn).areas(asked)
    few = swept_areas(rows, asked, drawn.first(CHECKED), descent)
    far = [key for key, values in few.items() if not near(found[key], values)]
    return found | swept_areas(rows, far, drawn, descent) if far else found


def swept_areas(
    rows: WeightedRows, asked: Collection[str], drawn: Multiplicities, descent: Descent
) -> dict[str, NDArray[np.float64]]:
    """Return areas of resamples, each by its definition.

    Args:
        rows: of all videos.
        asked: any of ``AUC``, ``AP`` and ``AP/trapezoid``.
        drawn: how often each resample has each video.
        descent: the rows from the highest score down.

    Returns:
        ``(resamples,)`` values by metric; undefined ones are NaN.
    """
    negatives: Ints = np.bincount(rows.video, rows.negatives, drawn.videos).astype(np.int64)
    counted = _counters(asked, drawn, negatives)
    Sweep(descent, drawn).count(list(counted.values()))
    return {key: each.value for key, each in counted.items()}


def _counters(keys: Collection[str], drawn: Multiplicities, negatives: Ints) -> dict[str, Pairs | StepSum]:
    """Return what counts each area in a sweep; ``negatives`` are the negative frames of each video."""
    made: dict[str, Callable[[], Pairs | StepSum]] = {
        "AUC": lambda: Pairs(drawn.sums(negatives)),
        "AP": lambda: StepSum(drawn.resamples),
        "AP/trapezoid": lambda: Trapezoid(drawn.resamples),
    }
    return {key: made[key]() for key in keys}


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
