"""Resampled metrics as the first releases computed them, kept as they were written.

AUC came from the concordant pairs of every two videos, everything else from dense products for 32 steps at a time. Both
are exact, and both cost more than twice as much for twice the videos. Values must stay equal to these.
"""

from collections import namedtuple
from itertools import pairwise

import numpy as np

from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.evaluation import normal_video_alarms
from vadbench.metrics.glossary import FALSE_POSITIVE_RATES
from vadbench.metrics.operating import AT_MOST, FALSE_FRAMES, MOST, RECALLS, RESAMPLED
from vadbench.metrics.ranking import Ranking, ratio
from vadbench.metrics.within import Within

STEPS = 32
SMALL_PRODUCT = 2**18
PLACES = {"AUC", "AUC/within", "AUC/cross", "AUC/video", "AUC/flattened", "pair-share"}


def concordance(rows, holders, videos):
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


def resampled_auc(rows, draws, among=None):
    """Return ``(resamples,)`` AUC of each resample, NaN where it lacks positives or negatives."""
    return ratio(*resampled_pairs(rows if among is None else rows.keep(among[rows.video]), draws))


def resampled_pairs(rows, draws):
    """Return ``(resamples,)`` pairs of a positive and a negative frame in right order, ties a half, and all pairs."""
    videos = draws.shape[1]
    holders = np.unique(rows.video[rows.positives > 0])
    concordant = ((draws[:, holders] @ concordance(rows, holders, videos)) * draws).sum(1)
    inside, outside = (np.bincount(rows.video, counts, videos) for counts in (rows.positives, rows.negatives))
    return concordant, (draws @ inside) * (draws @ outside)


def resampled_metrics(rows, keys, draws, drop_zeros=False):
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


def _places(binary, keys, draws):
    """Return resampled values of AUC and of its parts within and across videos, where any of them is asked for."""
    if PLACES.isdisjoint(keys):
        return {}
    own = Within(binary, draws.shape[1], Ranking(binary.scores))
    pairs = resampled_pairs(binary, draws)
    inside, inside_pairs, mixed = draws @ own.concordant, draws @ own.pairs, own.pairs > 0
    found = {
        "AUC": ratio(*pairs),
        "AUC/within": ratio(inside, inside_pairs),
        "AUC/cross": ratio(pairs[0] - inside, pairs[1] - inside_pairs),
        "AUC/video": ratio(draws[:, mixed] @ own.aucs[mixed], draws @ mixed.astype(np.float64)),
        "pair-share": ratio(inside_pairs, pairs[1]),
    }
    if "AUC/flattened" in keys:
        found["AUC/flattened"] = resampled_auc(own.flat, draws)
    return found


def _swept(rows, binary, keys, draws):
    """Return resampled values of what depends on the order of all frames, from one sweep, where it is asked for."""
    sums = {key: kind(len(draws)) for key, kind in (("AP", StepSum), ("AP/trapezoid", Trapezoid)) if key in keys}
    pointed = not frozenset(RESAMPLED).isdisjoint(keys)
    if not (sums or pointed):
        return {}
    sweep = Sweep(binary, draws)
    points = OperatingPoints(rows, sweep, draws) if pointed else None
    counted = [*sums.values(), *([points] if points else [])]
    for block in sweep.blocks():
        for each in counted:
            each.add(block)
    return {key: area.value for key, area in sums.items()} | (points.values() if points else {})


def _class_mean(values, drop_zeros):
    """Return the mean over the classes ``(classes, resamples)`` that are defined in each resample."""
    kept = ~np.isnan(values) & ~(drop_zeros & (values == 0))
    return ratio(np.where(kept, values, 0.0).sum(0), kept.sum(0))


Steps = namedtuple("Steps", "first before gained tied tp fp")


