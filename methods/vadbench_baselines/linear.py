"""Linear classifier of CLIP's rows, by itself and after a temporal model.

The rows "CLIP+Classifier" and "CLIP+Local+Global+Classifier" of Dong, "CLIP: Assisted Video Anomaly Detection", ICPRAM
2024, tables 4 and 5: results of CLIP's image features without any text. The paper says no more about them; the loss is
that of its other methods, with a classifier's logits in place of similarities with text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.method import Batch, Method, Reach, Scores, Task, VideoInput
from vadbench.nn.chunks import in_chunks
from vadbench.nn.sampling import drawn_sample, top_mean
from vadbench.nn.temporal import LocalGlobal, scaled
from vadbench_baselines.config import LinearConfig, TemporalLinearConfig


class ClipLinear(Method):
    """``p = softmax(W x + b)`` over all classes, the normal one included; x is a row, scaled to length sqrt(dim).

    The anomaly score is the sum over the abnormal classes, 1/2 before training. How it starts is our decision, measured
    on another copy of the synthetic data set (seed 1000). W is zero: a random W chooses the rows that each class first
    learns from, which alone made AUCs of 0.75 to 0.92 out of the same settings. b gives the normal class 1/2, its share
    of a batch: from equal classes, the first thing learnt from any labels at all is that the mean row of all videos is
    normal, the one class that many videos have, and on shuffled labels that gave an AUC of 0.86.
    """

    Config = LinearConfig

    def __init__(self, config: LinearConfig, task: Task) -> None:
        super().__init__(config, task)
        self.classifier = nn.Linear(task.dim, len(task.classes))
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.classifier.bias.data[task.classes.normal] = math.log(len(task.classes.abnormal))

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``features`` ``(length, dim)``, float32, and the number of the video's rows, ``length``."""
        features, length = video.rows, self.config.length
        return {"features": drawn_sample(features, length, rng), "length": np.array(min(len(features), length))}

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return logits ``(B, L, C)``, float32, of rows ``(B, L, D)`` of videos with ``lengths`` ``(B,)`` rows."""
        related = self.relate(scaled(rows), lengths)
        # A bfloat16 logit has 8 bits: a few hundred scores for thousands of rows, too few to rank them.
        with torch.autocast(rows.device.type, enabled=False):
            logits: Tensor = self.classifier(related.float())
        return logits

    def relate(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return scaled rows ``(B, L, D)`` as the input of the classifier, here unchanged."""
        return rows

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the term ``class``, see :func:`class_loss`."""
        lengths = batch.views["length"]
        logits = self.forward(batch.views["features"], lengths)
        return {"class": class_loss(logits, lengths, batch.labels > 0, self.config.k_ratio)}

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the class probabilities of each row."""
        found = in_chunks(
            lambda rows, lengths: {"class": self.forward(rows, lengths)}, [v.rows for v in videos], self.config.length
        )
        return [Scores.from_classes(of_video["class"].softmax(-1), self.task.classes) for of_video in found]

    @property
    def reach(self) -> Reach:
        """Return the reach, a single row."""
        return Reach()


class ClipTemporalLinear(ClipLinear):
    """Classifier :class:`ClipLinear` after the temporal model :class:`vadbench.nn.temporal.LocalGlobal`; a video is
    scored in chunks of ``length`` rows."""

    Config = TemporalLinearConfig

    def __init__(self, config: TemporalLinearConfig, task: Task) -> None:
        super().__init__(config, task)
        self.temporal = LocalGlobal(
            task.dim, config.length, config.window, config.layers, config.heads, config.residual
        )

    @property
    def reach(self) -> Reach:
        """Return the reach, a chunk."""
        return Reach(self.config.length)

    def relate(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return the output ``(B, L, D)`` of the temporal model for scaled rows."""
        related: Tensor = self.temporal(rows, lengths)
        return related


def class_loss(logits: Tensor, lengths: Tensor, labels: Tensor, k_ratio: int) -> Tensor:
    """Return the cross-entropy of videos whose logits are means of each class's highest rows (Dong, with a classifier).

    Args:
        logits: ``(B, L, C)`` of the classes, the normal one included.
        lengths: ``(B,)`` rows of each video.
        labels: bool ``(B, C)``, the classes of a video, at least one; they share its weight equally.
        k_ratio: of T rows the ``floor(T / k_ratio) + 1`` highest are averaged, all if that is more than T.
    """
    highest = top_mean(logits, lengths, k_ratio)
    return F.cross_entropy(highest, labels / labels.sum(1, keepdim=True))
