"""The common case: a linear layer on rows of one CLIP stream, trained on the highest rows of each video."""

import numpy as np
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("four-lines", "a linear layer on CLIP's rows", "four_lines:FourLines")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=4)
    recipe: Recipe = Recipe(epochs=20, batch_size=8, learning_rate=0.003)


class FourLines(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)

    def view(self, video, rng):
        return {"rows": video.rows[np.sort(rng.integers(video.row_count, size=32))]}

    def loss(self, batch):
        highest = self.layer(batch.views["rows"])[..., 0].topk(4, dim=1).values.mean(1)
        return {"mil": cross_entropy(highest, 1 - batch.labels[:, self.task.classes.normal])}

    def score(self, videos):
        return [Scores(self.layer(video.rows)[:, 0].sigmoid()) for video in videos]
