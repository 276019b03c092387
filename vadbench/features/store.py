"""The feature store: a folder of packed rows that survives being killed.

A store holds ``fingerprint.json`` and, for each shard, two files that only ever grow::

    rows-0-of-1.bin       little-endian values, video after video, each (crops, rows, dim)
    index-0-of-1.jsonl    one line per finished video: name, offset, rows, frames, source, revision

A video's rows are on disk before its line is, so a line is a promise: anything after the last complete line belongs
to a video that was never finished, and the next writer cuts it off. Row ``i`` at stride ``s`` stands for the frames
from ``i * s`` up to ``(i + 1) * s`` or the end of the video: tails are kept, and a video of ``T`` frames has
``ceil(T / s)`` rows.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from vadbench.base.errors import FeatureError, did_you_mean
from vadbench.base.files import file_stamp, make_folder, storage_errors
from vadbench.features.fingerprint import FINGERPRINT_FILE, Fingerprint, read_fingerprint, write_fingerprint
from vadbench.features.shard import FeatureRows, Shard, ShardEntry, check_finite, value_type, write_all
from vadbench.features.source import FeatureSource


class FeatureStore(FeatureSource):
    """A feature store opened for reading, its rows memory-mapped.

    Reading while another process writes is fine: what it has not finished is not there yet.

    Args:
        folder: where the store is.

    Raises:
        FeatureError: there is no store, or its files contradict each other.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fingerprint = read_fingerprint(folder)
        self._entries: dict[str, tuple[ShardEntry, Shard]] = {}
        self._maps: dict[Shard, FeatureRows] = {}
        for shard in Shard.all_in(folder, self.fingerprint):
            for entry in shard.read()[0]:
                before = self._entries.get(entry.name)
                if before is None or entry.revision >= before[0].revision:
                    self._entries[entry.name] = (entry, shard)

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map is a copy of its rows.
        return self.__dict__ | {"_maps": {}}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the videos in the store, sorted."""
        return tuple(sorted(self._entries))

    def rows(self, name: str) -> FeatureRows:
        """Return ``(crops, rows, dim)`` of one video: a read-only view of the file, nothing is copied.

        Raises:
            FeatureError: the store lacks the video.
        """
        entry, shard = self._find(name)
        crops, dim = shard.crops(entry), self.fingerprint.dim
        if shard not in self._maps:
            values = np.memmap(shard.rows, dtype=value_type(self.fingerprint), mode="r")
            self._maps[shard] = values[: values.size - values.size % dim].reshape(-1, dim)
        start, count = entry.offset, crops * entry.rows
        return self._maps[shard][start : start + count].reshape(crops, entry.rows, dim)

    def crops(self, name: str) -> tuple[str, ...]:
        entry, shard = self._find(name)
        return self.fingerprint.crops[: shard.crops(entry)]

    def crop_rows(self, name: str, crop: str) -> FeatureRows:
        crops = self.crops(name)
        if crop not in crops:
            raise FeatureError(f"no crop '{crop}' of video '{name}' in {self.folder}; there are {', '.join(crops)}")
        rows: FeatureRows = self.rows(name)[crops.index(crop)]
        return rows

    def bag(self, name: str, crops: Sequence[str]) -> FeatureRows:
        return self.rows(name) if tuple(crops) == self.crops(name) else super().bag(name, crops)

    def frames(self, name: str) -> int:
        """Return the number of frames that were decoded of a video."""
        return self._find(name)[0].frames

    def source(self, name: str) -> str:
        """Return the id of the file that a video's features were made from (:func:`vadbench.data.media.source_id`)."""
        return self._find(name)[0].source

    def declared(self, name: str) -> int | None:
        """Return the frame count that the container of a video states, where it does."""
        return self._find(name)[0].declared

    def stamp(self, name: str) -> str:
        entry, shard = self._find(name)
        return f"{shard.rows.name} {entry.offset} {entry.revision} {file_stamp(shard.rows.stat())}"

    def revision(self, name: str) -> int:
        """Return how often a video was extracted again because its file had changed."""
        return self._find(name)[0].revision

    def _find(self, name: str) -> tuple[ShardEntry, Shard]:
        if name not in self._entries:
            raise FeatureError(
                f"no features of video '{name}' in {self.folder}{did_you_mean(name, self.names[:1000])}; extract them"
            )
        return self._entries[name]


