"""CLIP without training: a softmax over the cosines of a frame and the class prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vadbench.base.errors import ConfigError
from vadbench.method import Method, Reach, Scores, Task, VideoInput
from vadbench_baselines.config import ZeroShotConfig


class ZeroShot(Method):
    """``p = softmax(cos(row, prompt) / temperature)`` over all classes."""

    Config = ZeroShotConfig
    prompts: Tensor

    def __init__(self, config: ZeroShotConfig, task: Task) -> None:
        super().__init__(config, task)
        if "{class}" not in config.template:
            raise ConfigError(f"setting 'template' must contain {{class}}, found '{config.template}'")
        prompts = [config.template.replace("{class}", words) for words in task.classes.words]
        with torch.no_grad():
            self.register_buffer("prompts", normalize(task.comparable_text()(prompts), dim=-1), persistent=False)

    @property
    def reach(self) -> Reach:
        """Return the reach, a single row."""
        return Reach()

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        return [self._score(video.rows) for video in videos]

    def _score(self, rows: Tensor) -> Scores:
        cosines = normalize(rows, dim=-1) @ self.prompts.T
        return Scores.from_classes(torch.softmax(cosines / self.config.temperature, dim=-1), self.task.classes)
