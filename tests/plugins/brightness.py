"""A trained method that reads frames alone, and whose scores are not between 0 and 1: a linear function of how bright
the frames of a row are."""

import numpy as np
import torch
from torch import nn

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("brightness", "how bright a row is", "brightness:Brightness")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=5)
    recipe: Recipe = Recipe(epochs=4, batch_size=4, learning_rate=0.1)

    def needs(self) -> Needs:
        return Needs(streams=(), frames=True, unit_scores=False)


class Brightness(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(1, 1)
        self.register_buffer("usual", torch.zeros(()))

    def prepare(self, data):
        self.usual = torch.tensor(np.mean([brightness(video).mean() for video in data.normal]), dtype=torch.float32)

    def view(self, video, rng):
        return {"rows": brightness(video)[rng.integers(video.row_count, size=8)]}

    def loss(self, batch):
        abnormal = 1 - batch.labels[:, self.task.classes.normal]
        logits = self._logits(batch.views["rows"]).amax(1)
        return {"bce": nn.functional.binary_cross_entropy_with_logits(logits, abnormal)}

    def score(self, videos):
        return [Scores(self._logits(torch.from_numpy(brightness(video)).to(self.task.device))) for video in videos]

    def _logits(self, rows):
        return self.layer((rows - self.usual)[..., None])[..., 0]


def brightness(video):
    """The mean of a row's frames, 0 to 1; one frame is in memory at a time."""
    total, count = np.zeros(video.row_count, np.float32), np.zeros(video.row_count, np.float32)
    for frame in video.frames():
        row = frame.number // video.stride - video.first_row
        total[row] += frame.picture.mean() / 255
        count[row] += 1
    return total / count
