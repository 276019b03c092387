"""Agreement of two sequences of rows that should be the same, and its likely cause.

Cosines of corresponding rows, measured on real features (OpenAI's ViT-B/16 on UCF-Crime videos):

============================================  ==============
the same, rounded to float16                  above 0.9999
first or middle frame, and the mean of 16     0.98 to 0.99
a row and the next one                        0.98 to 0.99
rows of one video in another order            0.91 to 0.93
rows of another video                         0.66
rows of another encoder of the same width     -0.04
============================================  ==============

Users report about 0.9 between their rows and VadCLIP's released ones. The thresholds below are our decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vadbench.features.shard import FeatureRows

AgreementKind = Literal[
    "same",
    "rounded",
    "normalised",
    "rescaled",
    "length",
    "crop",
    "pooled",
    "shifted",
    "preprocessing",
    "frames",
    "content",
    "encoder",
    "not-finite",
    "unaligned",
    "unreadable",
]

CLOSE = 0.9999
"""Cosine above which rows are the same except for rounding."""

_BANDS: Sequence[tuple[float, AgreementKind, str]] = (
    (0.97, "preprocessing", "another resize, decoder or arithmetic, or another pooling of the same frames"),
    (0.8, "frames", "other frames, another crop or resize: users report about 0.9 to VadCLIP's released features"),
    (0.3, "content", "another video under the same name, or a relative of the encoder"),
    (-1.0, "encoder", "another encoder"),
)
_UNIT = 2e-3
"""Tolerance for the length of normalised rows, 1; rounding to float16 takes 2e-4."""
_SCALE = 1e-2
"""Largest difference in length that rounding can explain."""
_CHUNK_VALUES = 1 << 21


@dataclass(frozen=True)
class Cause:
    """Likely cause of a difference between features, judged by their values; kind ``same`` if there is none."""

    kind: AgreementKind
    text: str


@dataclass(frozen=True)
class Agreement:
    """Result of comparing rows pair by pair.

    Args:
        rows: number of pairs.
        mean: mean cosine of the pairs, -1 to 1. Two rows of zeros have 1, a row of zeros and another one 0.
        lowest: lowest cosine of a pair.
        finite: whether all values are finite; the cosines are meaningless otherwise.
        identical: whether all values are equal.
        halved: whether all values are equal once both are rounded to float16.
        unit: whether all rows of the first have unit length, and all of the second.
        scaled: whether the lengths of a pair differ by more than rounding does.
    """

    rows: int
    mean: float
    lowest: float
    finite: bool
    identical: bool
    halved: bool
    unit: tuple[bool, bool]
    scaled: bool

    @property
    def close(self) -> bool:
        """``True`` if all pairs have the same direction."""
        return self.finite and self.lowest > CLOSE

    def cause(self) -> Cause:
        """Likely cause, judged by the values alone."""
        if not self.finite:
            return Cause("not-finite", "NaN or infinite values")
        if self.identical:
            return Cause("same", "the same values")
        if not self.close:
            return next(Cause(kind, text) for bound, kind, text in _BANDS if self.mean >= bound or bound == -1)
        if self.unit[0] != self.unit[1]:
            return Cause("normalised", f"the same directions, normalised to unit length in {'AB'[self.unit[1]]} only")
        if self.scaled:
            return Cause("rescaled", "the same directions, but different lengths")
        if self.halved:
            return Cause("rounded", "the same values, rounded to float16")
        return Cause("rounded", "the same up to rounding: other arithmetic of the encoder or of the pooling")


def agreement(a: FeatureRows, b: FeatureRows) -> Agreement:
    """Compare two sequences of the same length, pair by pair and in pieces.

    Args:
        a: ``(rows, dim)``, at least one row.
        b: rows of the same shape.
    """
    step = max(_CHUNK_VALUES // a.shape[1], 1)
    pieces = [_piece(a[i : i + step], b[i : i + step]) for i in range(0, len(a), step)]
    return Agreement(
        rows=len(a),
        mean=sum(p.rows * p.mean for p in pieces) / len(a),
        lowest=min(p.lowest for p in pieces),
        finite=all(p.finite for p in pieces),
        identical=all(p.identical for p in pieces),
        halved=all(p.halved for p in pieces),
        unit=(all(p.unit[0] for p in pieces), all(p.unit[1] for p in pieces)),
        scaled=any(p.scaled for p in pieces),
    )


def _piece(a: FeatureRows, b: FeatureRows) -> Agreement:
    x, y = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return Agreement(len(x), 0.0, 0.0, False, False, False, (False, False), False)
    lengths = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
    product = lengths[0] * lengths[1]
    cosines = (x * y).sum(1) / np.where(product > 0, product, 1)
    cosines[(lengths[0] == 0) & (lengths[1] == 0)] = 1
    with np.errstate(over="ignore"):
        halved = np.array_equal(x.astype(np.float16), y.astype(np.float16))
    return Agreement(
        rows=len(x),
        mean=float(cosines.mean()),
        lowest=float(cosines.min()),
        finite=True,
        identical=np.array_equal(x, y),
        halved=halved,
        unit=(_is_unit(lengths[0]), _is_unit(lengths[1])),
        scaled=bool((abs(lengths[0] - lengths[1]) > _SCALE * np.maximum(*lengths)).any()),
    )


def _is_unit(lengths: FeatureRows) -> bool:
    return bool((abs(lengths - 1) < _UNIT).all())