class Sweep:
    """The steps of a ranking in resamples of its videos."""

    def __init__(self, rows, draws):
        ranking = Ranking(rows.scores)
        self.video, self.positives, self.negatives = (a[ranking.order] for a in (rows.video, *rows[2:]))
        has_positives = np.diff(ranking.cumulative(rows.positives), prepend=0.0) > 0
        repeats = np.diff(ranking.ends, prepend=-1)
        steps_above = np.cumsum(has_positives) - has_positives
        self.step = np.repeat(steps_above, repeats)
        self._tied = np.where(np.repeat(has_positives, repeats), self.negatives, 0)
        self._total = int(has_positives.sum())
        self._by_video = np.ascontiguousarray(draws.T)

    def blocks(self):
        """Yield all steps in order."""
        resamples = self._by_video.shape[1]
        tp, fp = np.zeros(resamples), np.zeros(resamples)
        bounds = np.searchsorted(self.step, np.arange(0, self._total + STEPS, STEPS).clip(max=self._total))
        for low, high in pairwise(bounds):
            gained, passed, tied = (
                self._drawn(slice(low, high), frames) for frames in (self.positives, self.negatives, self._tied)
            )
            hits, false = np.cumsum(gained, axis=0) + tp, np.cumsum(passed, axis=0) + fp
            yield Steps(int(self.step[low]), tp, gained, tied, hits, false)
            tp, fp = hits[-1], false[-1]

    def _drawn(self, rows, frames):
        """Return ``(steps, resamples)`` frames drawn at each step: each video's counts times its multiplicity."""
        step, video, frames = self.step[rows] - self.step[rows.start], self.video[rows], frames[rows]
        some = np.flatnonzero(frames)
        present, column = np.unique(video[some], return_inverse=True)
        shape = (int(step[-1]) + 1, len(present))
        counts = np.bincount(step[some] * len(present) + column, frames[some], shape[0] * shape[1]).reshape(shape)
        weights = self._by_video[present]
        product = np.empty((shape[0], weights.shape[1]))
        # In pieces: waiting for BLAS threads at each of many small products costs more than it saves, and on a busy
        # machine up to a hundred times more than the products themselves.
        width = max(1, SMALL_PRODUCT // max(1, counts.size))
        for start in range(0, weights.shape[1], width):
            piece = slice(start, start + width)
            np.matmul(counts, weights[:, piece], out=product[:, piece])
        return product


class StepSum:
    """Average precision: precision times gain in recall, summed over steps."""

    def __init__(self, resamples):
        self._area = np.zeros(resamples)
        self._tp = np.zeros(resamples)

    def add(self, block):
        """Count the next steps."""
        self._area += self._gain(block).sum(0)
        self._tp = block.tp[-1]

    @property
    def value(self):
        """``(resamples,)`` area, NaN where no positive is drawn."""
        return ratio(self._area, self._tp)

    def _gain(self, block):
        # Counts are whole numbers, so a sum below 1 is 0: nothing has been drawn yet and nothing is gained.
        return block.gained * block.tp / np.maximum(block.tp + block.fp, 1)


class Trapezoid(StepSum):
    """Area under the precision-recall curve by the trapezoid rule."""

    def _gain(self, block):
        above = block.tp - block.gained
        # What ties with the step is not above it. Where nothing is above, precision is 1.
        seen = above + block.fp - block.tied
        before = np.where(seen > 0, above / np.maximum(seen, 1), 1.0)
        return block.gained * (block.tp / np.maximum(block.tp + block.fp, 1) + before) / 2


def resampled_ap(rows, draws):
    """Return ``(resamples,)`` average precision of each resample, NaN where it lacks positives."""
    area = StepSum(len(draws))
    for block in Sweep(rows, draws).blocks():
        area.add(block)
    return area.value


class OperatingPoints:
    """The operating points of all resamples, found in one sweep from the highest score down."""

    def __init__(self, rows, sweep, draws):
        self._rows, self._sweep, self._draws = rows, sweep, draws
        self._positives, self._frames = draws @ rows.video_positives, draws @ rows.video_frames
        negatives = self._frames - self._positives
        self._strict = {rate: _Strict(rate, negatives) for rate in FALSE_POSITIVE_RATES}
        # The least number that is that share: rounding a product might miss it by one, rounding a quotient does not.
        self._needed = np.round(MOST * self._positives)
        self._needed += self._needed / np.maximum(self._positives, 1) < MOST
        self._last, self._reached = (np.full(len(draws), -1) for _ in range(2))

    def add(self, block):
        """Look for operating points among the next steps."""
        if any(strict.open.any() for strict in self._strict.values()):
            drawn = np.where(block.gained > 0, np.arange(len(block.gained))[:, None] + block.first, -1)
            for strict in self._strict.values():
                strict.add(block, drawn, self._last)
            self._last = np.maximum(self._last, drawn.max(0))
        now = np.flatnonzero((self._reached < 0) & (block.tp[-1] >= self._needed))
        self._reached[now] = block.first + (block.tp[:, now] >= self._needed[now]).argmax(0)

    def values(self):
        """Return ``(resamples,)`` values by key, NaN where undefined."""
        normal = self._rows.normal_videos
        hours = self._rows.hours
        found = {AT_MOST: ratio(self._alarms(self._reached), self._draws[:, normal] @ self._rows.video_frames[normal])}
        for rate, strict in self._strict.items():
            found[RECALLS[rate]] = ratio(strict.tp, self._positives)
            if normal.any() and hours is not None and not np.isnan(hours[normal]).any():
                own = self._draws[:, normal] @ hours[normal]
                found[FALSE_FRAMES[rate]] = ratio(self._alarms(strict.step), own)
        lacking = (self._positives == 0) | (self._positives == self._frames)
        return {key: np.where(lacking, np.nan, values) for key, values in found.items()}

    def _alarms(self, step):
        """Return ``(resamples,)`` drawn frames of normal videos that reach the score of a step; none for step -1."""
        steps, place = np.unique(step, return_inverse=True)
        normal = self._rows.normal_videos
        column = np.cumsum(normal) - 1
        counted = np.flatnonzero(self._sweep.negatives * normal[self._sweep.video])
        first = np.searchsorted(steps, self._sweep.step[counted])
        shape = (len(steps) + 1, int(column[-1]) + 1)
        cell = first * shape[1] + column[self._sweep.video[counted]]
        counts = np.bincount(cell, self._sweep.negatives[counted], shape[0] * shape[1]).reshape(shape)
        above = np.cumsum(counts, axis=0)[place]
        alarms = np.einsum("rv,rv->r", above, self._draws[:, normal])
        return alarms


class _Strict:
    """The lowest step of each resample that at most a share of the drawn normal frames reach."""

    def __init__(self, rate, negatives):
        # The greatest number that is no larger share.
        self._most = np.round(rate * negatives)
        self._most -= self._most / np.maximum(negatives, 1) > rate
        self.open = np.ones(len(negatives), dtype=bool)
        self.tp = np.zeros(len(negatives))
        self.step = np.full(len(negatives), -1)

    def add(self, block, drawn, last):
        """Look among the next steps."""
        on = np.flatnonzero(self.open)
        allowed = (block.fp[:, on] <= self._most[on]).sum(0)
        tp = np.vstack([block.before[on], block.tp[:, on]])
        steps = np.maximum.accumulate(np.vstack([last[on], drawn[:, on]]))
        self.tp[on] = tp[allowed, np.arange(len(on))]
        self.step[on] = steps[allowed, np.arange(len(on))]
        self.open[on] = allowed == len(block.fp)


def localised_ap(found, draws):
    """Return average precision ``(thresholds, classes, resamples)`` of a localisation."""
    by_video = np.ascontiguousarray(draws.T)
    area = np.zeros((found.hits.shape[1], len(found.class_names), len(draws)))
    for class_id in np.flatnonzero(found.annotated.any(0)):
        own = found.label == class_id
        video, hits = found.video[own], found.hits[own]
        # Precision is only needed where a proposal is right at some threshold.
        steps = np.flatnonzero(hits.any(1))
        shape = (len(steps) + 1, len(by_video))
        step = np.searchsorted(steps, np.arange(len(video)), "right")  # the first one below each proposal
        counts = np.bincount(step * shape[1] + video, minlength=shape[0] * shape[1]).reshape(shape)
        above = np.cumsum(counts[:-1].astype(np.float64) @ by_video, axis=0)
        weight = by_video[video[steps]]
        for i, right in enumerate(hits[steps].T):
            area[i, class_id] = found.area(above[right], weight[right])
    total = (draws @ found.annotated).T
    ap = np.full(area.shape, found.unannotated)
    np.divide(area, total, out=ap, where=total > 0)
    return ap