class StoreWriter:
    """Adds videos to one shard of a store, which is created where there is none. Use it in a ``with`` block.

    The shard is locked for as long, and free again when the process ends, however it ends.

    Args:
        folder: where the store is.
        fingerprint: that of the rows; must be that of the store.
        shard: ``(i, n)``, the number of this writer and how many there are.

    Raises:
        FeatureError: the store has another fingerprint, another process writes this shard, or the files are damaged.
        StorageError: the disk is full or may not be written; finished videos stay and the next call continues.
    """

    def __init__(self, folder: Path, fingerprint: Fingerprint, shard: tuple[int, int] = (0, 1)) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        self._shard = Shard(folder, *shard, fingerprint)
        self._lock = FileLock(folder / f".{self._shard.index.stem}.lock", timeout=0)
        self._known: dict[str, tuple[str, int]] = {}
        self._end = self._pending = 0

    def __enter__(self) -> StoreWriter:
        make_folder(self.folder)
        with storage_errors(self.folder):
            self._agree_on_fingerprint()
            try:
                self._lock.acquire()
            except Timeout as error:
                raise FeatureError(
                    f"{self._shard.index} is being written by another process; wait for it, or use another shard"
                ) from error
            try:
                self._end = self._shard.recover()
                store = FeatureStore(self.folder)
                self._known = {name: (store.source(name), store.revision(name)) for name in store.names}
                self._rows = os.open(self._shard.rows, os.O_WRONLY | os.O_APPEND)
                self._index = os.open(self._shard.index, os.O_WRONLY | os.O_APPEND)
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._rows)
        os.close(self._index)
        self._lock.release()

    def source(self, name: str) -> str | None:
        """Return the id of what a video in any shard was made from; ``None`` where the store lacks the video."""
        return self._known[name][0] if name in self._known else None

    def write_rows(self, name: str, rows: FeatureRows) -> None:
        """Append ``(n, dim)`` rows of a video that :meth:`finish` will complete, all of one crop before the next.

        Raises:
            FeatureError: the rows have another width, or a value is NaN, infinite or too large for the dtype.
            StorageError: the disk is full.
        """
        if rows.ndim != 2 or rows.shape[1] != self.fingerprint.dim:
            raise FeatureError(
                f"video '{name}': {self.folder} holds rows of width {self.fingerprint.dim}, found shape {rows.shape}"
            )
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(rows, dtype=value_type(self.fingerprint))
        check_finite(values, f"video '{name}' as {self.fingerprint.dtype}", self._pending)
        with storage_errors(self._shard.rows):
            write_all(self._rows, values.tobytes())
        self._pending += len(rows)

    def finish(self, name: str, frames: int, source: str, declared: int | None = None) -> None:
        """Make the rows written since the last call a video.

        Args:
            name: the video's name; a later video of the same name takes the place of an earlier one.
            frames: how many frames were decoded.
            source: id of the file they came from.
            declared: frame count that its container states, where it does.

        Raises:
            FeatureError: the number of rows is not what ``frames`` at this stride and these crops make, or a value is
                one that the index cannot hold, such as an empty name.
            StorageError: the disk is full; the video is not in the store.
        """
        stride = self.fingerprint.stride
        rows = math.ceil(frames / stride)
        # Of regions a video has as many of the fingerprint's crops as were written.
        crops = max(self._pending // max(rows, 1), 1) if self.fingerprint.regions else None
        revision = self._known[name][1] + 1 if name in self._known else 0
        entry = ShardEntry(name, self._end, rows, frames, source, revision, declared, crops)
        expected = self._shard.crops(entry) * rows
        if rows < 1 or self._pending != expected:
            raise FeatureError(
                f"video '{name}': {frames} frames at stride {stride} in {self._shard.crops(entry)} crops must make"
                f" {expected} rows (at least one), found {self._pending}"
            )
        self._shard.check(entry, self._end)
        with storage_errors(self._shard.index):
            os.fsync(self._rows)
            write_all(self._index, (json.dumps(asdict(entry)) + "\n").encode())
            os.fsync(self._index)
        self._known[name] = (source, revision)
        self._end += self._pending
        self._pending = 0

    def discard(self) -> None:
        """Drop the rows written since the last :meth:`finish`."""
        with storage_errors(self._shard.rows):
            os.truncate(self._shard.rows, self._end * self._shard.row_bytes)
        self._pending = 0

    def _agree_on_fingerprint(self) -> None:
        with FileLock(self.folder / ".fingerprint.lock"):
            if not (self.folder / FINGERPRINT_FILE).exists():
                write_fingerprint(self.folder, self.fingerprint)
            existing = read_fingerprint(self.folder)
        if existing != self.fingerprint:
            raise FeatureError(
                f"{self.folder} holds other features ({'; '.join(existing.differences(self.fingerprint))});"
                " choose another folder"
            )
