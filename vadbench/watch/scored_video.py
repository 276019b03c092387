"""One video from its source to the files of its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vadbench.base.files import write_json, write_text
from vadbench.base.types import Progress, silent
from vadbench.features.encoders import BATCH, FrameEncoder
from vadbench.scoring.windows import window_rows
from vadbench.watch.events import Event, EventFinder, ScoreCurve
from vadbench.watch.outputs import RowFormat, VideoFolder, draw_curve, save_figure
from vadbench.watch.pipeline import FOLLOWED_BATCH, Pictures, Stopwatch, Thumbnail, score_pictures
from vadbench.watch.reader import Reader
from vadbench.watch.scorer import Scorer
from vadbench.watch.sources import VideoSource
from vadbench.watch.video_page import clock, video_page

_PICTURED = 200
"""Events whose peaks are kept as pictures, the highest ones: enough for a page."""


@dataclass
class ScoredVideo:
    """What became of one video.

    Args:
        source: what was scored.
        folder: where its files are.
        threshold: from which on rows belong to events.
        frames: decoded.
        rows: scored.
        duration: seconds of video.
        events: in the order of time.
        curve: its scores over time.
        seconds: by what they were spent on, and ``all`` of them.
        notes: what a reader must know.
        error: why it was not scored to its end; empty where it was.
    """

    source: VideoSource
    folder: Path
    threshold: float
    frames: int = 0
    rows: int = 0
    duration: float = 0.0
    events: list[Event] = field(default_factory=list)
    curve: ScoreCurve = field(default_factory=ScoreCurve)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def per_second(self) -> float | None:
        """Seconds taken for a second of video."""
        return self.seconds["all"] / self.duration if self.duration else None

    def summary(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "source": self.source.shown,
            "folder": str(self.folder),
            "error": self.error or None,
            "frames": self.frames,
            "rows": self.rows,
            "duration": round(self.duration, 3),
            "threshold": self.threshold,
            "events": [event.to_dict() for event in self.events],
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "seconds_per_video_second": None if self.per_second is None else round(self.per_second, 4),
            "notes": self.notes,
        }


class _Album:
    """Pictures of peaks: of the events, and of the highest row, taken while the decoder still remembers them."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._open: dict[int, Thumbnail | None] = {}
        self._highest: tuple[float, float, Thumbnail] | None = None
        self._kept: dict[int, tuple[float, float, Thumbnail]] = {}

    def look(self, ended: Sequence[Event], going_on: Event | None) -> None:
        """Take the pictures of events that ended, and of the one that goes on."""
        for event in ended:
            picture = self._open.get(event.peak_frame) or self._pictures.thumbnail(event.peak_frame)
            if picture is not None:
                self._kept[event.peak_frame] = (event.peak_time, event.peak, picture)
        while len(self._kept) > _PICTURED:
            del self._kept[min(self._kept, key=lambda frame: self._kept[frame][1])]
        if going_on is not None and going_on.peak_frame not in self._open:
            self._open = {going_on.peak_frame: self._pictures.thumbnail(going_on.peak_frame)}

    def look_at_row(self, score: float, when: float, frame: int) -> None:
        """Take the picture of a row where it is the highest so far."""
        if self._highest is None or score > self._highest[1]:
            picture = self._pictures.thumbnail(frame)
            self._highest = None if picture is None else (when, score, picture)

    @property
    def peaks(self) -> list[tuple[float, float, Thumbnail]]:
        """Time, score and picture, the highest first; that of the highest row where there are no events."""
        return sorted(self._kept.values(), key=lambda p: -p[1]) or ([self._highest] if self._highest else [])

    @property
    def of_events(self) -> dict[int, Thumbnail]:
        """Pictures by the first frame of the row of an event's peak."""
        return {frame: picture for frame, (_, _, picture) in self._kept.items()}


