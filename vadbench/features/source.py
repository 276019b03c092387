"""What every set of features can be asked, whoever made it and however it lies on disk."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path

from vadbench.base.files import Remembered
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.shard import FeatureRows, check_finite

_CHUNK_VALUES = 1 << 22


class FeatureSource(ABC):
    """Features of videos, read through memory maps.

    Attributes:
        folder: where they lie.
        fingerprint: what made them, as far as that is known.
    """

    folder: Path
    fingerprint: Fingerprint

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the videos, sorted."""

    @abstractmethod
    def crops(self, name: str) -> tuple[str, ...]:
        """Names of a video's crops.

        Raises:
            FeatureError: the video is not there.
        """

    @abstractmethod
    def crop_rows(self, name: str, crop: str) -> FeatureRows:
        """``(rows, dim)`` of one crop of a video, read-only and mapped, not read.

        Raises:
            FeatureError: the video or the crop is not there, or its file is damaged.
        """

    @abstractmethod
    def frames(self, name: str) -> int | None:
        """The number of frames the features were made of; ``None`` where nobody recorded it."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """Changes when a video's values may have: says cheaply whether :meth:`check` must look again."""

    def check(self, name: str) -> str:
        """Look at every value of a video.

        Returns:
            16 hex digits that name exactly these values.

        Raises:
            FeatureError: one is NaN or infinite; names the row.
        """
        digest = hashlib.sha256()
        for crop in self.crops(name):
            rows = self.crop_rows(name, crop)
            step = max(_CHUNK_VALUES // self.fingerprint.dim, 1)
            for start in range(0, len(rows), step):
                values = rows[start : start + step]
                check_finite(values, f"{self.folder}, video {name!r}, crop {crop}", start)
                digest.update(values.tobytes())
        return digest.hexdigest()[:16]


def spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` of ``count`` positions, evenly spread, the first among them."""
    taken = min(count, wanted)
    return [i * count // taken for i in range(taken)]


class VerifiedFeatures:
    """A file of videos whose values were found finite, and what names these values.

    A video is looked at again when its stamp changes, which follows the sizes and times of its files.

    Args:
        path: the file; made when something is first verified.
    """

    def __init__(self, path: Path) -> None:
        self._remembered = Remembered(path)

    def digest(self, source: FeatureSource, name: str) -> str:
        """What names a video's values; they are looked at unless that was done before.

        Raises:
            FeatureError: a value is NaN or infinite, or the file is damaged.
        """
        key, stamp = (str(source.folder.resolve()), name), source.stamp(name)
        if (before := self._remembered.find(key, stamp)) is not None:
            return before
        digest = source.check(name)
        self._remembered.add(key, stamp, digest)
        return digest
