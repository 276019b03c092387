"""Published numbers: what papers state, where each was read, and how far it can be trusted.

The rows lie in ``results/vadbench_results/published.csv``. A verdict on a reproduction needs a number that was read in
the paper that measured it; others are shown and marked.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Verified = Literal["read", "derived", "recalled", "second-hand"]
"""``read``: seen in the paper named under ``reported_in``. ``derived``: computed from numbers read there. ``recalled``:
from memory. ``second-hand``: read in a list, an issue or notes on a paper, not in a paper."""


@dataclass(frozen=True)
class PublishedNumber:
    """One number that somebody published.

    Args:
        key: short name of the paper whose method it is, such as ``vadclip2024``.
        year: of that paper; empty where unknown.
        method: name of the method.
        variant: what was changed, in words; empty for the method as proposed.
        backbone: features or encoder.
        supervision: what was known in training.
        dataset: name of the data set, as in ``vadbench list datasets`` where it is there.
        protocol_note: split, subset and other rules of the evaluation, in words.
        metric: a key of :mod:`vadbench.metrics.definitions`, or the paper's own where vadbench has none.
        value: a fraction, or milliseconds for a ``time_ms[...]`` metric.
        table: where in the source, such as ``Table 7``.
        reported_in: key of the paper or page it was read in.
        verified: how it is known.
    """

    key: str
    year: str
    method: str
    variant: str
    backbone: str
    supervision: str
    dataset: str
    protocol_note: str
    metric: str
    value: float
    table: str
    reported_in: str
    verified: Verified

    @property
    def first_hand(self) -> bool:
        """Whether a reproduction may be judged by it: read in the paper that measured it."""
        return self.verified == "read" and self.reported_in == self.key


@cache
def published_numbers() -> tuple[PublishedNumber, ...]:
    """All published numbers, in the order of the tables they come from."""
    path = files("vadbench_results") / "published.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(PublishedNumber(**{**row, "value": float(row["value"])}) for row in csv.DictReader(file))
