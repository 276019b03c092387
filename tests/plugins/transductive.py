"""A method whose scores depend on the other videos of the split, and which says so: every table marks it. It is given
the videos as an iterator and gives scores when it has seen them all."""

import torch

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("transductive", "distance from the mean row of the whole split", "transductive:Transductive")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=2)

    def needs(self) -> Needs:
        return Needs(supervision="training-free", company="split", unit_scores=False)


class Transductive(Method):
    Config = Config

    def score(self, videos):
        rows = [video.rows for video in videos]
        center = torch.cat(rows).mean(0)
        for own in rows:
            yield Scores((own - center).norm(dim=1))
