"""Ranking MIL of Sultani, Chen and Shah, "Real-world Anomaly Detection in Surveillance Videos", CVPR 2018, on
CLIP features, alone or with those of other streams.

A video is a bag of segments. A small network scores each, and is trained to score the highest of an abnormal video
above the highest of a normal one. In addition, and without influence on it, a linear layer learns the class of those
highest segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.method import Batch, Method, Reach, Scores, Task, VideoInput
from vadbench.nn.sampling import abnormal_first
from vadbench.nn.temporal import scaled
from vadbench_baselines.config import MilConfig

HIDDEN = (512, 32)
"""Number of units of the network's hidden layers (paper, section 4.1)."""


class Mil(Method):
    """Three layers, 512, 32 and 1 units wide: a rectifier after the first, a sigmoid after the last, dropout between.

    The paper has no classes. Class probabilities are the anomaly score times the softmax of a linear layer over the
    abnormal classes (our decision, as in the classifiers that AnomalyCLIP's tables add to methods of this kind); the
    normal class's is one minus the anomaly score. That layer starts at zero: a random one outlasts a training as short
    as this network needs.

    Of several streams (our decision) a segment is the mean of its rows of each, one after the other; a row of another
    stream is the one nearest in time to that of the first.
    """

    Config = MilConfig

    def __init__(self, config: MilConfig, task: Task) -> None:
        super().__init__(config, task)
        first, second = HIDDEN
        dropout = nn.Dropout(config.dropout)
        width = sum(task.dims[name] for name in config.streams)
        self.hidden = nn.Sequential(nn.Linear(width, first), nn.ReLU(), dropout, nn.Linear(first, second), dropout)
        self.last = nn.Linear(second, 1)
        self.classifier = nn.Linear(width, len(task.classes.abnormal))
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``segments`` ``(segments, dim)``, float32; it is deterministic.

        A video of fewer rows has segments of one row, some of them several times.
        """
        bounds = [slice(a, b) for a, b in zip(*parts(video.row_count, self.config.segments), strict=True)]
        means = [
            torch.stack([scaled(torch.from_numpy(np.array(rows[part], np.float32))).mean(0) for part in bounds])
            for rows in self._streams(video)
        ]
        return {"segments": torch.cat(means, 1).numpy()}

    def _streams(self, video: VideoInput) -> Iterator[Any]:
        """Yield the rows of each stream, one for each row of the first."""
        yield video.rows
        yield from (video.aligned(name) for name in self.config.streams[1:])

    def forward(self, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Return anomaly scores ``(...)`` from 0 to 1 and logits of the abnormal classes ``(..., C - 1)`` of segments
        ``(..., D)``, always float32."""
        hidden = self.hidden(segments)
        # A bfloat16 logit has 8 bits: a few hundred scores for thousands of rows, too few to rank them.
        with torch.autocast(hidden.device.type, enabled=False):
            return self.last(hidden.float()).squeeze(-1).sigmoid(), self.classifier(segments)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms ``ranking``, ``smoothness`` and ``sparsity`` of the paper, and ``class``."""
        place = self.task.classes.normal
        order = abnormal_first(batch.labels[:, place] > 0)
        scores, logits = self(batch.views["segments"])
        abnormal, normal = scores[order].chunk(2)
        labels = batch.labels[order].chunk(2)[0] > 0
        labels = torch.cat([labels[:, :place], labels[:, place + 1 :]], 1)
        return {
            "ranking": ranking(abnormal, normal, self.config.margin),
            "smoothness": self.config.smoothness * roughness(abnormal),
            "sparsity": self.config.sparsity * abnormal.sum(1).mean(),
            "class": class_of_highest(logits[order].chunk(2)[0], abnormal, labels),
        }

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the scores of the segment of each row, or of the row by itself."""
        return [
            self._of_rows(rows) if self.config.scored == "rows" else self._of_segments(rows)
            for rows in (list(self._streams(video)) for video in videos)
        ]

    @property
    def reach(self) -> Reach:
        """Return the reach: the whole video with scores of segments, a row with scores of rows."""
        return Reach() if self.config.scored == "rows" else Reach(self.config.segments, whole=True)

    def _of_rows(self, streams: Sequence[Tensor]) -> Scores:
        return self._scores(*self(torch.cat([scaled(rows) for rows in streams], 1)))

    def _of_segments(self, streams: Sequence[Tensor]) -> Scores:
        count = len(streams[0])
        starts, ends = parts(count, min(count, self.config.segments))
        bounds = [slice(a, b) for a, b in zip(starts, ends, strict=True)]
        means = [torch.stack([scaled(rows[part]).mean(0) for part in bounds]) for rows in streams]
        scores, logits = self(torch.cat(means, 1))
        widths = torch.from_numpy(ends - starts).to(scores.device)
        return self._scores(scores.repeat_interleave(widths), logits.repeat_interleave(widths, 0))

    def _scores(self, anomaly: Tensor, logits: Tensor) -> Scores:
        return Scores.from_shares(anomaly, logits.softmax(-1), self.task.classes)


def parts(rows: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first rows ``(count,)`` of the segments of a video, and the rows past their ends.

    Segments are consecutive and as equal as possible. With fewer rows than segments, each is one row, which it shares
    with its neighbours.
    """
    places = np.arange(count + 1) * rows // count
    return places[:-1], np.maximum(places[1:], places[:-1] + 1)


def ranking(abnormal: Tensor, normal: Tensor, margin: float) -> Tensor:
    """Return the mean of ``max(0, margin - max s_a + max s_n)`` over all pairs of an abnormal and a normal video.

    The paper states it for one pair; using all pairs of a batch is our decision.

    Args:
        abnormal: scores ``(A, segments)`` of abnormal videos.
        normal: scores ``(N, segments)`` of normal ones.
        margin: 1 in the paper.
    """
    return (margin - abnormal.amax(1)[:, None] + normal.amax(1)).relu().mean()


def roughness(scores: Tensor) -> Tensor:
    """Return the sum of squared steps between neighbouring segments' scores ``(A, segments)``, the mean over videos."""
    return scores.diff(dim=1).square().sum(1).mean()


def class_of_highest(logits: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of the segment with the highest score of each abnormal video (our decision).

    Args:
        logits: ``(A, segments, C - 1)`` of the abnormal classes.
        scores: ``(A, segments)`` anomaly scores, which get no gradient.
        labels: bool ``(A, C - 1)``, the classes of a video, at least one; they share its weight equally.
    """
    highest = logits[torch.arange(len(logits), device=logits.device), scores.argmax(1)]
    return F.cross_entropy(highest, labels / labels.sum(1, keepdim=True))
