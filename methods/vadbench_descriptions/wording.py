"""Check how a CLIP reads a description bank: lengths of phrases, similar phrases, words that it was never taught."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import open_clip
import torch
from torch.nn.functional import normalize

from vadbench.base.errors import ConfigError, cut
from vadbench.clip import Clip
from vadbench.clip.loading import taught_tokens
from vadbench_descriptions.bank import Bank, Phrases
from vadbench_descriptions.contrast_config import ANOMALOUS_PREFIX, NORMAL_PREFIX


@dataclass(frozen=True)
class Reading:
    """Phrase as a CLIP reads it.

    Args:
        phrase: phrase of the bank.
        abnormal: whether it describes an anomaly.
        tokens: its length in CLIP's tokens, including start and end.
        nearest: the phrase of the other side with the most similar text feature, "" without another side.
        cosine: similarity with that phrase, -1 to 1; ``None`` without another side.
        unseen: its words that the CLIP was never taught; empty if that is unknown.
    """

    phrase: str
    abnormal: bool
    tokens: int
    nearest: str
    cosine: float | None
    unseen: tuple[str, ...]


def token_counts(texts: Sequence[str]) -> list[int]:
    """Return the number of CLIP's tokens in each text, including start and end, without truncation.

    >>> token_counts(["fire", "a person on fire"])
    [3, 6]
    """
    # A token has at least one byte, and the clean form of a text is less than twice as long.
    room = 2 * max((len(t.encode()) for t in texts), default=0) + 2
    # The end-of-text token has the highest id of all.
    return [int(row.argmax()) + 1 for row in open_clip.tokenize(list(texts), context_length=room)]


def too_long(texts: Sequence[str], context_length: int) -> list[str]:
    """Return a line for each text that does not fit a CLIP's context."""
    return [
        f"'{cut(text, 60)}' is {count} tokens long, CLIP reads {context_length}; shorten it"
        for text, count in zip(texts, token_counts(texts), strict=True)
        if count > context_length
    ]


def long_phrases(bank: Bank, context_length: int) -> list[str]:
    """Return a line for each phrase that does not fit a CLIP's context."""
    return too_long((*bank.normalities, *bank.anomalies), context_length)


def long_sentences(bank: Bank, context_length: int) -> list[str]:
    """Return a line for each phrase that fits a CLIP's context by itself and not as ``prompt-contrast`` reads it.

    None for a bank in which no class has a normal side of its own.
    """
    if not bank.normals:
        return []
    sides = ((NORMAL_PREFIX, bank.normalities), (ANOMALOUS_PREFIX, bank.anomalies))
    texts = [before + p for before, phrases in sides for p in phrases if not too_long([p], context_length)]
    return too_long(texts, context_length)


def require_fitting(bank: Bank, context_length: int) -> None:
    """Raise if a phrase is longer than CLIP reads.

    Raises:
        ConfigError: a phrase is too long; names the first.
    """
    if found := long_phrases(bank, context_length):
        raise ConfigError(f"description bank '{bank}': {found[0]}")


@dataclass(frozen=True)
class Ambiguity:
    """How like the anomalies of a class a phrase of its normal side is to a CLIP.

    Args:
        name: of the class, as the bank has it.
        phrase: of its normal side.
        value: cosine with the mean of the class's anomalous phrases, -1 to 1.
    """

    name: str
    phrase: str
    value: float


def ambiguities(normal: torch.Tensor, anomalous: torch.Tensor) -> torch.Tensor:
    """Return the cosine ``(N,)`` of unit vectors ``(N, D)`` with the mean of the anomalous ones ``(M, D)`` (NOVA)."""
    return normal @ normalize(anomalous.mean(0), dim=0)


@torch.inference_mode()
def ambiguous_phrases(bank: Bank, clip: Clip) -> list[Ambiguity]:
    """Return the ambiguity of the normal side of each class, the highest first, as ``prompt-contrast`` reads it.

    None for a bank in which no class has a normal side of its own. Phrases that are empty or too long count nowhere.
    """

    def readable(before: str, phrases: Phrases) -> list[str]:
        return [p for p in phrases if p.strip() and not too_long([before + p], clip.text.context_length)]

    found = []
    for name, phrases in bank.classes if bank.normals else ():
        side, own = readable(NORMAL_PREFIX, bank.normal_side(name)), readable(ANOMALOUS_PREFIX, phrases)
        if side and own:
            texts = [*(NORMAL_PREFIX + p for p in side), *(ANOMALOUS_PREFIX + p for p in own)]
            text = normalize(clip.text(texts).cpu(), dim=-1)
            values = ambiguities(text[: len(side)], text[len(side) :]).tolist()
            found += [Ambiguity(name, phrase, value) for phrase, value in zip(side, values, strict=True)]
    return sorted(found, key=lambda a: a.value, reverse=True)


@torch.inference_mode()
def read_with(bank: Bank, clip: Clip) -> list[Reading]:
    """Return every phrase as a CLIP reads it, those most similar to the other side first."""
    phrases = [p for p in (*bank.normalities, *bank.anomalies) if p.strip()]
    if not phrases:
        return []
    abnormal = torch.tensor([p in bank.anomalies for p in phrases])
    text = normalize(clip.text(phrases).cpu(), dim=-1)
    cosines = (text @ text.T).masked_fill(abnormal[:, None] == abnormal, -torch.inf)
    best, place = cosines.max(-1)
    taught = taught_tokens(clip)
    readings = []
    for i, (phrase, count) in enumerate(zip(phrases, token_counts(phrases), strict=True)):
        alone = not torch.isfinite(best[i])
        readings.append(
            Reading(
                phrase,
                bool(abnormal[i]),
                count,
                "" if alone else phrases[int(place[i])],
                None if alone else float(best[i]),
                () if taught is None else _unseen(phrase, taught),
            )
        )
    return sorted(readings, key=lambda r: -2.0 if r.cosine is None else r.cosine, reverse=True)


def _unseen(phrase: str, taught: torch.Tensor) -> tuple[str, ...]:
    words = list(dict.fromkeys(re.findall(r"[\w'-]+", phrase)))
    if not words:
        return ()
    tokens = open_clip.tokenize(words, context_length=256)
    return tuple(
        word for word, row in zip(words, tokens, strict=True) if not bool(taught[row[1 : int(row.argmax())]].all())
    )
