"""Random scores."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vadbench.method import Method, Scores, Task, VideoInput
from vadbench_baselines.config import RandomConfig


class Random(Method):
    """Uniform anomaly scores, and class probabilities uniform over the simplex of the abnormal classes.

    The draw depends on the run's seed and on the video's own rows, so neither the order of the videos nor their
    grouping changes it.
    """

    Config = RandomConfig
    key: Tensor

    def __init__(self, config: RandomConfig, task: Task) -> None:
        super().__init__(config, task)
        self.register_buffer("key", torch.randint(2**31, ()))

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        return [self._score(video.rows) for video in videos]

    def _score(self, rows: Tensor) -> Scores:
        content = zlib.crc32(rows.cpu().contiguous().numpy())
        # numpy's generator takes both numbers; torch's keeps only the lower 32 bits of a seed.
        rng = np.random.default_rng([int(self.key), content])
        table = self.task.classes
        anomaly = rng.random(len(rows))
        classes = np.empty((len(rows), len(table)))
        classes[:, table.abnormal] = anomaly[:, None] * rng.dirichlet(np.ones(len(table.abnormal)), len(rows))
        classes[:, table.normal] = 1 - anomaly
        return Scores(torch.from_numpy(anomaly).float(), torch.from_numpy(classes).float())
