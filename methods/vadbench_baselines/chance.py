"""Scores that know nothing."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from vadbench.config import MethodConfig
from vadbench.method import Method, Scores, Task


class Random(Method):
    """Uniform anomaly scores, and class probabilities uniform over the simplex of the abnormal classes.

    The draw depends on the run's seed and on the video's own rows, so neither the order of the videos nor their
    grouping changes it.
    """

    key: Tensor

    def __init__(self, config: MethodConfig, task: Task) -> None:
        super().__init__(config, task)
        self.register_buffer("key", torch.randint(2**31, ()))

    def score(self, videos: Sequence[Tensor]) -> list[Scores]:
        return [self._score(rows) for rows in videos]

    def _score(self, rows: Tensor) -> Scores:
        content = zlib.crc32(rows.cpu().contiguous().numpy().tobytes())
        generator = torch.Generator().manual_seed(int(self.key) * 2**32 + content)
        table = self.task.classes
        anomaly = torch.rand(len(rows), generator=generator)
        share = -torch.rand(len(rows), len(table.abnormal), generator=generator).clamp_min(1e-12).log()
        classes = torch.empty(len(rows), len(table))
        classes[:, list(table.abnormal)] = anomaly[:, None] * share / share.sum(1, keepdim=True)
        classes[:, table.normal] = 1 - anomaly
        return Scores(anomaly, classes)
