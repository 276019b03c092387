"""Files of a scored video: a table of its rows, its events, a plot of its curve."""

from __future__ import annotations

import csv
import io
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from vadbench.base.errors import cut
from vadbench.base.files import make_folder, replacing, storage_errors
from vadbench.base.remarks import LONGEST_REMARK
from vadbench.base.text import score_text, spreadsheet
from vadbench.dataset import ClassTable
from vadbench.watch.events import Event
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.score_curve import ScoreCurve
from vadbench.watch.timeline import Thumbnail

REMARKS = "remarks"
"""Column of the remarks on a row or an event, where the method gives any."""
RowFormat = Literal["csv", "json", "parquet"]

EVENT_COLUMNS = ("start", "end", "first_frame", "end_frame", "peak", "peak_time", "peak_frame", "mean", "class")
FILES = (
    *("scores.csv", "scores.json", "scores.parquet", "events.csv", "events.json"),
    *("curve.png", "index.html", "summary.json"),
)
"""Names of all files that a video's folder can have."""

_SHOWN = 5
"""Number of peak frames in the plot."""
_RED = "#d62728"


class RowTable(ABC):
    """Table that grows by windows of rows: time, frame, score, a column for each class, and the remarks."""

    @abstractmethod
    def add(self, records: Sequence[dict[str, Any]]) -> None:
        """Append rows and write them to disk."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file."""


def class_columns(classes: ClassTable) -> list[str]:
    """Return the columns of class probabilities, such as ``p(Fighting)``, which cannot clash with other columns."""
    return [f"p({name})" for name in classes.names]


def row_records(rows: StreamedRows, stride: int, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of the table; the frame of a row is its first."""
    # The shortest decimal of this float32, without false digits.
    scores = [float(str(score)) for score in rows.anomaly]
    records: list[dict[str, Any]] = [
        {"time": round(float(start), 3), "frame": (rows.first + i) * stride, "score": score}
        for i, (start, score) in enumerate(zip(rows.starts, scores, strict=True))
    ]
    if rows.classes is not None:
        for record, values in zip(records, rows.classes, strict=True):
            record.update((c, float(str(v))) for c, v in zip(columns, values, strict=True))
    if rows.remarks is not None:
        for record, texts in zip(records, rows.remarks, strict=True):
            record[REMARKS] = cut("; ".join(texts), LONGEST_REMARK)
    return records


class CsvTable(RowTable):
    """Comma-separated values, flushed at every window, so that programs can follow the file as it grows."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, columns, extrasaction="ignore", lineterminator="\n")
        self.clear()

    def clear(self) -> None:
        """Remove all rows."""
        self._file.seek(0)
        self._file.truncate()
        self._writer.writeheader()
        self._file.flush()

    def add(self, records: Sequence[dict[str, Any]]) -> None:
        # A remark may begin like a formula, and have line breaks.
        said = ({REMARKS: spreadsheet(r[REMARKS])} if REMARKS in r else {} for r in records)
        self._writer.writerows({**r, **own} for r, own in zip(records, said, strict=True))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class JsonTable(RowTable):
    """JSON array of objects, one per line."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._before = "[\n"

    def add(self, records: Sequence[dict[str, Any]]) -> None:
        for record in records:
            self._file.write(self._before + json.dumps(record, ensure_ascii=False, allow_nan=False))
            self._before = ",\n"
        self._file.flush()

    def close(self) -> None:
        self._file.write("[]\n" if self._before == "[\n" else "\n]\n")
        self._file.close()


class ParquetTable(RowTable):
    """Parquet file with a row group per window, readable once it is closed."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        import pyarrow
        import pyarrow.parquet

        kinds = {"time": pyarrow.float64(), "frame": pyarrow.int64(), REMARKS: pyarrow.string()}
        schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float32())) for name in columns])
        self._table = pyarrow.Table
        self._writer = pyarrow.parquet.ParquetWriter(path, schema)

    def add(self, records: Sequence[dict[str, Any]]) -> None:
        self._writer.write_table(self._table.from_pylist(list(records), schema=self._writer.schema))

    def close(self) -> None:
        self._writer.close()


