"""From a method and test videos to metrics: scores, alignment, ranking, class recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vadbench import environment
from vadbench.dataset import Progress, Video
from vadbench.experiment import Experiment
from vadbench.method import Method
from vadbench.metrics.bootstrap import with_intervals
from vadbench.metrics.localization import Localisation, LocalisedVideo, localise
from vadbench.metrics.ranking import evaluate
from vadbench.metrics.recognition import F1_THRESHOLDS, recognise
from vadbench.metrics.rows import ScoredRows
from vadbench.plots import save_curves
from vadbench.runs import SCORES, Value
from vadbench.scoring import VideoScores, align, save_scores, score_videos

BRANCH_METRICS = ("AUC", "AP", "AnoAUC")
"""What is measured of each branch of a method, as ``AUC/<branch>`` and so on."""


def split_scores(experiment: Experiment, method: Method, progress: Progress) -> list[VideoScores]:
    """Scores of the test videos' crops that the protocol asks for."""
    provision = experiment.provision
    return score_videos(method, provision.features, provision.scored, provision.frames, experiment.precision, progress)


def split_rows(experiment: Experiment, scores: Sequence[VideoScores]) -> ScoredRows:
    """Scores of the test videos beside their ground truth.

    Raises:
        DataError: an annotation does not belong to its video.
    """
    provision = experiment.provision
    videos = {v.name: v for v in provision.videos["test"]}
    return align(scores, videos, provision.fingerprint.stride, experiment.dataset.classes, experiment.protocol)


def evaluate_method(
    experiment: Experiment, method: Method, place: Path, meter: environment.Meter, progress: Progress
) -> dict[str, Any]:
    """Score the test videos and measure the scores; leaves them and the curves in ``place``.

    Returns:
        fields of a :class:`vadbench.runs.RunRecord`, and the frames and positives of the split.
    """
    rules, classes = experiment.protocol, experiment.dataset.classes
    with meter.stage("scoring"):
        scores = split_scores(experiment, method, progress)
    notes = _cut_segments(experiment, scores)
    if method.task.classes.names != classes.names:
        scores = [s.without_classes() for s in scores]
        notes.append("trained on other classes: class metrics are undefined")
    with meter.stage("metrics"):
        rows = split_rows(experiment, scores)
        found = localise_scores(experiment, scores)
        metrics = with_intervals(
            rows,
            evaluate(rows, rules.drop_zeros) | found.metrics(),
            drop_zeros=rules.drop_zeros,
            others=found.resampled,
        )
        metrics |= _branch_metrics(rows, scores)
        diagnostics = _diagnostics(rows)
    save_scores(place / SCORES, scores, experiment.provision.fingerprint.stride, method.task.classes)
    save_curves(rows, place, f"{experiment.method_name} on {experiment.dataset.name}")
    return {
        "metrics": {name: Value(**value) for name, value in metrics.items()},
        "diagnostics": diagnostics,
        "frames": int(rows.frames.sum()),
        "positives": int(rows.positives.sum()),
        "notes": notes,
    }


def localise_scores(experiment: Experiment, scores: Sequence[VideoScores]) -> Localisation:
    """Segments that the class probabilities of the test videos propose, against the annotated ones."""
    dataset, classes = experiment.dataset, experiment.dataset.classes
    truth = {
        v.name: [(classes.id(s.label), s.start, s.end) for s in v.segments] for v in experiment.provision.videos["test"]
    }
    return localise(
        [LocalisedVideo(s.name, s.classes, s.frames, truth[s.name]) for s in scores],
        experiment.provision.fingerprint.stride,
        classes.names,
        classes.normal,
        experiment.protocol.localization,
        dataset.localises_normal,
    )


def _cut_segments(experiment: Experiment, scores: Sequence[VideoScores]) -> list[str]:
    if experiment.protocol.tail == "rows":
        return []
    videos: Mapping[str, Video] = {v.name: v for v in experiment.provision.videos["test"]}
    return [
        f"{s.name}: segment [{g.start}, {g.end}) ends past its {s.frames} frames; cut there"
        for s in scores
        for g in videos[s.name].segments
        if g.end > s.frames
    ]


def _branch_metrics(rows: ScoredRows, scores: Sequence[VideoScores]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for branch in scores[0].branches:
        own = np.concatenate([s.branches[branch] for s in scores]).astype(np.float64)
        one = replace(rows, scores=own, class_scores=None, class_positives=None)
        values = with_intervals(one, {k: v for k, v in evaluate(one).items() if k in BRANCH_METRICS})
        found |= {f"{name}/{branch}": value for name, value in values.items()}
    return found


def _diagnostics(rows: ScoredRows) -> dict[str, Any]:
    """Class recognition at a threshold chosen on the test split: to look at, never to rank by."""
    if rows.class_scores is None or not rows.positives.any() or rows.prevalence == 1:
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
        "f1": {str(t): float(f) for t, f in zip(F1_THRESHOLDS, found.f1, strict=True)},
    }
