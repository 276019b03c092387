"""Record a video while it is scored: tables, events, a curve, and thumbnails of the peaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vadbench.watch.events import Event, EventFinder, ScoreCurve
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.scorer import Scorer
from vadbench.watch.timeline import Thumbnail, Timeline
from vadbench.watch.video_folder import VideoFolder

_PICTURED = 200
"""Number of events, those with the highest peaks, whose thumbnails are stored for the page."""


class PeakAlbum:
    """Thumbnails of the peaks of events and of the highest row, taken while the decoder still has them."""

    def __init__(self, pictures: Timeline) -> None:
        self._pictures = pictures
        self._open: dict[int, Thumbnail | None] = {}
        self._highest: tuple[float, float, Thumbnail] | None = None
        self._kept: dict[int, tuple[float, float, Thumbnail]] = {}

    def add_events(self, ended: Sequence[Event], going_on: Event | None) -> None:
        """Take the thumbnails of events that ended, and of the current one."""
        for event in ended:
            picture = self._open.get(event.peak_frame) or self._pictures.thumbnail(event.peak_frame)
            if picture is not None:
                self._kept[event.peak_frame] = (event.peak_time, event.peak, picture)
        while len(self._kept) > _PICTURED:
            del self._kept[min(self._kept, key=lambda frame: self._kept[frame][1])]
        if going_on is not None and going_on.peak_frame not in self._open:
            self._open = {going_on.peak_frame: self._pictures.thumbnail(going_on.peak_frame)}

    def add_rows(self, rows: StreamedRows, stride: int) -> None:
        """Take the thumbnail of the highest row, if it is the highest so far."""
        place = int(rows.anomaly.argmax())
        score = float(rows.anomaly[place])
        if self._highest is None or score > self._highest[1]:
            picture = self._pictures.thumbnail((rows.first + place) * stride)
            self._highest = None if picture is None else (float(rows.starts[place]), score, picture)

    @property
    def peaks(self) -> list[tuple[float, float, Thumbnail]]:
        """Return time, score and thumbnail of peaks, the highest first; without events, of the highest row."""
        return sorted(self._kept.values(), key=lambda p: -p[1]) or ([self._highest] if self._highest else [])

    @property
    def of_events(self) -> dict[int, Thumbnail]:
        """Return thumbnails by the first frame of the row of an event's peak."""
        return {frame: picture for frame, (_, _, picture) in self._kept.items()}


class Recording:
    """Recording of the scored rows of a video. Its memory grows with the number of events, not of rows.

    Args:
        files: folder that rows and events are written to.
        pictures: timeline of the video, with its thumbnails.
        scorer: has the threshold and the classes of events.
        tell: called with every event when it has ended.

    Attributes:
        events: events that have ended, in the order of time.
        curve: the scores over time.
        album: thumbnails of the peaks.
        rows: number of rows.
        costs: what they cost, by name.
    """

    def __init__(self, files: VideoFolder, pictures: Timeline, scorer: Scorer, tell: Callable[[Event], None]) -> None:
        self._files, self._pictures, self._tell = files, pictures, tell
        self._stride = scorer.stride
        self._finder = EventFinder(scorer.threshold, scorer.classes, self._stride)
        self.events: list[Event] = []
        self.curve = ScoreCurve(unit=scorer.method.config.needs().unit_scores)
        self.album, self.rows = PeakAlbum(pictures), 0
        self.costs: dict[str, float] = {}

    @property
    def last_frame(self) -> int:
        """First frame of the last row."""
        return (self.rows - 1) * self._stride

    def add(self, rows: StreamedRows) -> None:
        """Take the next rows."""
        self._files.add(rows)
        self.curve.add(rows)
        self.rows += len(rows.anomaly)
        self.costs |= {name: self.costs.get(name, 0) + cost for name, cost in rows.costs.items()}
        self.album.add_rows(rows, self._stride)
        self._add_events(self._finder.add(rows), self._finder.going_on)
        self._pictures.forget(self.last_frame)

    def finish(self, end: float, frames: int) -> None:
        """End the current event and the curve.

        Args:
            end: seconds at which the video ends.
            frames: number of frames of the video.
        """
        self.curve.end = end
        self._add_events(self._finder.finish(end, frames), None)

    def _add_events(self, ended: Sequence[Event], going_on: Event | None) -> None:
        self.album.add_events(ended, going_on)
        self._files.add_events(ended)
        self.events.extend(ended)
        for event in ended:
            self._tell(event)
