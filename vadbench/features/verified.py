"""Feature values that have been looked at: given features are read whole once, not at every run."""

from __future__ import annotations

from pathlib import Path

from vadbench.base.files import Remembered
from vadbench.features.source import FeatureSource


class Verified:
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
