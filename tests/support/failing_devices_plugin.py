"""Methods that meet a device without memory, or that breaks: the errors of torch are raised where CUDA would."""

import os
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig
from vadbench.base.recipe import Recipe
from vadbench.method import Method, Scores

FULL = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 7.79 GiB of which 1.02 GiB is free."
    " Including non-PyTorch memory, this process has 6.77 GiB memory in use. Of the allocated memory 6.01 GiB is"
    " allocated by PyTorch, and 412.00 MiB is reserved by PyTorch but unallocated. If reserved but unallocated memory"
    " is large try setting PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for"
    " Memory Management  (https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
)
ASSERTED = (
    "CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)


@hookimpl
def vadbench_methods():
    here = "failing_devices_plugin"
    return [
        MethodSpec("full", "runs out of memory under seed 1", f"{here}:Full"),
        MethodSpec("sticky", "breaks its device under seed 0", f"{here}:Sticky"),
    ]


class Config(MethodConfig):
    recipe: Recipe = Recipe(epochs=1, batch_size=4)


class Full(Method):
    Config: ClassVar = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)
        self.seed = task.seed

    def view(self, video, rng):
        return {"x": np.asarray(video.rows[:1], np.float32)}

    def loss(self, batch):
        if self.seed == 1:
            raise torch.OutOfMemoryError(FULL)
        return {"l": self.layer(batch.views["x"]).mean()}

    def score(self, videos):
        return [Scores(self.layer(video.rows)[:, 0].sigmoid()) for video in videos]


class Sticky(Full):
    """Once it is broken, every later call of the process fails in the same way, as after a device-side assert."""

    broken: ClassVar = []

    def loss(self, batch):
        if self.seed == 0:
            self.broken.append(os.getpid())
        if self.broken:
            raise torch.AcceleratorError(ASSERTED)
        return {"l": self.layer(batch.views["x"]).mean()}
