"""Runs beside each other in a notebook: two compared, or all of a folder ranked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vadbench.base.arguments import one_or_more, path_text, require_function, require_switches, require_texts
from vadbench.base.errors import ConfigError
from vadbench.base.locations import DEFAULT_OUT
from vadbench.base.progress_bar import shown_progress
from vadbench.base.types import Progress
from vadbench.notebook.finished_run import FinishedRun, finished_runs
from vadbench.results.compare import compare_sides
from vadbench.results.sides import ComparedRuns, load_runs, seeds_of_one
from vadbench.tables.formats import render
from vadbench.tables.ranked_runs import rank
from vadbench.tables.table import Table

Named = str | Path | FinishedRun | Sequence[FinishedRun | str | Path]
"""One side of a comparison."""


def compare(
    a: Named,
    b: Named,
    metrics: str | Sequence[str] | None = None,
    *,
    out: str | Path = DEFAULT_OUT,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare two methods on the same test videos by paired resampling: ``vadbench compare``.

    Args:
        a, b: a run, a list of its seeds, or a name as on the command line: a run folder, the beginning of a key, a
            label, several with commas between, or the folder of all seeds of a method on a data set.
        metrics: a key, or several; by default those by which methods are compared.
        out: folder of run folders.
        progress: as of :func:`vadbench.notebook.runs.run`.

    Returns:
        A row for each metric: the means ``A`` and ``B``, their ``difference`` with the ends ``low`` and ``high`` of its
        95 % interval, ``p``, ``p_holm`` adjusted for all rows, and a ``verdict`` in words.

    Raises:
        ConfigError: an argument is of another kind.
        RunError: a side is not the seeds of one experiment, or they differ in their test videos.
        UnknownNameError: there is no such metric.
    """
    place, keys = Path(path_text("out", out)), None if metrics is None else one_or_more("metrics", metrics, "key")
    require_function("progress", progress)
    sides = {"A": _side("a", a, place), "B": _side("b", b, place)}
    with shown_progress(progress) as told:
        found = compare_sides(sides, keys, told)
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("metric")


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """Tables of runs that may be compared with each other; a notebook shows them.

    Args:
        tables: one for each group of comparable runs.
        notes: on what is not in them.
    """

    tables: Sequence[Table]
    notes: Sequence[str] = ()

    @property
    def frame(self) -> pd.DataFrame:
        """All tables as one, a row for each place: the columns are those of ``vadbench leaderboard --format csv``."""
        return pd.read_csv(io.StringIO(render(self.tables, "csv")))

    def __repr__(self) -> str:
        return f"<{len(self.tables)} table{'' if len(self.tables) == 1 else 's'} of runs>"

    def __str__(self) -> str:
        return render(self.tables, "text")

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.tables, "html")


def leaderboard(
    dataset: str | None = None,
    metric: str | None = None,
    *,
    out: str | Path = DEFAULT_OUT,
    methods: str | Sequence[str] = (),
    supervision: str | Sequence[str] = (),
    costs: bool = False,
    with_recorded: bool = False,
    plugins: str | Path | Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Leaderboard:
    """Rank the finished runs that may be compared: ``vadbench leaderboard``.

    Args:
        dataset: only this data set.
        metric: rank by it; by default by the headline of the data set.
        out: folder of run folders.
        methods: only this one, or these.
        supervision: only methods that learn from it, or from one of these.
        costs: add columns of what the runs cost.
        with_recorded: rank recorded scores beside runs.
        plugins, progress: as of :func:`vadbench.notebook.runs.run`.

    Raises:
        ConfigError: an argument is of another kind.
        RunError: there is no finished run.
        UnknownNameError: there is no such data set, method, metric or supervision.
    """
    from vadbench.plugins.registry import Registry

    require_texts(dataset=dataset, metric=metric)
    require_switches(costs=costs, with_recorded=with_recorded)
    require_function("progress", progress)
    files = [Path(file) for file in one_or_more("plugins", plugins)]
    with shown_progress(progress) as told:
        tables, notes = rank(
            Path(path_text("out", out)),
            Registry(files=files),
            dataset,
            metric,
            costs=costs,
            with_recorded=with_recorded,
            supervision=one_or_more("supervision", supervision, "name"),
            methods=one_or_more("methods", methods, "name"),
            progress=told,
        )
    return Leaderboard(tables, notes)


def _side(argument: str, side: Named, out: Path) -> ComparedRuns:
    if isinstance(side, str | Path):
        return load_runs(str(side), out)
    several = finished_runs(argument, side, out)
    if not several:
        raise ConfigError(f"{argument} must be at least one run, found none")
    return seeds_of_one({run.folder.resolve(): run.record for run in several}, several[0].label)
