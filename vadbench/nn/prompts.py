"""Class prompts in CLIP's text tower: features that are cached while nothing trains, and vectors around words.

Shapes: C texts, T positions up to the end of the longest prompt, D feature width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class CachedText(nn.Module):
    """Text features that are computed once per evaluation, and anew whenever something trains.

    A subclass says in :meth:`compute` what they are::

        class Prompts(CachedText):
            def __init__(self, task: Task) -> None:
                super().__init__()
                self.task, self.shift = task, nn.Parameter(torch.zeros(task.dim))

            def compute(self) -> Tensor:
                return self.task.text(self.task.classes.words) + self.shift

    The features are no part of the state. They are forgotten when the mode changes between training and evaluation and
    when weights are loaded; in between, parameters must stay as they are.
    """

    _kept: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        # A buffer goes where the module goes.
        self.register_buffer("_kept", None, persistent=False)
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def compute(self) -> Tensor:
        """Return text features ``(C, D)`` from the parameters as they are."""
        raise NotImplementedError(f"{type(self).__name__} has no compute()")

    def text_features(self) -> Tensor:
        """Return text features ``(C, D)``: computed anew in training or if gradients are recorded, otherwise cached."""
        if self.training or torch.is_grad_enabled():
            return self.compute()
        if self._kept is None:
            self._kept = self.compute()
        return self._kept

    def train(self, mode: bool = True) -> CachedText:
        """Switch between training and evaluation, which starts with fresh text features."""
        _forget(self)
        return super().train(mode)


def _forget(module: Any, _: object = None) -> None:
    module._kept = None


class PlacedWords(NamedTuple):
    """The places of words in prompts with learned vectors around them.

    Args:
        tokens: ``(C, T)`` ids of the start, the words and the end of each text in their places, 0 elsewhere.
        taken: bool ``(C, T)``, the places of these.
        ends: ``(C,)`` where each prompt ends.
    """

    tokens: Tensor
    taken: Tensor
    ends: Tensor


def placed_words(tokens: Tensor, before: int, behind: int) -> PlacedWords:
    """Make room for vectors before and behind the words of texts; the end of a text follows the last vector.

    Nothing is cut off: the caller must check that ``ends`` are within CLIP's context.

    Args:
        tokens: ``(C, context)`` as CLIP's tokenizer makes them; the end-of-text token has the highest id of all.
        before: vectors between the start and the first word.
        behind: vectors between the last word and the end.
    """
    own_ends = tokens.argmax(-1)
    ends = own_ends + before + behind
    placed = torch.zeros(len(tokens), int(ends.max()) + 1, dtype=tokens.dtype, device=tokens.device)
    taken = torch.zeros_like(placed, dtype=torch.bool)
    for row, (own_end, end) in enumerate(zip(own_ends.tolist(), ends.tolist(), strict=True)):
        places = [0, *range(before + 1, before + own_end), end]
        placed[row, places] = tokens[row, : own_end + 1]
        taken[row, places] = True
    return PlacedWords(placed, taken, ends)
