"""Detection of the layout of .npy files of features, by the shapes of some of them and the lengths of their videos."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import FeatureError
from vadbench.data.lengths import rows_fit
from vadbench.features.npy import map_npy
from vadbench.features.npy_files import Files, require_inside
from vadbench.features.source import spread

NpyLayout = Literal["anomalyclip", "vadclip", "rows-crops", "crops-rows"]

SNIPPET = 16
"""Frames that a row stands for in every layout but AnomalyCLIP's."""

AXES: Mapping[NpyLayout, tuple[str, ...]] = {
    "anomalyclip": ("rows", "dim"),
    "vadclip": ("rows", "dim"),
    "rows-crops": ("rows", "crops", "dim"),
    "crops-rows": ("crops", "rows", "dim"),
}
"""The axes of an array, by layout."""

NAME_IT = "name it with --features-layout"
"""Advice where the layout is in doubt."""

_LOOKED_AT = 256
"""Videos, evenly spread, whose headers decide on the layout; all others are checked against it when they are read."""
_FRAMES_OFF = 4
"""Authors' decoders find a few frames more or less than the annotation states."""
_UNIT = 2e-3
"""Rows whose lengths differ from 1 by at most this are normalised; rounding to float16 takes 2e-4."""


class NpySample(NamedTuple):
    """The shape and type of one of a video's files; ``unit`` tells if its first rows have unit length."""

    name: str
    path: str
    shape: tuple[int, ...]
    dtype: str
    unit: bool


def read_samples(files: Files, outside: Collection[str]) -> list[NpySample]:
    """Read the headers and the first rows of some files, one a video, evenly spread.

    Damaged files are left out: they are refused when they are read.

    Raises:
        FeatureError: all are damaged; says what is wrong with the first.
    """
    samples: list[NpySample] = []
    refused: FeatureError | None = None
    videos = sorted(files)
    for name in (videos[i] for i in spread(len(videos), _LOOKED_AT)):
        path = next(iter(files[name].values()))
        try:
            require_inside(path, outside)
            array = map_npy(path)
            samples.append(NpySample(name, path, array.shape, array.dtype.name, _is_unit(array)))
        except FeatureError as error:
            refused = refused or error
    if refused and not samples:
        raise refused
    return samples


def detect(folder: Path, samples: Sequence[NpySample], frames: Mapping[str, int]) -> NpyLayout:
    """Return the layout of files that are each called like a video.

    Args:
        folder: where they are, for messages.
        samples: what some of them say.
        frames: how long videos are, as far as that is known.

    Raises:
        FeatureError: they have different numbers of axes, or none of this tells.
    """
    usable = _of_one_kind(samples)
    flat = len(usable[0].shape) == 2
    options: tuple[NpyLayout, NpyLayout] = ("anomalyclip", "vadclip") if flat else ("rows-crops", "crops-rows")
    # Videos differ in length, and all have the same crops.
    alike = [o for o in options if (axis := crop_axis(o)) is not None and len({s.shape[axis] for s in usable}) == 1]
    chosen = alike[0] if len(alike) == 1 else _elected(options, usable, frames)
    if chosen is None:
        first, last = usable[0], usable[-1]
        stated = f"of {frames[first.name]} frames" if first.name in frames else "of unknown length"
        other = f", {last.path} {last.shape}" if last.shape != first.shape else ""
        raise FeatureError(
            f"cannot tell the layout of {folder}: {first.path} has shape {first.shape}{other}, the first is of a video"
            f" {stated}; {NAME_IT} {' or '.join(options)}"
        )
    return chosen


def stream_layout(samples: Sequence[NpySample]) -> NpyLayout:
    """Return the layout of files of a stream whose spacing of rows is told otherwise: their axes alone count.

    An array of three is taken for crops of rows, unless only its second axis is as long in all files.

    Raises:
        FeatureError: they have different numbers of axes, or neither two nor three.
    """
    usable = _of_one_kind(samples)
    if len(usable[0].shape) == 2:
        return "vadclip"
    first, second = (len({s.shape[axis] for s in usable}) == 1 for axis in (0, 1))
    return "rows-crops" if second and not first else "crops-rows"


def _of_one_kind(samples: Sequence[NpySample]) -> Sequence[NpySample]:
    """Return the samples that are an array of two or of three axes, the same for all.

    Raises:
        FeatureError: some have two and some three, or none has either.
    """
    flat, cubes = ([s for s in samples if len(s.shape) == n] for n in (2, 3))
    if flat and cubes:
        raise FeatureError(
            f"expected arrays of one kind, found {flat[0].path} of shape {flat[0].shape} and {cubes[0].path} of shape"
            f" {cubes[0].shape}; name the folder of one kind"
        )
    usable = flat or cubes
    if not usable:
        raise FeatureError(
            f"{samples[0].path}: expected an array of 2 dimensions, or of 3 with crops, found shape"
            f" {samples[0].shape}; fetch it again"
        )
    return usable


def _elected(options: Sequence[NpyLayout], samples: Sequence[NpySample], frames: Mapping[str, int]) -> NpyLayout | None:
    """Return the layout in which most videos have as many rows as their frames make, at least half of them."""
    stated = [s for s in samples if s.name in frames]
    votes = {
        o: sum(rows_fit(s.shape[AXES[o].index("rows")], stride_of(o), frames[s.name], _FRAMES_OFF) for s in stated)
        for o in options
    }
    best = max(options, key=votes.__getitem__)
    unique = sum(v == votes[best] for v in votes.values()) == 1
    return best if unique and 2 * votes[best] >= len(stated) else None


def _is_unit(array: NDArray[np.floating[Any]]) -> bool:
    """Return True if the first rows of an array have unit length."""
    rows = np.atleast_1d(array)[(slice(4),) * (array.ndim - 1)]
    return bool((abs(np.linalg.norm(rows.astype(np.float64), axis=-1) - 1) < _UNIT).all())


def stride_of(layout: NpyLayout) -> int:
    """Return the number of frames from one row to the next."""
    return 1 if layout == "anomalyclip" else SNIPPET


def crop_axis(layout: NpyLayout) -> int | None:
    """Return the axis of the crops; ``None`` where an array is of one crop."""
    axes = AXES[layout]
    return axes.index("crops") if "crops" in axes else None
