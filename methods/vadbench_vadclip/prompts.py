"""Class prompts: learned vectors before and behind a class's words, encoded by CLIP's text tower (spec 1.4).

Shapes: C classes in the data set's order, T positions up to the last prompt's end, W text width, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadbench.base.errors import ConfigError
from vadbench.method import Task
from vadbench.nn.prompts import CachedText, placed_words
from vadbench_vadclip.config import VadClipConfig

HANDCRAFTED = "a video of {}"
"""Prompt of table 7's first row (our decision: the paper does not quote it)."""


class Prompts(CachedText):
    """Text features of the classes.

    Learned prompts take their vectors from one table with an embedding for each of CLIP's positions, shared by all
    classes: positions that are not used by a word, the start or the end of a prompt have the table's vector. So the
    vectors after a class depend on its number of tokens, and those past every prompt's end are never used: their
    gradient is zero, and they only shrink by weight decay.

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
        text = task.comparable_text("branches=coarse and score_branch=coarse")
        words = task.classes.prompt_words(config.prompt_words)
        if config.text_prompt == "handcrafted":
            with torch.no_grad():
                self.register_buffer("fixed", text([HANDCRAFTED.format(w) for w in words]), persistent=False)
            self.embeddings = None
            return
        placed = placed_words(text.tokenize(words), config.prefix, config.postfix)
        if int(placed.ends.max()) >= text.context_length:
            raise ConfigError(
                f"a prompt of {config.prefix} vectors, a class and {config.postfix} vectors does not fit CLIP's"
                f" {text.context_length} tokens; use smaller prefix and postfix or shorter class words"
            )
        self.register_buffer("ends", placed.ends, persistent=False)
        self.register_buffer("taken", placed.taken[..., None], persistent=False)
        with torch.no_grad():
            self.register_buffer("fixed", text.embed(placed.tokens), persistent=False)
        self.embeddings = nn.Parameter(0.01 * torch.randn(text.context_length, text.width))

    def compute(self) -> Tensor:
        """Return text features ``(C, D)``, not normalised."""
        if self.embeddings is None:
            return self.fixed
        vectors = torch.where(self.taken, self.fixed, self.embeddings[: self.fixed.shape[1]])
        text = self.task.text
        return text.encode(vectors, self.ends) @ text.text_projection
