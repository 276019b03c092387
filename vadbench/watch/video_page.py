"""Page about one scored video: one file that loads and executes nothing, with every text escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vadbench.report.page import document
from vadbench.watch.events import Event
from vadbench.watch.timeline import Thumbnail

_MOST_EVENTS = 500


def video_page(
    title: str,
    facts: Mapping[str, Any],
    notes: Sequence[str],
    events: Sequence[Event],
    picture: bytes,
    thumbnails: Mapping[int, Thumbnail],
) -> str:
    """Return the page as HTML.

    Args:
        title: title of the video.
        facts: facts about the video, by name.
        notes: notes for the reader.
        events: events in the order of time; if there are very many, only the first are shown.
        picture: plot of the curve, a PNG file; may be empty.
        thumbnails: frames of peaks by the number of the peak's frame.
    """
    said = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    told = "".join(f"<p>{escape(note)}</p>" for note in notes)
    curve = f'<img alt="Anomaly score over time" src="{_inline("image/png", picture)}">' if picture else ""
    return document(
        title,
        f'<h1 dir="auto">{escape(title)}</h1>{curve}<h2>Events</h2>{_table(events, thumbnails)}'
        f'<h2>How it was scored</h2><dl class="facts">{said}</dl><div class="notes">{told}</div>',
    )


def _table(events: Sequence[Event], thumbnails: Mapping[int, Thumbnail]) -> str:
    if not events:
        return "<p>No row reaches the threshold.</p>"
    lines = []
    talks = any(event.remarks for event in events[:_MOST_EVENTS])
    for event in events[:_MOST_EVENTS]:
        frame = thumbnails.get(event.peak_frame)
        shown = f'<img alt="Frame {frame.frame}" src="{_inline("image/jpeg", frame.jpeg)}">' if frame else ""
        when = [clock(event.start), clock(event.end), clock(event.peak_time)]
        numbers = [*when, f"{event.peak:.3f}", f"{event.mean:.3f}"]
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        said = f"<td>{'<br>'.join(map(escape, event.remarks or ()))}</td>" if talks else ""
        lines.append(f"<tr>{cells}<td>{escape(event.label)}</td>{said}<td>{shown}</td></tr>")
    more = len(events) - len(lines)
    rest = f"<p>{more} more in events.csv.</p>" if more else ""
    heads = "".join(f'<th class="number">{head}</th>' for head in ("start", "end", "peak at", "peak", "mean"))
    said = "<th>remarks</th>" if talks else ""
    head = f"<thead><tr>{heads}<th>class</th>{said}<th>peak frame</th></tr></thead>"
    table = f"<table>{head}<tbody>{''.join(lines)}</tbody></table>"
    # Reachable by keyboard, so that wide tables can be scrolled.
    return f'<div class="scroll" tabindex="0" role="group" aria-label="Events">{table}</div>{rest}'


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


def _inline(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
