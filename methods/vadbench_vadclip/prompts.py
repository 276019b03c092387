"""Class prompts: learned vectors before and behind a class's words, encoded by CLIP's text tower (spec 1.4).

Shapes: C classes in the data set's order, T positions up to the last prompt's end, W text width, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadbench.base.errors import ConfigError, FeatureError
from vadbench.dataset import ClassTable
from vadbench.method import Task
from vadbench_vadclip.config import VadClipConfig

HANDCRAFTED = "a video of {}"
"""Prompt of table 7's first row (our decision: the paper does not quote it)."""


def class_words(classes: ClassTable, config: VadClipConfig) -> list[str]:
    """What stands for each class in a prompt."""
    if config.prompt_words == "words":
        return list(classes.words)
    return [name.replace("_", " ") for name in classes.names]


class Prompts(nn.Module):
    """Text features of the classes.

    Learned prompts take their vectors from one table of an embedding for each of CLIP's positions, shared by all
    classes: whatever position a word, the start or the end of a prompt does not take keeps the table's vector. Which
    vectors are behind a class therefore depends on how many tokens it has, and those past every prompt's end are never
    used: their gradient is zero, and they only shrink by weight decay.

    Raises:
        FeatureError: rows and text features differ in width.
        ConfigError: a prompt does not fit CLIP's context.
    """

    taken: Tensor
    ends: Tensor
    fixed: Tensor

    def __init__(self, config: VadClipConfig, task: Task) -> None:
        super().__init__()
        self.task = task
        text = task.text
        if text.dim != task.dim:
            raise FeatureError(
                f"features are {task.dim} wide, the text features of this CLIP {text.dim}; use features extracted with"
                " the same CLIP, or set branches=coarse and score_branch=coarse"
            )
        words = class_words(task.classes, config)
        if config.text_prompt == "handcrafted":
            with torch.no_grad():
                self.register_buffer("fixed", text([HANDCRAFTED.format(w) for w in words]), persistent=False)
            self.embeddings = None
            return
        tokens = text.tokenize(words)
        own_ends = tokens.argmax(-1)  # the end-of-text token has the highest id of all
        ends = config.prefix + own_ends + config.postfix
        if int(own_ends.max()) == text.context_length - 1 or int(ends.max()) >= text.context_length:
            raise ConfigError(
                f"a prompt of {config.prefix} vectors, a class and {config.postfix} vectors does not fit CLIP's"
                f" {text.context_length} tokens; use smaller prefix and postfix or shorter class words"
            )
        length = int(ends.max()) + 1
        placed = torch.zeros(len(words), length, dtype=tokens.dtype, device=tokens.device)
        taken = torch.zeros_like(placed, dtype=torch.bool)
        for row, (own_end, end) in enumerate(zip(own_ends.tolist(), ends.tolist(), strict=True)):
            places = [0, *range(config.prefix + 1, config.prefix + own_end), end]
            placed[row, places] = tokens[row, : own_end + 1]
            taken[row, places] = True
        self.register_buffer("ends", ends, persistent=False)
        self.register_buffer("taken", taken[..., None], persistent=False)
        with torch.no_grad():
            self.register_buffer("fixed", text.embed(placed), persistent=False)
        self.embeddings = nn.Parameter(0.01 * torch.randn(text.context_length, text.width))

    def forward(self) -> Tensor:
        """Text features ``(C, D)``, not normalised."""
        if self.embeddings is None:
            return self.fixed
        vectors = torch.where(self.taken, self.fixed, self.embeddings[: self.fixed.shape[1]])
        text = self.task.text
        return text.encode(vectors, self.ends) @ text.text_projection
