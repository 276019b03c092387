"""``descriptions-video``: Dong, "CLIP: Assisted Video Anomaly Detection", ICPRAM 2024, at the level of videos.

Rows that have been related to each other in time are compared with a text feature of each class. The text is a
description of the class with learned vectors around it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vadbench.method import Batch, Method, Reach, Scores, Task
from vadbench.nn.sampling import chunk_lengths, drawn_sample, to_chunks
from vadbench.nn.temporal import LocalGlobal, scaled
from vadbench_descriptions.bank import ReadsBank
from vadbench_descriptions.config import VIDEO_DEFAULTS, VideoConfig, parts_of
from vadbench_descriptions.losses import align_loss, contrast_loss
from vadbench_descriptions.prompts import Prompts

ROWS_AT_ONCE = 16384
"""Rows that go through the model at once when scoring; bounds memory."""


class DescriptionsVideo(ReadsBank, Method):
    """The method; see :class:`VideoConfig` for what can be switched. CLIP's text tower is the task's and not part of
    the state."""

    Config = VideoConfig
    dataset_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = VIDEO_DEFAULTS
    _text: Tensor | None

    def __init__(self, config: VideoConfig, task: Task) -> None:
        super().__init__(config, task)
        time = config.temporal
        self.temporal = LocalGlobal(
            task.dim, config.length, time.window, time.layers, time.heads, time.residual, parts_of(time)
        )
        self.prompts = Prompts(config.prompt, config.descriptions, task)
        self.register_buffer("_text", None, persistent=False)
        self.register_load_state_dict_post_hook(_forget_text)

    def view(self, features: NDArray[np.floating[Any]], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """One sample: ``features`` ``(length, dim)``, float32, and how many rows are the video's, ``length`` ``()``."""
        length = self.config.length
        return {"features": drawn_sample(features, length, rng), "length": np.array(min(len(features), length))}

    def forward(self, features: Tensor, lengths: Tensor, text: Tensor) -> Tensor:
        """Cosines ``(B, L, C)`` of rows and classes, always float32.

        Args:
            features: ``(B, L, D)``.
            lengths: ``(B,)`` how many rows are the video's.
            text: ``(C, D)``.
        """
        rows = self.temporal(scaled(features), lengths)
        # A bfloat16 cosine has 8 bits: a few hundred scores for thousands of rows, too few to rank them.
        with torch.autocast(rows.device.type, enabled=False):
            return F.normalize(rows.float(), dim=-1) @ F.normalize(text.float(), dim=-1).mT

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms ``align`` and, where the text is learned and it has weight, ``contrast``."""
        config, lengths = self.config, batch.views["length"]
        text = self.prompts()
        similarities = self.forward(batch.views["features"], lengths, text)
        with torch.autocast(similarities.device.type, enabled=False):
            terms = {
                "align": align_loss(similarities, lengths, batch.labels > 0, config.temperature, config.mil.k_ratio)
            }
            if text.requires_grad and config.contrast_weight:
                terms["contrast"] = config.contrast_weight * contrast_loss(text.float(), self.task.classes.normal)
        return terms

    def score(self, videos: Sequence[Tensor]) -> list[Scores]:
        """Class probabilities of each row; its anomaly score is the sum over the abnormal classes."""
        length, text = self.config.length, self._current_text()
        chunks = torch.cat([to_chunks(rows.float(), length) for rows in videos])
        lengths = torch.cat([chunk_lengths(len(rows), length) for rows in videos]).to(chunks.device)
        at_once = max(1, ROWS_AT_ONCE // length)
        parts = [self.forward(*part, text) for part in zip(chunks.split(at_once), lengths.split(at_once), strict=True)]
        of_videos = torch.cat(parts).split([math.ceil(len(rows) / length) for rows in videos])
        return [self._scores(c.flatten(0, 1)[: len(rows)]) for c, rows in zip(of_videos, videos, strict=True)]

    @property
    def reach(self) -> Reach:
        """A chunk."""
        return Reach(self.config.length)

    def train(self, mode: bool = True) -> DescriptionsVideo:
        """Switch between training and evaluation, which starts with fresh text features."""
        _forget_text(self)
        return super().train(mode)

    def _current_text(self) -> Tensor:
        """Text features, computed once per evaluation: nothing trains between two scores in evaluation mode."""
        if self._text is not None:
            return self._text
        text = self.prompts()
        if not self.training:
            self._text = text
        return text

    def _scores(self, similarities: Tensor) -> Scores:
        classes = (similarities / self.config.temperature).softmax(-1)
        # The sum of the abnormal ones, not 1 - p[normal], which rounds to 0 where CLIP is sure.
        return Scores(classes[:, list(self.task.classes.abnormal)].sum(-1).clamp(max=1), classes)


def _forget_text(method: DescriptionsVideo, _: object = None) -> None:
    method._text = None
