"""The scores of a split beside its ground truth: all that a metric needs, kept in one file of a run folder.

Whoever has a run folder can measure it again, compare it or draw it, without the data set, the features or the method.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.files import replacing
from vadbench.base.metric_keys import MetricKey
from vadbench.dataset import ClassTable, Video
from vadbench.metrics.bootstrap import Draws, resampled_metrics, with_intervals
from vadbench.metrics.definitions import BRANCH_METRICS
from vadbench.metrics.localization import Localisation, LocalisedVideo, localise
from vadbench.metrics.ranking import Value, evaluate
from vadbench.scoring.alignment import VideoScores, align
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.rows import ScoredRows

_BRANCH = "branch "
"""What the names of branches begin with in a scores file."""


@dataclass(frozen=True, eq=False)
class ScoredSplit:
    """Scores of a test split and what they are measured against.

    Args:
        scores: of each video.
        videos: the same videos with their annotated segments, in the same order.
        stride: frames from one row of scores to the next.
        classes: the classes that are measured, those of the columns of ``scores[i].classes``.
        rules: how scores meet ground truth.
        localises_normal: as :attr:`vadbench.dataset.Dataset.localises_normal`.
    """

    scores: Sequence[VideoScores]
    videos: Sequence[Video]
    stride: int
    classes: ClassTable
    rules: Protocol
    localises_normal: bool = False

    @cached_property
    def rows(self) -> ScoredRows:
        """Scored rows beside their counts of anomalous frames.

        Raises:
            DataError: an annotation does not belong to its video.
        """
        return align(self.scores, {v.name: v for v in self.videos}, self.stride, self.classes, self.rules)

    @cached_property
    def localised(self) -> Localisation:
        """Segments that the class probabilities propose, against the annotated ones."""
        truth = [[(self.classes.id(s.label), s.start, s.end) for s in v.segments] for v in self.videos]
        return localise(
            [LocalisedVideo(s.name, s.classes, s.frames, t) for s, t in zip(self.scores, truth, strict=True)],
            self.stride,
            self.classes.names,
            self.classes.normal,
            self.rules.localization,
            self.localises_normal,
        )

    def measure(self) -> dict[str, Value]:
        """Every metric with its interval, those of each branch as ``AUC(<branch>)`` and so on."""
        drop = self.rules.drop_zeros
        values = evaluate(self.rows, drop) | self.localised.metrics()
        metrics = with_intervals(self.rows, values, drop_zeros=drop, others=self.localised.resampled)
        for branch in self.scores[0].branches:
            own = np.concatenate([s.branches[branch] for s in self.scores])
            one = replace(self.rows, scores=own, class_scores=None, class_positives=None)
            found = with_intervals(one, {k: v for k, v in evaluate(one).items() if k in BRANCH_METRICS})
            metrics |= {str(MetricKey(name, branch)): value for name, value in found.items()}
        return metrics

    def carriers(self, metric: str) -> int:
        """How many videos have positives for a metric: frames of its class, or anomalous ones where it has none."""
        of_class, counts = MetricKey.parse(metric).of_class, self.rows.class_positives
        if of_class is None:
            return int(self.rows.abnormal.sum())
        if counts is None or of_class not in self.classes.names:
            return 0
        return int((self.rows.per_video(counts[:, self.classes.names.index(of_class)]) > 0).sum())

    def resampled(self, metrics: Sequence[str], draws: Draws) -> dict[str, NDArray[np.float64]]:
        """``(resamples,)`` values of metrics in resamples of the videos, NaN where undefined.

        Args:
            metrics: keys as in :mod:`vadbench.metrics.definitions`, without those of branches.
            draws: ``(resamples, videos)``, from :func:`vadbench.metrics.bootstrap.draw_videos`.
        """
        found = resampled_metrics(self.rows, metrics, draws, self.rules.drop_zeros)
        if any(name.startswith("mAP@") for name in metrics):
            found |= self.localised.resampled(draws)
        return {name: found[name] for name in metrics if name in found}

    def save(self, path: Path) -> None:
        """Write everything but the rules as one .npz file without pickled objects; the run's record has the rules."""
        index = range(len(self.videos))
        segments = [(i, self.classes.id(s.label), s.start, s.end) for i in index for s in self.videos[i].segments]
        runs = [(i, start, end) for i in index for start, end in self.videos[i].runs]
        arrays: dict[str, Any] = {
            "names": np.array([s.name for s in self.scores]),
            "labels": np.array([json.dumps(v.labels) for v in self.videos]),
            "frames": np.array([s.frames for s in self.scores], np.int64),
            "rows": np.array([len(s.anomaly) for s in self.scores], np.int64),
            "stride": np.int64(self.stride),
            "anomaly": np.concatenate([s.anomaly for s in self.scores]),
            "class_names": np.array(self.classes.names),
            "normal": np.int64(self.classes.normal),
            "localises_normal": np.bool_(self.localises_normal),
            "segments": np.array(segments, np.int64).reshape(-1, 4),
            "runs": np.array(runs, np.int64).reshape(-1, 3),
        }
        if all(s.classes is not None for s in self.scores):
            arrays["classes"] = np.concatenate([s.classes for s in self.scores if s.classes is not None])
        for branch in self.scores[0].branches:
            arrays[f"{_BRANCH}{branch}"] = np.concatenate([s.branches[branch] for s in self.scores])
        with replacing(path) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
