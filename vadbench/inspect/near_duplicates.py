"""The search for near-duplicates among the videos of a data set, by their features.

Two videos are aligned where a few rows around the middle of the shorter one are near rows of the other: an overlap of
at least half of the shorter video holds the rows before or after its middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from vadbench.base.errors import FeatureError, one_line
from vadbench.base.types import Progress, silent
from vadbench.dataset import Split, Video
from vadbench.features.shard import FeatureRows, check_finite
from vadbench.features.source import FeatureSource
from vadbench.inspect.best_alignment import Alignment, align
from vadbench.inspect.duplicate_report import (
    LEAST_OVERLAP,
    THRESHOLD,
    WHOLE,
    DuplicateReport,
    NearDuplicate,
    is_duplicate,
)

SPACINGS = (16, 8)
"""Frames from a row to the next, where the features are fine enough; the second where most videos are ``SHORT``."""
SHORT = 512
"""Frames below which a video has few rows."""
LONG = 256
"""Rows of the shorter video of a pair above which neighbouring rows are averaged: bounds time and memory."""
_BLOCK = 4
_CANDIDATE = 0.85
_KEYS = 1024
_TEN = 10


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


class _Rows:
    """Rows of unit length with one spacing for all videos, the longest video first."""

    def __init__(self, source: FeatureSource, names: Sequence[str]) -> None:
        self._source, stride = source, source.fingerprint.stride
        self.unreadable: list[str] = []
        lengths = {}
        for name in names:
            with self.noting():
                lengths[name] = len(source.crop_rows(name, source.crops(name)[0]))
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
        """Return rows ``start`` to ``end`` of a crop of a video.

        Raises:
            FeatureError: they cannot be read, or a value is not finite.
        """
        factor = self._factor
        stored = self._source.crop_rows(name, crop)[start * factor : None if end is None else end * factor]
        check_finite(stored, f"{self._source.folder}, video {name!r}, crop {crop}", start * factor)
        return _unit(_averaged(stored, factor))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note that a video cannot be read, and go on with the next."""
        try:
            yield
        except (FeatureError, OSError) as error:
            self.unreadable.append(one_line(error))


class _Match(NamedTuple):
    """The best alignment of a pair, how many rows were averaged for it, and the crop of the first video."""

    alignment: Alignment
    averaged: int
    mirrored: bool | None


def _find_candidates(rows: _Rows, progress: Progress) -> list[tuple[str, str]]:
    """Return pairs, the longer video first, of which four rows at the middle of the shorter are near four others."""
    middles: dict[str, FeatureRows] = {}
    for done, name in enumerate(rows.names):
        progress("looking at videos", done, len(rows.names))
        middle = rows.counts[name] // 2
        with rows.noting():
            around = rows.read(name, rows.views(name)[0], middle - _BLOCK, middle + _BLOCK)
            middles[name] = _unit(around.reshape(2, _BLOCK, -1).mean(1))
    progress("looking at videos", len(rows.names), len(rows.names))
    names = list(middles)
    asked = np.concatenate([*middles.values()]) if names else np.empty((0, 1), np.float32)
    found: dict[str, list[str]] = {}
    for done, name in enumerate(names):
        progress("comparing videos", done, len(names))
        with rows.noting():
            near = _nearest(rows, name, asked[2 * (done + 1) :]).reshape(-1, 2).max(1)
            found[name] = [names[done + 1 + i] for i in np.flatnonzero(near >= _CANDIDATE)]
    progress("comparing videos", len(names), len(names))
    rows.names = list(found)
    return [(a, b) for a, others in found.items() for b in others if b in found]


def _nearest(rows: _Rows, name: str, asked: FeatureRows) -> FeatureRows:
    """Return the cosine of each row asked for with the nearest mean of four rows of a video."""
    near = np.full(len(asked), -1, np.float32)
    for view in rows.views(name):
        for start in range(0, rows.counts[name], _KEYS * _BLOCK):
            own = _unit(_averaged(rows.read(name, view, start, start + _KEYS * _BLOCK), _BLOCK))
            near = np.maximum(near, (own @ asked.T).max(0, initial=-1))
    return near


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
