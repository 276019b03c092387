"""Features that others published: .npy files in the layouts in circulation, found by the names of their videos.

=============  ============================================  =================  ==============
layout         files                                         shape              a row every
=============  ============================================  =================  ==============
anomalyclip    ``<video>.npy``                               (frames, dim)      frame
vadclip        ``<video>__<crop>.npy``, or ``<video>.npy``   (rows, dim)        16 frames
rows-crops     ``<video>.npy``, ``<video>_i3d.npy``          (rows, crops, dim)  16 frames
crops-rows     the same                                      (crops, rows, dim)  16 frames
=============  ============================================  =================  ==============

They may be in any folders: lists name the authors' own paths, so a file belongs to a video by its name alone.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vadbench.base.errors import FeatureError, did_you_mean
from vadbench.base.files import file_stamp
from vadbench.data.annotations.lists import FEATURE_KINDS
from vadbench.features.fingerprint import FINGERPRINT_FILE, UNKNOWN, Fingerprint
from vadbench.features.layout_detection import (
    AXES,
    NAME_IT,
    NpyLayout,
    NpySample,
    crop_axis,
    detect,
    read_samples,
    stream_layout,
    stride_of,
)
from vadbench.features.npy import map_npy
from vadbench.features.npy_files import NO_ALIASES, Files, assign, find_npy, require_inside
from vadbench.features.shard import FeatureRows
from vadbench.features.source import FeatureSource
from vadbench.features.store import FeatureStore

LayoutName = Literal["store", NpyLayout]
"""A feature store, or .npy files as in the table above."""


class WidthError(FeatureError):
    """Rows that are wider or narrower than those of the other videos."""


class NpyFeatures(FeatureSource):
    """Features in .npy files, each opened when it is read.

    Args:
        folder: the folder with all of them.
        layout: the layout of the files.
        fingerprint: that of most of the files; a file unlike it is refused when it is read.
        files: by video and crop. With all crops in one array it is the only entry, whatever its crop.
        extra: .npy files of no video.
        outside: files that are links leading out of the folder; refused when read.
    """

    def __init__(
        self,
        folder: Path,
        layout: NpyLayout,
        fingerprint: Fingerprint,
        files: Files,
        extra: Iterable[str],
        outside: Collection[str],
    ) -> None:
        self.folder, self.layout, self.fingerprint = folder, layout, fingerprint
        self.extra = [Path(p) for p in extra]
        self._files, self._outside = files, outside
        self._names = tuple(sorted(files))
        self._crop_axis = crop_axis(layout)

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    def crops(self, name: str) -> tuple[str, ...]:
        files = self._find(name)
        return tuple(files) if self._crop_axis is None else self.fingerprint.crops

    def path(self, name: str, crop: str) -> Path:
        """Return the file that holds a crop of a video.

        Raises:
            FeatureError: the video or the crop is not there.
        """
        return Path(self._file(name, crop))

    def crop_rows(self, name: str, crop: str) -> FeatureRows:
        """Return ``(rows, dim)`` of one crop of a video: a read-only view of its file, without a copy.

        Raises:
            WidthError: its rows are not as wide as those of the others.
            FeatureError: the video or the crop is not there, or its file is damaged or unlike the others.
        """
        return self.video_rows(name, (crop,))[crop]

    def video_rows(self, name: str, crops: Sequence[str] = ()) -> Mapping[str, FeatureRows]:
        arrays: dict[str, FeatureRows] = {}
        rows: dict[str, FeatureRows] = {}
        for crop in crops or self.crops(name):
            path = self._file(name, crop)
            if path not in arrays:
                require_inside(path, self._outside)
                arrays[path] = map_npy(path)
                self._require_alike(path, arrays[path])
            rows[crop] = arrays[path][self._within(crop)]
        return rows

    def bag(self, name: str, crops: Sequence[str]) -> FeatureRows:
        if self._crop_axis is None or tuple(crops) != self.crops(name):
            return super().bag(name, crops)
        path = self._file(name, crops[0])
        require_inside(path, self._outside)
        array = map_npy(path)
        self._require_alike(path, array)
        rows: FeatureRows = np.moveaxis(array, self._crop_axis, 0)
        return rows

    def frames(self, name: str) -> int | None:
        """Return the number of rows where each is a frame, else ``None``."""
        return len(self.crop_rows(name, self.crops(name)[0])) if self.fingerprint.stride == 1 else None

    def stamp(self, name: str) -> str:
        digest = hashlib.sha256()
        for path in self._find(name).values():
            try:
                status = os.stat(path)
            except OSError as error:
                raise FeatureError(f"cannot read {path}: {error.strerror}; fetch it again") from error
            fields = (os.path.relpath(path, self.folder), file_stamp(status))
            digest.update(repr(fields).encode())
        return digest.hexdigest()[:16]

    def _find(self, name: str) -> Mapping[str, str]:
        if name not in self._files:
            raise FeatureError(
                f"no features of video {name!r} in {self.folder}{did_you_mean(name, self.names[:1000])}; fetch them"
            )
        return self._files[name]

    def _file(self, name: str, crop: str) -> str:
        crops = self.crops(name)
        if crop not in crops:
            raise FeatureError(f"no crop '{crop}' of video {name!r} in {self.folder}; there are {', '.join(crops)}")
        files = self._files[name]
        return files[crop] if self._crop_axis is None else next(iter(files.values()))

    def _within(self, crop: str) -> tuple[slice | int, ...]:
        """Return the index of a crop in the array of its file."""
        return () if self._crop_axis is None else (*[slice(None)] * self._crop_axis, int(crop))

    def _require_alike(self, path: str, array: FeatureRows) -> None:
        have, shape = self.fingerprint, array.shape
        axes = AXES[self.layout]
        expected = f"{path}: layout {self.layout} has axes {', '.join(axes)}"
        if len(shape) != len(axes):
            raise FeatureError(f"{expected}, found shape {shape}; fetch it again, or {NAME_IT}")
        if shape[-1] != have.dim:
            raise WidthError(f"{expected}, the others are {have.dim} wide, found shape {shape}; fetch it again")
        if self._crop_axis is not None and shape[self._crop_axis] != len(have.crops):
            raise FeatureError(
                f"{expected}, the others have {len(have.crops)} crops, found shape {shape}; fetch it again, or"
                f" {NAME_IT}"
            )
        if array.dtype != have.dtype:
            raise FeatureError(f"{path}: expected {have.dtype} like the others, found {array.dtype}; save it as that")


def open_features(
    folder: Path,
    names: Collection[str] | None,
    frames: Mapping[str, int],
    layout: LayoutName | None = None,
    without: Collection[str] = (),
    aliases: Mapping[str, str] = NO_ALIASES,
) -> FeatureSource:
    """Open the features in a folder, whatever their layout. Of .npy files a few headers and rows are read.

    Args:
        folder: a feature store, or a folder with .npy files at any depth.
        names: the videos to find features of; ``None`` takes each file's own name.
        frames: how long videos are, as far as that is known; tells rows of every frame from those of every sixteenth.
        layout: the layout of the files; detected if ``None``.
        without: names of folders below that contain no features.
        aliases: as in :func:`vadbench.features.npy_files.assign`.

    Raises:
        FeatureError: there are none, no file can be read, the layout cannot be told or contradicts the files, or two
            files claim one crop of a video.
    """
    if layout == "store" or (layout is None and (folder / FINGERPRINT_FILE).is_file()):
        return FeatureStore(folder)
    found = find_npy(folder, without)
    assigned = assign(folder, found, names, aliases=aliases)
    samples = read_samples(assigned.files, found.outside)
    if layout is None:
        layout = "vadclip" if assigned.numbered else detect(folder, samples, frames)
    elif assigned.numbered and layout != "vadclip":
        raise FeatureError(
            f"layout {layout} has one file for each video, found {assigned.numbered}, named like a single crop; name"
            " layout vadclip, or another folder"
        )
    files = assigned.files
    if layout == "anomalyclip":
        files = {name: {"center": crops["0"]} for name, crops in files.items()}
    fingerprint = _fingerprint(layout, files, samples)
    return NpyFeatures(folder, layout, fingerprint, files, assigned.extra, found.outside)


def open_stream(
    folder: Path, name: str, videos: Collection[str], aliases: Mapping[str, str] = NO_ALIASES
) -> FeatureSource:
    """Open the features of a stream that is not the time line: a store, or .npy files named by video.

    A file has ``(rows, dim)``, of one crop if its name ends in ``__0`` and so on, or ``(crops, rows, dim)``. The name
    of a video may be followed by ``_vggish``, ``_i3d``, ``_swin``, ``_clip`` or the stream's name, after one or two
    underscores.

    Args:
        folder: where they are.
        name: of the stream.
        videos: names of the videos to find features of.
        aliases: as in :func:`vadbench.features.npy_files.assign`.

    Returns:
        features whose fingerprint has no meaningful stride unless they are a store.

    Raises:
        FeatureError: as :func:`open_features`.
    """
    if (folder / FINGERPRINT_FILE).is_file():
        return FeatureStore(folder)
    found = find_npy(folder)
    kinds = (*FEATURE_KINDS, "vggish", name)
    assigned = assign(folder, found, videos, [prefix + kind for kind in kinds for prefix in ("", "_")], aliases)
    samples = read_samples(assigned.files, found.outside)
    layout = "vadclip" if assigned.numbered else stream_layout(samples)
    fingerprint = _fingerprint(layout, assigned.files, samples)
    return NpyFeatures(folder, layout, fingerprint, assigned.files, assigned.extra, found.outside)


def _fingerprint(layout: NpyLayout, files: Files, samples: Sequence[NpySample]) -> Fingerprint:
    """Return the fingerprint that most files agree on."""
    axes, axis = AXES[layout], crop_axis(layout)
    usable = [s for s in samples if len(s.shape) == len(axes)]
    if not usable:
        raise FeatureError(
            f"{samples[0].path}: layout {layout} has axes {', '.join(axes)}, found shape {samples[0].shape}; {NAME_IT}"
        )
    crops = {crop for of_video in files.values() for crop in of_video}
    if axis is not None:
        crops = {str(i) for i in range(_most_common([s.shape[axis] for s in usable]))}
    return Fingerprint(
        encoder=UNKNOWN,
        weights=UNKNOWN,
        activation=UNKNOWN,
        preprocessing=UNKNOWN,
        stride=stride_of(layout),
        pooling="unknown",
        crops=tuple(sorted(crops, key=lambda c: (len(c), c))),
        dim=_most_common([s.shape[-1] for s in usable]),
        dtype=_most_common([s.dtype for s in usable]),
        normalised=all(s.unit for s in usable[:8]),
        decoder=UNKNOWN,
        arithmetic="unknown",
    )


def _most_common(values: Sequence[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]
