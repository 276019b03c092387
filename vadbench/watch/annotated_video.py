"""Write a video with its curve drawn under it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vadbench.base.errors import ConfigError, MediaError, cut
from vadbench.base.files import replacing
from vadbench.base.text import score_text
from vadbench.data.media import Frame
from vadbench.watch.events import Event
from vadbench.watch.reader import Reader
from vadbench.watch.score_curve import ScoreCurve
from vadbench.watch.video_folder import read_scores
from vadbench.watch.video_page import clock

_WIDEST, _NARROWEST = 1280, 320
_TEXT, _NAMES, _PLOT, _MARGIN = 18, 16, 72, 4
"""Pixels of the strip from its top: the time and the score, the names of events, the curve, and around the curve."""
_STRIP = _TEXT + _NAMES + _PLOT + 2 * _MARGIN
_GRAIN = Fraction(1, 90_000)
"""Unit of the times, for all frame rates: it divides those in use."""
_INK, _EVENT, _LINE, _PAPER = (31, 119, 180), (250, 205, 205), (120, 120, 120), (255, 255, 255)
_NAME = (150, 30, 30)


def annotate(
    reader: Reader, scores: Path, curve: ScoreCurve, events: Sequence[Event], threshold: float, output: Path
) -> int:
    """Read a video again and write it as H.264 with the same times, without sound, with the curve under it.

    Args:
        reader: reader of the video.
        scores: the table of its rows, ``scores.csv``.
        curve: its curve.
        events: events to mark in the strip.
        threshold: score of a line in the strip.
        output: file that ends in ``.mp4``, ``.mkv`` or ``.mov``; it appears when it is complete.

    Returns:
        The number of frames written.

    Raises:
        MediaError: the video cannot be read again.
        ConfigError: the output is the video itself.
    """
    if output.exists() and isinstance(reader.source.place, Path) and output.samefile(reader.source.place):
        raise ConfigError(f"{output} is the video that was scored; write the annotated one to another file")
    options = {"crf": "23", "preset": "veryfast"}
    count = 0
    with replacing(output) as temporary, av.open(str(temporary), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _GRAIN
        strip: _Strip | None = None
        last = -1
        for picture, score in zip(reader, _score_of_frames(scores), strict=False):
            frame = picture.read()
            if strip is None:
                strip = _Strip(_even_size(frame), curve, events, threshold)
                stream.width, stream.height = strip.size
            shown = av.VideoFrame.from_ndarray(strip.under(frame, picture.time, score), format="rgb24")
            last = max(last + 1, round(picture.time / _GRAIN))
            shown.pts, shown.time_base = last, _GRAIN
            container.mux(stream.encode(shown))
            count += 1
        if not count:
            raise MediaError(f"{reader.source.shown}: no frame was scored, so there is none to annotate")
        container.mux(stream.encode())
    return count


def _score_of_frames(scores: Path) -> Iterator[float]:
    """Yield the score of each frame: that of its row, and that of the last row for all frames after it."""
    last: tuple[float, int, float] | None = None
    for row in read_scores(scores):
        if last is not None:
            yield from repeat(last[2], row[1] - last[1])
        last = row
    if last is not None:
        yield from repeat(last[2])


def _even_size(frame: Frame) -> tuple[int, int]:
    """Return the width and height of the frame in the output, both even as H.264 requires."""
    height, width = frame.shape[:2]
    wanted = min(max(width, _NARROWEST), _WIDEST)
    return wanted // 2 * 2, max(2, round(height * wanted / width / 2) * 2)


class _Strip:
    """Curve of the whole video, drawn once, and a mark that moves along it."""

    def __init__(self, size: tuple[int, int], curve: ScoreCurve, events: Sequence[Event], threshold: float) -> None:
        self._picture = size
        width = size[0]
        self.size = (width, size[1] + _STRIP)
        self._end = max(curve.end, 1e-3)
        low, high = curve.span(threshold)
        self._font, small = ImageFont.load_default(13), ImageFont.load_default(11)
        image = Image.new("RGB", (width, _STRIP), _PAPER)
        draw = ImageDraw.Draw(image)

        def place(time: float, score: float) -> tuple[float, float]:
            return time / self._end * (width - 1), _STRIP - _MARGIN - (score - low) / (high - low) * _PLOT

        free, lefts = 0.0, [place(event.start, low)[0] for event in events]
        for event, left, limit in zip(events, lefts, [*lefts[1:], width + 3.0], strict=False):
            draw.rectangle((left, place(0, high)[1], place(event.end, low)[0], place(0, low)[1]), fill=_EVENT)
            # A name begins with its event, or before it where the next one is too near.
            name = event.label or "event"
            start = max(free, min(left, limit - 4 - small.getlength(name)))
            name = _shortened(name, small, limit - 4 - start)
            draw.text((start, _TEXT + 1), name, fill=_NAME, font=small)
            free = start + small.getlength(name) + 6 * bool(name)
        draw.line((place(0, threshold), place(self._end, threshold)), fill=_LINE)
        ends = [*curve.times[1:], self._end]
        points = [
            place(time, score)
            for start, end, score in zip(curve.times, ends, curve.scores, strict=True)
            for time in (start, end)
        ]
        draw.line(points, fill=_INK, width=2)
        x, y = place(self._end, threshold)
        told = f"threshold {score_text(threshold, '.3g')}"
        above = y - _TEXT > _TEXT + _NAMES
        at = (x - 3 - small.getlength(told), y - 15 if above else y + 2)
        draw.text(at, told, fill=_LINE, font=small, stroke_width=2, stroke_fill=_PAPER)
        self._drawn = image

    def under(self, frame: Frame, time: float, score: float) -> Frame:
        """Return a frame with the strip under it: a mark at its time, and the score of its row."""
        whole = Image.new("RGB", self.size)
        image = Image.fromarray(frame)
        whole.paste(image if image.size == self._picture else image.resize(self._picture))
        whole.paste(self._drawn, (0, self._picture[1]))
        draw = ImageDraw.Draw(whole)
        x = min(time / self._end, 1.0) * (self.size[0] - 1)
        top = self._picture[1] + _TEXT + _NAMES
        draw.line((x, top, x, self.size[1]), fill=(0, 0, 0))
        told = f"{clock(time)}   score {score_text(score, '.3f')}"
        draw.text((4, self._picture[1] + 1), told, fill=(0, 0, 0), font=self._font)
        return np.asarray(whole)


def _shortened(name: str, font: Any, width: float) -> str:
    """Return a name on one line, or as much of it as a width has room for."""
    shown = cut(" ".join(name.split()), 80)
    while shown and font.getlength(shown) > width:
        shown = shown[:-2] + "…" if len(shown) > 2 else ""
    return shown
