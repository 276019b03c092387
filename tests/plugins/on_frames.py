"""A method that is trained on frames: a linear layer on the mean colours of pictures, decoded for each sample anew."""

import numpy as np
import torch
from torch import nn

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("on-frames", "a linear layer on mean colours", "on_frames:OnFrames")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=4)
    recipe: Recipe = Recipe(epochs=4, batch_size=4, learning_rate=0.01)

    def needs(self) -> Needs:
        return Needs(streams=(), frames=True)


class OnFrames(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(3, 1)

    def view(self, video, rng):
        colours = self._colours(video)
        return {"colours": colours[rng.integers(len(colours), size=8)]}

    def loss(self, batch):
        logits = self.layer(batch.views["colours"]).amax((1, 2))
        abnormal = 1 - batch.labels[:, self.task.classes.normal]
        return {"bce": nn.functional.binary_cross_entropy_with_logits(logits, abnormal)}

    def score(self, videos):
        colours = (torch.from_numpy(self._colours(video)).to(self.task.device) for video in videos)
        return [Scores(torch.sigmoid(self.layer(own))[:, 0]) for own in colours]

    def _colours(self, video):
        """Mean colours of the first picture of each row."""
        return np.stack([f.picture.mean((0, 1), dtype=np.float32) / 255 for f in video.frames(video.stride)])
