"""One-class methods: a row is as anomalous as it is far from the rows of normal training videos.

The closest published form is Rashidi, "Benchmark AUC Is Not Deployable Reliability", arXiv 2606.29506. What is not said
there is our decision: the bounded memory, the shrinkage, and how a distance becomes a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from vadbench.base.errors import DataError
from vadbench.inputs import TrainingData, VideoInput
from vadbench.method import Method, Reach, Scores, Task
from vadbench_baselines.gaussian import Gaussian, RowSums
from vadbench_baselines.kept_rows import BLOCK, KeptRows, RowSample, core_set, normal_rows
from vadbench_baselines.one_class_config import DensityConfig, KnnConfig, OneClassConfig

NO_DISTANCE = 1e-12
"""Half a score is at distance 1 where the calibration finds none, or a smaller one than this (our decision)."""
HELD_OUT = 5
"""One normal video in so many, the last of them, is kept apart to calibrate a Gaussian (our decision)."""


class _OneClass(Method):
    """The score of a row at distance ``d`` is ``d / (d + q)``: 0.5 at ``q``, the 0.95 quantile of distances of normal
    rows that were not learnt from. It keeps the order of the distances and is below 1."""

    q: Tensor

    def __init__(self, config: OneClassConfig, task: Task) -> None:
        super().__init__(config, task)
        self.register_buffer("q", torch.ones((), dtype=torch.float64))

    @property
    def threshold(self) -> float:
        """Return 0.5, the score of ``q``: a method's own rows are its neighbours, and their scores say little."""
        return 0.5

    @property
    def reach(self) -> Reach:
        """Return the reach, a single row."""
        return Reach()

    def distances(self, rows: Tensor) -> Tensor:
        """Return the distances ``(n,)`` of rows ``(n, dim)`` from what is normal, from 0 on."""
        raise NotImplementedError

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        return [self._score(video.rows) for video in videos]

    def _score(self, rows: Tensor) -> Scores:
        distances = torch.cat([self.distances(block) for block in torch.split(rows, BLOCK)])
        return Scores((distances / (distances + self.q)).float())

    def _unit(self, rows: Tensor) -> Tensor:
        """Return rows of unit length, or as they are under ``normalise=false``; a row of zeros stays one."""
        return normalize(rows, dim=1) if self.config.normalise else rows

    def _sample(self) -> RowSample:
        memory = self.config.memory
        return RowSample(memory.capacity, self.task.seed if memory.seed is None else memory.seed)

    def _calibrate(self, distances: Tensor) -> None:
        """Set ``q`` from the distances of normal rows that were not learnt from."""
        q = float(np.quantile(distances.double().cpu().numpy(), self.config.quantile)) if len(distances) else 0.0
        self.q.fill_(q if q >= NO_DISTANCE else 1.0)

    @staticmethod
    def _require_rows(data: TrainingData) -> None:
        if not data.normal:
            raise DataError(
                f"a one-class method needs normal training videos, found {len(data.videos)} videos and none of them"
                " normal; choose another data set or division"
            )


