"""A finished run in a notebook: its figures, its scores beside their ground truth frame by frame, and its plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vadbench.base.arguments import path_text
from vadbench.base.errors import ConfigError, RunError, UnknownNameError, shortened
from vadbench.base.locations import DEFAULT_OUT
from vadbench.metrics.definitions import COMPARED, unit_of
from vadbench.records.folders import read_record
from vadbench.records.record import RunRecord
from vadbench.records.run_names import find_run
from vadbench.records.scores import load_split
from vadbench.report.page_runs import labels
from vadbench.results.sides import matched
from vadbench.scoring.split import ScoredSplit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vadbench.records.plot_kinds import PlotKind

RUN = "a run, its folder, its key or its label"
"""What names a run, for messages."""


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A finished run, read from its folder; a notebook shows its metrics.

    Args:
        folder: of the run.
        record: everything that ``result.json`` has.
    """

    folder: Path
    record: RunRecord

    @property
    def label(self) -> str:
        """The method with its label or its changed settings, and the seed."""
        return f"{self.record.title}, seed {self.record.seed}"

    @property
    def metrics(self) -> pd.DataFrame:
        """The metrics by their keys: ``value``, the ends ``low`` and ``high`` of its 95 % interval, ``unit``, and the
        ``reason`` where a value is undefined. Values in % are fractions."""
        rows = {key: {**value.model_dump(), "unit": unit_of(key)} for key, value in self.record.metrics.items()}
        columns = ["value", "low", "high", "unit", "reason"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("metric")
        return table.astype(dict.fromkeys(columns[:3], float))

    @cached_property
    def split(self) -> ScoredSplit:
        """The scores of the test split with its ground truth, as they are measured.

        Raises:
            RunError: the scores are missing or damaged.
        """
        return load_split(self.folder, remarks=True)

    @cached_property
    def scores(self) -> Mapping[str, NDArray[np.floating]]:
        """The score of each frame that counts, ``(frames,)``, by video, after post-processing."""
        rows = self.split.rows
        return self._by_video(np.repeat(rows.scores, rows.frames))

    @cached_property
    def truth(self) -> Mapping[str, NDArray[np.bool_]]:
        """Whether each frame of :attr:`scores` is anomalous, ``(frames,)``, by video."""
        masks = []
        for video, frames in zip(self.split.annotated, self.split.rows.video_frames.tolist(), strict=True):
            mask = np.zeros(frames, bool)
            for start, end in video.runs:
                mask[start:end] = True
            masks.append(mask)
        return {video.name: mask for video, mask in zip(self.split.videos, masks, strict=True)}

    @property
    def class_scores(self) -> Mapping[str, pd.DataFrame] | None:
        """The probability of each class in each row of scores, by video; ``None`` for a method without classes."""
        names = self.split.classes.names
        found = {s.name: s.classes for s in self.split.scores}
        if any(values is None for values in found.values()):
            return None
        return {name: pd.DataFrame(values, columns=list(names)) for name, values in found.items()}

    def plot(
        self,
        kind: PlotKind = "roc",
        *,
        video: str | None = None,
        beside: FinishedRun | str | Path | Sequence[FinishedRun | str | Path] = (),
    ) -> Figure:
        """Return a plot, as ``vadbench plot`` draws it.

        Args:
            kind: what to draw of the split.
            video: draw the scores of this test video over its frames instead.
            beside: a run on the same test videos to draw as well, or several.

        Raises:
            UnknownNameError: there is no such kind or video.
            RunError: the runs differ in their test videos, or there is nothing to draw.
        """
        from vadbench.records.plot_kinds import PLOT_KINDS, plot_of
        from vadbench.records.plots import draw_video, drawn

        others = finished_runs("beside", beside)
        runs = [self, *others]
        names = labels([run.record for run in runs])
        first = (self.record, self.folder)
        theirs = [matched(self.split, run.split, first, (run.record, run.folder)) for run in others]
        splits = dict(zip(names, [self.split, *theirs], strict=True))
        if video is not None:
            places = {v.name: i for i, v in enumerate(self.split.videos)}
            if video not in places:
                raise UnknownNameError("test video", video, places)
            figure = drawn(draw_video, splits, places[video])
            assert figure is not None
            return figure
        if kind not in PLOT_KINDS:
            raise UnknownNameError("kind of plot", kind, PLOT_KINDS)
        draw, arguments, lacking = plot_of(
            kind, splits, dict(zip(names, (r.record.metrics for r in runs), strict=True))
        )
        figure = drawn(draw, *arguments)
        if figure is None:
            raise RunError(f"no {kind} plot of {self.folder}: {lacking}")
        return figure

    def _by_video(self, frames: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        rows = self.split.rows
        ends = np.cumsum(rows.video_frames)[:-1]
        return dict(zip(rows.names, np.split(frames, ends), strict=True))

    def __repr__(self) -> str:
        found = self.record.metrics.get("AUC")
        value = "" if found is None or found.value is None else f", AUC {100 * found.value:.2f} %"
        return f"<{self.label} on {self.record.dataset}{value}: {self.folder}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the metrics by which methods are compared, and the notes on them."""
        rows = []
        for key in (key for key in COMPARED if key in self.record.metrics):
            found = self.record.metrics[key]
            ends = " to ".join(_shown(key, end) for end in (found.low, found.high) if end is not None)
            value = found.reason or "undefined" if found.value is None else _shown(key, found.value)
            rows.append(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td><td>{ends}</td></tr>")
        about = f"{self.label} on {self.record.dataset}{self.record.marks}"
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.record.notes)
        return (
            f"<p><b>{escape(about)}</b><br><code>{escape(str(self.folder))}</code></p>"
            f"<table><tr><th></th><th>value</th><th>95 % interval</th></tr>{''.join(rows)}</table>"
            f"<ul>{notes}</ul>"
        )


def load(run: FinishedRun | str | Path, out: str | Path = DEFAULT_OUT) -> FinishedRun:
    """Return a finished run.

    Args:
        run: its folder, the beginning of its key, or its label; a run is read again.
        out: folder of run folders, for a key.

    Raises:
        ConfigError: an argument is of another kind.
        RunError: there is no single such run, or it is not finished.
    """
    folder = find_run(run_name("run", run), Path(path_text("out", out)))
    record = read_record(folder)
    if record.status != "finished":
        raise RunError(f"{folder} holds a {record.status} run; run it again")
    return FinishedRun(folder, record)


def run_name(argument: str, run: object) -> str:
    """Return the name of a run that is given by itself or by a name.

    Raises:
        ConfigError: it is neither.
    """
    return str(run.folder) if isinstance(run, FinishedRun) else path_text(argument, run, RUN)


def finished_runs(argument: str, given: object, out: Path = DEFAULT_OUT) -> list[FinishedRun]:
    """Return one run, or several, of which some may be given by name.

    Raises:
        ConfigError: something else is among them.
        RunError: there is no single run of a name, or it is not finished.
    """
    items = [given] if isinstance(given, FinishedRun | str | Path) else given
    if not isinstance(items, Iterable):
        raise ConfigError(f"{argument} must be {RUN}, or a list of such, found {shortened(given)}")
    return [item if isinstance(item, FinishedRun) else load(run_name(argument, item), out) for item in items]


def _shown(key: str, value: float) -> str:
    percent = unit_of(key) == "%"
    return f"{100 * value:.2f} %" if percent else f"{value:.4g}"
