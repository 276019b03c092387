"""Methods whose views tell who makes them, or break in a worker process, which imports them by this module's name."""

import os
import sys

import numpy as np
import torch
from pydantic import Field
from torch import nn

from vadbench.base.errors import DataError
from vadbench.base.method_config import MethodConfig
from vadbench.method import Method


class Config(MethodConfig):
    width: int = Field(3, description="rows in a view")
    shares: tuple[float, ...] = Field((0.1, 1e-17), description="numbers that JSON must not change")


class Drawing(Method):
    """Draws rows, and has a layer, which views must not read."""

    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)

    def view(self, video, rng):
        index = rng.integers(video.row_count, size=self.config.width)
        noise = rng.normal(size=2) * self.config.shares[0] + self.config.shares[1]
        return {"rows": np.asarray(video.rows[index]), "noise": noise, "classes": np.array(len(self.task.classes))}

    def other(self, video, rng):
        return {"first": np.asarray(video.rows[:1])}


class Telling(Drawing):
    """Gives the process, its number of torch's threads, and whether it has a layer; prints as well."""

    def view(self, video, rng):
        print("noise that must not get between the answers")
        os.write(1, b"and this neither")
        return {"process": np.array(os.getpid()), "threads": np.array(torch.get_num_threads())}


class Dying(Drawing):
    def view(self, video, rng):
        if video.name == "v7":
            sys.stdout.flush()
            os._exit(3)
        return super().view(video, rng)


class Failing(Drawing):
    def view(self, video, rng):
        if video.name == "v7":
            raise DataError("v7 is damaged")
        return super().view(video, rng)


class ReadingLayer(Drawing):
    def view(self, video, rng):
        return {"x": video.rows[:1] * len(self.layer.weight)}


class ReadingText(Drawing):
    def view(self, video, rng):
        return {"x": np.array(self.task.text.dim)}


class Uneven(Drawing):
    def view(self, video, rng):
        rows = np.asarray(video.rows[:2])
        return {"x": rows.astype(np.float16) if video.name == "v7" else rows}
