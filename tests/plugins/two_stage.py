"""Two stages with pseudo labels: a first scorer labels the rows of the training videos, a second one learns the labels.

The first stage is a linear MIL. What it thinks of every training row is kept, and a second layer is trained on single
rows with these labels. The view has the numbers of the rows that it drew, by which the loss finds their labels.
"""

from functools import partial

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.method import Method, Scores


class Config(MethodConfig):
    width: int = Field(8, description="rows of a video in a sample")
    refine: Recipe = Recipe(epochs=6, batch_size=4, learning_rate=0.02)
    recipe: Recipe = Recipe(epochs=6, batch_size=4, learning_rate=0.02)


class TwoStage(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.first, self.second = nn.Linear(task.dim, 1), nn.Linear(task.dim, 1)
        self.register_buffer("refined", torch.tensor(False))

    def fit(self, data, loop):
        # The first stage selects nothing: labels that are passed on must not depend on test videos.
        loop.run(self, data.videos, self.config.recipe, stage="mil", select=False)
        pseudo = loop.once("pseudo", lambda: loop.score(self, data.videos))
        # Drawn between two stages, and still the same after an interruption.
        nn.init.normal_(self.second.weight, std=0.01)
        self.refined.fill_(True)
        loop.run(
            self,
            data.videos,
            self.config.refine,
            stage="refine",
            view=self.numbered,
            loss=partial(self.refine, pseudo),
        )

    def view(self, video, rng):
        return {"rows": video.rows[rng.integers(video.row_count, size=self.config.width)]}

    def loss(self, batch):
        logits = self.first(nn.functional.dropout(batch.views["rows"], 0.1))[..., 0].amax(1)
        return {"mil": cross_entropy(logits, 1 - batch.labels[:, self.task.classes.normal])}

    def numbered(self, video, rng):
        index = rng.integers(video.row_count, size=self.config.width)
        return {"rows": video.rows[index], "index": index}

    def refine(self, pseudo, batch):
        index = batch.views["index"].cpu().numpy()
        labels = np.stack([pseudo[key][own] for key, own in zip(batch.keys, index, strict=True)])
        logits = self.second(nn.functional.dropout(batch.views["rows"], 0.1))[..., 0]
        return {"rows": cross_entropy(logits, torch.from_numpy(labels).to(logits))}

    def score(self, videos):
        layer = self.second if self.refined else self.first
        return [Scores(torch.sigmoid(layer(video.rows))[:, 0]) for video in videos]


@hookimpl
def vadbench_methods():
    return [MethodSpec("two-stage", "pseudo labels of one layer train another", "two_stage:TwoStage")]
