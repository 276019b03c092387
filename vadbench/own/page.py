"""A plain page about one scored video: everything in one file, nothing loaded, every text escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vadbench.own.events import Event
from vadbench.own.windows import Thumbnail

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; overflow-wrap: anywhere; }
img { max-width: 100%; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8886; padding: .25rem .75rem; text-align: right; vertical-align: middle; }
th:last-child, td:last-child, dd { text-align: left; }
td img { display: block; height: 4.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dd { margin: 0; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MOST_EVENTS = 500


def video_page(
    title: str,
    facts: Mapping[str, Any],
    notes: Sequence[str],
    events: Sequence[Event],
    picture: bytes,
    thumbnails: Mapping[int, Thumbnail],
) -> str:
    """The page as HTML.

    Args:
        title: the video's.
        facts: name and value of what is said of it.
        notes: what a reader must know.
        events: in the order of time; a page shows the first of very many.
        picture: the curve, a PNG file; empty where there is none.
        thumbnails: frames of peaks by the number of the peak's frame.
    """
    said = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    told = "".join(f"<li>{escape(note)}</li>" for note in notes)
    curve = f'<img alt="Anomaly score over time" src="{_inline("image/png", picture)}">' if picture else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Nothing in this page runs or is fetched, whatever a name in it says.
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1 dir="auto">{escape(title)}</h1><p>{curve}</p><h2>Events</h2>{_table(events, thumbnails)}'
        f"<h2>How it was scored</h2><dl>{said}</dl>{f'<ul>{told}</ul>' if told else ''}</body></html>\n"
    )


def _table(events: Sequence[Event], thumbnails: Mapping[int, Thumbnail]) -> str:
    if not events:
        return "<p>No row reaches the threshold.</p>"
    lines = []
    for event in events[:_MOST_EVENTS]:
        frame = thumbnails.get(event.peak_frame)
        shown = f'<img alt="Frame {frame.frame}" src="{_inline("image/jpeg", frame.jpeg)}">' if frame else ""
        when = [clock(event.start), clock(event.end), clock(event.peak_time)]
        numbers = [*when, f"{event.peak:.3f}", f"{event.mean:.3f}"]
        cells = "".join(f"<td>{number}</td>" for number in numbers)
        lines.append(f"<tr>{cells}<td>{escape(event.label)}</td><td>{shown}</td></tr>")
    more = len(events) - len(lines)
    rest = f"<p>{more} more in events.csv.</p>" if more else ""
    heads = "".join(f"<th>{head}</th>" for head in ("start", "end", "peak at", "peak", "mean", "class", "peak frame"))
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="wide">{table}</div>{rest}'


def clock(seconds: float) -> str:
    """Seconds as people read them.

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
