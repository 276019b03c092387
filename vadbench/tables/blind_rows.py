"""Rows that look at no frame, below the others of a table: what its figures are worth is seen beside them.

They are computed from the ground truth in the run folders, once for each. Nothing is ranked or tested against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from vadbench.metrics.blind import BLIND, CENTRE, ORACLE_LABEL
from vadbench.metrics.definitions import MetricValue
from vadbench.tables.evaluations import Evaluation
from vadbench.tables.standing import DIGITS, FLATTENED, GroundTruth, Resamples, adds_nothing
from vadbench.tables.table import ReproducedFigure, Table, TableCell, TableColumn, TableRow

GROUP = "without looking at a frame"
"""Heading of the rows."""
BOUNDS = {
    "AUC/within": (CENTRE, "which looks at no frame"),
    "AUC": (ORACLE_LABEL, "which knows the label of each video and nothing else"),
}
"""By metric, the row that a method has to beat, and what it is."""

TableRuns = Sequence[Sequence[Sequence[Evaluation]]]
"""Runs in each place of a table, by row and column."""
BlindFigures = Mapping[str, Mapping[str, MetricValue]]
"""Metrics of the rows by name and key."""


def with_blind_rows(table: Table, runs: TableRuns, resamples: Resamples) -> Table:
    """Return a table with the rows that look at no frame, and notes on the methods that do not beat them.

    A column has the figures of the ground truth that most of its runs have; where that is not at hand it is empty. A
    table without any figure is returned as it is.

    Args:
        table: its rows are those of ``runs``, and so are its first columns.
        runs: what the figures of the table come from.
        resamples: of these runs.
    """
    truths = [[resamples.truth(place) for place in column] for column in zip(*runs, strict=True)]
    common = [_most_frequent(column) for column in truths]
    figures: list[BlindFigures] = [{} if truth is None else resamples.blind[truth] for truth in common]
    figures += [{}] * (len(table.columns) - len(figures))
    rows = tuple(
        TableRow(
            label=name,
            cells=tuple(_cell(c, found.get(name, {})) for c, found in zip(table.columns, figures, strict=True)),
            group=GROUP,
            supervision="oracle" if blind.oracle else "training-free",
        )
        for name, blind in BLIND.items()
    )
    if all(cell.reproduced is None for row in rows for cell in row.cells):
        return table
    comparable = [[t in (None, truth) for t in column] for column, truth in zip(truths, common, strict=True)]
    return table.model_copy(
        update={"blind": rows, "notes": (*table.notes, *_unbeaten(table, figures, comparable))},
    )


def _most_frequent(truths: Sequence[GroundTruth | None]) -> GroundTruth | None:
    """Return the most frequent ground truth, of several the first; ``None`` where none is at hand."""
    found = Counter(truth for truth in truths if truth is not None).most_common(1)
    return found[0][0] if found else None


def _cell(column: TableColumn, found: Mapping[str, MetricValue]) -> TableCell:
    value, auc = (found[key].value if key in found else None for key in (column.metric, "AUC"))
    if value is None:
        return TableCell()
    notes = adds_nothing(auc, value) if column.metric == FLATTENED else ()
    return TableCell(reproduced=ReproducedFigure(mean=round(value, DIGITS), seeds=(), notes=notes))


def _unbeaten(table: Table, figures: Sequence[BlindFigures], comparable: Sequence[Sequence[bool]]) -> Iterator[str]:
    """Yield the notes on the methods that are not above the row that they have to beat.

    Args:
        table: the table.
        figures: those of each column.
        comparable: by column and row, whether the ground truth is that of the column's figures.
    """
    several = len({column.dataset for column in table.columns}) > 1
    for metric, (name, what) in BOUNDS.items():
        for place, (column, fits) in enumerate(zip(table.columns, comparable, strict=False)):
            bound = figures[place].get(name, {}).get(metric)
            if column.metric != metric or bound is None or bound.value is None:
                continue
            means = [row.cells[place].reproduced for row in table.rows]
            labels = [
                row.label
                for row, found, fit in zip(table.rows, means, fits, strict=True)
                if fit and found is not None and found.mean is not None and found.mean <= round(bound.value, DIGITS)
            ]
            if labels:
                where = f" on {column.dataset}" if several else ""
                yield f"no better than {name}, {what}, in {metric}{where}: {', '.join(dict.fromkeys(labels))}"
