"""A method that reads two streams: CLIP's rows, which are the time line, and for each the row of the sound nearest in
time. Run it with ``--features audio=DIR``."""

import torch
from torch import nn

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("two-streams", "a linear layer on rows of image and sound", "two_streams:TwoStreams")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=2)
    recipe: Recipe = Recipe(epochs=4, batch_size=4, learning_rate=0.01)

    def needs(self) -> Needs:
        return Needs(streams=("clip", "audio"))


class TwoStreams(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dims["clip"] + task.dims["audio"], 1)

    def view(self, video, rng):
        rows = rng.integers(video.row_count, size=8)
        sound = video.nearest("audio", rows)
        return {"clip": video.rows[rows], "audio": video.stream("audio").rows[sound]}

    def loss(self, batch):
        logits = self.layer(torch.cat([batch.views["clip"], batch.views["audio"]], -1)).amax((1, 2))
        abnormal = 1 - batch.labels[:, self.task.classes.normal]
        return {"bce": nn.functional.binary_cross_entropy_with_logits(logits, abnormal)}

    def score(self, videos):
        both = (torch.cat([video.rows, video.aligned("audio")], -1) for video in videos)
        return [Scores(self.layer(rows)[:, 0].sigmoid()) for rows in both]
