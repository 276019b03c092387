"""Runs from a notebook: make them, list them, compare them, rank them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vadbench.base.errors import ConfigError, TrackingError
from vadbench.base.locations import DEFAULT_OUT
from vadbench.base.naming import assignments
from vadbench.base.progress_bar import shown_progress
from vadbench.base.types import Progress
from vadbench.notebook.finished_run import FinishedRun
from vadbench.records.folders import Outcome, read_records
from vadbench.results.compare import compare_sides
from vadbench.results.sides import ComparedRuns, load_runs, seeds_of_one
from vadbench.tables.formats import render
from vadbench.tables.ranked_runs import rank
from vadbench.tables.table import Table

if TYPE_CHECKING:
    from vadbench.features.layouts import LayoutName

Named = str | Path | FinishedRun | Sequence[FinishedRun]
"""One side of a comparison."""


def run(
    method: str | None = None,
    dataset: str | None = None,
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    protocol: str = "native",
    data_root: str | Path | None = None,
    features: str | Path | Mapping[str, str | Path] | None = None,
    features_layout: LayoutName | None = None,
    clip: str | None = None,
    clip_weights: str | None = None,
    crop: str | None = None,
    subset: str | None = None,
    selection: str | None = None,
    post: str | None = None,
    partition: str | None = None,
    truth: str | None = None,
    trained: FinishedRun | str | Path | None = None,
    allow_incomplete: bool = False,
    device: str = "auto",
    out: str | Path = DEFAULT_OUT,
    plugins: Sequence[str | Path] = (),
    workers: int = 0,
    again: bool = False,
    log: bool = True,
    progress: Progress | None = None,
) -> FinishedRun:
    """Train a method on a data set and evaluate it, or return the finished run that is there: ``vadbench run``.

    Args:
        method, dataset: their names, as ``vadbench list`` has them; those of ``trained`` by default.
        seed: of everything that is drawn.
        settings: of the method, nested or by dotted names: ``{"recipe": {"epochs": 5}}`` or ``{"recipe.epochs": 5}``;
            ``protocol.<field>`` changes a rule of the evaluation.
        protocol: name of the rules.
        data_root: folder of the data set.
        features: folder of features, or one for each stream by its name; extracted if not given.
        features_layout, clip, clip_weights, crop, subset, selection, post, partition, truth, device: as the options of
            ``vadbench run`` of the same names (``clip`` is ``--clip``).
        trained: a finished run whose weights are evaluated; nothing is trained (``--from``).
        allow_incomplete: leave out videos that are missing.
        out: folder of run folders.
        plugins: Python files with methods and data sets that are not installed.
        workers: processes that make training samples; 0: a thread.
        again: discard what is there, and run it anew.
        log: log to MLflow, unless the variable ``VADBENCH_MLFLOW`` is off.
        progress: called with a stage, how much of it is done, and how much there is; by default there are bars in a
            terminal and in a notebook.

    Raises:
        VadbenchError: what went wrong.
    """
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.request import Request
    from vadbench.harness.run import run as run_seed
    from vadbench.plugins.registry import Registry

    streams = {name: Path(folder) for name, folder in features.items()} if isinstance(features, Mapping) else {}
    request = Request(
        method=method,
        dataset=dataset,
        assignments=assignments(settings or {}),
        protocol_name=protocol,
        data_root=None if data_root is None else Path(data_root),
        features=None if features is None or streams else Path(str(features)),
        streams=streams,
        features_layout=features_layout,
        crop=crop,
        subset=subset,
        selection=selection,
        post=post,
        partition=partition,
        truth=truth,
        allow_incomplete=allow_incomplete,
        clip_model=clip,
        clip_weights=clip_weights,
        device=device,
        out=Path(out),
        trained=None if trained is None else str(trained.folder if isinstance(trained, FinishedRun) else trained),
    )
    if request.trained is not None and seed:
        raise ConfigError("trained names the weights of one seed; leave seed out")
    with shown_progress(progress) as told:
        experiment = open_experiment(request, Registry(files=[Path(p) for p in plugins]), told)
        outcome = run_seed(experiment, seed, told, again, workers)
    if log:
        _log(outcome, request.out)
    return FinishedRun(outcome.folder, outcome.record)


def runs(out: str | Path = DEFAULT_OUT) -> pd.DataFrame:
    """Return the runs and evaluations under a folder, one a row, in the order of their paths.

    Columns: ``method``, ``settings`` (those that differ from the defaults, in words), ``dataset``, ``trained_on``,
    ``protocol``, ``selection``, ``seed``, ``status``, ``created``, ``key``, ``folder``, and a column for each metric of
    the whole split (fractions where its unit is %; NaN where undefined). Damaged records are left out.

    Args:
        out: folder of run folders.
    """
    rows = []
    for outcome in read_records(Path(out))[0]:
        record = outcome.record
        whole = {key: value.value for key, value in record.metrics.items() if not set(key) & set("[(")}
        rows.append(
            {
                "method": record.method,
                "settings": record.title.removeprefix(record.method).strip(),
                **{name: getattr(record, name) for name in ("dataset", "trained_on")},
                "protocol": record.protocol.get("name"),
                "selection": record.protocol.get("selection", "last"),
                **{name: getattr(record, name) for name in ("seed", "status", "created", "key")},
                "folder": str(outcome.folder),
                **whole,
            }
        )
    return pd.DataFrame(rows)


def compare(
    a: Named,
    b: Named,
    metrics: Sequence[str] | None = None,
    *,
    out: str | Path = DEFAULT_OUT,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare two methods on the same test videos by paired resampling: ``vadbench compare``.

    Args:
        a, b: a run, its seeds, or a name as on the command line: a run folder, the beginning of a key, several with
            commas between, or the folder of all seeds of a method on a data set.
        metrics: their keys; by default those by which methods are compared.
        out: folder of run folders.
        progress: as of :func:`run`.

    Returns:
        A row for each metric: the means ``A`` and ``B``, their ``difference`` with the ends ``low`` and ``high`` of its
        95 % interval, ``p``, ``p_holm`` adjusted for all rows, and a ``verdict`` in words.

    Raises:
        RunError: a side is not the seeds of one experiment, or they differ in their test videos.
        UnknownNameError: there is no such metric.
    """
    sides = {name: _side(side, Path(out)) for name, side in (("A", a), ("B", b))}
    with shown_progress(progress) as told:
        found = compare_sides(sides, metrics, told)
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
    methods: Sequence[str] = (),
    supervision: Sequence[str] = (),
    costs: bool = False,
    with_recorded: bool = False,
    plugins: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Leaderboard:
    """Rank the finished runs that may be compared: ``vadbench leaderboard``.

    Args:
        dataset: only this data set.
        metric: rank by it; by default by the headline of the data set.
        out: folder of run folders.
        methods: only these.
        supervision: only methods that learn from one of these.
        costs: add columns of what the runs cost.
        with_recorded: rank recorded scores beside runs.
        plugins, progress: as of :func:`run`.

    Raises:
        RunError: there is no finished run.
        UnknownNameError: there is no such data set, method, metric or supervision.
    """
    from vadbench.plugins.registry import Registry

    with shown_progress(progress) as told:
        tables, notes = rank(
            Path(out),
            Registry(files=[Path(p) for p in plugins]),
            dataset,
            metric,
            costs=costs,
            with_recorded=with_recorded,
            supervision=supervision,
            methods=methods,
            progress=told,
        )
    return Leaderboard(tables, notes)


def _side(side: Named, out: Path) -> ComparedRuns:
    if isinstance(side, str | Path):
        return load_runs(str(side), out)
    several = [side] if isinstance(side, FinishedRun) else side
    return seeds_of_one({run.folder.resolve(): run.record for run in several}, several[0].label)


def _log(outcome: Outcome, out: Path) -> None:
    from vadbench.base.locations import tracks

    if tracks():
        from vadbench.tracking.mlflow import log_runs

        try:
            log_runs([outcome], out)
        except TrackingError as error:
            warnings.warn(f"not logged ({error}); the run is complete", stacklevel=3)
