"""Compare two sets of features of the same videos: how far they agree, and the likely cause of differences.

Features that differ from released ones are behind most failed attempts to reproduce a number. Each cause can be
measured: rows are compared pooled, shifted and against the other crops, and if none of these fits, their cosines are
compared with those of :mod:`vadbench.inspect.agreement`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vadbench.base.errors import FeatureError
from vadbench.base.text import spaced
from vadbench.base.types import Progress, silent
from vadbench.features.fingerprint import Pooling
from vadbench.features.pooling import pool_rows
from vadbench.features.shard import FeatureRows
from vadbench.features.source import FeatureSource
from vadbench.inspect.agreement import Agreement, Cause, agreement

Shape = tuple[int, int, int]
Matched = tuple[Agreement | None, list[Cause]]

_SHIFTS = tuple(k for size in range(1, 9) for k in (size, -size))
_LOOK = 256
"""Rows used to try other crops, poolings and shifts; the best fit is then compared in full."""
_POOLINGS: Sequence[Pooling] = ("mean", "first", "middle")


@dataclass(frozen=True)
class VideoComparison:
    """Comparison of one video that both sets have.

    Args:
        name: name of the video.
        shapes: (crops, rows, dim) in A and in B; ``None`` if one cannot be read.
        cosine: mean over the compared rows, with ``lowest`` the minimum; ``None`` if no rows correspond.
        causes: the likely causes; a single one of kind ``same`` if all values are equal.
    """

    name: str
    shapes: tuple[Shape, Shape] | None
    cosine: float | None
    lowest: float | None
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Comparison:
    """Comparison of two sets of features, A and B.

    Args:
        videos: videos in both, by name.
        only_a: names of videos only in A.
        only_b: names of videos only in B.
        fingerprint: a line for each field in which the fingerprints differ.
    """

    videos: Sequence[VideoComparison]
    only_a: Sequence[str]
    only_b: Sequence[str]
    fingerprint: Sequence[str]

    @property
    def same(self) -> bool:
        """``True`` if both have the same values of the same videos."""
        return not (self.only_a or self.only_b) and all(cause.kind == "same" for cause, _ in self.causes)

    @property
    def causes(self) -> list[tuple[Cause, int]]:
        """Causes with the number of their videos, the most frequent first."""
        return Counter(cause for video in self.videos for cause in video.causes).most_common()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        causes = [{**asdict(cause), "videos": count} for cause, count in self.causes]
        return {"same": self.same, "causes": causes, **asdict(self)}


def compare(a: FeatureSource, b: FeatureSource, progress: Progress = silent) -> Comparison:
    """Compare all rows of the videos that two sets share.

    Raises:
        FeatureError: they have no video in common.
    """
    both = sorted({*a.names} & {*b.names})
    if not both:
        found = " and ".join(repr(s.names[0]) if s.names else "none" for s in (a, b))
        raise FeatureError(
            f"expected features of the same videos in {a.folder} and {b.folder}, found no name in both (the first"
            f" are {found}); name two folders of one data set"
        )
    videos = []
    for done, name in enumerate(both):
        progress("comparing features", done, len(both))
        try:
            videos.append(_compare_video(name, a, b))
        except FeatureError as error:
            videos.append(VideoComparison(name, None, None, None, (Cause("unreadable", str(error)),)))
    progress("comparing features", len(both), len(both))
    only_a, only_b = sorted({*a.names} - {*both}), sorted({*b.names} - {*both})
    return Comparison(videos, only_a, only_b, a.fingerprint.differences(b.fingerprint))


def _compare_video(name: str, a: FeatureSource, b: FeatureSource) -> VideoComparison:
    of_a, of_b = ({crop: s.crop_rows(name, crop) for crop in s.crops(name)} for s in (a, b))
    shapes = _shape(of_a), _shape(of_b)
    if shapes[0][2] != shapes[1][2]:
        text = f"another encoder: rows are {shapes[0][2]} wide in A, {shapes[1][2]} in B"
        return VideoComparison(name, shapes, None, None, (Cause("encoder", text),))
    strides = a.fingerprint.stride, b.fingerprint.stride
    frames = [s.frames(name) or shape[1] * s.fingerprint.stride for s, shape in zip((a, b), shapes, strict=True)]
    pairs, causes = _pair_crops(of_a, of_b, strides)
    agreements = []
    for crop_a, crop_b in pairs:
        found, why = _match(of_a[crop_a], of_b[crop_b], strides, frames)
        if found is not None and not found.close and strides[0] == strides[1]:
            found, why = _other_crop(crop_a, of_a[crop_a], of_b) or (found, why)
        agreements += [found] if found is not None else []
        causes += why
    unlike = [c for c in causes if c.kind != "same"]
    kept = tuple(dict.fromkeys(unlike or causes))
    if not agreements or not all(x.finite for x in agreements):
        return VideoComparison(name, shapes, None, None, kept)
    cosine = sum(x.mean * x.rows for x in agreements) / sum(x.rows for x in agreements)
    return VideoComparison(name, shapes, cosine, min(x.lowest for x in agreements), kept)


def _shape(crops: Mapping[str, FeatureRows]) -> Shape:
    first = next(iter(crops.values()))
    return len(crops), *first.shape


def _pair_crops(
    of_a: Mapping[str, FeatureRows], of_b: Mapping[str, FeatureRows], strides: tuple[int, int]
) -> tuple[list[tuple[str, str]], list[Cause]]:
    """Return pairs of crops that should be the same: those of one name, else the two that agree best."""
    pairs = [(crop, crop) for crop in of_a if crop in of_b]
    if pairs:
        alone = [([c for c in x if c not in y], side) for x, y, side in ((of_a, of_b, "A"), (of_b, of_a, "B"))]
        return pairs, [Cause("crop", f"crops {', '.join(crops)} are in {side} only") for crops, side in alone if crops]
    every = [(x, y) for x in of_a for y in of_b]
    if len(every) == 1 or strides[0] != strides[1]:
        return every[:1], []
    best = max(every, key=lambda pair: _trial(of_a[pair[0]], of_b[pair[1]]).mean)
    return [best], [Cause("crop", f"crops have other names: {best[0]} of A is closest to {best[1]} of B")]


def _along(a: FeatureRows, b: FeatureRows) -> Agreement:
    """Compare rows from the first on, up to the shorter length."""
    rows = min(len(a), len(b))
    return agreement(a[:rows], b[:rows])


def _trial(a: FeatureRows, b: FeatureRows) -> Agreement:
    return _along(a[:_LOOK], b[:_LOOK])


def _other_crop(crop: str, rows: FeatureRows, of_b: Mapping[str, FeatureRows]) -> Matched | None:
    """Return the crop of B that equals a crop of A under another name, ``None`` if there is none."""
    for other, candidate in of_b.items():
        if _trial(rows, candidate).close and (found := _along(rows, candidate)).close:
            return found, [Cause("crop", f"crop {crop} of A is crop {other} of B")]
    return None


def _match(a: FeatureRows, b: FeatureRows, strides: tuple[int, int], frames: Sequence[int]) -> Matched:
    """Align the rows of one crop and find what differs."""
    if strides[0] == strides[1]:
        return _match_rows(a, b)
    if strides[0] > strides[1]:
        coarse, fine, names = a, b, "AB"
        stride, to_stride, length = strides[1], strides[0], frames[1]
    else:
        coarse, fine, names = b, a, "BA"
        stride, to_stride, length = strides[0], strides[1], frames[0]
    what = f"{names[0]} has a row {spaced(to_stride)}, {names[1]} one {spaced(stride)}"
    if to_stride % stride:
        return None, [Cause("unaligned", f"{what}: the rows cannot be matched")]
    possible = [p for p in _POOLINGS if p != "middle" or stride == 1]
    pooled = {p: pool_rows(fine, length, stride, to_stride, p) for p in possible}
    best = max(possible, key=lambda p: _trial(pooled[p], coarse).mean)
    found, causes = _match_rows(*((coarse, pooled[best]) if names == "AB" else (pooled[best], coarse)))
    if found is not None and found.close:
        how = {"mean": "the mean", "first": "the first", "middle": "the middle one"}[best]
        return found, [Cause("pooled", f"{what}: {how} of {to_stride // stride} of these"), *causes]
    return found, [Cause("unaligned", f"{what}: no pooling makes them agree, the closest is {best}"), *causes]


def _match_rows(a: FeatureRows, b: FeatureRows) -> Matched:
    """Align rows of one stride, shifted if that makes them agree."""
    found, causes = _along(a, b), []
    for shift in _SHIFTS if found.finite and not found.close else ():
        x, y = (a[shift:], b) if shift > 0 else (a, b[-shift:])
        if min(len(x), len(y)) > 1 and _trial(x, y).close and (moved := _along(x, y)).close:
            lacking, number = ("B", shift) if shift > 0 else ("A", -shift)
            causes.append(Cause("shifted", f"shifted: {lacking} lacks the first {_count(number)} of the other"))
            a, b, found = x, y, moved
            break
    causes.append(found.cause())
    if len(a) != len(b):
        shorter, other = ("B", "A") if len(b) < len(a) else ("A", "B")
        less = _count(abs(len(a) - len(b)))
        causes.append(Cause("length", f"{shorter} ends {less} before {other}"))
    return found, causes


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"
