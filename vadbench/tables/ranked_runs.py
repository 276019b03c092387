"""The leaderboards of a folder of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vadbench.base.errors import PluginError, RunError, UnknownNameError
from vadbench.base.types import Progress, silent
from vadbench.plugins.registry import Registry
from vadbench.tables.evaluations import collect
from vadbench.tables.leaderboard import leaderboards
from vadbench.tables.table import Table

HEADLINE = "AUC"
"""Metric for ranking a data set that is not installed."""


def rank(
    out: Path,
    registry: Registry,
    dataset: str | None = None,
    metric: str | None = None,
    *,
    costs: bool = False,
    with_recorded: bool = False,
    supervision: Sequence[str] = (),
    methods: Sequence[str] = (),
    progress: Progress = silent,
) -> tuple[list[Table], list[str]]:
    """Return a table for each group of runs that may be ranked together, and notes on what is not in them.

    Args:
        out: folder of run folders.
        registry: knows which metric a data set is ranked by.
        dataset: only this one.
        methods: only these; all by default.
        metric, costs, with_recorded, supervision, progress: as of
            :func:`vadbench.tables.leaderboard.leaderboards`, whose errors are raised.

    Raises:
        RunError: there is no finished run.
        UnknownNameError: there is none on the data set, or of a method.
    """
    evaluations, problems = collect(out)
    if not evaluations:
        raise RunError(
            f"no finished run under {out}; make one with vadbench run or vadbench bench quick, or name --out"
            + "".join(f"; {problem}" for problem in problems[:1])
        )
    known = {evaluation.record.dataset for evaluation in evaluations}
    if dataset is not None and dataset not in known:
        raise UnknownNameError("data set with finished runs", dataset, known)
    chosen = [e for e in evaluations if dataset in (None, e.record.dataset)]
    present = {evaluation.record.method for evaluation in chosen}
    for method in methods:
        if method not in present:
            raise UnknownNameError("method with finished runs", method, present)
    tables, lost = leaderboards(
        [e for e in chosen if not methods or e.record.method in methods],
        lambda name: _headline(registry, name),
        metric,
        progress,
        costs=costs,
        with_recorded=with_recorded,
        supervision=supervision,
    )
    return tables, [*problems, *lost]


def _headline(registry: Registry, dataset: str) -> str:
    try:
        return registry.dataset(dataset).headline
    except (PluginError, UnknownNameError):
        return HEADLINE
