"""Compute a figure of a table from the seeds of an experiment: mean, deviation, interval and rank in its column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import PluginError, RunError
from vadbench.base.types import Progress, silent
from vadbench.benchmarks.schema import Cell
from vadbench.dataset import Video
from vadbench.metrics.blind import blind_metrics
from vadbench.metrics.bootstrap import RESAMPLES, draw_videos
from vadbench.metrics.carriers import TOO_FEW, Carriers, carriers
from vadbench.metrics.comparison import Samples, rank_column, seed_mean_interval
from vadbench.metrics.definitions import MetricValue, definition
from vadbench.metrics.event_counts import CHOSEN_ON_TEST
from vadbench.metrics.event_counts import KEYS as EVENTS
from vadbench.metrics.glossary import UNPROCESSED
from vadbench.metrics.measurement import resampled
from vadbench.records.published import PublishedNumber
from vadbench.records.record import SCORES, seed_values
from vadbench.records.scores import load_split
from vadbench.tables.evaluations import Evaluation, RankingGroup, remarks
from vadbench.tables.table import DIFFERS, ReproducedFigure

RESAMPLES_A_ROW = 80
"""Factor for the number of resamples. A p-value is at least ``2 / (resamples + 1)`` and multiplied by the number of
rows compared: with fewer resamples, every row of a long table would be tied with the best."""
OTHER_TRUTH = "test videos or their ground truth"
UNTESTED = "not tested against the best: too few resamples of either are defined, or their scores are missing"
NOT_RANKED = f"{TOO_FEW} methods apart"
UNLIKE_OTHERS = "not ranked with the others: differs in"
"""Beginning of the note on a figure of another group."""
FLATTENED = "AUC/flattened"
ADDS_NOTHING = "not below AUC: the curve within videos adds nothing"
DIGITS = 6
"""Decimals of a fraction in a table: more than are printed, fewer than those that differ between machines."""


GroundTruth = tuple[tuple[Video, ...], tuple[int, ...]]
"""Test videos with their annotation, and how many frames of each are measured."""


@dataclass(frozen=True)
class Resampled:
    """Metrics of one evaluation in resamples of its test videos, by key, and those videos with their ground truth.

    ``frames`` are those of each video that are measured, ``carriers`` the videos that carry what a metric counts.
    """

    videos: tuple[Video, ...]
    frames: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]
    carriers: Mapping[str, Carriers]


@dataclass(frozen=True)
class TablePlace:
    """Content of one place of a table.

    Args:
        runs: the finished runs, one per seed; without any, runs under other rules.
        asked: the runs that a benchmark needs for it.
        published: the paper's number.
        differs: how the rules of ``runs`` differ from those asked for; empty if they do not.
    """

    runs: Sequence[Evaluation] = ()
    asked: Sequence[Cell] = ()
    published: PublishedNumber | None = None
    differs: str = ""

    @property
    def kind(self) -> RankingGroup:
        """Group that its runs may be ranked with."""
        return self.runs[0].kind

    @property
    def notes(self) -> list[str]:
        """Notes on the runs behind the mean."""
        if self.differs:
            return [f"{DIFFERS} {self.differs}"]
        lacks = len(self.runs) < len(self.asked)
        return [f"{len(self.runs)} of {len(self.asked)} seeds"] if lacks else []


@dataclass
class Resamples:
    """Resampled metrics of the evaluations of a table.

    Args:
        of: resampled metrics by folder, without evaluations whose scores cannot be read.
        blind: metrics of the scores that look at no frame, by ground truth, name and key.
        notes: the reasons why these cannot be read.
    """

    of: dict[Path, Resampled] = field(default_factory=dict)
    blind: dict[GroundTruth, Mapping[str, Mapping[str, MetricValue]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def together(self, runs: Sequence[Evaluation], metric: str) -> Samples | None:
        """Return ``(runs, resamples)`` values of several seeds of one experiment.

        ``None`` if any seed lacks them, or if there is only one video, which cannot be resampled.
        """
        found = [self.of.get(run.folder) for run in runs]
        known = [f for f in found if f is not None and metric in f.values]
        if len(known) < len(runs) or len({f.videos for f in known}) > 1 or len(known[0].videos) < 2:
            return None
        return np.stack([f.values[metric] for f in known])

    def truth(self, runs: Sequence[Evaluation]) -> GroundTruth | None:
        """Return the ground truth of the seeds of one experiment, ``None`` if no scores can be read."""
        known = [self.of[run.folder] for run in runs if run.folder in self.of]
        return (known[0].videos, known[0].frames) if known else None

    def carriers(self, runs: Sequence[Evaluation], metric: str) -> Carriers:
        """Return the test videos of one experiment that carry what a metric counts.

        If no scores can be read, they are the abnormal or the normal videos of the record.
        """
        known = [self.of[run.folder].carriers[metric] for run in runs if run.folder in self.of]
        if known:
            return known[0]
        abnormal, normal = runs[0].kind.abnormal, runs[0].kind.videos - runs[0].kind.abnormal
        of_kind = [Carriers(abnormal), Carriers(normal, "normal")]
        counted = [c for c in of_kind if c.kind in definition(metric).carriers] or of_kind[:1]
        return min(counted, key=lambda c: c.count)

    def same_videos(self, rows: Sequence[Sequence[Evaluation]]) -> list[bool]:
        """Return for each row whether it has the test videos and ground truth of most rows.

        Rows whose scores cannot be read are assumed to have them.
        """
        known = [next((self.of[run.folder].videos for run in runs if run.folder in self.of), None) for runs in rows]
        common = Counter(videos for videos in known if videos is not None).most_common(1)
        return [videos is None or videos == common[0][0] for videos in known]


def resample(wanted: Mapping[Evaluation, Iterable[str]], rows: int, progress: Progress = silent) -> Resamples:
    """Compute metrics in resamples of the test videos; the scores of each evaluation are read and sorted once.

    Args:
        wanted: metrics by evaluation.
        rows: rows of the longest column, which decides how many resamples are needed.
        progress: called with the number of finished evaluations.
    """
    count = _needed(rows)
    draws: dict[int, Any] = {}
    found = Resamples()
    asked = sorted({metric for metrics in wanted.values() for metric in metrics})
    for done, (evaluation, metrics) in enumerate(wanted.items()):
        progress("resampling", done, len(wanted))
        if not (evaluation.folder / SCORES).is_file():
            continue  # reported when the record was read
        try:
            split = load_split(evaluation.folder)
            videos = tuple(split.videos)
            if len(videos) not in draws:
                draws[len(videos)] = draw_videos(len(videos), count)
            values = resampled(split, sorted(metrics), draws[len(videos)])
            counts = {metric: carriers(split.rows, metric) for metric in metrics}
            frames = tuple(split.rows.video_frames.tolist())
            found.of[evaluation.folder] = Resampled(videos, frames, values, counts)
            if (videos, frames) not in found.blind:
                found.blind[videos, frames] = blind_metrics(split, asked)
        except RunError as error:
            found.notes.append(str(error))
        except PluginError as error:
            found.notes.append(f"{evaluation.folder}: {error}")
    progress("resampling", len(wanted), len(wanted))
    return found


def column(
    places: Mapping[int, TablePlace], metric: str, better: Literal["higher", "lower"] | None, resamples: Resamples
) -> dict[int, ReproducedFigure]:
    """Return a column's figures with their ranks.

    Only figures of the most frequent group are ranked; the others are marked. Oracles are never ranked. If too few test
    videos carry what the metric counts, no figure is ranked and a note says so.

    Args:
        places: places with runs, by row.
        metric: key of the metric.
        better: the better direction; ``None`` if the metric ranks nothing.
        resamples: resamples of all runs in the column.
    """
    found = {row: _mean(place, metric, resamples) for row, place in places.items()}
    contest = [
        row for row, place in places.items() if not (place.differs or place.kind.oracle) and found[row].mean is not None
    ]
    if not contest:
        return found
    # Among groups with the same number of figures, the first counts.
    common = Counter(places[row].kind for row in contest).most_common(1)[0][0]
    of_kind = [row for row in contest if places[row].kind == common]
    same_videos = resamples.same_videos([places[row].runs for row in of_kind])
    ranked = [row for row, same in zip(of_kind, same_videos, strict=True) if same]
    for row in contest if better is not None else ():
        if row not in ranked:
            differing = ", ".join(places[row].kind.differences(common)) or OTHER_TRUTH
            found[row] = _noted(found[row], f"{UNLIKE_OTHERS} {differing}")
    if len(ranked) < 2:
        return found  # a single figure has no rank
    if any(resamples.carriers(places[row].runs, metric).too_few for row in ranked):
        for row in ranked:
            found[row] = _noted(found[row], NOT_RANKED)
        return found
    if better is None:
        return found
    samples = [_first(resamples.together(places[row].runs, metric), _needed(len(ranked))) for row in ranked]
    standings = rank_column([found[row].mean for row in ranked], samples, better)
    for row, standing in zip(ranked, standings, strict=True):
        p = None if standing.p is None else round(standing.p, DIGITS)
        found[row] = found[row].model_copy(update={**vars(standing), "p": p})
        if p is None and not standing.best:
            found[row] = _noted(found[row], UNTESTED)
    return found


def _noted(figure: ReproducedFigure, note: str) -> ReproducedFigure:
    return figure.model_copy(update={"notes": (*figure.notes, note)})


def _needed(rows: int) -> int:
    """Return the number of resamples for a column with this number of rows."""
    return max(RESAMPLES, RESAMPLES_A_ROW * rows)


def _first(samples: Samples | None, count: int) -> Samples | None:
    """Return the first resamples; the number of others drawn in the same process must not change a figure."""
    return None if samples is None else samples[:, :count]


def _mean(place: TablePlace, metric: str, resamples: Resamples) -> ReproducedFigure:
    """Return the mean over seeds with its interval, which is the recorded one for a single seed."""
    runs = place.runs
    notes = (*place.notes, *remarks(runs))
    seeds = tuple(run.record.seed for run in runs)
    values = [run.record.metrics.get(metric) for run in runs]
    defined = [v.value for v in values if v is not None and v.value is not None]
    if len(defined) < len(runs):
        reasons = {v.reason for v in values if v is not None and v.value is None and v.reason}
        why = "; ".join(sorted(reasons)) or _unmeasured(metric)
        return ReproducedFigure(mean=None, seeds=seeds, notes=(*notes, f"undefined: {why}"))
    if metric == FLATTENED:
        aucs = seed_values((run.record for run in runs), "AUC")
        notes = (*notes, *adds_nothing(fmean(aucs) if aucs else None, fmean(defined)))
    low, high = (values[0].low, values[0].high) if len(runs) == 1 and values[0] else (None, None)
    samples, carried = _first(resamples.together(runs, metric), RESAMPLES), resamples.carriers(runs, metric)
    if len(runs) > 1 and samples is not None:
        low, high = seed_mean_interval(samples, carried)
    if carried.too_few:
        low, high = None, None  # older runs recorded an interval all the same
        notes = (*notes, f"no interval: {carried.reason}")
    elif low is None:
        notes = (*notes, "no interval: " + _no_interval(values[0].reason if values[0] else None, samples is None))
    if metric in EVENTS and any(n.startswith(CHOSEN_ON_TEST) for run in runs for n in run.record.notes):
        notes = (*notes, CHOSEN_ON_TEST)  # others stand beside it with thresholds that no test label had a part in
    before = seed_values((run.record for run in runs), metric + UNPROCESSED)
    return ReproducedFigure(
        mean=round(fmean(defined), DIGITS),
        std=round(stdev(defined), DIGITS) if len(defined) > 1 else None,
        low=None if low is None else round(low, DIGITS),
        high=None if high is None else round(high, DIGITS),
        seeds=seeds,
        unprocessed=round(fmean(before), DIGITS) if before else None,
        notes=notes,
    )


def adds_nothing(auc: float | None, flattened: float) -> tuple[str, ...]:
    """Return a note where an AUC without any localisation is not below the AUC with it."""
    return () if auc is None or flattened < auc else (ADDS_NOTHING,)


def _unmeasured(metric: str) -> str:
    # Times are measured by the run itself, everything else from its scores.
    return "not measured in these runs" + ("" if definition(metric).unit == "ms" else "; vadbench rescore adds it")


def _no_interval(reason: str | None, lost: bool) -> str:
    if reason:
        return reason.removeprefix("no interval: ")
    return "the scores are missing" if lost else "undefined in most resamples"
