"""Prompts of the classes: words with learned vectors around them, encoded by CLIP's text tower (tables 6, 8 and 9).

Shapes: C classes in the data set's order, T positions up to the last prompt's end, W text width, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadbench.base.errors import ConfigError
from vadbench.dataset import ClassTable
from vadbench.method import Task
from vadbench.nn.prompts import CachedText, placed_words
from vadbench_descriptions.bank import Bank
from vadbench_descriptions.config import Prompt

TEMPLATE = "a photo of {}"
"""Table 6, first row."""


def class_descriptions(bank: Bank, classes: ClassTable) -> list[str]:
    """Return a phrase for each class: the first in the bank, or else the data set's words for it (our decision)."""
    of_classes = bank.of_classes(classes) | {classes.normal: bank.normal}
    return [of_classes[i][0] if i in of_classes else words for i, words in enumerate(classes.words)]


class Prompts(CachedText):
    """Text features of the classes.

    Raises:
        FeatureError: rows and text features differ in width.
        ConfigError: a prompt does not fit CLIP's context.
    """

    fixed: Tensor
    ends: Tensor
    slots: Tensor

    def __init__(self, config: Prompt, bank: Bank, task: Task) -> None:
        super().__init__()
        self.task, text = task, task.comparable_text()
        words = list(task.classes.words)
        if config.kind == "learned-description":
            words = class_descriptions(bank, task.classes)
        if config.kind == "template":
            with torch.no_grad():
                self.register_buffer("fixed", text([TEMPLATE.format(w) for w in words]), persistent=False)
            self.context = None
            return
        before = config.length if config.position == "end" else config.length // 2
        placed = placed_words(text.tokenize(words), before, config.length - before)
        if int(placed.ends.max()) >= text.context_length:
            longest = words[int(placed.ends.argmax())]
            raise ConfigError(
                f"{config.length} learned vectors and '{longest}' do not fit CLIP's {text.context_length} tokens; use a"
                " smaller prompt.length or a shorter phrase"
            )
        places = torch.arange(placed.taken.shape[1], device=placed.ends.device)
        free = ~placed.taken & (places < placed.ends[:, None])
        slots = (free.cumsum(1) - 1).masked_fill(~free, -1)
        self.register_buffer("ends", placed.ends, persistent=False)
        self.register_buffer("slots", slots[..., None], persistent=False)
        with torch.no_grad():
            self.register_buffer("fixed", text.embed(placed.tokens), persistent=False)
        shape = (len(words), config.length) if config.position == "end" else (1, config.length)
        self.context = nn.Parameter(0.02 * torch.randn(*shape, text.width))

    def compute(self) -> Tensor:
        """Return text features ``(C, D)``, not normalised."""
        if self.context is None:
            return self.fixed
        text = self.task.text
        context = self.context.expand(len(self.fixed), -1, -1)
        placed = context.gather(1, self.slots.clamp(min=0).expand(-1, -1, text.width))
        return text.encode(torch.where(self.slots < 0, self.fixed, placed), self.ends) @ text.text_projection
