"""Operating points: what is found at a threshold that few normal frames reach, and how many reach one that finds most.

A threshold is a score that some frame has; frames that score at least as much are called anomalous. Of thresholds that
find the same frames the highest counts.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.glossary import FALSE_POSITIVE_RATES
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.ranking import Ranking, ratio, value_of
from vadbench.metrics.sweep import Steps, Sweep
from vadbench.scoring.rows import Ints, ScoredRows, WeightedRows

RECALLS = {rate: f"recall@{rate:.0%}FPR" for rate in FALSE_POSITIVE_RATES}
FALSE_FRAMES = {rate: f"false-frames-per-hour@{rate:.0%}FPR" for rate in FALSE_POSITIVE_RATES}
MOST, AT_MOST = 0.95, "FPR@95TPR"
RESAMPLED = (*RECALLS.values(), *FALSE_FRAMES.values(), AT_MOST)
"""The keys of this module that have values in resamples."""
NO_NORMAL = "the split has no normal video"

MARGIN = 6
"""Standard deviations between the operating point of a split and those of its resamples: not one in 10^8 is as far."""

_Array = NDArray[np.float64]


def operating_points(rows: ScoredRows, binary: WeightedRows, ranking: Ranking, single: str) -> dict[str, MetricValue]:
    """Return ``recall@1%FPR``, ``false-frames-per-hour@1%FPR`` and so on, ``FPR@95TPR`` and ``distinct``, by key.

    Args:
        binary: of ``rows``.
        ranking: of the scores of ``binary``.
        single: why metrics are undefined that need anomalous and normal frames.
    """
    normal = rows.normal_videos
    frames = int(rows.video_frames[normal].sum())
    tp, fp = ranking.cumulative(binary.positives), ranking.cumulative(binary.negatives)
    false = ranking.cumulative(binary.negatives * normal[binary.video])
    seen = tp + fp
    used = int(np.count_nonzero(seen[1:] > seen[:-1]) + np.count_nonzero(seen[:1]))
    found = {"distinct": value_of(used or None, "the split has no frames")}
    if not (len(tp) and tp[-1] and fp[-1]):
        return found | {key: value_of(None, single) for key in RESAMPLED}
    hours, unknown = _normal_hours(rows)
    rates = fp / fp[-1]
    first = float(rates[np.argmax(seen > 0)])
    for rate in FALSE_POSITIVE_RATES:
        strict = np.count_nonzero(rates <= rate)
        hits = tp[strict - 1] if strict else 0.0
        too_many = f"no threshold is as strict: {first:.1%} of the normal frames have the highest score"
        found[RECALLS[rate]] = MetricValue(value=hits / tp[-1], reason=too_many if first > rate else None)
        alarms = float(false[np.searchsorted(tp, hits)]) if hits else 0.0
        found[FALSE_FRAMES[rate]] = value_of(None if unknown else alarms / hours, unknown)
    reached = false[np.argmax(tp / tp[-1] >= MOST)]
    found[AT_MOST] = value_of(reached / frames if frames else None, NO_NORMAL)
    return found


class OperatingPoints:
    """The operating points of all resamples, found on the way from the highest score down.

    Args:
        rows: of the split; the sweep counts its normal videos apart.
        drawn: how often its videos are drawn.
    """

    def __init__(self, rows: ScoredRows, drawn: Multiplicities) -> None:
        self._rows, self._drawn = rows, drawn
        self._positives, self._frames = drawn.sums(rows.video_positives), drawn.sums(rows.video_frames)
        negatives = self._frames - self._positives
        self._strict = {rate: _Strict(rate, negatives) for rate in FALSE_POSITIVE_RATES}
        self._reached = _Reached(self._positives)
        self._points: list[_Point] = [*self._strict.values(), self._reached]

    def add(self, block: Steps) -> None:
        """Look for operating points among the next steps."""
        for point in self._points:
            point.add(block)

    def find(self, sweep: Sweep) -> None:
        """Look for each of them in the few steps where it may be in any resample; finds the same as in all steps."""
        positives = self._rows.video_positives
        of_videos = positives, self._rows.video_frames - positives
        for point in self._points:
            sweep.count([point], window(sweep, point, *of_videos))

    def values(self) -> dict[str, _Array]:
        """Return ``(resamples,)`` values by key, NaN where undefined."""
        normal = self._rows.normal_videos
        _, unknown = _normal_hours(self._rows)
        found = {AT_MOST: ratio(self._reached.alarms, self._drawn.sums(self._rows.video_frames * normal))}
        for rate, strict in self._strict.items():
            found[RECALLS[rate]] = ratio(strict.tp, self._positives)
            if not unknown:
                assert self._rows.hours is not None
                hours = self._drawn.sums(np.where(normal, self._rows.hours, 0.0))
                found[FALSE_FRAMES[rate]] = ratio(strict.alarms, hours)
        lacking = (self._positives == 0) | (self._positives == self._frames)
        return {key: np.where(lacking, np.nan, values) for key, values in found.items()}


class _Point(Protocol):
    """An operating point of each resample, which steps come to one after the other."""

    def add(self, block: Steps) -> None:
        """Look among the next steps of some resamples."""

    def excess(self, tp: _Array, fp: _Array, positives: _Array | Ints, negatives: _Array | Ints) -> _Array:
        """Return by how much counts exceed what the point asks for; values of videos add up to that of the split.

        Args:
            tp, fp: positives and negatives at or above a step.
            positives, negatives: all of them.
        """

    def passed(self, tp: _Array, fp: _Array) -> NDArray[np.bool_]:
        """Return ``(resamples,)`` whether a step lies beyond the point; if it does, so do all later steps.

        Args:
            tp, fp: ``(resamples,)`` positives and negatives at or above the step.
        """


class _Strict:
    """The lowest step of each resample that at most a share of the drawn normal frames reach.

    Attributes:
        tp: ``(resamples,)`` drawn positives at the threshold, 0 where none is that strict.
        alarms: ``(resamples,)`` drawn frames of normal videos at the last step not below it that has a drawn positive.
    """

    def __init__(self, rate: float, negatives: _Array) -> None:
        self._rate = rate
        # The greatest number that is no larger share.
        self._most = np.round(rate * negatives)
        self._most -= self._most / np.maximum(negatives, 1) > rate
        self.tp, self.alarms = np.zeros((2, len(negatives)))

    def excess(self, tp: _Array, fp: _Array, positives: _Array | Ints, negatives: _Array | Ints) -> _Array:
        excess: _Array = fp - self._rate * negatives
        return excess

    def passed(self, tp: _Array, fp: _Array) -> NDArray[np.bool_]:
        return fp > self._most

    def add(self, block: Steps) -> None:
        own = block.resamples
        most, tp, alarms = self._most[own], self.tp[own], self.alarms[own]
        strict = np.flatnonzero(block.fp[0] <= most)
        if not len(strict):
            return
        reached = block.tp[(block.fp[:, strict] <= most[strict]).sum(0) - 1, strict]
        # The last step with a drawn positive is the first one that reaches as many.
        more = reached > tp[strict]
        strict, reached = strict[more], reached[more]
        tp[strict] = reached
        alarms[strict] = block.apart_fp[(block.tp[:, strict] < reached).sum(0), strict]


class _Reached:
    """The highest step of each resample that most of the drawn positives reach.

    Attributes:
        alarms: ``(resamples,)`` drawn frames of normal videos that reach it, NaN where no step does.
    """

    def __init__(self, positives: _Array) -> None:
        # The least number that is that share: rounding a product might miss it by one, rounding a quotient does not.
        self._needed = np.round(MOST * positives)
        self._needed += self._needed / np.maximum(positives, 1) < MOST
        self.alarms = np.full(len(positives), np.nan)

    def excess(self, tp: _Array, fp: _Array, positives: _Array | Ints, negatives: _Array | Ints) -> _Array:
        excess: _Array = tp - MOST * positives
        return excess

    def passed(self, tp: _Array, fp: _Array) -> NDArray[np.bool_]:
        return tp >= self._needed

    def add(self, block: Steps) -> None:
        own = block.resamples
        needed, alarms = self._needed[own], self.alarms[own]
        enough = np.flatnonzero((block.tp[-1] >= needed) & np.isnan(alarms))
        first = (block.tp[:, enough] < needed[enough]).sum(0)
        alarms[enough] = block.apart_fp[first, enough]


def window(sweep: Sweep, point: _Point, positives: Ints, negatives: Ints) -> slice:
    """Return steps among which an operating point is in every resample; all where that cannot be told.

    They lie around the point of the split itself, as far as resamples may be from it. Counts at either end tell whether
    they do in every one of these.

    Args:
        sweep: of the split.
        point: to be found.
        positives, negatives: ``(videos,)`` frames of each video.
    """
    whole = slice(sweep.steps)
    excess = point.excess(*sweep.totals, positives.sum(keepdims=True), negatives.sum(keepdims=True))
    above = sweep.by_video(int(np.searchsorted(excess, 0)))
    of_videos = point.excess(*above[:2], positives, negatives)
    spread = MARGIN * np.sqrt(((of_videos - of_videos.mean()) ** 2).sum())
    first, before, last = np.searchsorted(excess, [-2 * spread, -spread, spread]).tolist()
    if last >= sweep.steps:
        return whole
    at_first, at_before, at_last = (sweep.above(step + 1) for step in (first, before, last))
    # Between the first two there is a positive, so what comes before the first has no part in what is found.
    sound = (at_before[0] > at_first[0]) & ~point.passed(*at_before[:2]) & point.passed(*at_last[:2])
    return slice(first, last + 1) if sound.all() else whole


def _normal_hours(rows: ScoredRows) -> tuple[float, str]:
    """Return the hours of all normal videos, and the reason why they are not known, empty where they are."""
    normal = rows.normal_videos
    if not normal.any():
        return 0.0, NO_NORMAL
    hours = rows.hours[normal] if rows.hours is not None else np.full(np.count_nonzero(normal), np.nan)
    lacking, whole = np.count_nonzero(np.isnan(hours)), len(hours)
    some = f"{lacking} of the {whole}" if lacking < whole else "the"
    reason = f"the frame rate of {some} normal videos is not known" if lacking else ""
    return float(hours.sum()), reason
