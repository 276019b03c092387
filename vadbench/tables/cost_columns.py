"""Columns of what the runs of a leaderboard cost: facts of the machines that they were made on, never ranked."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from vadbench.records.cost_figures import COST_FIGURES, CostFigure
from vadbench.records.record import machine_words
from vadbench.tables.evaluations import Evaluation
from vadbench.tables.table import ReproducedFigure, Table, TableCell, TableColumn

COST = "cost/"
"""Beginning of the keys of these columns."""


def with_costs(table: Table, rows: Sequence[Sequence[Evaluation]]) -> Table:
    """Return a table with the columns of costs behind its others; the machine is named at figures or below the table.

    Args:
        table: its first rows are those of ``rows``; others get empty places.
        rows: the runs of each row, one for each seed.
    """
    machines = [_machines(runs) for runs in rows]
    shared = len(set(machines)) == 1
    added = [
        tuple(_place(figure, runs, () if shared else (f"cost on {machine}",)) for figure in COST_FIGURES)
        for runs, machine in zip(rows, machines, strict=True)
    ]
    added += [(TableCell(),) * len(COST_FIGURES)] * (len(table.rows) - len(rows))
    below = "costs are facts of the machine and never ranked" + (f": {machines[0]}" if shared else "")
    columns = (_column(figure, table.columns[0].dataset) for figure in COST_FIGURES)
    return table.model_copy(
        update={
            "columns": (*table.columns, *columns),
            "rows": tuple(
                row.model_copy(update={"cells": (*row.cells, *cells)})
                for row, cells in zip(table.rows, added, strict=True)
            ),
            "notes": (*table.notes, below),
        }
    )


def _machines(runs: Sequence[Evaluation]) -> str:
    return " and ".join(dict.fromkeys(machine_words(run.record) for run in runs))


def _column(figure: CostFigure, dataset: str) -> TableColumn:
    return TableColumn(
        title=figure.title,
        dataset=dataset,
        metric=COST + figure.name,
        definition=figure.text,
        unit=figure.unit,
        cost=True,
    )


def _place(figure: CostFigure, runs: Sequence[Evaluation], notes: Sequence[str]) -> TableCell:
    """Return the mean of a figure over seeds; it is unknown, with the reason, where it is for any of them."""
    seeds = tuple(run.record.seed for run in runs)
    values = [figure.value(run.record) for run in runs]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        reasons = (figure.missing(run.record) for run, v in zip(runs, values, strict=True) if v is None)
        return TableCell(reproduced=ReproducedFigure(mean=None, seeds=seeds, notes=tuple(dict.fromkeys(reasons))))
    if figure.name == "training_seconds":
        elsewhere = dict.fromkeys(run.record.compute.training_machine for run in runs)
        notes = [*notes, *(f"trained on {machine}" for machine in elsewhere if machine)]
    return TableCell(reproduced=ReproducedFigure(mean=fmean(known), seeds=seeds, notes=tuple(notes)))
