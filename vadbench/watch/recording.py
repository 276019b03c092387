"""Record a video while it is scored: tables, events, a curve, and pictures of its highest rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, Self

import numpy as np

from vadbench.watch.events import Event, EventFinder
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.score_curve import ScoreCurve
from vadbench.watch.scorer import Scorer
from vadbench.watch.thresholds import WARM_UP, EventThreshold, ScoreSample, end_note, own_threshold
from vadbench.watch.timeline import Thumbnail, Timeline
from vadbench.watch.video_folder import VideoFolder

_PICTURED = 256


@dataclass(frozen=True)
class Peak:
    """The highest row of a stretch: its first frame, when it starts, its score and a thumbnail of the frame."""

    frame: int
    time: float
    score: float
    picture: Thumbnail


class PeakAlbum:
    """Pictures of the highest row in each of at most 256 intervals of a video, taken while the decoder still has them.

    Args:
        pictures: timeline of the video.
        stride: frames per row.
    """

    def __init__(self, pictures: Timeline, stride: int) -> None:
        self._pictures, self._stride = pictures, stride
        self._rows, self._each = 0, 1
        self.peaks: list[Peak] = []
        """The peaks of the intervals in the order of time; there is none of an interval without a picture."""
        self._begun = -1

    def add(self, rows: StreamedRows) -> None:
        """Take the next rows."""
        done, count = 0, len(rows.anomaly)
        while done < count:
            if self._rows % self._each == 0:
                self._begin()
            stop = min(count, done + self._each - self._rows % self._each)
            place = done + int(rows.anomaly[done:stop].argmax())
            self._take(rows.first + place, float(rows.starts[place]), float(rows.anomaly[place]))
            self._rows += stop - done
            done = stop

    def of(self, event: Event) -> Peak | None:
        """Return the peak of an event, or of the part of it that has a picture."""
        inside = [peak for peak in self.peaks if event.first_frame <= peak.frame < event.end_frame]
        return max(inside, key=lambda peak: (peak.frame == event.peak_frame, peak.score), default=None)

    def of_curve(self, events: Sequence[Event]) -> list[Peak]:
        """Return the peaks of events, the highest first; without events, the highest of all."""
        found = sorted(filter(None, map(self.of, events)), key=lambda peak: -peak.score)
        return found or sorted(self.peaks, key=lambda peak: -peak.score)[:1]

    def _begin(self) -> None:
        if len(self.peaks) >= _PICTURED and self._rows // self._each % 2 == 0:
            pairs = zip(self.peaks[::2], [*self.peaks[1::2], None], strict=False)
            self.peaks = [a if b is None or a.score >= b.score else b for a, b in pairs]
            self._each *= 2
        self._begun = self._rows * self._stride

    def _take(self, row: int, time: float, score: float) -> None:
        frame = row * self._stride
        started = bool(self.peaks) and self.peaks[-1].frame >= self._begun
        if started and score <= self.peaks[-1].score:
            return
        if (picture := self._pictures.thumbnail(frame)) is not None:
            self.peaks[len(self.peaks) - started :] = [Peak(frame, time, score, picture)]


class Recording:
    """Recording of the scored rows of a video. Its memory grows with the number of events, not of rows.

    Where no threshold is known beforehand, the scores of the whole video say it: rows are then kept in a temporary file
    until it has ended. Of a video that is ``live``, events are told before as well, by what was seen so far.

    Args:
        files: folder that rows and events are written to.
        pictures: timeline of the video, with its thumbnails.
        scorer: has the threshold and the classes of events.
        tell: called with every event when it has ended.
        live: the video goes on for a time that nobody knows.

    Attributes:
        threshold: of its events; ``None`` while it is not known.
        events: events that have ended, in the order of time.
        curve: the scores over time.
        album: pictures of the highest rows.
        rows: number of rows.
        costs: what they cost, by name.
    """

    def __init__(
        self, files: VideoFolder, pictures: Timeline, scorer: Scorer, tell: Callable[[Event], None], live: bool = False
    ) -> None:
        self._files, self._pictures, self._scorer, self._tell, self._live = files, pictures, scorer, tell, live
        self.threshold = scorer.threshold
        self._finder = None if scorer.threshold is None else self._finder_at(scorer.threshold)
        self._kept = None if scorer.threshold else _KeptRows()
        self._sample = ScoreSample()
        self.events: list[Event] = []
        self.curve = ScoreCurve(unit=scorer.unit)
        self.album, self.rows = PeakAlbum(pictures, scorer.stride), 0
        self.costs: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept:
            self._kept.close()

    @property
    def last_frame(self) -> int:
        """First frame of the last row."""
        return (self.rows - 1) * self._scorer.stride

    @property
    def end_note(self) -> str:
        """What to change where its events would mostly not end; empty where they do, and without any."""
        return end_note(self.threshold, float(np.median(self._sample.values))) if self.threshold and self.events else ""

    def add(self, rows: StreamedRows) -> None:
        """Take the next rows."""
        self._files.add(rows)
        self.curve.add(rows)
        self.rows += len(rows.anomaly)
        self.costs |= {name: self.costs.get(name, 0) + cost for name, cost in rows.costs.items()}
        self.album.add(rows)
        self._sample.add(rows.anomaly)
        if self._kept:
            self._kept.add(rows)
            if self._live and rows.starts[-1] >= WARM_UP:
                so_far = own_threshold(self._sample.values, self._scorer.unit)
                self._finder = self._finder or self._finder_at(so_far)
                self._finder.threshold = so_far
        if self._finder:
            self._add_events(self._finder.add(rows))
        self._pictures.forget(self.last_frame)

    def finish(self, end: float, frames: int) -> None:
        """End the current event and the curve.

        Args:
            end: seconds at which the video ends.
            frames: number of frames of the video.
        """
        self.curve.end = end
        if self._kept and self.rows:
            self.threshold = own_threshold(self._sample.values, self._scorer.unit)
            finder = self._finder_at(self.threshold)
            found = [event for rows in self._kept.all() for event in finder.add(rows)]
            self.events = [*found, *finder.finish(end, frames)]
            self._files.replace_events(self.events)
            for event in () if self._live else self.events:
                self._tell(event)
        elif self._finder:
            self._add_events(self._finder.finish(end, frames))

    def _finder_at(self, threshold: EventThreshold) -> EventFinder:
        return EventFinder(threshold, self._scorer.classes, self._scorer.stride, self._scorer.shortest)

    def _add_events(self, ended: Sequence[Event]) -> None:
        self._files.add_events(ended)
        self.events.extend(ended)
        for event in ended:
            self._tell(event)


class _KeptRows:
    """Rows in a temporary file, to be read once more."""

    def __init__(self) -> None:
        self._file: Any = TemporaryFile(prefix="vadbench-rows-")  # noqa: SIM115 - closed by close()
        self._windows = 0

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def add(self, rows: StreamedRows) -> None:
        """Append rows."""
        said = np.frombuffer(json.dumps(rows.remarks).encode(), np.uint8)
        classes = np.empty(0, np.float32) if rows.classes is None else rows.classes
        for values in (np.array(rows.first), rows.starts, rows.anomaly, classes, said):
            np.save(self._file, values, allow_pickle=False)
        self._windows += 1

    def all(self) -> Iterator[StreamedRows]:
        """Yield the rows from the first on, window by window."""
        self._file.seek(0)
        for _ in range(self._windows):
            first, starts, anomaly, classes, said = (np.load(self._file, allow_pickle=False) for _ in range(5))
            remarks = json.loads(said.tobytes())
            yield StreamedRows(int(first), starts, anomaly, classes if classes.ndim > 1 else None, remarks)
