"""Near-duplicates among the videos of a data set, found by their features.

Two videos are compared where a few rows around the middle of the shorter one are near rows of the other: an overlap
of at least half of the shorter video holds its middle. They are near-duplicates if, at their best alignment in time,
the stretches agree without their means (``cosine``), the rows agree as they are (``rows``), and the changes from row to
row agree (``changes``): without the last, two scenes that follow each other in two videos would do. The thresholds are
our decision; docs/datasets.md says what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from vadbench.base.errors import FeatureError
from vadbench.base.types import Progress, silent
from vadbench.dataset import Split, Video
from vadbench.features.shard import FeatureRows
from vadbench.features.source import FeatureSource
from vadbench.inspect.alignment import Alignment, align

Kind = Literal["same", "part", "overlap"]

THRESHOLD = 0.85
LEAST_ROWS = 0.9
LEAST_CHANGES = 0.45
LEAST_OVERLAP = 8
"""Rows that two videos must share at least."""
SURE_OVERLAP, SURE = 16, 0.95
"""Rows from which the threshold holds; it rises to ``SURE`` at the least overlap, as few rows agree by chance."""
SPACINGS = (16, 8)
"""Frames from a row to the next, where the features are fine enough; the second where most videos are ``SHORT``."""
SHORT = 512
"""Frames below which a video has few rows."""
WHOLE = 0.9
"""Part of a video that an overlap must cover to count as all of it."""
LONG = 256
"""Rows of the shorter video of a pair above which neighbouring rows are averaged: bounds time and memory."""
_BLOCK = 4
_CANDIDATE = 0.85
_KEYS = 1024
_TEN = 10


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
    kind: Kind
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


def find_duplicates(
    source: FeatureSource,
    videos: Mapping[Split, Sequence[Video]],
    threshold: float = THRESHOLD,
    progress: Progress = silent,
) -> DuplicateReport:
    """Compare every two videos that have features; rows are read through memory maps.

    Args:
        source: the features. Of several crops the first is compared, of ten also with the mirrored one.
        videos: the videos of each split.
        threshold: least mean-free cosine of a near-duplicate.
        progress: called with the progress of both steps.
    """
    there = set(source.names)
    member = {v.name: (split, v) for split, own in videos.items() for v in own if v.name in there}
    rows = _Rows(source, list(member))
    found = _find_candidates(rows, progress)
    pairs = []
    for done, (a, b) in enumerate(found):
        progress("aligning videos", done, len(found))
        best = _align(rows, a, b)
        if best is not None and is_duplicate(best.alignment, threshold):
            pairs.append(_pair(rows, a, b, best, member))
    progress("aligning videos", len(found), len(found))
    pairs.sort(key=lambda pair: (not pair.across, -pair.cosine, pair.a, pair.b))
    return DuplicateReport(pairs, len(rows.names), rows.short, rows.unreadable, len(found), rows.spacing, threshold)


def is_duplicate(found: Alignment, threshold: float) -> bool:
    """Return True if an alignment is that of near-duplicates."""
    asked = least_cosine(threshold, found.overlap)
    return found.cosine >= asked and found.rows >= LEAST_ROWS and found.changes >= LEAST_CHANGES


def least_cosine(threshold: float, overlap: int) -> float:
    """Return the cosine asked of an overlap of some rows.

    >>> least_cosine(0.85, 8), round(least_cosine(0.85, 12), 3), least_cosine(0.85, 40)
    (0.95, 0.9, 0.85)
    """
    missing = max(0, SURE_OVERLAP - overlap) / (SURE_OVERLAP - LEAST_OVERLAP)
    return max(threshold, threshold + missing * (SURE - threshold))


class _Rows:
    """Rows of unit length with one spacing for all videos, the longest video first."""

    def __init__(self, source: FeatureSource, names: Sequence[str]) -> None:
        self._source, stride = source, source.fingerprint.stride
        self.unreadable: list[str] = []
        lengths = {}
        for name in names:
            try:
                lengths[name] = len(source.crop_rows(name, source.crops(name)[0]))
            except (FeatureError, OSError) as error:
                self.unreadable.append(str(error))
        frames = sorted(length * stride for length in lengths.values())
        usual = SPACINGS[bool(frames) and frames[len(frames) // 2] < SHORT]
        self._factor = max(1, usual // stride)
        self.spacing = self._factor * stride
        counts = {name: math.ceil(length / self._factor) for name, length in lengths.items()}
        self.short = sorted(name for name, count in counts.items() if count < LEAST_OVERLAP)
        self.counts = {name: count for name, count in counts.items() if count >= LEAST_OVERLAP}
        self.names = sorted(self.counts, key=lambda name: (-self.counts[name], name))

    def views(self, name: str) -> Sequence[str]:
        """Return the crops to compare with the first crop of others: the first, and of ten crops its mirror image."""
        crops = self._source.crops(name)
        return (
            (crops[0], crops[_TEN // 2]) if len(crops) == _TEN and not self._source.fingerprint.regions else crops[:1]
        )

    def read(self, name: str, crop: str, start: int = 0, end: int | None = None) -> FeatureRows:
        """Return rows ``start`` to ``end`` of a crop of a video."""
        factor = self._factor
        stored = self._source.crop_rows(name, crop)[start * factor : None if end is None else end * factor]
        return _unit(_averaged(stored, factor))


class _Match(NamedTuple):
    """The best alignment of a pair, how many rows were averaged for it, and the crop of the first video."""

    alignment: Alignment
    averaged: int
    mirrored: bool | None


def _find_candidates(rows: _Rows, progress: Progress) -> list[tuple[str, str]]:
    """Return pairs, the longer video first, of which four rows at the middle of the shorter are near four others."""
    names, keys = rows.names, list[FeatureRows]()
    kept = []
    for done, name in enumerate(names):
        progress("looking at videos", done, len(names))
        middle = rows.counts[name] // 2
        try:
            around = rows.read(name, rows.views(name)[0], middle - _BLOCK, middle + _BLOCK)
        except (FeatureError, OSError) as error:
            rows.unreadable.append(str(error))
            continue
        if np.isfinite(around).all():
            kept.append(name)
            keys.append(_unit(around.reshape(2, _BLOCK, -1).mean(1)))
        else:
            rows.unreadable.append(f"{name}: values must be finite, found NaN or infinity; extract again")
    progress("looking at videos", len(names), len(names))
    rows.names = kept
    asked = np.concatenate(keys) if keys else np.empty((0, 1), np.float32)
    found = []
    for done, name in enumerate(kept):
        progress("comparing videos", done, len(kept))
        near = np.zeros(2 * (len(kept) - done - 1), np.float32)
        for view in rows.views(name):
            for start in range(0, rows.counts[name], _KEYS * _BLOCK):
                own = rows.read(name, view, start, start + _KEYS * _BLOCK)
                near = np.maximum(near, (_unit(_averaged(own, _BLOCK)) @ asked[2 * (done + 1) :].T).max(0, initial=-1))
        shorter = np.flatnonzero(near.reshape(-1, 2).max(1) >= _CANDIDATE) + done + 1
        found += [(name, kept[i]) for i in shorter]
    progress("comparing videos", len(kept), len(kept))
    return found


def _align(rows: _Rows, a: str, b: str) -> _Match | None:
    """Return the best alignment of two videos, over the views of the longer one."""
    factor = math.ceil(rows.counts[b] / LONG)
    other = _unit(_averaged(rows.read(b, rows.views(b)[0]), factor))
    best: _Match | None = None
    views = rows.views(a)
    for view in views:
        found = align(_unit(_averaged(rows.read(a, view), factor)), other, LEAST_OVERLAP)
        if found is not None and (best is None or found.cosine > best.alignment.cosine):
            best = _Match(found, factor, view != views[0] if len(views) > 1 else None)
    return best


def _pair(rows: _Rows, a: str, b: str, match: _Match, member: Mapping[str, tuple[Split, Video]]) -> NearDuplicate:
    found, spacing = match.alignment, rows.spacing * match.averaged
    whole = [found.overlap * match.averaged >= WHOLE * rows.counts[name] for name in (a, b)]
    labels = member[a][1].labels, member[b][1].labels
    start = round((found.offset + found.first) * spacing), found.first * spacing
    return NearDuplicate(
        a,
        b,
        (member[a][0], member[b][0]),
        "same" if all(whole) else "part" if any(whole) else "overlap",
        match.mirrored,
        found.cosine,
        found.rows,
        found.changes,
        found.overlap,
        spacing,
        start,
        round(found.offset * spacing),
        labels if set(labels[0]) != set(labels[1]) else None,
    )


def _averaged(rows: FeatureRows, factor: int) -> FeatureRows:
    """Return the means of every ``factor`` rows; the last may be of fewer."""
    if factor == 1:
        return np.asarray(rows, np.float32)
    starts = np.arange(0, len(rows), factor)
    sums = np.add.reduceat(np.asarray(rows, np.float32), starts, axis=0)
    means: FeatureRows = sums / np.diff(np.append(starts, len(rows)))[:, None].astype(np.float32)
    return means


def _unit(rows: FeatureRows) -> FeatureRows:
    """Return rows of length one; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: FeatureRows = rows / np.where(lengths > 0, lengths, 1)
    return scaled
