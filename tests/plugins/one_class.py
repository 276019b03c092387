"""One class: what normal rows are like, learnt from normal videos alone in one pass, without gradients or a recipe.

Every so many rows of the normal videos are kept, and a row is as anomalous as it is far from the nearest of them. How
many are kept is known only when they were read, so the buffer gets its size before a state is loaded.
"""

import numpy as np
import torch
from pydantic import Field

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


class Config(MethodConfig):
    every: int = Field(3, ge=1, description="one row in so many is kept")

    def needs(self):
        return Needs(supervision="one-class")


class Nearest(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.register_buffer("bank", torch.zeros(0, task.dim, dtype=torch.float64))

    def fit(self, data, loop):
        kept = [np.asarray(video.rows[:: self.config.every], np.float64) for video in data.videos]
        self.bank = torch.from_numpy(np.concatenate(kept)).to(self.bank)

    def resize(self, shapes):
        self.bank = self.bank.new_zeros(shapes["bank"])

    def score(self, videos):
        for video in videos:
            distance = torch.cdist(video.rows.double(), self.bank).amin(1)
            yield Scores((distance / (1 + distance)).float())


@hookimpl
def vadbench_methods():
    return [MethodSpec("nearest", "distance to the nearest normal row", "one_class:Nearest")]