class Knn(_OneClass):
    """The mean of half the squared distances to the ``k`` nearest rows of the memory.

    For rows of unit length that is one minus their mean cosine. The memory, a sample of the normal training rows, is
    part of the checkpoint.
    """

    Config = KnnConfig
    memory: Tensor

    def __init__(self, config: KnnConfig, task: Task) -> None:
        super().__init__(config, task)
        self.register_buffer("memory", torch.zeros(0, task.dim))

    def resize(self, shapes: Mapping[str, torch.Size]) -> None:
        self.memory = self.memory.new_zeros(shapes["memory"])

    def prepare(self, data: TrainingData) -> None:
        """Fill the memory, and measure its rows against those of other videos."""
        self._require_rows(data)
        sample = self._sample()
        for video, rows in normal_rows(data):
            sample.add(rows, video)
        kept = sample.kept()
        memory = self._unit(torch.from_numpy(kept.rows).double())
        if self.config.memory.coreset:
            chosen = core_set(memory.numpy(), self.config.memory.coreset)
            kept, memory = kept.at(chosen), memory[chosen]
        self.memory = memory.to(self.memory)
        self._calibrate(self.calibration_distances(kept.keys, kept.video))

    def calibration_distances(self, keys: NDArray[np.float64], video: NDArray[np.int64]) -> Tensor:
        """Return the distances of the memory rows of the smallest keys from those of other videos, by ascending key.

        Where there is one video they are measured from its other rows, and where there is one row there are none.

        Args:
            keys: of the memory rows ``(n,)``.
            video: the numbers of their videos ``(n,)``.
        """
        if len(keys) == 1:
            return self.memory.new_zeros(0)
        own = video if len(np.unique(video)) > 1 else np.arange(len(video))
        order = np.argsort(keys)[: self.config.calibration]
        return torch.cat(
            [
                self._nearest(self.memory[block], torch.from_numpy(own[block, None] == own).to(self.memory.device))
                for block in np.split(order, range(BLOCK, len(order), BLOCK))
            ]
        )

    def distances(self, rows: Tensor) -> Tensor:
        return self._nearest(self._unit(rows.to(self.memory)))

    def _nearest(self, rows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return the mean of half the squared distances of rows ``(n, dim)`` to the nearest memory rows.

        Args:
            rows: as they are compared.
            hidden: bool ``(n, memory)``, memory rows that do not count for a row. At least one must.
        """
        # Half the squared length of a row is the same for all its neighbours, so it is added to the nearest alone.
        table = torch.addmm(self.memory.square().sum(1) / 2, rows, self.memory.T, alpha=-1)
        if hidden is not None:
            table.masked_fill_(hidden, torch.inf)
        nearest = table.topk(min(self.config.k, len(self.memory)), largest=False).values
        counts = nearest.isfinite()
        halves = (nearest + rows.square().sum(1, keepdim=True) / 2).clamp(min=0)
        return halves.where(counts, 0).sum(1) / counts.sum(1)


class Density(_OneClass):
    """The squared Mahalanobis distance from the normal training rows, divided by the width.

    Their covariance is shrunk towards the mean variance. It ranks rows as the logarithm of a Gaussian's density does.
    """

    Config = DensityConfig
    mean: Tensor
    inverse: Tensor

    def __init__(self, config: DensityConfig, task: Task) -> None:
        super().__init__(config, task)
        self.register_buffer("mean", torch.zeros(task.dim, dtype=torch.float64))
        self.register_buffer("inverse", torch.eye(task.dim, dtype=torch.float64))

    def prepare(self, data: TrainingData) -> None:
        """Fit the Gaussian to all rows, and measure rows of some videos under one that is fitted to the others."""
        self._require_rows(data)
        sample, learnt, apart = self._sample(), RowSums(self.task.dim), RowSums(self.task.dim)
        for video, rows in normal_rows(data):
            sample.add(rows, video)
            (apart if _is_apart(video) else learnt).add(self._float64(rows))
        fitted = Gaussian.of(learnt + apart, self.config.shrinkage)
        self.mean, self.inverse = fitted.mean.to(self.mean), fitted.inverse.to(self.inverse)
        self._calibrate(self.calibration_distances(sample.kept(), learnt, fitted))

    def calibration_distances(self, kept: KeptRows, learnt: RowSums, fitted: Gaussian) -> Tensor:
        """Return the distances of kept rows of the videos that are held out under the Gaussian of the others.

        They are those of the smallest keys, by ascending key. Where no row of such a video was kept they are of all
        kept rows under the Gaussian of all.

        Args:
            kept: a sample of the rows.
            learnt: the sums of the videos that are not held out.
            fitted: the Gaussian of all.
        """
        order = np.argsort(kept.keys)
        unseen = order[_is_apart(kept.video[order])]
        judge = Gaussian.of(learnt, self.config.shrinkage) if len(unseen) else fitted
        chosen = (unseen if len(unseen) else order)[: self.config.calibration]
        return judge.distances(self._float64(kept.rows[chosen]))

    def distances(self, rows: Tensor) -> Tensor:
        return Gaussian(self.mean, self.inverse).distances(self._unit(rows.to(self.mean)))

    def _float64(self, rows: NDArray[np.float32]) -> Tensor:
        return self._unit(torch.from_numpy(rows).double())


def _is_apart(video: Any) -> Any:
    """Return whether the video of this number, or each of several, is held out to calibrate a Gaussian."""
    return video % HELD_OUT == HELD_OUT - 1
