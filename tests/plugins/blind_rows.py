"""A method that reads nothing at all: the middle of a video is the most anomalous. It shows what a data set gives away
by the place of its anomalies."""

import torch

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("blind-rows", "the middle of every video", "blind_rows:BlindRows")]


class Config(MethodConfig):
    def needs(self) -> Needs:
        return Needs(streams=(), supervision="training-free")

    def named_classes(self) -> list[str]:
        return []


class BlindRows(Method):
    Config = Config

    def score(self, videos):
        places = ((torch.arange(video.row_count) + 0.5) / video.row_count for video in videos)
        return [Scores(1 - (2 * place - 1).abs()) for place in places]
