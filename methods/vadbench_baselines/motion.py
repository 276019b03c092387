"""Motion energy: how much the picture changes, without any features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vadbench.inputs import VideoInput
from vadbench.method import Method, Reach, Scores
from vadbench_baselines.config import MotionConfig


class MotionEnergy(Method):
    """A row is as anomalous as its pictures differ from those before them.

    The energy of a frame is the mean absolute difference, over the pixels of a small grey picture (0 to 255), between
    it and the frame before it; the first frame of a video has none. The energy of a row is the mean over its frames
    that have one, or 0 without any, and its score ``energy / (energy + half)``. This keeps the order of the energies
    and lies between 0 and 1, so that events and metrics with a fixed threshold have a meaning: 0.5 is an energy of
    ``half`` grey levels.
    """

    Config = MotionConfig
    known_failures: ClassVar[Mapping[str, str]] = {
        "learns": "what is anomalous on synthetic is seldom what moves most: AUC 0.570 against 0.502 at random, the"
        " difference within [-0.028, 0.165] at 95%; on UCSD Ped2, where vehicles are anomalous, AUC 0.832"
    }

    @property
    def reach(self) -> Reach:
        """Return the reach: the first frame of a row is compared with the last of the row before."""
        return Reach(margin=1)

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        return [self._score(video) for video in videos]

    def _score(self, video: VideoInput) -> Scores:
        total, count = np.zeros(video.row_count), np.zeros(video.row_count, np.int64)
        size, before = (0, 0), None
        for frame in video.frames():
            size = size if before is not None else self._small_size(frame.picture)
            picture = np.asarray(Image.fromarray(frame.picture).convert("L").resize(size, Image.Resampling.BOX))
            if before is not None:
                row = frame.number // video.stride - video.first_row
                total[row] += np.abs(picture.astype(np.int64) - before).mean()
                count[row] += 1
            before = picture
        energy = torch.from_numpy(total / np.maximum(count, 1)).float().to(self.task.device)
        return Scores(energy / (energy + self.config.half))

    def _small_size(self, picture: NDArray[Any]) -> tuple[int, int]:
        """Return width and height of the small picture: the longer side has at most ``size`` pixels."""
        height, width = picture.shape[:2]
        shrunk = max(1.0, max(height, width) / self.config.size)
        return max(1, round(width / shrunk)), max(1, round(height / shrunk))
