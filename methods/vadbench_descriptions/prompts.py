"""Prompts of the classes: words with learned vectors around them, encoded by CLIP's text tower (tables 6, 8 and 9).

Shapes: C classes in the data set's order, T positions up to the last prompt's end, W text width, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadbench.base.errors import ConfigError, FeatureError
from vadbench.dataset import ClassTable
from vadbench.method import Task
from vadbench_descriptions.bank import Bank
from vadbench_descriptions.config import Prompt

TEMPLATE = "a photo of {}"
"""Table 6, first row."""


def class_descriptions(bank: Bank, classes: ClassTable) -> list[str]:
    """A phrase for each class: the first that the bank has for it, else the data set's words for it (our decision)."""
    of_classes = bank.of_classes(classes) | {classes.normal: bank.normal}
    return [of_classes[i][0] if i in of_classes else words for i, words in enumerate(classes.words)]


def require_text(task: Task) -> None:
    """Nothing where rows and texts can be compared.

    Raises:
        FeatureError: they differ in width.
    """
    if task.text.dim != task.dim:
        raise FeatureError(
            f"features are {task.dim} wide, the text features of this CLIP {task.text.dim}; use features extracted"
            " with the same CLIP"
        )


class Prompts(nn.Module):
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
        require_text(task)
        self.task, text = task, task.text
        words = list(task.classes.words)
        if config.kind == "learned-description":
            words = class_descriptions(bank, task.classes)
        if config.kind == "template":
            with torch.no_grad():
                self.register_buffer("fixed", text([TEMPLATE.format(w) for w in words]), persistent=False)
            self.context = None
            return
        before = config.length if config.position == "end" else config.length // 2
        tokens = text.tokenize(words)
        own_ends = tokens.argmax(-1)  # the end-of-text token has the highest id of all
        ends = own_ends + config.length
        if int(ends.max()) >= text.context_length:
            longest = words[int(ends.argmax())]
            raise ConfigError(
                f"{config.length} learned vectors and '{longest}' do not fit CLIP's {text.context_length} tokens; use a"
                " smaller prompt.length or a shorter phrase"
            )
        placed = torch.zeros(len(words), int(ends.max()) + 1, dtype=tokens.dtype, device=tokens.device)
        slots = torch.full_like(placed, -1)
        for row, (own_end, end) in enumerate(zip(own_ends.tolist(), ends.tolist(), strict=True)):
            vectors = [*range(1, before + 1), *range(before + own_end, end)]
            slots[row, vectors] = torch.arange(config.length, device=slots.device)
            placed[row, [0, *range(before + 1, before + own_end), end]] = tokens[row, : own_end + 1]
        self.register_buffer("ends", ends, persistent=False)
        self.register_buffer("slots", slots[..., None], persistent=False)
        with torch.no_grad():
            self.register_buffer("fixed", text.embed(placed), persistent=False)
        shape = (len(words), config.length) if config.position == "end" else (1, config.length)
        self.context = nn.Parameter(0.02 * torch.randn(*shape, text.width))

    def forward(self) -> Tensor:
        """Text features ``(C, D)``, not normalised."""
        if self.context is None:
            return self.fixed
        text = self.task.text
        context = self.context.expand(len(self.fixed), -1, -1)
        placed = context.gather(1, self.slots.clamp(min=0).expand(-1, -1, text.width))
        return text.encode(torch.where(self.slots < 0, self.fixed, placed), self.ends) @ text.text_projection
