"""AnomalyCLIP: Zanella et al., "Delving into CLIP latent space for Video Anomaly Recognition", CVIU 2024.

A row of features is compared with learned text directions that start at the mean of normal rows; the segments of a
video that point furthest along its class's direction are trained to be that class, those that point least and the most
suspicious ones of normal videos to be normal. A transformer over time gives the probability of being abnormal, the
similarities which class it is then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.base.errors import DataError
from vadbench.method import Batch, Method, Reach, Scores, Task, TrainingData, VideoInput
from vadbench.nn.sampling import as_float32
from vadbench_anomalyclip.checkpoint import to_ours
from vadbench_anomalyclip.config import AnomalyClipConfig
from vadbench_anomalyclip.losses import weighted_terms
from vadbench_anomalyclip.prompts import FreeDirections, TextDirections
from vadbench_anomalyclip.sampling import from_windows, to_windows, training_rows
from vadbench_anomalyclip.selector import Chosen, Selector, choose, draw_masks
from vadbench_anomalyclip.temporal import TemporalModel

WINDOW_ROWS = 8192
"""Rows that go through the temporal model at once. It bounds memory in scoring; training on a CPU it keeps tensors so
small that their memory is reused rather than requested from the system, which saves a tenth of a step's time."""


class AnomalyClip(Method):
    """AnomalyCLIP; see :class:`AnomalyClipConfig` for its options.

    State beyond the parameters: the selector's running statistics and ``centroid`` ``(dim,)``, the mean row of normal
    training videos, zero if features are not centred. The CLIP text tower belongs to the task, not to the state.

    Its text prompts choose the segments it learns from, so what resembles a class is learnt whatever the labels say:
    AUC on synthetic 0.771 with shuffled labels, 0.515 untrained; without text 0.609 and 0.589 (means of ten seeds,
    results/README.md).
    """

    Config = AnomalyClipConfig
    centroid: Tensor

    def __init__(self, config: AnomalyClipConfig, task: Task) -> None:
        super().__init__(config, task)
        classes = len(task.classes) - 1
        inputs = {"features": task.dim, "selector": classes, "both": classes + task.dim}[config.temporal_features]
        self.directions = (
            FreeDirections(classes, task.dim) if config.directions == "free" else TextDirections(config, task)
        )
        self.selector = Selector(config, classes)
        self.temporal = TemporalModel(config, inputs)
        self.register_buffer("centroid", torch.zeros(task.dim))

    def prepare(self, data: TrainingData) -> None:
        """Compute the centroid: the mean of all rows of all normal videos, so that long videos count more (spec 2.4).

        Raises:
            DataError: there are no normal rows.
        """
        if not self.config.centre_features:
            return
        total, rows = np.zeros(self.task.dim), 0
        for video in data.normal:
            features = video.rows
            total += features.sum(0, dtype=np.float64)
            rows += len(features)
        if not rows:
            raise DataError(
                "the centroid needs at least one normal training video, found none; check the training split"
            )
        self.centroid.copy_(torch.from_numpy(total / rows))

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``features`` ``(segments * segment_length, dim)``, float32."""

        def draw(high: int, size: int) -> NDArray[np.integer[Any]]:
            return rng.integers(high, size=size)

        features = video.rows
        index = training_rows(len(features), self.config.segments, self.config.segment_length, draw)
        return {"features": as_float32(features[index])}

    def forward(self, features: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return similarity ``(B, N, L, C')`` and logits ``(B, N, L)`` of centred samples ``(B, N, L, D)``."""
        similarity = self.selector(features, directions, batch_statistics=self.training)
        inputs = self._inputs(features, similarity)
        parts = inputs.split(self._at_once()) if inputs.device.type == "cpu" else [inputs]
        return similarity, torch.cat([self.temporal(self.temporal.projection(part)) for part in parts])

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the weighted terms of a batch whose first half is abnormal; the first label counts (spec 1.2)."""
        grid = (self.config.segments, self.config.segment_length)
        features = batch.views["features"].unflatten(1, grid) - self.centroid
        directions = self.directions(self.centroid)
        # Under autocast it is bfloat16, too coarse for logarithms.
        similarity, logits = self(features, directions)
        similarity = similarity.float()
        columns = self.columns(batch.first)
        chosen = self.choose(features, directions, similarity, columns)
        class_logits = self.selector.class_logits(similarity)
        return weighted_terms(self.config.loss, similarity, class_logits, logits, columns, chosen)

    def columns(self, first: Tensor) -> Tensor:
        """Return the column of the class of each video of the abnormal half: class ids ``(B,)`` to ``(B/2,)``."""
        ids = first[: len(first) // 2]
        return ids - (ids > self.task.classes.normal).to(ids.dtype)

    def choose(self, features: Tensor, directions: Tensor, similarity: Tensor, columns: Tensor) -> Chosen:
        """Draw masks and choose the segments that the losses look at."""
        scores = self.selector.segment_scores(features, directions, similarity)
        masks = draw_masks(len(features), self.config, scores.device)
        return choose(scores, columns, masks, self.config)

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the probability of being abnormal of each row, and of each class; the rest is that of normal."""
        directions = self.directions(self.centroid)
        grid = (self.config.segments, self.config.segment_length)
        similarities, windows = [], []
        for video in videos:
            similarity, projected = self._projected(video.rows, directions)
            similarities.append(similarity)
            windows.append(to_windows(projected, *grid))
            del projected
        counts = [len(w) for w in windows]
        # A long video comes alone, and is not copied.
        joined = torch.cat(windows) if len(windows) > 1 else windows[0]
        logits = torch.cat([self.temporal(chunk) for chunk in joined.split(self._at_once())])
        per_video = logits.split(counts)
        return [
            self._scores(similarity, from_windows(values, len(similarity)))
            for similarity, values in zip(similarities, per_video, strict=True)
        ]

    @property
    def reach(self) -> Reach:
        """Return the reach, the whole video: every window takes segments from all of it (spec 2.6)."""
        return Reach(self.config.segments * self.config.segment_length, whole=True)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the authors' groups, all at one learning rate (spec 4): temporal model, prompts, text projection."""
        prompts = dict(self.directions.named_parameters())
        projection = prompts.pop("text_projection", None)
        groups = {
            "temporal": list(self.temporal.parameters()),
            "directions": list(prompts.values()),
            "text_projection": [] if projection is None else [projection],
        }
        return {name: parameters for name, parameters in groups.items() if parameters}

    def import_reference(self, state: Mapping[str, Tensor]) -> None:
        """Load the authors' weights; the centroid is not among them and is computed by :meth:`prepare`.

        Raises:
            CheckpointError: keys or shapes differ, or the checkpoint is of another CLIP or other classes.
        """
        own = self.state_dict()
        self.load_state_dict({"centroid": self.centroid, **to_ours(state, own, self.directions, self.config)})

    def _projected(self, rows: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the similarity ``(T, C')`` and the projection ``(T, E)`` of a video's rows ``(T, D)``, for which
        centred rows are in memory part by part."""
        similarities, projections = [], []
        for part in rows.tensor_split(-(-len(rows) // WINDOW_ROWS)):
            features = part.float() - self.centroid
            similarity = self.selector(features, directions, batch_statistics=False)
            similarities.append(similarity.float())
            projections.append(self.temporal.projection(self._inputs(features, similarity)))
        return torch.cat(similarities), torch.cat(projections)

    def _at_once(self) -> int:
        return max(1, WINDOW_ROWS // (self.config.segments * self.config.segment_length))

    def _inputs(self, features: Tensor, similarity: Tensor) -> Tensor:
        if self.config.temporal_features == "features":
            return features
        return similarity if self.config.temporal_features == "selector" else torch.cat([similarity, features], -1)

    def _scores(self, similarity: Tensor, logits: Tensor) -> Scores:
        shares = F.softmax(self.selector.class_logits(similarity), -1)
        return Scores.from_shares(logits.sigmoid(), shares, self.task.classes)
