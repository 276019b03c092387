"""Published numbers: what papers state, where each was read, and how far it can be trusted.

The rows are in ``results/vadbench_results/published.csv``. A verdict on a reproduction needs a number that was read in
the paper that measured it; others are shown and marked.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from vadbench.base.errors import UnknownNameError
from vadbench.metrics.definitions import canonical

Verification = Literal["read", "derived", "recalled", "second-hand"]
"""``read``: seen in the paper named under ``reported_in``, or in the README of a method's own authors. ``derived``:
computed from numbers read there, or its place in a table inferred. ``recalled``: from memory. ``second-hand``: read in
a list, an issue or notes on a paper, not in a paper."""

ApRule = Literal["", "step", "trapezoid", "unknown"]
"""How an average precision of the anomaly score was integrated, as the method's own code does; empty for others."""

TestProtocol = Literal[
    "official",
    "weakly-supervised",
    "one-class",
    "single-anomaly",
    "abnormal-videos",
    "open-vocabulary",
    "cross-dataset",
    "other-split",
    "unknown",
]
"""What was tested, in a word: the whole official test split, the test split of the weakly supervised or that of
one-class methods where a data set has both (ShanghaiTech, MSAD), the videos of at most one anomaly class, the abnormal
videos alone, all classes after training on some, another data set than the one trained on, or another list of test
videos than vadbench's. ``protocol_note`` names what the source of a number prints in its heading; this is about the
number itself, which a paper may have taken from another."""

_APART = frozenset({"one-class", "open-vocabulary", "other-split"})
"""What was tested by numbers that no run on a data set's own division into splits measures again."""

TRAPEZOID = "AP/trapezoid"
AP_KEYS = frozenset({"AP", "AP_base", "AP_novel"})
"""Metrics of published numbers that are an average precision of the anomaly score. AP of a class has one definition."""


@dataclass(frozen=True)
class PublishedNumber:
    """A published number.

    Args:
        key: short name of the paper whose method it is, such as ``vadclip2024``.
        year: of that paper; empty where unknown.
        method: name of the method.
        variant: what was changed, in words; empty for the method as proposed.
        backbone: features or encoder.
        supervision: what was known in training.
        dataset: name of the data set, as in ``vadbench list datasets`` where it is there.
        protocol_note: split, subset and other rules of the evaluation, in words, and what was odd about the reading.
        metric: a key of :mod:`vadbench.metrics.definitions`, or the paper's own where vadbench has none.
        printed: the number as text, as far as its digits are known: percent, or milliseconds for ``time_ms/...``.
        table: where in the source, such as ``Table 7``.
        reported_in: key of the paper or page it was read in.
        verified: how it is known.
        ap_rule: ``step`` or ``trapezoid`` for an average precision of the anomaly score, ``unknown`` where that was
            not established for this very number; empty for other metrics.
        post: the post-processing of the scores, as ``--post`` takes it; ``other`` where it is known to be there, but
            ``--post`` cannot express it or its parameters are not stated; empty where none is known of.
        test_protocol: what was tested, in a word.
        selection: which weights were evaluated, as :class:`vadbench.scoring.protocol.Protocol` calls it; ``unknown``
            also where nothing is trained.
        counted: ``rows`` where the metric is over rows of features, each row counting once, and not over frames; empty
            where it is over frames, or nothing else is known.
        truth: the ground truth of the test videos, as ``--truth`` takes it; ``other`` where it is known to be another
            than the data set's own, but vadbench has no name for it; empty where none is known of.
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
    printed: str
    table: str
    reported_in: str
    verified: Verification
    ap_rule: ApRule = ""
    post: str = ""
    test_protocol: TestProtocol = "unknown"
    selection: Literal["last", "best-on-test", "unknown"] = "unknown"
    counted: Literal["", "rows"] = ""
    truth: str = ""

    def is_of_division(self, partition: str) -> bool:
        """Return whether a run tests the same videos, as far as that is known.

        Args:
            partition: the division into splits of the run, as ``protocol.partition`` names it: a number whose
                ``test_protocol`` has that name is of the same videos. Empty for the data set's own, as of most numbers.
        """
        return self.test_protocol == partition if partition else self.test_protocol not in _APART

    @property
    def measured(self) -> str:
        """The key under which vadbench measures the same thing: ``AP/trapezoid`` for an AP by the trapezoid rule."""
        return TRAPEZOID if (self.metric, self.ap_rule) == ("AP", "trapezoid") else self.metric

    @property
    def unit(self) -> Literal["fraction", "ms"]:
        """The unit of ``value``."""
        return "ms" if self.metric.startswith("time_ms/") else "fraction"

    @property
    def value(self) -> float:
        """The number as metrics are stored: a fraction, or milliseconds for ``time_ms/...``."""
        return float(self.printed if self.unit == "ms" else f"{self.printed}e-2")

    @property
    def first_hand(self) -> bool:
        """True if a reproduction may be judged by it: read in the paper that measured it, for the paper's own method or
        for one that its authors say they ran themselves."""
        own = self.reported_in == self.key or f"own run of {self.reported_in}" in self.protocol_note
        return self.verified == "read" and own


@cache
def published_numbers() -> tuple[PublishedNumber, ...]:
    """Return all published numbers, in the order of the tables they come from."""
    text = (files("vadbench_results") / "published.csv").read_text(encoding="utf-8")
    return tuple(map(_number, csv.DictReader(text.splitlines())))


def _number(row: dict[str, str]) -> PublishedNumber:
    """Return a line of the file, in today's columns and spelling or those of the first edition."""
    fields: dict[str, Any] = {("printed" if k == "value" else k): v for k, v in row.items()}
    metric = canonical(row["metric"])
    return PublishedNumber(**{"ap_rule": "unknown" if metric in AP_KEYS else ""} | fields | {"metric": metric})


def search(
    dataset: str | None = None,
    metric: str | None = None,
    method: str | None = None,
    source: str | None = None,
    table: str | None = None,
    supervision: str | None = None,
) -> list[PublishedNumber]:
    """Return the published numbers that agree with everything asked for; ``None`` asks for nothing.

    Args:
        method: a method's name in any case, or its key.
        table: such as ``Table 7``, or ``7`` alone.
        supervision: what was known in training, in the words of the numbers.

    Raises:
        UnknownNameError: no number at all has what one of the arguments says.
    """
    numbers: list[PublishedNumber] = list(published_numbers())
    asked: tuple[tuple[str, str | None, Callable[[PublishedNumber], tuple[str, ...]]], ...] = (
        ("data set", dataset, lambda n: (n.dataset,)),
        ("metric", metric and canonical(metric), lambda n: (n.metric, n.measured)),
        ("method", method, lambda n: (n.key, n.method)),
        ("source", source, lambda n: (n.reported_in,)),
        ("supervision", supervision, lambda n: (n.supervision,)),
        ("table", table, lambda n: (n.table, n.table.removeprefix("Table "))),
    )
    for kind, name, names in asked:
        if name is not None:
            _require_known(kind, name, (known for n in published_numbers() for known in names(n)))
            numbers = [n for n in numbers if name.casefold() in (known.casefold() for known in names(n))]
    return numbers


def _require_known(kind: str, name: str, known: Iterable[str]) -> None:
    names = {n.casefold(): n for n in known if n}
    if name.casefold() not in names:
        raise UnknownNameError(f"published {kind}", name, names.values(), "vadbench published")
