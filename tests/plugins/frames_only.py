"""A method that reads frames alone: a row is as anomalous as its pictures differ from the mean picture of the video. No
features are made for it, and no CLIP is loaded."""

import numpy as np
import torch

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("frames-only", "how far a picture is from the usual one", "frames_only:FramesOnly")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=4)

    def needs(self) -> Needs:
        return Needs(streams=(), frames=True, supervision="training-free")

    def named_classes(self) -> list[str]:
        return []  # so that ``vadbench score --method frames-only`` needs no data set


class FramesOnly(Method):
    Config = Config

    def score(self, videos):
        return [Scores(torch.from_numpy(self._distances(video)).to(self.task.device)) for video in videos]

    def _distances(self, video):
        total, count = 0.0, 0
        for frame in video.frames():  # decoded anew at every call, one at a time
            total, count = total + small(frame.picture), count + 1
        mean = total / count
        sums, counts = np.zeros(video.row_count, np.float32), np.zeros(video.row_count, np.float32)
        for frame in video.frames():
            row = frame.number // video.stride - video.first_row
            sums[row] += np.square(small(frame.picture) - mean).mean()
            counts[row] += 1
        return sums / counts.clip(min=1)


def small(picture):
    """A picture (height, width, 3) of bytes, every fourth pixel of it, from 0 to 1."""
    return picture[::4, ::4].astype(np.float32) / 255
