"""Evaluation of a method on test videos: scores, alignment, ranking, class recognition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vadbench.base.errors import ConfigError
from vadbench.base.types import Progress, silent
from vadbench.data.timed_frames import stated_rates
from vadbench.dataset import ClassTable, Split, Video
from vadbench.harness import environment
from vadbench.harness.experiment import Experiment
from vadbench.harness.video_inputs import scored_inputs
from vadbench.method import Method
from vadbench.metrics.definitions import MetricValue, coarse_remark
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.event_counts import event_threshold
from vadbench.metrics.measurement import measure
from vadbench.metrics.ranking import NO_FIXED_THRESHOLD
from vadbench.metrics.recognition import F1_THRESHOLDS, recognise
from vadbench.metrics.scenarios import ScenarioResult, by_scenario
from vadbench.records.costs import CostRecord, costs_of, video_hours
from vadbench.records.plots import save_pictures
from vadbench.records.record import SCORES
from vadbench.records.scores import save_split
from vadbench.scoring.rows import ScoredRows
from vadbench.scoring.scoring import score_videos
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores
from vadbench.scoring.windows import window_rows


def score_split(experiment: Experiment, method: Method, progress: Progress, split: Split = "test") -> ScoredSplit:
    """Return scores of the videos of a split, of the crops that the protocol asks for, beside their ground truth.

    A method that was trained on other classes is measured on those that both data sets name.
    """
    provision, dataset = experiment.provision, experiment.dataset
    videos = provision.videos[split]
    chosen = provision.scored if split == "test" else provision.scored_like_test([v.name for v in videos])
    inputs = scored_inputs(provision, chosen, method.task.seed)
    scores = score_videos(method, inputs, provision.joined, experiment.precision, progress, total=len(chosen))
    official = dataset.classes.names
    truth = {v.name: replace(v, labels=tuple(official[i] for i in dataset.classes.ids(v.labels))) for v in videos}
    videos, classes = [truth[s.name] for s in scores], dataset.classes
    if not dataset.by_class:
        scores = [s.without_classes() for s in scores]
    elif method.task.classes.names != classes.names:
        scores, videos, classes = _in_common(scores, videos, method.task.classes, classes)
    return ScoredSplit(
        scores,
        videos,
        provision.stride,
        classes,
        experiment.protocol,
        experiment.normal_segments,
        experiment.config.needs().unit_scores,
        by_class=dataset.by_class,
    )


def headline(experiment: Experiment, method: Method, split: Split) -> float:
    """Return the metric of a split that judges weights, before post-processing, for a selection that looks at it: the
    protocol's judge, or the headline of the data set.

    Raises:
        ConfigError: its frames are all normal or all anomalous.
    """
    scored = score_split(experiment, method, silent, split).unprocessed
    rows = replace(scored.rows, class_scores=None, class_positives=None)
    value = evaluate(rows)[judged_by(experiment)].value
    if value is None:
        raise ConfigError(
            f"selection '{experiment.protocol.selection}' needs normal and anomalous {split} frames,"
            f" {experiment.dataset.name} has one kind"
        )
    return value


def judged_by(experiment: Experiment) -> str:
    """Return the key of the metric of frames that judges weights."""
    return experiment.protocol.judge or experiment.dataset.headline


@dataclass(frozen=True)
class SplitResults:
    """The results of measuring the test split, as in a :class:`vadbench.records.record.RunRecord` has it.

    Args:
        metrics: with their intervals, by key.
        diagnostics: class recognition at a threshold chosen on the test split.
        scenarios: metrics of the abnormal videos of each scenario.
        frames, positives: of the split.
        notes: remarks on these scores for readers.
        costs: what the method counted.
        hours: of video, where the frame rates are known.
    """

    metrics: dict[str, MetricValue]
    diagnostics: dict[str, Any]
    scenarios: dict[str, ScenarioResult]
    frames: int
    positives: int
    notes: list[str]
    costs: dict[str, CostRecord]
    hours: float | None


def evaluate_method(
    experiment: Experiment,
    method: Method,
    place: Path,
    meter: environment.Meter,
    progress: Progress,
    threshold: float | None = None,
) -> SplitResults:
    """Score the test videos and measure the scores, which are saved in ``place`` with plots of them.

    Args:
        experiment: has the videos.
        method: scores them.
        place: folder of the evaluation.
        meter: counts seconds and memory.
        progress: told how far it is.
        threshold: as in :class:`vadbench.scoring.split.ScoredSplit`.
    """
    with meter.stage("scoring"):
        split = score_split(experiment, method, progress)
    rates = stated_rates(experiment.provision.videos["test"])
    rated = [replace(s, rate=rates.get(s.name, experiment.dataset.frame_rate)) for s in split.given]
    split = replace(split, given=rated, threshold=threshold)
    with meter.stage("metrics"):
        metrics = measure(split)
        diagnostics, scenarios = _diagnostics(split.rows), by_scenario(split)
    save_split(split, place / SCORES)
    after = f", {split.rules.post}" if split.rules.post else ""
    save_pictures(split, metrics, place, f"{experiment.method_name} on {experiment.dataset.name}{after}")
    return SplitResults(
        metrics=metrics,
        diagnostics=diagnostics,
        scenarios=scenarios,
        frames=split.rows.total,
        positives=int(split.rows.positives.sum()),
        notes=[
            *cut_segments(split),
            *_cut_videos(experiment.method_name, method, split),
            *_other_classes(method.task.classes, experiment.dataset.classes),
            *filter(None, [event_threshold(split).remark, coarse_remark(metrics)]),
        ],
        costs=costs_of(split.scores),
        hours=video_hours(split.scores),
    )


def _shared(trained: ClassTable, here: ClassTable) -> list[tuple[int, int]]:
    """Return ids of the classes that both tables name, there and here; empty without an abnormal class in common."""
    pairs = trained.common(here)
    return pairs if len(pairs) > 1 else []


def _in_common(
    scores: Sequence[VideoScores], videos: Sequence[Video], trained: ClassTable, here: ClassTable
) -> tuple[list[VideoScores], list[Video], ClassTable]:
    """Return scores and ground truth of the classes that both tables name; every anomalous frame stays one.

    Without an abnormal class in common the classes are this data set's, and nothing is scored by class.
    """
    pairs = _shared(trained, here)
    if not pairs:
        return [s.without_classes() for s in scores], list(videos), here
    table = ClassTable(tuple(here.classes[i] for _, i in pairs), [i for _, i in pairs].index(here.normal))
    columns, kept = [i for i, _ in pairs], {i for _, i in pairs}
    return (
        [
            replace(
                s,
                classes=None if s.classes is None else s.classes[:, columns],
                video={rule: values[columns] for rule, values in s.video.items()},
            )
            for s in scores
        ],
        [replace(v, segments=tuple(s for s in v.segments if here.id(s.label) in kept), binary=v.runs) for v in videos],
        table,
    )


def _other_classes(trained: ClassTable, here: ClassTable) -> list[str]:
    if trained.names == here.names:
        return []
    shared = [here.names[i] for _, i in _shared(trained, here) if i != here.normal]
    if not shared:
        return ["trained on other classes: class metrics are undefined"]
    return [f"trained on other classes: class metrics are over the {len(shared)} in common, {', '.join(shared)}"]


def cut_segments(split: ScoredSplit) -> list[str]:
    """Return notes on segments that end past their video."""
    if split.rules.counts_rows:
        return []
    return [
        f"{s.name}: segment [{g.start}, {g.end}) ends past its {s.frames} frames; cut there"
        for s, video in zip(split.scores, split.videos, strict=True)
        for g in video.segments
        if g.end > s.frames
    ]


def _cut_videos(name: str, method: Method, split: ScoredSplit) -> list[str]:
    rows = window_rows(method.reach)
    cut = sum(len(s.anomaly) > rows for s in split.scores)
    if not (cut and method.reach.whole):
        return []
    return [f"a score of '{name}' depends on the whole video; {cut} of more than {rows:,} rows were scored in windows"]


def _diagnostics(rows: ScoredRows) -> dict[str, Any]:
    """Return class recognition at a threshold chosen on the test split: to look at, never to rank by."""
    if rows.class_scores is None or rows.class_positives is None or not rows.positives.any() or rows.prevalence == 1:
        return {}
    found = recognise(rows)
    shares = {
        name: {
            class_name: None if np.isnan(value) else float(value)
            for class_name, value in zip(rows.class_names, values, strict=True)
        }
        for name, values in (("top1", found.top1), ("top5", found.top5))
    }
    return {
        "threshold_chosen_on_test": found.threshold,
        **shares,
        "confusion": found.confusion.tolist(),
        "f1": {str(t): float(f) for t, f in zip(F1_THRESHOLDS, found.f1, strict=True)}
        if rows.unit_scores
        else {"undefined": NO_FIXED_THRESHOLD},
    }
