"""CLIP without any training: a softmax over the cosines of a frame and the class prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from vadbench.base.errors import ConfigError
from vadbench.base.method_config import MethodConfig
from vadbench.method import Method, Reach, Scores, Task


class Config(MethodConfig):
    template: str = Field(
        "a video from a CCTV camera of a {class}",
        description="prompt of a class, {class} standing for its words; the default is the one AnomalyCLIP's paper"
        " gives for its zero-shot row",
    )
    temperature: float = Field(
        0.01, gt=0, description="divides the cosines before the softmax; 0.01 is where OpenAI's CLIP ends its training"
    )


class ZeroShot(Method):
    """``p = softmax(cos(row, prompt) / temperature)`` over all classes; the anomaly score is ``1 - p[normal]``."""

    Config = Config

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        if "{class}" not in config.template:
            raise ConfigError(f"setting 'template' must contain {{class}}, found '{config.template}'")
        self._prompts: Tensor | None = None

    @property
    def reach(self) -> Reach:
        """Every row by itself."""
        return Reach()

    def score(self, videos: Sequence[Tensor]) -> list[Scores]:
        if self._prompts is None:
            prompts = [self.config.template.replace("{class}", words) for words in self.task.classes.words]
            self._prompts = normalize(self.task.text(prompts), dim=-1)
        return [self._score(rows, self._prompts) for rows in videos]

    def _score(self, rows: Tensor, prompts: Tensor) -> Scores:
        classes = torch.softmax(normalize(rows, dim=-1) @ prompts.T / self.config.temperature, dim=-1)
        # The sum of the abnormal ones, not 1 - p[normal], which rounds to 0 where CLIP is sure.
        return Scores(classes[:, list(self.task.classes.abnormal)].sum(dim=-1).clamp(max=1), classes)
