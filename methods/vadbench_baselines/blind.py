"""Rows that look at no frame: what a data set gives away by the length of its videos and the place of anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from vadbench.inputs import VideoInput
from vadbench.method import Method, Reach, Scores
from vadbench.metrics.blind import BLIND
from vadbench_baselines.config import BlindConfig, BlindLengthConfig, BlindOracleConfig


class _Blind(Method):
    """Scores of :data:`vadbench.metrics.blind.BLIND`; a row has that of its first frame."""

    row: ClassVar[str]
    """The name in the table of blind scores."""

    @property
    def reach(self) -> Reach:
        """Return the reach: scores depend on where the video ends."""
        return Reach(whole=True)

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        return [self._score(video) for video in videos]

    def _score(self, video: VideoInput) -> Scores:
        abnormal = video.truth is not None and bool(video.truth.runs)
        scores = BLIND[self.row].of(video.frame_count, abnormal)[:: video.stride]
        return Scores(torch.from_numpy(scores.astype(np.float32)).to(self.task.device))


class BlindLength(_Blind):
    """Minus the number of frames: a shorter video is more anomalous."""

    Config = BlindLengthConfig
    row = "blind-length"


class BlindCentre(_Blind):
    """A bell curve over the video: its middle is the most anomalous."""

    Config = BlindConfig
    row = "blind-centre"


class BlindOracleLabel(_Blind):
    """Whether the video is abnormal, by the ground truth: 1 for all of its frames, or 0."""

    Config = BlindOracleConfig
    row = "blind-oracle-label"


class BlindOracleCentre(_Blind):
    """The bell curve in abnormal videos, 0 in normal ones."""

    Config = BlindOracleConfig
    row = "blind-oracle-centre"
