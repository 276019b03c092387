"""A causal method: a score depends on the rows before its own and on one row after it, its declared look-ahead."""

import torch

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("causal", "how far a row and the next are from the mean so far", "causal:Causal")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=2)

    def needs(self) -> Needs:
        return Needs(supervision="training-free", lookahead=1, unit_scores=False)


class Causal(Method):
    Config = Config

    def score(self, videos):
        return [Scores(self._surprise(video.rows)) for video in videos]

    def _surprise(self, rows):
        counts = torch.arange(1, len(rows) + 1, device=rows.device)[:, None]
        so_far = rows.cumsum(0) / counts
        following = torch.cat([rows[1:], rows[-1:]])
        return ((rows + following) / 2 - so_far).norm(dim=1)
