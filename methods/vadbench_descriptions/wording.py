"""How a CLIP reads a description bank: how long phrases are, which look alike to it, which words it never saw."""

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
from vadbench_descriptions.bank import Bank


@dataclass(frozen=True)
class Reading:
    """A phrase as a CLIP reads it.

    Args:
        phrase: what the bank says.
        abnormal: whether it describes an anomaly.
        tokens: its length in CLIP's tokens, start and end included.
        nearest: the phrase of the other side with the most similar text feature, "" where there is none.
        cosine: how similar, -1 to 1; ``None`` where there is no other side.
        unseen: its words that the CLIP was never taught; empty where that is not known.
    """

    phrase: str
    abnormal: bool
    tokens: int
    nearest: str
    cosine: float | None
    unseen: tuple[str, ...]


def token_counts(texts: Sequence[str]) -> list[int]:
    """How many of CLIP's tokens each text is, start and end included, however long.

    >>> token_counts(["fire", "a person on fire"])
    [3, 6]
    """
    # A token stands for a byte at least; a text's clean form is not twice as long.
    room = 2 * max((len(t.encode()) for t in texts), default=0) + 2
    # The end-of-text token has the highest id of all.
    return [int(row.argmax()) + 1 for row in open_clip.tokenize(list(texts), context_length=room)]


def long_phrases(bank: Bank, context_length: int) -> list[str]:
    """The phrases that do not fit a CLIP's context, a line each."""
    phrases = (*bank.normal, *bank.anomalies)
    return [
        f"'{cut(phrase, 60)}' is {count} tokens long, CLIP reads {context_length}; shorten it"
        for phrase, count in zip(phrases, token_counts(phrases), strict=True)
        if count > context_length
    ]


def require_fitting(bank: Bank, context_length: int) -> None:
    """Raise if a phrase is longer than CLIP reads.

    Raises:
        ConfigError: names the first.
    """
    if found := long_phrases(bank, context_length):
        raise ConfigError(f"description bank '{bank}': {found[0]}")


@torch.inference_mode()
def read_with(bank: Bank, clip: Clip) -> list[Reading]:
    """Every phrase as a CLIP reads it, those that it can hardly tell from the other side first."""
    phrases = [p for p in (*bank.normal, *bank.anomalies) if p.strip()]
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