def score_video(
    source: VideoSource,
    scorer: Scorer,
    folder: Path,
    reader: Reader,
    *,
    form: RowFormat = "csv",
    progress: Progress = silent,
    tell: Callable[[Event], None] = lambda event: None,
) -> ScoredVideo:
    """Score one video; rows and events are in its folder as they become known, and stay there whatever happens.

    Args:
        source: the video.
        scorer: the method.
        folder: created, emptied of earlier results.
        reader: of the source.
        form: a second form of the table of rows.
        progress: told how many frames are scored.
        tell: called with every event when it has ended.

    Returns:
        what became of it; a video that is damaged or broke off has an ``error``, and everything before it.
    """
    began = time.perf_counter()
    result = ScoredVideo(source, folder, scorer.threshold)
    stride, follow, watch = scorer.fingerprint.stride, reader.follow, Stopwatch()
    finder = EventFinder(scorer.threshold, scorer.classes, stride)

    def ended(events: Sequence[Event]) -> None:
        files.add_events(events)
        result.events.extend(events)
        for event in events:
            tell(event)

    encoder = FrameEncoder(scorer.clip, scorer.fingerprint, FOLLOWED_BATCH if follow else BATCH)
    with (
        VideoFolder(folder, scorer.classes, stride, form) as files,
        Pictures(reader, encoder) as pictures,
    ):
        album = _Album(pictures)
        try:
            for rows in score_pictures(pictures, scorer, follow, watch):
                with watch.of("writing"):
                    files.add(rows)
                    result.curve.add(rows)
                    result.rows += len(rows.anomaly)
                    last = (result.rows - 1) * stride
                    highest = int(rows.anomaly.argmax())
                    score, when = float(rows.anomaly[highest]), float(rows.starts[highest])
                    album.look_at_row(score, when, (rows.first + highest) * stride)
                    new = finder.add(rows)
                    album.look(new, finder.going_on)
                    ended(new)
                    pictures.forget(last)
                known = reader.declared or 0
                progress(f"scoring {source.name}", min(last, known), max(known, last + 1), clock(rows.starts[-1]))
        except KeyboardInterrupt:
            if not follow:
                raise
            result.notes.append("stopped by hand")
        result.frames = min(pictures.decoded, result.rows * stride)
        # Stopped by hand, it ends where the first row begins that was not scored.
        result.duration = pictures.until if result.frames == pictures.decoded else pictures.starts[0]
        result.curve.end = result.duration
        new = finder.finish(result.duration, result.frames)
        album.look(new, None)
        ended(new)
        result.error = str(pictures.failure or "")
    progress(f"scoring {source.name}", 1, 1)
    result.notes += [*scorer.notes, *_notes(reader, result, scorer)]
    with watch.of("drawing"):
        picture = _draw(result, album, scorer)
    result.seconds = {**watch.seconds, "all": time.perf_counter() - began}
    _write(result, album, scorer, picture)
    return result


def _notes(reader: Reader, result: ScoredVideo, scorer: Scorer) -> list[str]:
    notes = []
    if not result.error:
        if reader.declared is not None and reader.declared != result.frames:
            notes.append(f"{result.frames} frames decoded, {reader.declared} declared by the container")
        elif reader.length is not None and reader.length - result.duration > 1:
            notes.append(
                f"{result.duration:.1f} s decoded, {reader.length:.1f} s declared by the container: it may be cut off"
            )
    if reader.damaged:
        notes.append(f"{reader.damaged} damaged frames, scored as the decoder guessed them")
    window = window_rows(scorer.method.reach, reader.follow)
    if scorer.method.reach.whole and result.rows > window:
        notes.append(
            f"a score of '{scorer.name}' depends on the whole video, which is too long to hold: scored in windows of"
            f" {window:,} rows, {window * scorer.fingerprint.stride:,} frames"
        )
    return notes


def _draw(result: ScoredVideo, album: _Album, scorer: Scorer) -> bytes:
    if not result.rows:
        return b""
    figure = draw_curve(result.curve, result.events, scorer.threshold, result.source.shown, album.peaks)
    path = result.folder / "curve.png"
    save_figure(figure, path)
    return path.read_bytes()


def _write(result: ScoredVideo, album: _Album, scorer: Scorer, picture: bytes) -> None:
    write_json(result.folder / "events.json", [event.to_dict() for event in result.events])
    write_json(result.folder / "summary.json", result.summary())
    took = "" if result.per_second is None else f", {result.per_second:.3g} s for each second of video"
    facts = {
        "video": result.source.shown,
        "length": f"{clock(result.duration)}, {result.frames} frames",
        "method": scorer.origin,
        "threshold": f"{scorer.threshold:.4g} ({scorer.threshold_origin})",
        "features": f"CLIP {scorer.clip.name}, a row every {scorer.fingerprint.stride} frames",
        "time": f"{result.seconds['all']:.1f} s{took}",
        **({"not scored to its end": result.error} if result.error else {}),
    }
    page = video_page(result.source.name, facts, result.notes, result.events, picture, album.of_events)
    write_text(result.folder / "index.html", page)
