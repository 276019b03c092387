"""A method that draws while it scores. Its generator belongs to the run's seed and the video, so the same video has the
same score whatever is scored with it."""

import torch

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.method import Method, Scores

DRAWS = 16


@hookimpl
def vadbench_methods():
    return [MethodSpec("stochastic", "how often a row is among the longest, rows perturbed", "stochastic:Stochastic")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=2)


class Stochastic(Method):
    Config = Config
    known_failures = {
        "float16": "which rows are the longest is a hard choice, and one draw in 16 weighs 0.06",
        "learns": "the length of a row tells next to nothing: AUC 0.54 on synthetic",
    }

    def score(self, videos):
        return [Scores(self._often(video)) for video in videos]

    def _often(self, video):
        noise = torch.from_numpy(video.rng().normal(0, 0.01, (DRAWS, video.row_count))).to(video.rows)
        # Video by video: which rows are among the highest must not depend on the length of another video.
        highest = (video.rows.norm(dim=1) + noise).topk(max(1, video.row_count // 4)).indices
        counts = torch.zeros(video.row_count, device=highest.device)
        return counts.index_add_(0, highest.flatten(), torch.ones(highest.numel(), device=highest.device)) / DRAWS
