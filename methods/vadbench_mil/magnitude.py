"""What RTFM and CLIP-TSA share as methods: a video is a bag of segments, and the longest of them speak for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vadbench.method import Batch, Method, Reach, Scores, Task, VideoInput
from vadbench.nn.dropout import Dropout
from vadbench.nn.parts import crops_in_parts
from vadbench.nn.sampling import abnormal_first, binned_sample
from vadbench_mil.config import MagnitudeConfig
from vadbench_mil.losses import top_places, weighted_terms
from vadbench_mil.network import MultiScaleNetwork, ScoringHead, begin


class MagnitudeMethod(Method):
    """Rows of a multi-scale network: their scores say how anomalous they are, their lengths which of them are chosen.

    Args:
        config: settings.
        task: the task.
        width: of the network's rows.
        hidden: units of the hidden layers of the scoring network.
    """

    def __init__(self, config: MagnitudeConfig, task: Task, width: int, hidden: tuple[int, int]) -> None:
        super().__init__(config, task)
        self.dropout = Dropout(config.dropout)
        self.hiding = Dropout(config.selection_dropout)
        self.temporal = MultiScaleNetwork(width, config.branch_width or quarter(width), config.branches)
        self.head = ScoringHead(width, hidden, self.dropout)
        for module in (self.temporal, self.head):
            begin(module)

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``rows`` ``(segments, dim)`` or, of a bag, ``(crops, segments, dim)``, float32; it is
        deterministic."""
        return {"rows": binned_sample(video.rows, self.config.segments, rounded=True)}

    def related(self, rows: Tensor) -> Tensor:
        """Return the network's rows ``(S, T, width)`` of sequences of training samples ``(S, T, dim)``."""
        found: Tensor = self.temporal(rows)
        return found

    def forward(self, related: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(S, T)`` and the rows ``(S, T, width)`` whose length counts, always float32.

        In training the scores, and usually these rows, are those behind dropout (section 1.4).

        Args:
            related: what :meth:`related` returned.
        """
        # A bfloat16 score has 8 bits: a few hundred scores for thousands of rows, too few to rank them.
        with torch.autocast(related.device.type, enabled=False):
            related = related.float()
            dropped = self.dropout(related)
            return self.head(dropped), related if self.config.magnitude_of == "whole" else dropped

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms ``classification``, ``magnitude``, ``smoothness`` and ``sparsity``. Half of the samples are
        normal; each abnormal one is paired with the normal one of the same rank."""
        rows = batch.views["rows"]
        bags = rows if rows.ndim == 4 else rows[:, None]
        scores, long = (found.unflatten(0, bags.shape[:2]) for found in self.forward(self.related(bags.flatten(0, 1))))
        with torch.autocast(rows.device.type, enabled=False):
            scores = scores.mean(1)
            places = self.choose(scores, magnitudes(long))
            order = abnormal_first(batch.labels[:, self.task.classes.normal] > 0)
            chosen = rows_at(long, places)[order]
            abnormal, normal = scores.gather(1, places).mean(1)[order].chunk(2)
            return weighted_terms(scores[order].chunk(2)[0], (abnormal, normal), chosen.chunk(2), self.config)

    def choose(self, scores: Tensor, magnitudes: Tensor) -> Tensor:
        """Return the places ``(videos, k)`` of the segments that speak for each training video, by magnitudes
        ``(videos, T)`` of which most are hidden, or by scores of the same shape."""
        values = magnitudes if self.config.magnitude else scores
        return top_places(self.hiding(values), self.config.top_k)

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the scores of all rows of each video, each by itself; of a bag the mean over its crops."""
        return [self.score_bag(video, video.rows if video.rows.ndim == 3 else video.rows[None]) for video in videos]

    def score_bag(self, video: VideoInput, bag: Tensor) -> Scores:
        """Return the scores of a video whose rows are ``(crops, T, dim)``."""
        return Scores(torch.cat([self.in_time(part) for part in crops_in_parts(bag)]).mean(0))

    def in_time(self, crops: Tensor, shares: Tensor | None = None) -> Tensor:
        """Return the scores ``(S, T)`` of whole crops ``(S, T, width)``, whose rows are multiplied by shares first."""
        return torch.cat([self.forward(rows)[0] for rows in self.temporal.in_parts(crops, shares)], 1)

    @property
    def reach(self) -> Reach:
        """Return the reach, the whole video: every row takes from every other (section 1.3)."""
        return Reach(self.config.segments, whole=True)


def magnitudes(rows: Tensor) -> Tensor:
    """Return the lengths of rows ``(videos, crops, T, D)``, the mean over crops ``(videos, T)``."""
    return torch.linalg.vector_norm(rows.detach(), dim=-1).mean(1)


def rows_at(rows: Tensor, places: Tensor) -> Tensor:
    """Return the rows ``(videos, crops, k, D)`` at places ``(videos, k)``, the same in every crop.

    Args:
        rows: ``(videos, crops, T, D)``.
    """
    videos, crops, length, width = rows.shape
    firsts = torch.arange(videos * crops, device=rows.device).view(videos, crops, 1) * length
    index = firsts + places[:, None]
    return rows.reshape(-1, width).index_select(0, index.flatten()).view(*index.shape, width)


def quarter(width: int) -> int:
    """Return the channels of a branch for rows of a width: a quarter of it."""
    return max(2, width // 4)
