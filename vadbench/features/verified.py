"""Feature values that have been looked at: given features are read whole once, not at every run."""

from __future__ import annotations

import json
from pathlib import Path

from vadbench.features.source import FeatureSource
from vadbench.files import make_folder, storage_errors


class Verified:
    """A file of videos whose values were found finite, and what names these values.

    Lines are only added, and the last one of a video counts. A video is looked at again when its stamp changes, which
    follows the sizes and times of its files.

    Args:
        path: the file; made when something is first verified.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                folder, name, stamp, digest = map(str, json.loads(line))
            except ValueError:  # the end of a line whose writer was killed
                continue
            self._known[folder, name] = (stamp, digest)

    def digest(self, source: FeatureSource, name: str) -> str:
        """What names a video's values; they are looked at unless that was done before.

        Raises:
            FeatureError: a value is NaN or infinite, or the file is damaged.
        """
        key, stamp = (str(source.folder.resolve()), name), source.stamp(name)
        before = self._known.get(key)
        if before is not None and before[0] == stamp:
            return before[1]
        digest = source.check(name)
        make_folder(self._path.parent)
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([*key, stamp, digest]) + "\n")
        self._known[key] = (stamp, digest)
        return digest
