"""Score one video and write the files of its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vadbench.base.files import write_json, write_text
from vadbench.base.text import amount
from vadbench.base.types import Progress, silent
from vadbench.features.encoders import BATCH, FrameEncoder
from vadbench.scoring.windows import window_rows
from vadbench.watch.counted_frames import CountedFrames, score_frames
from vadbench.watch.events import Event, ScoreCurve
from vadbench.watch.pipeline import FOLLOWED_BATCH, Pictures, Stopwatch, StreamedRows, score_pictures
from vadbench.watch.reader import Reader
from vadbench.watch.recording import PeakAlbum, Recording
from vadbench.watch.scorer import Scorer
from vadbench.watch.sources import VideoSource
from vadbench.watch.video_folder import RowFormat, VideoFolder, draw_curve, save_figure
from vadbench.watch.video_page import clock, video_page


@dataclass(frozen=True)
class ScoredVideo:
    """Video with its scores.

    Args:
        source: the scored source.
        folder: folder of its files.
        threshold: score from which on rows belong to events.
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
    """

    source: VideoSource
    folder: Path
    threshold: float
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
            "folder": str(self.folder),
            "error": self.error or None,
            "frames": self.frames,
            "rows": self.rows,
            "duration": round(self.duration, 3),
            "threshold": self.threshold,
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
        rows = (
            score_pictures(pictures, scorer, reader.follow, watch)
            if isinstance(pictures, Pictures)
            else score_frames(pictures, scorer, watch)
        )
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
    with VideoFolder(folder, scorer.classes, stride, form) as files:
        recording = Recording(files, pictures, scorer, tell)
        try:
            for rows in scored:
                with watch.of("writing"):
                    recording.add(rows)
                last, known = recording.last_frame, reader.declared or 0
                progress(f"scoring {source.name}", min(last, known), max(known, last + 1), clock(rows.starts[-1]))
        except KeyboardInterrupt:
            if not reader.follow:
                raise
            notes.append("stopped by hand")
        frames = min(pictures.decoded, recording.rows * stride)
        # Stopped by hand, it ends at the start of the first row without a score.
        duration = pictures.until if frames == pictures.decoded else pictures.starts[0]
        recording.finish(duration, frames)
    progress(f"scoring {source.name}", 1, 1)
    error = str(pictures.failure or "")
    notes += scorer.notes if error else [*scorer.notes, *_count_notes(reader, frames, duration)]
    notes += _score_notes(reader, scorer, recording.rows)
    with watch.of("drawing"):
        picture = _draw(folder / "curve.png", source, recording, scorer)
    result = ScoredVideo(
        source,
        folder,
        scorer.threshold,
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
    )
    _write(result, recording.album, scorer, picture)
    return result


def open_pictures(reader: Reader, scorer: Scorer) -> Pictures | CountedFrames:
    """Return the timeline of a video, which makes the rows of its features where the method reads any."""
    if scorer.clip is None or scorer.fingerprint is None:
        return CountedFrames(reader, scorer.stride)
    return Pictures(reader, FrameEncoder(scorer.clip, scorer.fingerprint, FOLLOWED_BATCH if reader.follow else BATCH))


def _count_notes(reader: Reader, frames: int, duration: float) -> list[str]:
    """Return the differences between a video that was read to its end and the declaration of its container, which may
    state no length."""
    if reader.unseen_end is not None:
        return [f"{reader.source.shown} is {reader.unseen_end}"]
    if reader.declared is not None and reader.declared != frames:
        return [f"{frames} frames decoded, {reader.declared} declared by the container"]
    if reader.length is not None and reader.length - duration > 1:
        return [f"{duration:.1f} s decoded, {reader.length:.1f} s declared by the container: it may be cut off"]
    return []


def _score_notes(reader: Reader, scorer: Scorer, rows: int) -> list[str]:
    notes = []
    if reader.damaged:
        notes.append(f"{reader.damaged} damaged frames, scored as the decoder guessed them")
    window = window_rows(scorer.method.reach, reader.follow)
    cut = scorer.fingerprint is not None and not scorer.in_company and rows > window
    if cut and scorer.method.reach.whole:
        notes.append(
            f"a score of '{scorer.name}' depends on the whole video, which is too long to hold: scored in windows of"
            f" {window:,} rows, {window * scorer.stride:,} frames"
        )
    return notes


def _draw(path: Path, source: VideoSource, recording: Recording, scorer: Scorer) -> bytes:
    if not recording.rows:
        return b""
    album, threshold = recording.album, scorer.threshold
    save_figure(draw_curve(recording.curve, recording.events, threshold, source.shown, album.peaks), path)
    return path.read_bytes()


def _write(result: ScoredVideo, album: PeakAlbum, scorer: Scorer, picture: bytes) -> None:
    write_json(result.folder / "events.json", [event.to_dict() for event in result.events])
    write_json(result.folder / "summary.json", result.summary())
    took = "" if result.per_second is None else f", {result.per_second:.3g} s for each second of video"
    facts = {
        "video": result.source.shown,
        "length": f"{clock(result.duration)}, {result.frames} frames",
        "method": scorer.origin,
        "threshold": f"{scorer.threshold:.4g} ({scorer.threshold_origin})",
        "features": f"{f'CLIP {scorer.clip.name}' if scorer.clip else 'none'}, a row every {scorer.stride} frames",
        **({"post-processing": scorer.post} if scorer.post else {}),
        "time": f"{result.seconds['all']:.1f} s{took}",
        **({"costs": result.paid} if result.costs else {}),
        **({"not scored to its end": result.error} if result.error else {}),
    }
    page = video_page(result.source.name, facts, result.notes, result.events, picture, album.of_events)
    write_text(result.folder / "index.html", page)
