"""The interface of all sets of features, of any origin and in any layout on disk."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vadbench.base.files import Remembered
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.shard import FeatureRows, check_finite

SampledRows = NDArray[np.float64]
"""Some rows of a video, ``(rows, dim)``."""

_CHUNK_VALUES = 1 << 22
_SAMPLED = 16


class FeatureSource(ABC):
    """Features of videos, read through memory maps.

    Attributes:
        folder: the folder they are in.
        fingerprint: the encoder and settings that made them, as far as known.
    """

    folder: Path
    fingerprint: Fingerprint

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the videos, sorted."""

    @abstractmethod
    def crops(self, name: str) -> tuple[str, ...]:
        """Return names of a video's crops.

        Raises:
            FeatureError: the video is not there.
        """

    @abstractmethod
    def crop_rows(self, name: str, crop: str) -> FeatureRows:
        """Return ``(rows, dim)`` of one crop of a video, read-only and mapped, not read.

        Raises:
            FeatureError: the video or the crop is not there, or its file is damaged.
        """

    def video_rows(self, name: str, crops: Sequence[str] = ()) -> Mapping[str, FeatureRows]:
        """Return :meth:`crop_rows` of several crops of a video, by crop; each file is opened once.

        Args:
            name: of the video.
            crops: which ones; all if none is named.

        Raises:
            FeatureError: as :meth:`crop_rows`.
        """
        return {crop: self.crop_rows(name, crop) for crop in crops or self.crops(name)}

    def bag(self, name: str, crops: Sequence[str]) -> FeatureRows:
        """Return ``(crops, rows, dim)`` of several crops of a video, mapped where they are stored like this.

        Raises:
            FeatureError: as :meth:`crop_rows`.
        """
        rows: FeatureRows = np.stack(list(self.video_rows(name, crops).values()))
        return rows

    @abstractmethod
    def frames(self, name: str) -> int | None:
        """Return the number of frames the features were made of; ``None`` where it is not recorded."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """Return a cheap stamp that changes when a video's values may have, so that :meth:`check` must look again."""

    def check(self, name: str, rows: Mapping[str, FeatureRows] | None = None) -> str:
        """Look at every value of a video.

        Args:
            name: of the video.
            rows: its :meth:`video_rows`, where they are open already.

        Returns:
            16 hex digits that name exactly these values.

        Raises:
            FeatureError: one is NaN or infinite; names the row.
        """
        digest = hashlib.sha256()
        step = max(_CHUNK_VALUES // self.fingerprint.dim, 1)
        for crop, own in (self.video_rows(name) if rows is None else rows).items():
            for start in range(0, len(own), step):
                values = own[start : start + step]
                check_finite(values, f"{self.folder}, video {name!r}, crop {crop}", start)
                digest.update(values.tobytes())
        return digest.hexdigest()[:16]

    def sample(self, name: str, rows: Mapping[str, FeatureRows] | None = None) -> SampledRows:
        """Return at most 16 evenly spread rows of a video's first crop; arguments and errors as for :meth:`check`."""
        first, *_ = self.crops(name)
        own = self.crop_rows(name, first) if rows is None else rows[first]
        return np.asarray(own[spread(len(own), _SAMPLED)], np.float64)


def spread(count: int, wanted: int) -> list[int]:
    """Return at most ``wanted`` of ``count`` positions, evenly spread, the first among them."""
    taken = min(count, wanted)
    return [i * count // taken for i in range(taken)]


@dataclass(frozen=True)
class VideoLook:
    """The result of a look at the features of a video.

    Args:
        digest: 16 hex digits that name its values, all of them finite.
        rows: how many of them each crop has.
        sample: :meth:`FeatureSource.sample` of it, where one was asked for.
    """

    digest: str
    rows: Mapping[str, int]
    sample: SampledRows | None = None


class VerifiedFeatures:
    """A file of videos whose values were found finite, with what names these values and how many rows there are.

    A video is looked at again when its stamp changes, which follows the sizes and times of its files.

    Args:
        path: the file; made when something is first verified.
    """

    def __init__(self, path: Path) -> None:
        self._remembered = Remembered(path)

    def look(self, source: FeatureSource, name: str, sampled: Collection[str] = ()) -> VideoLook:
        """Open the files of a video once, unless all that is wanted is remembered, and read what is new.

        Args:
            source: the features.
            name: of the video.
            sampled: names of the videos to sample.

        Raises:
            FeatureError: a value is NaN or infinite, or the file is damaged.
        """
        key = (str(source.folder.resolve()), name)
        # The same files are other rows in another layout.
        stamp = f"{source.fingerprint.digest} {source.stamp(name)}"
        digest, *counts = (self._remembered.find(key, stamp) or "").split(" ")
        if counts:
            lengths = dict(zip(source.crops(name), map(int, counts), strict=True))
            return VideoLook(digest, lengths, source.sample(name) if name in sampled else None)
        rows = source.video_rows(name)
        digest, lengths = source.check(name, rows), {crop: len(own) for crop, own in rows.items()}
        self._remembered.add(key, stamp, " ".join([digest, *map(str, lengths.values())]))
        return VideoLook(digest, lengths, source.sample(name, rows) if name in sampled else None)
