"""A method whose hooks assign buffers that lie on the CPU, wherever the method is."""

import torch

from tiny_plugin import Linear
from vadbench import MethodSpec, hookimpl


@hookimpl
def vadbench_methods():
    return [MethodSpec("assigning", "assigns its buffers", "assigning_plugin:Assigning")]


class Assigning(Linear):
    """``center`` is assigned by ``prepare``, ``scale`` at the end of ``fit``, and ``bank`` gets its size in ``fit`` and
    in ``resize``."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.register_buffer("scale", torch.ones(1))
        self.register_buffer("bank", torch.zeros(0, task.dim))

    def fit(self, data, loop):
        super().fit(data, loop)
        self.scale = torch.full((1,), 0.5)
        self.bank = torch.from_numpy(next(iter(data.normal)).rows[:3].copy())

    def resize(self, shapes):
        self.bank = torch.zeros(shapes["bank"])

    def import_reference(self, state):
        with torch.no_grad():
            self.layer.weight.copy_(state["weight"])

    def _logits(self, x):
        logits = super()._logits(x)
        return logits if self.training else logits * self.scale + (self.bank.sum() if len(self.bank) else 0)