class VideoFolder:
    """Folder of one video while it is scored: rows and events are written as soon as they are known.

    Args:
        path: created if needed; results of an earlier call in it are removed.
        classes: their probabilities are columns, if the first rows have any, as remarks are.
        stride: frames per row.
        form: format of a second table in addition to the .csv file.
    """

    def __init__(self, path: Path, classes: ClassTable, stride: int, form: RowFormat = "csv") -> None:
        self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        self.path, self._stride, self._form = make_folder(path), stride, form
        self._columns = class_columns(classes)
        self._tables: list[RowTable] = []
        self._stack = ExitStack()
        self._remove_files()

    def __enter__(self) -> VideoFolder:
        return self

    def __exit__(self, *_: object) -> None:
        with storage_errors(self.path):
            if not self._tables:
                self._start([], [])
            self._stack.close()

    def add(self, rows: StreamedRows) -> None:
        """Append scored rows to the tables."""
        with storage_errors(self.path):
            if not self._tables:
                self._start([] if rows.classes is None else self._columns, [] if rows.remarks is None else [REMARKS])
            records = row_records(rows, self._stride, self._columns)
            for table in self._tables:
                table.add(records)

    def add_events(self, events: Sequence[Event]) -> None:
        """Append events that have ended."""
        if events:
            with storage_errors(self.path):
                self._events.add([event.to_dict() for event in events])

    def replace_events(self, events: Sequence[Event]) -> None:
        """Write events in place of those before."""
        with storage_errors(self.path):
            self._events.clear()
        self.add_events(events)

    def discard(self) -> None:
        """Remove the files, and the folders that were made for them."""
        self._remove_files()
        for folder in self._made:
            # One that somebody else uses by now stays.
            with suppress(OSError):
                folder.rmdir()

    def _remove_files(self) -> None:
        with storage_errors(self.path):
            for name in FILES:
                (self.path / name).unlink(missing_ok=True)

    def _start(self, columns: Sequence[str], remarks: Sequence[str]) -> None:
        names = ["time", "frame", "score", *columns, *remarks]
        self._events = CsvTable(self.path / "events.csv", [*EVENT_COLUMNS, *remarks])
        self._stack.callback(self._events.close)
        self._tables = [CsvTable(self.path / "scores.csv", names)]
        if self._form == "json":
            self._tables.append(JsonTable(self.path / "scores.json"))
        elif self._form == "parquet":
            self._tables.append(ParquetTable(self.path / "scores.parquet", names))
        for table in self._tables:
            self._stack.callback(table.close)


def draw_curve(
    curve: ScoreCurve,
    events: Sequence[Event],
    threshold: float,
    title: str,
    pictures: Sequence[tuple[float, float, Thumbnail]],
) -> Figure:
    """Plot the curve of a video: its highest scores over time, the threshold, the events, frames of the highest peaks.

    Scores that take little of the axis get one of their own, on which the threshold may not be.

    Args:
        curve: curve with at least one interval.
        events: events, shown shaded.
        threshold: threshold, shown as a dashed line.
        title: title, shown literally, without interpreting TeX.
        pictures: time, score and frame of peaks; at most :data:`_SHOWN` are shown.
    """
    shown = sorted(pictures[:_SHOWN], key=lambda p: p[0])
    figure = Figure(figsize=(10, 4.6 if shown else 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False, fontsize=10)
    grid = figure.add_gridspec(2 if shown else 1, _SHOWN, height_ratios=(1, 2) if shown else None)
    axes = figure.add_subplot(grid[-1, :])
    end = max(curve.end, curve.times[-1] + 1e-3)
    times, scores = [*curve.times, end], [*curve.scores, curve.scores[-1]]
    for event in events:
        axes.axvspan(event.start, event.end, color=_RED, alpha=0.15, linewidth=0)
    axes.step(times, scores, where="post", linewidth=1.2)
    axes.axhline(threshold, linestyle="--", color="grey", linewidth=1)
    fitted = curve.fitted(threshold)
    low, high = fitted or curve.span(threshold)
    room = 0.02 * (high - low)
    axes.set(xlim=(0, end), ylim=(low - room if fitted else low, high + room))
    outside = "" if low <= threshold <= high else f"\nthreshold {score_text(threshold, '.3g')} is outside"
    axes.set(xlabel="seconds", ylabel=f"anomaly score{outside}")
    for place, (when, score, thumbnail) in enumerate(shown):
        above = figure.add_subplot(grid[0, place])
        above.imshow(np.asarray(Image.open(io.BytesIO(thumbnail.jpeg))))
        above.set_title(f"{when:.1f} s: {score_text(score, '.3f')}", fontsize=8)
        above.set_axis_off()
        axes.plot([when], [score], "o", color=_RED, markersize=4, clip_on=False)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; characters that the font lacks become boxes."""
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def read_scores(path: Path) -> Iterator[tuple[float, int, float]]:
    """Yield time, first frame and score of each row of a ``scores.csv``."""
    with path.open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            yield float(record["time"]), int(record["frame"]), float(record["score"])
