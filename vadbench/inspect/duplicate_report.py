"""Near-duplicates: what is asked of two videos to be named, and what is said of them.

They are near-duplicates if, at their best alignment in time, the stretches agree without their means (``cosine``), the
rows agree as they are (``rows``), and the changes from row to row agree (``changes``): without the last, two scenes
that follow each other in two videos would do. The thresholds are our decision; docs/datasets.md says what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vadbench.dataset import Split
from vadbench.inspect.best_alignment import Alignment

OverlapKind = Literal["same", "part", "overlap"]

THRESHOLD = 0.88
LEAST_ROWS = 0.9
LEAST_CHANGES = 0.5
LEAST_OVERLAP = 8
"""Rows that two videos must share at least."""
SURE_OVERLAP, SURE = 16, 0.95
"""Rows from which the threshold holds; it rises to ``SURE`` at the least overlap, as few rows agree by chance."""
WHOLE = 0.9
"""Part of a video that an overlap must cover to count as all of it."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two videos that show the same, ``a`` being the longer one.

    Args:
        a: name of a video.
        b: name of the other.
        splits: the splits that they are in.
        kind: ``same`` if the overlap is nearly all of both, ``part`` if nearly all of one, else ``overlap``.
        mirrored: whether one is the mirror image of the other; ``None`` if nothing could tell.
        cosine: mean-free cosine of the aligned rows, the measure that is compared with the threshold.
        rows: mean cosine of the aligned rows.
        changes: mean cosine of the changes from row to row.
        overlap: number of corresponding rows.
        spacing: frames from a row to the next.
        start: first frame of ``a`` and of ``b`` in the overlap.
        offset: frame of ``a`` that the first frame of ``b`` corresponds to.
        labels: the classes of each, if they differ.
    """

    a: str
    b: str
    splits: tuple[Split, Split]
    kind: OverlapKind
    mirrored: bool | None
    cosine: float
    rows: float
    changes: float
    overlap: int
    spacing: int
    start: tuple[int, int]
    offset: int
    labels: tuple[tuple[str, ...], tuple[str, ...]] | None

    @property
    def across(self) -> bool:
        """``True`` if the two are in different splits."""
        return self.splits[0] != self.splits[1]


@dataclass(frozen=True)
class DuplicateReport:
    """Near-duplicates of a data set, the worst first: those across splits, then by cosine.

    Args:
        pairs: the near-duplicates.
        videos: number of compared videos.
        short: names of videos with too few rows to be compared.
        unreadable: a line for each video whose features cannot be read or are not finite.
        aligned: number of pairs that were aligned row by row.
        spacing: frames from a compared row to the next.
        threshold: the cosine asked for.
    """

    pairs: Sequence[NearDuplicate]
    videos: int
    short: Sequence[str]
    unreadable: Sequence[str]
    aligned: int
    spacing: int
    threshold: float

    @property
    def across(self) -> int:
        """Number of pairs in different splits."""
        return sum(pair.across for pair in self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        pairs = [{**asdict(pair), "across": pair.across} for pair in self.pairs]
        return {"count": len(self.pairs), "across": self.across, **asdict(self), "pairs": pairs}


def is_duplicate(found: Alignment, threshold: float) -> bool:
    """Return True if an alignment is that of near-duplicates."""
    asked = least_cosine(threshold, found.overlap)
    return found.cosine >= asked and found.rows >= LEAST_ROWS and found.changes >= LEAST_CHANGES


def least_cosine(threshold: float, overlap: int) -> float:
    """Return the cosine asked of an overlap of some rows.

    >>> least_cosine(0.88, 8), round(least_cosine(0.88, 12), 3), least_cosine(0.88, 40)
    (0.95, 0.915, 0.88)
    """
    missing = max(0, SURE_OVERLAP - overlap) / (SURE_OVERLAP - LEAST_OVERLAP)
    return max(threshold, threshold + missing * (SURE - threshold))
