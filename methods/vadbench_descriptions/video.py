"""``descriptions-video``: Dong, "CLIP: Assisted Video Anomaly Detection", ICPRAM 2024, at the level of videos.

The rows of a temporal model are compared with a text feature of each class. The text is a description of the class with
learned vectors around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vadbench.method import Batch, Method, Reach, Scores, Task, VideoInput
from vadbench.nn.chunks import in_chunks
from vadbench.nn.sampling import drawn_sample
from vadbench.nn.temporal import LocalGlobal, scaled
from vadbench_descriptions.config import VideoConfig, parts_of
from vadbench_descriptions.losses import align_loss, contrast_loss
from vadbench_descriptions.prompts import Prompts


class DescriptionsVideo(Method):
    """Method ``descriptions-video``; see :class:`VideoConfig` for its options. CLIP's text tower belongs to the task,
    not to the state."""

    Config = VideoConfig

    def __init__(self, config: VideoConfig, task: Task) -> None:
        super().__init__(config, task)
        time = config.temporal
        self.temporal = LocalGlobal(
            task.dim, config.length, time.window, time.layers, time.heads, time.residual, parts_of(time)
        )
        self.prompts = Prompts(config.prompt, config.descriptions, task)

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``features`` ``(length, dim)``, float32, and the number of the video's rows, ``length``."""
        features, length = video.rows, self.config.length
        return {"features": drawn_sample(features, length, rng), "length": np.array(min(len(features), length))}

    def forward(self, features: Tensor, lengths: Tensor, text: Tensor) -> Tensor:
        """Return cosines ``(B, L, C)`` of rows and classes, always float32.

        Args:
            features: ``(B, L, D)``.
            lengths: ``(B,)`` number of rows of each video.
            text: ``(C, D)``.
        """
        rows = self.temporal(scaled(features), lengths)
        # A bfloat16 cosine has 8 bits: a few hundred scores for thousands of rows, too few to rank them.
        with torch.autocast(rows.device.type, enabled=False):
            return F.normalize(rows.float(), dim=-1) @ F.normalize(text.float(), dim=-1).mT

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms ``align`` and, if the text is learned and the term has weight, ``contrast``."""
        config, lengths = self.config, batch.views["length"]
        text = self.prompts.text_features()
        similarities = self.forward(batch.views["features"], lengths, text)
        with torch.autocast(similarities.device.type, enabled=False):
            terms = {
                "align": align_loss(similarities, lengths, batch.labels > 0, config.temperature, config.mil.k_ratio)
            }
            if text.requires_grad and config.contrast_weight:
                terms["contrast"] = config.contrast_weight * contrast_loss(text.float(), self.task.classes.normal)
        return terms

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return class probabilities of each row, and their sum over the abnormal classes as the anomaly score."""
        text, temperature = self.prompts.text_features(), self.config.temperature
        found = in_chunks(
            lambda rows, lengths: {"cosine": self(rows, lengths, text)}, [v.rows for v in videos], self.config.length
        )
        return [
            Scores.from_classes((of_video["cosine"] / temperature).softmax(-1), self.task.classes) for of_video in found
        ]

    @property
    def reach(self) -> Reach:
        """Return the reach, which is a chunk."""
        return Reach(self.config.length)
