"""Videos that are encoded several at once and come into a feature store one after the other, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor

from vadbench.base.errors import DataError
from vadbench.data.media import declared_frames
from vadbench.dataset import Video
from vadbench.features.encoders import Encoder
from vadbench.features.shard import FeatureRows
from vadbench.features.store import StoreWriter
from vadbench.features.waiting_rows import WaitingRows


@dataclass(frozen=True)
class ExtractionJob:
    """A video to extract the features of.

    Args:
        video: which one.
        path: its file.
        source: id of the content of that.
    """

    video: Video
    path: Path
    source: str


class OrderedVideos:
    """Encodes the batches of several videos as they come. Use it in a ``with`` block.

    The rows of the first video that is not finished are stored at once, those of later ones wait on disk. A file holds
    them that has no name, so that nothing of them is left when the process ends.

    Args:
        jobs: the videos in their order.
        encoder: makes their rows.
        writer: takes them.
        leave_out: called with the name of a video that cannot be extracted and the reason; raises it to stop.
    """

    def __init__(
        self,
        jobs: Sequence[ExtractionJob],
        encoder: Encoder,
        writer: StoreWriter,
        leave_out: Callable[[str, DataError], None],
    ) -> None:
        self._jobs, self._encoder, self._writer, self._leave_out = jobs, encoder, writer, leave_out
        self._under_way: dict[int, _UnderWay] = {}
        self.finished = 0
        """Videos that are stored or left out."""
        self.extracted: list[str] = []
        """Names of those that are stored."""
        self.frames = 0
        """Frames of these."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for video in self._under_way.values():
            video.close()

    def take(self, number: int, item: Tensor | int | Exception) -> int:
        """Take a batch of a video, or at its end how many frames it has or what is wrong with it.

        Returns:
            how many videos were finished by it.

        Raises:
            DataError: a video cannot be extracted, and those before it are stored.
            StorageError: the disk is full.
            Exception: the item, if it is no error of a video.
        """
        if isinstance(item, Exception) and not isinstance(item, DataError):
            raise item
        before = self.finished
        if number >= before:
            if number not in self._under_way:
                self._under_way[number] = _UnderWay(self._jobs[number].video.name, self._encoder)
            video = self._under_way[number]
            video.take(item, self._write if number == before else video.wait)
        while (first := self._under_way.get(self.finished)) is not None:
            if first.error is None:
                first.flush(self._write)
            if first.error is None and first.frames is None:
                break
            self._finish(first)
        return self.finished - before

    def _write(self, name: str, rows: FeatureRows) -> None:
        self._writer.write_rows(name, rows)

    def _finish(self, video: _UnderWay) -> None:
        job = self._jobs[self.finished]
        del self._under_way[self.finished]
        self.finished += 1
        video.close()
        try:
            if video.error is not None:
                raise video.error
            assert video.frames is not None
            self._writer.finish(video.name, video.frames, job.source, declared_frames(job.path))
        except DataError as error:
            self._writer.discard()
            self._leave_out(video.name, error)
        else:
            self.extracted.append(video.name)
            self.frames += video.frames


class _UnderWay:
    """A video of which not all rows are stored."""

    def __init__(self, name: str, encoder: Encoder) -> None:
        self.name, self._encoder, self._stack = name, encoder, ExitStack()
        self._encoded = self._stack.enter_context(encoder.video(name))
        self._waiting: WaitingRows | None = None
        self.frames: int | None = None
        """How many it has, once all are encoded."""
        self.error: DataError | None = None
        """What is wrong with it."""

    def close(self) -> None:
        self._stack.close()

    def take(self, item: Tensor | int | Exception, keep: Callable[[str, FeatureRows], None]) -> None:
        """Encode a batch, or what is left at the end, and keep the rows; nothing more of a video that has an error."""
        if self.error is not None:
            return
        try:
            if isinstance(item, Exception):
                raise item
            for rows in self._encoded.end(item) if isinstance(item, int) else self._encoded.add(item):
                keep(self.name, rows)
            self.frames = item if isinstance(item, int) else None
        except DataError as error:
            self.error = error

    def wait(self, name: str, rows: FeatureRows) -> None:
        """Keep rows of the video until its turn."""
        if self._waiting is None:
            self._waiting = self._stack.enter_context(WaitingRows(self._encoder.folder, self._encoder.fingerprint.dim))
        self._waiting.add(rows)

    def flush(self, write: Callable[[str, FeatureRows], None]) -> None:
        """Write the rows that wait."""
        if self._waiting is None:
            return
        try:
            for rows in self._waiting.pieces():
                write(self.name, rows)
        except DataError as error:
            self.error = error
        self._waiting = None
