"""Page about one scored video, drawn by the same code as the report's curves: one file that loads nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vadbench.base.text import score_text
from vadbench.dataset import ClassTable
from vadbench.report.packing import pack
from vadbench.report.page import render_page
from vadbench.report.thumbnails import PICTURES, joined_strip, small_picture
from vadbench.watch.events import Event
from vadbench.watch.recording import PeakAlbum
from vadbench.watch.score_curve import ScoreCurve
from vadbench.watch.thresholds import EventThreshold

MOST_EVENTS, MOST_SHADED, MOST_CLASSES = 500, 2000, 24
"""Number of events in the page's table and of those shaded in its curve, the first ones, and of likely classes."""
_UNIT = 0.01
"""Seconds in which the page counts."""
_SCRIPTS = ("base.js", "charts.js", "curves.js", "viewer.js", "own_video.js")


def video_page(
    title: str,
    facts: Mapping[str, Any],
    notes: Sequence[str],
    curve: ScoreCurve,
    events: Sequence[Event],
    threshold: EventThreshold | None,
    classes: ClassTable,
    album: PeakAlbum,
) -> str:
    """Return the page as HTML.

    Args:
        title: title of the video.
        facts: facts about the video, by name.
        notes: notes for the reader.
        curve: its scores; without any, nothing is drawn.
        events: events in the order of time.
        threshold: where they begin and end; ``None`` if there is no score.
        classes: of the probabilities of the curve.
        album: pictures of its highest rows.
    """
    length = max(1, round(curve.end / _UNIT))
    spans = [[event.label, *_span(event, length)] for event in events[:MOST_SHADED]]
    run, left_out = (None, 0) if threshold is None or not curve.times else _run(curve, classes)
    data = {
        "about": f"{clock(curve.end)}, {len(events)} event{'' if len(events) == 1 else 's'}"
        + (" (shaded)" if events else ""),
        "videos": [
            {
                "name": title,
                "labels": [],
                "frames": length,
                "runs": [span[1:] for span in spans],
                "segments": spans,
                "strip": _strip(album, curve.end),
            }
        ],
        "runs": [] if run is None else [run],
        "classesLeftOut": left_out,
        "threshold": None if threshold is None else {"value": threshold.value, "low": threshold.low},
        "fitted": threshold is not None and run is not None and curve.fitted(threshold.value) is not None,
        "events": [_event(event, album) for event in events[:MOST_EVENTS]],
        "more": max(0, len(events) - MOST_EVENTS),
        "none": no_event_words(curve, threshold),
        "facts": [[name, str(value)] for name, value in facts.items()],
        "notes": list(notes),
    }
    return render_page(title, "own_video.html", _SCRIPTS, data)


def no_event_words(curve: ScoreCurve, threshold: EventThreshold | None) -> str:
    """Return why there is no event, and what would give some."""
    if threshold is None or not curve.scores:
        return "There is no event, as no row was scored."
    highest = max(curve.scores)
    if highest >= threshold.value:
        return "No event: rows that reach the threshold last too short a time; --min-length allows less."
    reached, needed = score_text(highest, ".4g"), score_text(threshold.value, ".4g")
    return f"No row reaches the threshold {needed}: highest {reached}; --threshold lowers it."


def clock(seconds: float) -> str:
    """Format seconds for reading.

    >>> clock(5.25), clock(3725.04)
    ('0:05.2', '1:02:05.0')
    """
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def _span(event: Event, length: int) -> tuple[int, int]:
    start = min(round(event.start / _UNIT), length - 1)
    return start, max(start + 1, round(event.end / _UNIT))


def _event(event: Event, album: PeakAlbum) -> dict[str, Any]:
    peak = album.of(event)
    return {
        "start": round(event.start, 3),
        "end": round(event.end, 3),
        "peak": event.peak,
        "peakTime": round(event.peak_time, 3),
        "label": event.label,
        "remarks": list(event.remarks or ()),
        "picture": None if peak is None else _inline(peak.picture.jpeg),
    }


def _run(curve: ScoreCurve, classes: ClassTable) -> tuple[dict[str, Any], int]:
    """Return the curve as a run of the report's pages, and the number of classes that are left out of it."""
    step, places = _even(curve)
    highs, lows = places.highest(np.array(curve.scores)), -places.highest(-np.array(curve.lows))
    spread = bool((lows < highs).any())
    run = {
        "label": "score",
        "stride": step / _UNIT,
        "rows": [len(highs)],
        "scores": pack(np.concatenate([highs, lows]) if spread else highs)._asdict(),
        "spread": spread,
        "classNames": [],
        "classes": None,
    }
    if not curve.classes:
        return run, 0
    shares = places.highest(np.array(curve.classes))
    kept = np.sort(np.argsort(-shares.max(0), kind="stable")[:MOST_CLASSES])
    names = [classes.names[i] for i in kept]
    return run | {"classNames": names, "classes": pack(shares[:, kept])._asdict()}, shares.shape[1] - len(kept)


class _Places:
    """Where the intervals of a curve lie among even ones."""

    def __init__(self, count: int, middle: NDArray[np.intp], own: NDArray[np.intp]) -> None:
        self._count, self._middle, self._own = count, middle, own

    def highest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the highest of values ``(intervals, ...)`` in each even one: of those in its middle or begun in it."""
        found = values[self._middle]
        np.maximum.at(found, self._own, values)
        return found


def _even(curve: ScoreCurve) -> tuple[float, _Places]:
    """Return the length of equal intervals for a curve, those of the curve itself where they are equal, and its own
    among them."""
    times = np.array(curve.times)
    count = len(times)
    end = max(curve.end, times[-1] + 1e-3)
    step = times[-1] / (count - 1) if count > 1 else end
    numbers = np.arange(count)
    # The last one may be of another length; time stamps are often rounded.
    if np.abs(times - step * numbers).max() < step / 2:
        return step, _Places(count, numbers, numbers)
    step = max(np.diff(times).min(), end / curve.size)
    count = int(np.ceil(end / step - 1e-9))
    middle = np.searchsorted(times, (np.arange(count) + 0.5) * step, "right") - 1
    return step, _Places(count, middle, np.minimum((times / step).astype(np.intp), count - 1))


def _strip(album: PeakAlbum, end: float) -> dict[str, Any] | None:
    """Return pictures from about the middles of equal parts of the video, side by side."""
    if not album.peaks:
        return None
    middles = [(part + 0.5) * end / PICTURES for part in range(PICTURES)]
    times = np.array([peak.time for peak in album.peaks])
    shown = [album.peaks[i] for i in sorted({int(np.abs(times - middle).argmin()) for middle in middles})]
    pictures = [small_picture(Image.open(io.BytesIO(peak.picture.jpeg))) for peak in shown]
    return joined_strip(pictures, [round(peak.time / _UNIT) for peak in shown])._asdict()


def _inline(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
