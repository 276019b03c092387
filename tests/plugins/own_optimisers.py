"""Methods whose parameters are trained differently: two groups in the recipe, and optimisers of the method's own.

``two-groups`` has a body whose rate falls by epochs and a head with Adam that warms up by steps, and a loss for each:
what the head learns does not reach the body. ``own-optimisers`` builds them itself, and keeps a slow copy of the body.
"""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.method import Method, Scores

HEAD = {
    "optimiser": "adam-l2",
    "learning_rate": 0.05,
    "schedule": "warmup-cosine",
    "milestones": [],
    "schedule_unit": "step",
    "warmup_steps": 4,
}


class Config(MethodConfig):
    recipe: Recipe = Recipe(
        epochs=4, batch_size=4, learning_rate=0.02, schedule="steps", milestones=(2,), groups={"head": HEAD}
    )


class TwoGroups(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.body, self.head = nn.Linear(task.dim, 4), nn.Linear(4, 1)

    def groups(self):
        return {"default": list(self.body.parameters()), "head": list(self.head.parameters())}

    def view(self, video, rng):
        return {"rows": video.rows[rng.integers(video.row_count, size=8)]}

    def loss(self, batch):
        inner = torch.tanh(self.body(batch.views["rows"]))
        target = 1 - batch.labels[:, self.task.classes.normal]
        return {
            "default": {"mean": cross_entropy(inner.mean(-1).amax(1), target)},
            "head": {"bce": cross_entropy(self.head(inner)[..., 0].amax(1), target)},
        }

    def score(self, videos):
        return [Scores(torch.sigmoid(self.head(torch.tanh(self.body(v.rows))))[:, 0]) for v in videos]


class OwnConfig(MethodConfig):
    recipe: Recipe = Recipe(epochs=4, batch_size=4)


class OwnOptimisers(TwoGroups):
    Config = OwnConfig

    def __init__(self, config, task):
        super().__init__(config, task)
        self.slow = nn.Linear(task.dim, 4).requires_grad_(False)
        self.slow.load_state_dict(self.body.state_dict())

    def optimisers(self, recipe):
        return {
            "body": torch.optim.SGD(self.body.parameters(), lr=0.1, momentum=0.9),
            "head": torch.optim.Adagrad(self.head.parameters(), lr=0.05),
        }

    def loss(self, batch):
        inner = torch.tanh(self.body(batch.views["rows"]))
        target = 1 - batch.labels[:, self.task.classes.normal]
        return {"bce": cross_entropy(self.head(inner)[..., 0].amax(1), target)}

    def stepped(self, step):
        for slow, quick in zip(self.slow.parameters(), self.body.parameters(), strict=True):
            slow.lerp_(quick, 1 / (step + 1))

    def score(self, videos):
        return [Scores(torch.sigmoid(self.head(torch.tanh(self.slow(v.rows))))[:, 0]) for v in videos]


@hookimpl
def vadbench_methods():
    return [
        MethodSpec("two-groups", "a body and a head, trained differently", "own_optimisers:TwoGroups"),
        MethodSpec("own-optimisers", "optimisers of its own and a slow copy", "own_optimisers:OwnOptimisers"),
    ]
