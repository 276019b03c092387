"""An oracle: it is handed the ground truth of the videos that it scores, and says it. What it reaches is the most that
any method can reach."""

import torch

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("oracle", "the ground truth itself", "oracle:Oracle")]


class Config(MethodConfig):
    def needs(self) -> Needs:
        return Needs(streams=(), supervision="oracle")


class Oracle(Method):
    Config = Config

    def score(self, videos):
        return [Scores(self._anomalous(video)) for video in videos]

    def _anomalous(self, video):
        frames = torch.zeros(video.row_count * video.stride)
        for first, end in video.truth.runs:
            frames[first:end] = 1
        return frames.reshape(video.row_count, video.stride).mean(1)
