"""Score one video and write the files of its folder."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from vadbench.base.files import write_json, write_text
from vadbench.base.text import amount, spaced
from vadbench.base.types import Progress, silent
from vadbench.features.encoders import BATCH, FrameEncoder
from vadbench.watch.counted_frames import CountedFrames, score_frames
from vadbench.watch.events import JOINED_SECONDS, Event
from vadbench.watch.notes import count_notes, score_notes
from vadbench.watch.pipeline import FOLLOWED_BATCH, Pictures, Stopwatch, StreamedRows, score_pictures
from vadbench.watch.reader import Reader
from vadbench.watch.recording import PeakAlbum, Recording
from vadbench.watch.score_curve import ScoreCurve
from vadbench.watch.scored_by import ScoredBy
from vadbench.watch.scorer import Scorer
from vadbench.watch.sources import VideoSource
from vadbench.watch.thresholds import WARM_UP, EventThreshold
from vadbench.watch.video_folder import RowFormat, VideoFolder, draw_curve, save_figure
from vadbench.watch.video_page import clock, video_page


@dataclass(frozen=True)
class ScoredVideo:
    """Video with its scores.

    Args:
        source: the scored source.
        folder: folder of its files; a video of which nothing could be read has none.
        threshold: scores at which its events begin and end; ``None`` if it is its own and there is no row.
        shortest: seconds that an event lasts at least.
        frames: number of decoded frames.
        rows: number of scored rows.
        duration: seconds of video.
        events: events in the order of time.
        curve: its scores over time.
        seconds: seconds spent on each activity, and the total as ``all``.
        costs: what the method counted, by name.
        notes: notes for the reader.
        error: the reason why it was not scored to its end; empty if it was.
        post: post-processing that its scores went through; empty for none.
        by: what scored it.
    """

    source: VideoSource
    folder: Path
    threshold: EventThreshold | None
    shortest: float
    frames: int
    rows: int
    duration: float
    events: Sequence[Event]
    curve: ScoreCurve
    seconds: Mapping[str, float]
    costs: Mapping[str, float]
    notes: Sequence[str]
    error: str
    post: str = ""
    by: ScoredBy = field(default_factory=ScoredBy)

    @property
    def per_second(self) -> float | None:
        """Seconds spent per second of video."""
        return self.seconds["all"] / self.duration if self.duration else None

    @property
    def paid(self) -> str:
        """Costs in words, such as ``calls 12, tokens 3,400``."""
        return ", ".join(f"{name} {amount(value)}" for name, value in self.costs.items())

    def summary(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "source": self.source.shown,
            "folder": None if self.error and not self.rows else str(self.folder),
            "error": self.error or None,
            "scored_by": self.by.to_dict(),
            "frames": self.frames,
            "rows": self.rows,
            "duration": round(self.duration, 3),
            **(self.threshold.to_dict() if self.threshold else {"threshold": None}),
            "min_length": self.shortest,
            **({"post": self.post} if self.post else {}),
            "events": [event.to_dict() for event in self.events],
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "seconds_per_video_second": None if self.per_second is None else round(self.per_second, 4),
            **({"costs": dict(self.costs)} if self.costs else {}),
            "notes": list(self.notes),
        }


def score_video(
    reader: Reader,
    scorer: Scorer,
    folder: Path,
    *,
    form: RowFormat = "csv",
    progress: Progress = silent,
    tell: Callable[[Event], None] = lambda event: None,
) -> ScoredVideo:
    """Score one video; rows and events are written to its folder as they become known, and stay there if it fails.

    Args:
        reader: reader of the video.
        scorer: the method.
        folder: created if needed; earlier results in it are removed.
        form: format of a second table of rows.
        progress: called with the number of scored frames.
        tell: called with every event when it has ended.

    Returns:
        The scored video; if it is damaged or broke off, it has an ``error`` and everything before it.
    """
    watch = Stopwatch()
    with open_pictures(reader, scorer) as pictures:
        rows = scored_rows(pictures, scorer, reader, watch)
        return record_video(reader, pictures, scorer, folder, rows, form, watch, progress, tell)


def record_video(
    reader: Reader,
    pictures: Pictures | CountedFrames,
    scorer: Scorer,
    folder: Path,
    scored: Iterable[StreamedRows],
    form: RowFormat,
    watch: Stopwatch,
    progress: Progress = silent,
    tell: Callable[[Event], None] = lambda event: None,
) -> ScoredVideo:
    """Write the rows of a video to its folder as they come; arguments and result as for :func:`score_video`.

    Args:
        pictures: its timeline.
        scored: its rows, in order.
        watch: has what was spent on it before.
    """
    began, spent = time.perf_counter(), sum(watch.seconds.values())
    source, stride, notes = reader.source, scorer.stride, []
    live = reader.follow or source.live
    with (
        # Before the folder is there, at which a user may take the program to be at work.
        _stopped_by_hand(reader) as stopped,
        VideoFolder(folder, scorer.classes, stride, form) as files,
        Recording(files, pictures, scorer, tell, live) as recording,
    ):
        for rows in scored:
            with watch.of("writing"):
                recording.add(rows)
            last, known = recording.last_frame, reader.declared or 0
            progress(f"scoring {source.name}", min(last, known), max(known, last + 1), clock(rows.starts[-1]))
        frames = min(pictures.decoded, recording.rows * stride)
        # Stopped by hand, it ends at the start of the first row without a score.
        duration = pictures.until if frames == pictures.decoded else pictures.starts[0]
        recording.finish(duration, frames)
    progress(f"scoring {source.name}", 1, 1)
    error = str(pictures.failure or "")
    if stopped.is_set():
        error = "" if recording.rows else f"{source.shown}: stopped by hand before its first row"
        notes.append("stopped by hand")
    notes += scorer.notes if error else [*scorer.notes, *count_notes(reader, frames, duration)]
    notes += score_notes(reader, scorer, recording.rows)
    if recording.end_note:
        notes.append(recording.end_note)
    if scorer.threshold is None and live:
        notes.append(
            f"while it ran, events were told from {WARM_UP:g} s on, by a threshold of what had been seen so far; those"
            " kept are by its threshold at the end"
        )
    with watch.of("drawing"):
        if recording.rows and recording.threshold:
            pictured = [(p.time, p.score, p.picture) for p in recording.album.of_curve(recording.events)]
            figure = draw_curve(recording.curve, recording.events, recording.threshold.value, source.shown, pictured)
            save_figure(figure, folder / "curve.png")
    result = ScoredVideo(
        source,
        folder,
        recording.threshold,
        scorer.shortest,
        frames,
        recording.rows,
        duration,
        recording.events,
        recording.curve,
        {**watch.seconds, "all": spent + time.perf_counter() - began},
        recording.costs,
        notes,
        error,
        scorer.post,
        scorer.by,
    )
    if result.error and not result.rows:
        files.discard()
    else:
        _write(result, recording.album, scorer)
    return result


@contextmanager
def _stopped_by_hand(reader: Reader) -> Iterator[threading.Event]:
    """Let Ctrl-C end the reading of a video that is followed, so that all rows before are scored and written; a second
    one ends the program. The event is set once that has happened."""
    stopped = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stopped.set()
        reader.stop()

    # Programs that a shell starts in the background ignore it.
    if before in (None, signal.SIG_IGN) or not reader.follow or threading.current_thread() != threading.main_thread():
        yield stopped
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def open_pictures(reader: Reader, scorer: Scorer) -> Pictures | CountedFrames:
    """Return the timeline of a video, which makes the rows of its features where the method reads any."""
    if scorer.clip is None or scorer.fingerprint is None:
        return CountedFrames(reader, scorer.stride)
    return Pictures(reader, FrameEncoder(scorer.clip, scorer.fingerprint, FOLLOWED_BATCH if reader.follow else BATCH))


def scored_rows(
    pictures: Pictures | CountedFrames, scorer: Scorer, reader: Reader, watch: Stopwatch
) -> Iterator[StreamedRows]:
    """Yield the scored rows of a video by itself, as they become known."""
    if isinstance(pictures, Pictures):
        return score_pictures(pictures, scorer, reader.follow, watch)
    return score_frames(pictures, scorer, watch)


def _clip_words(scorer: Scorer) -> str:
    return f"CLIP {scorer.clip.name} {scorer.by.clip.get('weights', '')}".rstrip() if scorer.clip else "none"


def _write(result: ScoredVideo, album: PeakAlbum, scorer: Scorer) -> None:
    write_json(result.folder / "events.json", [event.to_dict() for event in result.events])
    write_json(result.folder / "summary.json", result.summary())
    took = "" if result.per_second is None else f", {result.per_second:.3g} s for each second of video"
    facts = {
        "video": result.source.shown,
        "length": f"{clock(result.duration)}, {result.frames} frames",
        "method": scorer.origin,
        **result.by.facts,
        **({"threshold": result.threshold.words} if result.threshold else {}),
        "events": f"of {result.shortest:g} s and longer, gaps of up to {JOINED_SECONDS:g} s joined",
        "features": f"{_clip_words(scorer)}, a row {spaced(scorer.stride)}",
        **({"post-processing": scorer.post} if scorer.post else {}),
        "time": f"{result.seconds['all']:.1f} s{took}",
        **({"costs": result.paid} if result.costs else {}),
        **({"not scored to its end": result.error} if result.error else {}),
    }
    page = video_page(
        result.source.name,
        facts,
        result.notes,
        result.curve,
        result.events,
        result.threshold,
        scorer.classes,
        album,
    )
    write_text(result.folder / "index.html", page)
