"""Two sets of features of the same videos: how far they agree, and the likely cause where they do not.

The question behind most threads on reproducing a number is why one's own features differ from released ones. Each
cause leaves a mark that can be measured: the rows are tried shifted, pooled, and against the other crops, and the
cosines of what is left are read against those measured on real features (OpenAI's ViT-B/16, UCF-Crime):

===========================================  ===============
rows that belong together                    mean cosine
===========================================  ===============
the same, rounded to float16                 above 0.9999
first or middle frame against the mean of 16  0.98 to 0.99
one row against the next                     0.98 to 0.99
rows of one video in another order           0.91 to 0.93
another video                                0.66
another encoder of the same width            -0.04
===========================================  ===============

Users report about 0.9 between their own and VadCLIP's released features. The bounds between the bands are our decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from vadbench.dataset import Progress, silent
from vadbench.errors import FeatureError
from vadbench.features.fingerprint import Pooling
from vadbench.features.shard import Rows
from vadbench.features.source import FeatureSource
from vadbench.features.store import pool_rows

Kind = Literal[
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
"""Rows with a higher cosine point the same way: rounding, not another input."""

_BANDS: Sequence[tuple[float, Kind, str]] = (
    (0.97, "preprocessing", "another resize, decoder or CLIP arithmetic, or another pooling of the same frames"),
    (0.8, "frames", "other frames or another crop or resize; users report about 0.9 to VadCLIP's released features"),
    (0.3, "content", "another video under this name, or a relative of the encoder"),
    (-1.0, "encoder", "another encoder"),
)
_SHIFTS = range(1, 9)
_LOOK = 2048
"""Rows that are tried shifted and against other crops."""
_CHUNK = 8192
_UNIT = 2e-3
_SCALE = 1e-2
"""Lengths of the same rows that differ by more are no rounding; bfloat16 arithmetic stays below."""


@dataclass(frozen=True)
class Cause:
    """Why a video's features differ, as far as the values tell; or that they do not."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class VideoComparison:
    """One video of both sets.

    Args:
        name: of the video.
        shape: (crops, rows, dim) in the first set and in the second; ``None`` where it cannot be read.
        rows: how many pairs of rows were compared, over all crops.
        cosine: their mean, and ``lowest`` the lowest; ``None`` where no two rows belong together.
        causes: the likely ones; a single "same" where all values are equal.
    """

    name: str
    shape: tuple[tuple[int, int, int] | None, tuple[int, int, int] | None]
    rows: int
    cosine: float | None
    lowest: float | None
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Comparison:
    """Two sets of features.

    Args:
        videos: those in both.
        only: names of those in the first alone, and in the second alone.
        fingerprint: fields in which the fingerprints differ.
    """

    videos: Sequence[VideoComparison]
    only: tuple[Sequence[str], Sequence[str]]
    fingerprint: Sequence[str]

    @property
    def same(self) -> bool:
        """Whether both hold the same values of the same videos."""
        return not any(self.only) and all(c.kind == "same" for v in self.videos for c in v.causes)

    @property
    def causes(self) -> list[tuple[Cause, int]]:
        """Each cause with the number of its videos, the most frequent first."""
        return Counter(c for v in self.videos for c in v.causes).most_common()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        causes = [asdict(cause) | {"videos": count} for cause, count in self.causes]
        return {"same": self.same, "causes": causes} | asdict(self)


def compare(a: FeatureSource, b: FeatureSource, progress: Progress = silent) -> Comparison:
    """Compare all rows of the videos that two sets share.

    Raises:
        FeatureError: they share none.
    """
    names_a, names_b = set(a.names), set(b.names)
    both = sorted(names_a & names_b)
    if not both:
        raise FeatureError(
            f"{a.folder} and {b.folder} share no video: expected the same names, found {_one_of(a)} and {_one_of(b)};"
            " name two folders with features of the same videos"
        )
    videos = []
    for done, name in enumerate(both):
        progress("comparing features", done, len(both))
        videos.append(_compare_video(name, a, b))
    progress("comparing features", len(both), len(both))
    only = (sorted(names_a - names_b), sorted(names_b - names_a))
    return Comparison(videos, only, a.fingerprint.differences(b.fingerprint))


def _one_of(source: FeatureSource) -> str:
    return repr(source.names[0]) if source.names else "none"


def _compare_video(name: str, a: FeatureSource, b: FeatureSource) -> VideoComparison:
    try:
        ours, theirs = ({c: s.crop_rows(name, c) for c in s.crops(name)} for s in (a, b))
    except FeatureError as error:
        return VideoComparison(name, (None, None), 0, None, None, (Cause("unreadable", str(error)),))
    shape = (_shape(ours), _shape(theirs))
    if shape[0][2] != shape[1][2]:
        text = f"another encoder: rows are {shape[0][2]} wide in A, {shape[1][2]} in B"
        return VideoComparison(name, shape, 0, None, None, (Cause("encoder", text),))
