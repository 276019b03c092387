"""A method that is given all crops of a video at once, ``(crops, rows, dim)``, in training and in scoring. Run it with
``--crop mean``: the crop of the protocol names the crops of the bag."""

import torch
from torch import nn

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("bag-of-crops", "a linear layer on the mean over crops", "bag_of_crops:BagOfCrops")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=2, crops="bag")
    recipe: Recipe = Recipe(epochs=4, batch_size=4, learning_rate=0.01)


class BagOfCrops(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)

    def view(self, video, rng):
        return {"crops": video.rows[:, rng.integers(video.row_count, size=8)]}

    def loss(self, batch):
        logits = self.layer(batch.views["crops"].mean(1)).amax((1, 2))
        abnormal = 1 - batch.labels[:, self.task.classes.normal]
        return {"bce": nn.functional.binary_cross_entropy_with_logits(logits, abnormal)}

    def score(self, videos):
        return [Scores(torch.sigmoid(self.layer(video.rows.mean(0))[:, 0])) for video in videos]
