"""Confidence intervals from resampling videos with replacement.

Frames of one video are not independent, so whole videos are drawn. A resample is a row of multiplicities (how often
each video was drawn), and a metric on it is the metric with every row's frames multiplied by its video's number.

Two exact identities make 1,000 resamples cheap. The AUC is a quadratic form in the multiplicities: the concordant pairs
of frames, counted once for every pair of videos, serve all resamples. AP changes only at scores of positive rows, so
the rows between two of them are added up per video before any resample is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.carriers import Carriers, carriers
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.ranking import Ranking, normal_video_alarms
from vadbench.scoring.rows import Ints, ScoredRows, WeightedRows

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
QUADRATIC_LIMIT = 5000
"""Videos up to which the matrix of concordant counts is made (200 MB at the limit)."""
STEPS = 32
"""Distinct positive scores handled at a time; bounds memory to a few arrays of this many rows per resample."""

Draws = NDArray[np.float64]

SMALL_PRODUCT = 2**18
"""Multiplications up to which OpenBLAS, NumPy's usual BLAS, starts no threads."""


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
    if among is not None:
        rows = rows.keep(among[rows.video])
    videos = draws.shape[1]
    if videos > QUADRATIC_LIMIT:
        ranking, nan = Ranking(rows.scores), float("nan")
        weighted = (ranking.auc(rows.positives * w[rows.video], rows.negatives * w[rows.video]) for w in draws)
        return np.array([nan if auc is None else auc for auc in weighted])
    holders = np.unique(rows.video[rows.positives > 0])
    weights = draws[:, holders]
    concordant = ((weights @ concordance(rows, holders, videos)) * draws).sum(1)
    inside, outside = (np.bincount(rows.video, counts, videos) for counts in (rows.positives, rows.negatives))
    return _ratio(concordant, (draws @ inside) * (draws @ outside))


def resampled_ap(rows: WeightedRows, draws: Draws) -> NDArray[np.float64]:
    """Return ``(resamples,)`` average precision of each resample, NaN where it lacks positives.

    Args:
        draws: ``(resamples, videos)`` multiplicities.
    """
    ranking = Ranking(rows.scores)
    video, positives, negatives = (a[ranking.order] for a in (rows.video, rows.positives, rows.negatives))
    # The steps are the distinct scores of positive rows, descending; a row counts from the first step not above it.
    has_positives = np.diff(ranking.cumulative(rows.positives), prepend=0.0) > 0
    steps_above: Ints = np.cumsum(has_positives) - has_positives
    step: Ints = np.repeat(steps_above, np.diff(ranking.ends, prepend=-1))
    by_video = np.ascontiguousarray(draws.T)
    resamples, total = len(draws), int(has_positives.sum())
    tp, fp, area = np.zeros(resamples), np.zeros(resamples), np.zeros(resamples)
    bounds = np.searchsorted(step, np.arange(0, total + STEPS, STEPS).clip(max=total))
    for low, high in pairwise(bounds):
        within, owner = step[low:high] - step[low], video[low:high]
        gained = _drawn(within, owner, positives[low:high], by_video)
        passed = _drawn(within, owner, negatives[low:high], by_video)
        hits, false = np.cumsum(gained, axis=0) + tp, np.cumsum(passed, axis=0) + fp
        # Counts are whole numbers, so a sum below 1 is 0: nothing has been drawn yet and nothing is gained.
        area += (gained * hits / np.maximum(hits + false, 1)).sum(0)
        tp, fp = hits[-1], false[-1]
    return _ratio(area, tp)


def _drawn(step: Ints, video: Ints, frames: Ints, by_video: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(steps, resamples)`` frames drawn at each step: each video's counts times its multiplicity."""
    some = np.flatnonzero(frames)
    present, column = np.unique(video[some], return_inverse=True)
    shape = (int(step[-1]) + 1, len(present))
    counts = np.bincount(step[some] * len(present) + column, frames[some], shape[0] * shape[1]).reshape(shape)
    weights = by_video[present]
    product = np.empty((shape[0], weights.shape[1]))
    # In pieces: waiting for BLAS threads at each of many small products costs more than it saves, and on a busy
    # machine up to a hundred times more than the products themselves.
    width = max(1, SMALL_PRODUCT // max(1, counts.size))
    for start in range(0, weights.shape[1], width):
        piece = slice(start, start + width)
        np.matmul(counts, weights[:, piece], out=product[:, piece])
    return product


def with_intervals(
    rows: ScoredRows,
    metrics: Mapping[str, MetricValue],
    drop_zeros: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    others: Callable[[Draws], Mapping[str, NDArray[np.float64]]] | None = None,
) -> dict[str, MetricValue]:
    """Return the same metrics with 95 % percentile intervals.

    A resample in which a metric is undefined (no frame of a class, say) is left out for that metric. An interval is
    ``None``, with a reason, where fewer than half of the resamples are left or too few videos carry what the metric
    counts. Metrics that are undefined themselves, or that this module does not resample, are returned as they came.

    Args:
        metrics: from :func:`vadbench.metrics.ranking.evaluate` on the same rows.
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
    samples = {}
    if "AUC" in keys:
        samples["AUC"] = resampled_auc(binary, draws)
    if "AP" in keys:
        samples["AP"] = resampled_ap(binary, draws)
    if "AnoAUC" in keys:
        samples["AnoAUC"] = resampled_auc(binary, draws, rows.abnormal)
    samples["prevalence"] = _ratio(draws @ rows.video_positives, draws @ rows.video_frames)
    samples["FAR"] = _ratio(draws @ alarms, draws @ normal)
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


def _class_mean(values: NDArray[np.float64], drop_zeros: bool) -> NDArray[np.float64]:
    """Return the mean over the classes ``(classes, resamples)`` that are defined in each resample."""
    kept = ~np.isnan(values) & ~(drop_zeros & (values == 0))
    return _ratio(np.where(kept, values, 0.0).sum(0), kept.sum(0))


def interval(samples: NDArray[np.float64], carried: Carriers) -> tuple[float | None, float | None, str | None]:
    """Return the 95 % percentile interval of ``(resamples,)`` values, as low end, high end and reason for neither.

    Undefined values, NaN, are left out; with fewer than half of them defined there is no interval.

    Args:
        samples: the values.
        carried: the videos that carry what the metric counts; no interval rests on too few.
    """
    if carried.too_few:
        return None, None, f"no interval: {carried.reason}"
    defined = samples[~np.isnan(samples)]
    if len(defined) < len(samples) / 2:
        return None, None, f"no interval: defined in only {len(defined)} of {len(samples)} resamples"
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high), None


def _with_interval(value: MetricValue, samples: NDArray[np.float64], carried: Carriers) -> MetricValue:
    low, high, reason = interval(samples, carried)
    # A value may have a remark of its own.
    reasons = "; ".join(r for r in (reason, value.reason) if r)
    return MetricValue(value=value.value, low=low, high=high, reason=reasons or None)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``part / whole``, NaN where ``whole`` is 0."""
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
