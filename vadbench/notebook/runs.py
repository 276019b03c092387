"""Runs from a notebook: make them, and list them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from vadbench.base.arguments import (
    DEVICES,
    LARGEST_SEED,
    MOST_WORKERS,
    given_settings,
    one_or_more,
    path_text,
    require_choice,
    require_function,
    require_switches,
    require_texts,
    whole,
)
from vadbench.base.errors import ConfigError, TrackingError
from vadbench.base.locations import DEFAULT_OUT
from vadbench.base.progress_bar import shown_progress
from vadbench.base.types import Progress
from vadbench.features.layouts import LayoutName
from vadbench.notebook.finished_run import FinishedRun, run_name
from vadbench.records.folders import Outcome, read_records
from vadbench.records.titles import checked_label


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
    clip_weights: str | Path | None = None,
    crop: str | None = None,
    subset: str | None = None,
    selection: str | None = None,
    post: str | None = None,
    partition: str | None = None,
    truth: str | Path | None = None,
    trained: FinishedRun | str | Path | None = None,
    allow_incomplete: bool = False,
    device: str = "auto",
    out: str | Path = DEFAULT_OUT,
    plugins: str | Path | Sequence[str | Path] = (),
    workers: int = 0,
    again: bool = False,
    log: bool = True,
    name: str | None = None,
    progress: Progress | None = None,
) -> FinishedRun:
    """Train a method on a data set and evaluate it, or return the finished run that is there: ``vadbench run``.

    Args:
        method, dataset: their names, as ``vadbench list`` has them; those of ``trained`` by default.
        seed: of everything that is drawn, from 0 to 999999.
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
        plugins: a Python file with methods and data sets that are not installed, or several.
        workers: processes that make training samples, up to 64; 0: a thread.
        again: discard what is there, and run it anew.
        log: log to MLflow, unless the variable ``VADBENCH_MLFLOW`` is off.
        name: a label for people, by which tables call the run and names find it (``--name``).
        progress: called with a stage, how much of it is done, and how much there is; by default there are bars in a
            terminal and in a notebook.

    Raises:
        ConfigError: an argument takes no such value.
        VadbenchError: what went wrong.
    """
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.request import Request
    from vadbench.harness.run import run as run_seed
    from vadbench.plugins.registry import Registry

    seed, workers = whole("seed", seed, 0, LARGEST_SEED), whole("workers", workers, 0, MOST_WORKERS)
    require_texts(method=method, dataset=dataset, clip=clip, crop=crop, subset=subset)
    require_texts(selection=selection, post=post, partition=partition, name=name)
    require_switches(allow_incomplete=allow_incomplete, again=again, log=log)
    require_choice("device", device, DEVICES)
    require_function("progress", progress)
    if trained is None and (method is None or dataset is None):
        found = f"found method={method!r}, dataset={dataset!r}"
        raise ConfigError(f"run needs a method and a dataset, or a finished run as trained, {found}; name both")
    if features_layout is not None:
        require_choice("features_layout", features_layout, get_args(LayoutName))
    if name is not None:
        checked_label(name)
    files = [Path(file) for file in one_or_more("plugins", plugins)]
    folder, streams = _features(features)
    request = Request(
        method=method,
        dataset=dataset,
        assignments=given_settings(settings),
        assigned_by="settings",
        protocol_name=path_text("protocol", protocol, "the name of a protocol"),
        data_root=None if data_root is None else Path(path_text("data_root", data_root)),
        features=folder,
        streams=streams,
        features_layout=features_layout,
        crop=crop,
        subset=subset,
        selection=selection,
        post=post,
        partition=partition,
        truth=None if truth is None else path_text("truth", truth),
        allow_incomplete=allow_incomplete,
        clip_model=clip,
        clip_weights=None if clip_weights is None else path_text("clip_weights", clip_weights),
        device=device,
        out=Path(path_text("out", out)),
        trained=None if trained is None else run_name("trained", trained),
    )
    if request.trained is not None and seed:
        raise ConfigError("trained names the weights of one seed; leave seed out")
    with shown_progress(progress) as told:
        experiment = open_experiment(request, Registry(files=files), told)
        outcome = run_seed(experiment, seed, told, again, workers, name)
    if log:
        _log(outcome, request.out)
    return FinishedRun(outcome.folder, outcome.record)


def runs(out: str | Path = DEFAULT_OUT) -> pd.DataFrame:
    """Return the runs and evaluations under a folder, one a row, in the order of their paths.

    Columns: ``method``, ``label``, ``settings`` (those that differ from the defaults, in words), ``dataset``,
    ``trained_on``, ``protocol``, ``selection``, ``seed``, ``status``, ``created``, ``key``, ``folder``, and a column
    for each metric of the whole split (fractions where its unit is %; NaN where undefined). Damaged records are left
    out.

    Args:
        out: folder of run folders.
    """
    rows = []
    for outcome in read_records(Path(path_text("out", out)))[0]:
        record = outcome.record
        whole = {key: value.value for key, value in record.metrics.items() if not set(key) & set("[(")}
        rows.append(
            {
                "method": record.method,
                "label": record.label,
                "settings": record.settings,
                **{name: getattr(record, name) for name in ("dataset", "trained_on")},
                "protocol": record.protocol.get("name"),
                "selection": record.protocol.get("selection", "last"),
                **{name: getattr(record, name) for name in ("seed", "status", "created", "key")},
                "folder": str(outcome.folder),
                **whole,
            }
        )
    return pd.DataFrame(rows)


def _features(given: object) -> tuple[Path | None, dict[str, Path]]:
    """Return the folder of features of the first stream, and those of streams by name."""
    if isinstance(given, Mapping):
        return None, {str(name): Path(path_text(f"features of {name}", own)) for name, own in given.items()}
    if given is None:
        return None, {}
    return Path(path_text("features", given, "a folder, or a dict with one for each stream by its name")), {}


def _log(outcome: Outcome, out: Path) -> None:
    from vadbench.base.locations import tracks

    if tracks():
        from vadbench.tracking.mlflow import log_runs

        try:
            log_runs([outcome], out)
        except TrackingError as error:
            warnings.warn(f"not logged ({error}); the run is complete", stacklevel=3)
