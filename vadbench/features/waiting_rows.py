"""Feature rows that wait on disk for those before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from vadbench.base.files import storage_errors
from vadbench.features.shard import FeatureRows, write_all

_COPIED_ROWS = 1024


class WaitingRows:
    """Rows in float32 in a file without a name, which is gone however the process ends. Use it in a ``with`` block.

    Args:
        folder: where there is room for it.
        dim: width of a row.

    Raises:
        StorageError: no file can be made there.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self._folder, self._dim = folder, dim
        with storage_errors(folder):
            self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def __enter__(self) -> WaitingRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: FeatureRows) -> None:
        """Append rows ``(n, dim)``.

        Raises:
            StorageError: the disk is full.
        """
        with storage_errors(self._folder):
            write_all(self._file.fileno(), rows.tobytes())

    def pieces(self, places: NDArray[np.int64] | None = None) -> Iterator[FeatureRows]:
        """Yield the rows in ``places``, or all of them in order, a few at a time."""
        if not self._file.seek(0, 2):
            return
        rows: FeatureRows = np.memmap(self._file, np.float32, mode="r").reshape(-1, self._dim)
        for start in range(0, len(rows if places is None else places), _COPIED_ROWS):
            piece = slice(start, start + _COPIED_ROWS)
            yield rows[piece if places is None else places[piece]]
