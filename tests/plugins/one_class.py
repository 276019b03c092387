"""One class, no gradient: ``fit`` keeps a bounded number of rows of normal videos, and a score is the distance from the
nearest of them. The memory is a buffer whose size the data decides, so ``resize`` is called before a state is loaded."""

import numpy as np
import torch

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores

MOST = 64


@hookimpl
def vadbench_methods():
    return [MethodSpec("one-class", "distance from the nearest normal row", "one_class:NearestNeighbour")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=2)

    def needs(self) -> Needs:
        return Needs(supervision="one-class", unit_scores=False)


class NearestNeighbour(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.register_buffer("memory", torch.zeros(0, task.dim))

    def fit(self, data, loop):
        # One pass; what is kept does not grow with the data set.
        each = max(1, MOST // len(data.normal))
        parts = []
        for video in data.normal:
            kept = video.rng().choice(video.row_count, min(each, video.row_count), replace=False)
            parts.append(np.asarray(video.rows[np.sort(kept)], np.float32))
        self.memory = torch.from_numpy(np.concatenate(parts)).to(self.memory.device)

    def resize(self, shapes):
        self.memory = self.memory.new_zeros(shapes["memory"])

    def score(self, videos):
        return [Scores(torch.cdist(video.rows, self.memory).amin(1)) for video in videos]
