"""Remarks in words on spans of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import cut

LONGEST_REMARK = 10_000
"""Characters of a remark that are kept."""


@dataclass(frozen=True, eq=False)
class Remarks:
    """Remarks in words on spans of rows, as columns: those of a day of video stay small.

    Args:
        first, end: ``(remarks,)`` first row and one past the last of each.
        which: ``(remarks,)`` number of its text.
        texts: the distinct texts.
    """

    first: NDArray[np.integer[Any]]
    end: NDArray[np.integer[Any]]
    which: NDArray[np.integer[Any]]
    texts: Sequence[str]

    @classmethod
    def of_rows(cls, texts: Sequence[str]) -> Remarks:
        """Return one remark for each run of rows that have the same text; empty texts are none."""
        starts = [i for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]
        spans = [
            (first, end, texts[first])
            for first, end in zip(starts, [*starts, len(texts)][1:], strict=True)
            if texts[first]
        ]
        numbers = {text: i for i, text in enumerate(dict.fromkeys(text for _, _, text in spans))}
        first, end, which = (
            np.array([take(span) for span in spans], np.int64)
            for take in (lambda s: s[0], lambda s: s[1], lambda s: numbers[s[2]])
        )
        return cls(first, end, which, list(numbers))

    def __len__(self) -> int:
        return len(self.first)

    def legible(self) -> Remarks:
        """Return the remarks with texts that any file can hold: of valid characters, and cut where they are long."""
        kept = [str(text)[: LONGEST_REMARK + 1].encode("utf-8", "replace").decode("utf-8") for text in self.texts]
        return Remarks(self.first, self.end, self.which, [cut(text, LONGEST_REMARK) for text in kept])

    def part(self, start: int, stop: int) -> Remarks:
        """Return the remarks on the rows from ``start`` to before ``stop``, which are then counted from 0."""
        first, end = np.maximum(self.first, start), np.minimum(self.end, stop)
        kept = first < end
        return Remarks(first[kept] - start, end[kept] - start, self.which[kept], self.texts)

    def on_each(self, rows: int) -> list[list[str]]:
        """Return the texts on each of the rows of the video."""
        texts: list[list[str]] = [[] for _ in range(rows)]
        for first, end, which in zip(self.first.tolist(), self.end.tolist(), self.which.tolist(), strict=True):
            for row in range(first, end):
                texts[row].append(self.texts[which])
        return texts

    @classmethod
    def joined(cls, parts: Sequence[Remarks], rows: Sequence[int]) -> Remarks:
        """Return the remarks on neighbouring parts of a video with so many rows each."""
        starts = np.concatenate([[0], np.cumsum(rows)[:-1]]).astype(np.int64)
        texts = list(dict.fromkeys(text for part in parts for text in part.texts))
        places = {text: number for number, text in enumerate(texts)}
        return cls(
            np.concatenate([part.first + start for part, start in zip(parts, starts, strict=True)]),
            np.concatenate([part.end + start for part, start in zip(parts, starts, strict=True)]),
            np.concatenate([np.array([places[part.texts[i]] for i in part.which], np.int64) for part in parts]),
            texts,
        )
