"""The sentences of a bank by class and side, as a CLIP reads them, and how like them rows are.

Sources: NOVA and Flashback, see :mod:`vadbench_descriptions.contrast_config`. Shapes: B rows, G groups of sentences (a
class of the data set each, and one for anomalies of no class where the bank has any), M and N anomalous and normal
sentences of all groups together, D width of a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vadbench.base.errors import ConfigError
from vadbench.clip import TextTower
from vadbench.dataset import ClassTable
from vadbench_descriptions.bank import Bank, Phrases
from vadbench_descriptions.contrast_config import PromptContrastConfig
from vadbench_descriptions.wording import too_long

_NO_CLASS = "anomaly"
"""Words for the anomalies of no class in a template that names the class."""


@dataclass(frozen=True)
class SentenceGroup:
    """The two sides of a class; ``owner`` is its id, ``None`` for anomalies of no class."""

    owner: int | None
    words: str
    anomalous: Phrases
    normal: Phrases


def sentence_groups(config: PromptContrastConfig, table: ClassTable, known: Sequence[str]) -> list[SentenceGroup]:
    """Return the groups that a bank has sentences for, of the classes that may be read.

    Args:
        config: has the bank, and which of its sentences count.
        table: classes of the data set; the bank must name no other.
        known: names of the classes that may be read.

    Raises:
        ConfigError: there is no bank, it names a class that the data set lacks, or nothing is left of it.
    """
    bank: Bank | None = config.descriptions
    if bank is None:
        raise ConfigError("prompt-contrast needs a bank of sentences; name one with --descriptions")
    bank.of_classes(table)
    most = config.sentences or None

    def group(owner: int | None, words: str, anomalous: Phrases, normal: Phrases) -> SentenceGroup:
        side = bank.normal if config.normals == "shared" else normal
        return SentenceGroup(owner, words, anomalous[:most], side[:most])

    groups = [
        group(table.id(name), table.words[table.id(name)], phrases, bank.normal_side(name))
        for name, phrases in bank.classes
        if table.names[table.id(name)] in known
    ]
    if bank.abnormal:
        groups.append(group(None, _NO_CLASS, bank.abnormal, bank.normal))
    if not groups:
        raise ConfigError(f"bank '{bank}' has no sentence for any of the classes {', '.join(known)}; add some")
    return groups


class SentenceSides(nn.Module):
    """Text features of both sides.

    Args:
        groups: the sentences.
        config: what stands around a sentence.
        text: CLIP's text tower.

    Raises:
        ConfigError: a sentence is longer than CLIP reads.
    """

    anomalous: Tensor
    normal: Tensor

    def __init__(self, groups: Sequence[SentenceGroup], config: PromptContrastConfig, text: TextTower) -> None:
        super().__init__()
        self.sizes = [len(g.anomalous) for g in groups], [len(g.normal) for g in groups]
        self.sentences = [sentence for g in groups for sentence in g.anomalous]
        """``(M,)`` anomalous sentences, in the order of their features."""
        sides = [_wrapped(groups, config, anomalous) for anomalous in (True, False)]
        distinct = list(dict.fromkeys(prompt for side in sides for prompt in side))
        if found := too_long(distinct, text.context_length):
            raise ConfigError(f"description bank '{config.descriptions}': {found[0]}")
        with torch.no_grad():
            features = normalize(text(distinct), dim=-1)
        place = {prompt: number for number, prompt in enumerate(distinct)}
        for name, side in zip(("anomalous", "normal"), sides, strict=True):
            self.register_buffer(name, features[[place[prompt] for prompt in side]], persistent=False)

    def split(self, values: Tensor, side: int) -> tuple[Tensor, ...]:
        """Return values ``(B, M)`` of the anomalous side (0) or ``(B, N)`` of the normal one (1) by group."""
        return values.split(self.sizes[side], dim=-1)

    def contrast(self, rows: Tensor, share: float, anchor: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the similarity of rows with both sides of each group, and the best anomalous sentence of each.

        Args:
            rows: ``(B, D)`` unit vectors.
            share: of a side's cosines that is averaged, the highest.
            anchor: ``(D,)`` unit vector that joins the normal side of every group.

        Returns:
            ``(B, G)`` of the anomalous side, the same of the normal one, and ``(B, G)`` numbers of sentences.
        """
        cosines = self.split(rows @ self.anomalous.T, 0)
        ordinary = self.split(rows @ self.normal.T, 1)
        if anchor is not None:
            own = (rows @ anchor)[:, None]
            ordinary = tuple(torch.cat([side, own], dim=-1) for side in ordinary)
        starts = [sum(self.sizes[0][:i]) for i in range(len(cosines))]
        best = [side.argmax(-1) + start for side, start in zip(cosines, starts, strict=True)]
        high, low = ([top_mean(side, share) for side in sides] for sides in (cosines, ordinary))
        return torch.stack(high, -1), torch.stack(low, -1), torch.stack(best, -1)

    def similarities(self, rows: Tensor, alpha: float) -> Tensor:
        """Return products ``(B, M + N)`` of rows with all sentences, the anomalous ones times ``alpha``."""
        return torch.cat([alpha * (rows @ self.anomalous.T), rows @ self.normal.T], dim=-1)


def top_mean(values: Tensor, share: float) -> Tensor:
    """Return the mean of the ``max(1, floor(share * n))`` largest of ``n`` values, ``(..., n)`` to ``(...)``.

    That it is rounded down is our decision.
    """
    count = max(1, math.floor(share * values.shape[-1]))
    return values.topk(count, dim=-1).values.mean(-1)


def nearest_share(similarities: Tensor, anomalous: int, nearest: int, temperature: float) -> Tensor:
    """Return the weights ``(B, anomalous)`` of anomalous sentences in a softmax over the nearest of all.

    Among equal similarities those with the smallest number come first (our decision).

    Args:
        similarities: ``(B, sentences)``, the anomalous ones first.
        anomalous: how many these are.
        nearest: sentences that count; all others have weight 0.
        temperature: divides the similarities.
    """
    ordered, places = similarities.sort(dim=-1, descending=True, stable=True)
    weights = (ordered[:, :nearest] / temperature).softmax(-1)
    return torch.zeros_like(similarities).scatter(-1, places[:, :nearest], weights)[:, :anomalous]


def _wrapped(groups: Sequence[SentenceGroup], config: PromptContrastConfig, anomalous: bool) -> list[str]:
    """Return the texts of one side as CLIP reads them."""
    before = config.prefixes.anomalous if anomalous else config.prefixes.normal
    side = "Anomalous" if anomalous else "Normal"

    def wrapped(sentence: str, words: str) -> str:
        if config.scoring == "contrast":
            return before + sentence
        named = config.retrieval.template.replace("{side}", side).replace("{category}", words)
        return named.replace("{sentence}", sentence)

    return [wrapped(s, g.words) for g in groups for s in (g.anomalous if anomalous else g.normal)]
