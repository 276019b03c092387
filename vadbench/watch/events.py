"""Find events and make a curve of bounded size from the scores of a video, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import cut
from vadbench.dataset import ClassTable
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.thresholds import EventThreshold

JOINED_SECONDS = 1.0
"""Largest gap within one event: our decision, so that a flickering score is not many events."""
MOST_REMARKS, LONGEST_REMARK = 10, 300
"""Number of remarks of an event that are kept, the first different ones, and of characters of each."""


@dataclass(frozen=True)
class Event:
    """Stretch of a video that begins with a row that reaches the threshold and ends before one below the lower one.

    Args:
        start: seconds from the video's first frame.
        end: seconds at which its last row ends.
        first_frame: number of the first frame, 0-based.
        end_frame: one past the last frame.
        peak: the highest score.
        peak_time: seconds at which the row of the peak starts.
        peak_frame: the first frame of that row.
        mean: the mean score of its rows, including rows in gaps.
        label: the abnormal class with the highest mean probability, ``""`` if the method has no classes.
        remarks: the first different remarks on its rows that reach the threshold, ``None`` for a method without.
    """

    start: float
    end: float
    first_frame: int
    end_frame: int
    peak: float
    peak_time: float
    peak_frame: int
    mean: float
    label: str
    remarks: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and tables."""
        values = asdict(self)
        values["class"] = values.pop("label")
        if (remarks := values.pop("remarks")) is not None:
            values["remarks"] = "; ".join(remarks)
        # Scores are float32, with seven significant digits.
        values |= {name: float(f"{values[name]:.7g}") for name in ("peak", "mean")}
        return values | {name: round(values[name], 3) for name in ("start", "end", "peak_time")}


@dataclass
class _Open:
    """Event that may continue, and what is added to it if it does."""

    event: Event
    rows: int
    total: float
    classes: NDArray[np.float64] | None
    # Since its last row that was not in a gap.
    gap_rows: int = 0
    gap_total: float = 0.0
    gap_classes: NDArray[np.float64] | None = None


class EventFinder:
    """Finder of the events of a video whose rows come window by window.

    An event begins with a row that reaches the threshold and lasts as long as rows reach the lower one. Another that
    begins within :data:`JOINED_SECONDS` is the same event. Events shorter than ``shortest`` are left out.

    Args:
        threshold: where events begin and end; another may be set at any time, for the rows after it.
        classes: classes of the method.
        stride: frames per row.
        shortest: seconds that an event lasts at least.
    """

    def __init__(self, threshold: EventThreshold, classes: ClassTable, stride: int, shortest: float = 0.0) -> None:
        self.threshold, self._classes, self._stride, self._shortest = threshold, classes, stride, shortest
        self._open: _Open | None = None
        # The row before, which ends where the next one starts.
        self._pending: tuple[int, float, float, NDArray[np.float64] | None, Sequence[str] | None] | None = None

    @property
    def going_on(self) -> Event | None:
        """Event that has begun and not ended; its mean and class are not known yet."""
        return self._open.event if self._open else None

    def add(self, rows: StreamedRows) -> list[Event]:
        """Take the next rows, and return the events that ended within them."""
        ended = []
        for i, score in enumerate(rows.anomaly):
            start = float(rows.starts[i])
            ended += self._settle(start, (rows.first + i) * self._stride)
            classes = None if rows.classes is None else rows.classes[i].astype(np.float64)
            remarks = None if rows.remarks is None else rows.remarks[i]
            self._pending = (rows.first + i, start, float(score), classes, remarks)
        return ended

    def finish(self, end: float, frames: int) -> list[Event]:
        """Return the event that lasts until the end of the video, if there is one.

        Args:
            end: seconds at which the video ends.
            frames: number of frames of the video.
        """
        ended = self._settle(end, frames)
        return [*ended, *self._close()]

    def _settle(self, end: float, end_frame: int) -> list[Event]:
        """Take the pending row into account, now that its end is known."""
        if self._pending is None:
            return []
        row, start, score, classes, remarks = self._pending
        self._pending = None
        lasting = self._open is not None and not self._open.gap_rows
        if score < (self.threshold.low if lasting else self.threshold.value):
            if self._open is None:
                return []
            self._open.gap_rows += 1
            self._open.gap_total += score
            self._open.gap_classes = _sum(self._open.gap_classes, classes)
            return self._close() if end - self._open.event.end > JOINED_SECONDS else []
        frame = row * self._stride
        if self._open is None:
            event = Event(start, end, frame, end_frame, score, start, frame, score, "", _added(None, remarks))
            self._open = _Open(event, 1, score, classes)
            return []
        opened = self._open
        said = _added(opened.event.remarks, remarks) if score >= self.threshold.value else opened.event.remarks
        opened.event = replace(opened.event, end=end, end_frame=end_frame, remarks=said)
        if score > opened.event.peak:
            opened.event = replace(opened.event, peak=score, peak_time=start, peak_frame=frame)
        opened.rows += opened.gap_rows + 1
        opened.total += opened.gap_total + score
        opened.classes = _sum(_sum(opened.classes, opened.gap_classes), classes)
        opened.gap_rows, opened.gap_total, opened.gap_classes = 0, 0.0, None
        return []

    def _close(self) -> list[Event]:
        if self._open is None:
            return []
        opened, self._open = self._open, None
        label = ""
        if opened.classes is not None:
            abnormal = list(self._classes.abnormal)
            label = self._classes.names[abnormal[int(opened.classes[abnormal].argmax())]]
        # Times are sums of float64, which may be off in the last digits.
        if opened.event.end - opened.event.start < self._shortest - 1e-6:
            return []
        return [replace(opened.event, mean=opened.total / opened.rows, label=label)]


def _added(before: tuple[str, ...] | None, remarks: Sequence[str] | None) -> tuple[str, ...] | None:
    if remarks is None:
        return before
    shown = (cut(remark, LONGEST_REMARK) for remark in remarks)
    return tuple(dict.fromkeys([*(before or ()), *shown]))[:MOST_REMARKS]


def _sum(a: NDArray[np.float64] | None, b: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    return b if a is None else a if b is None else a + b
