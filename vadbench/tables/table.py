"""Content of a table before layout: every figure with its interval, rank and notes.

Figures and gaps are fractions; they become percent in print. A note belongs to a number, a row or the whole table, and
becomes a footnote in the layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vadbench.base.errors import RunError, first_complaint

Notes = tuple[str, ...]
WITHIN, BELOW, ABOVE, DIFFERS = "within the interval", "below", "above", "protocol differs in"
"""Verdicts; the last is followed by the differences."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedFigure(_Part):
    """Number of a paper; ``printed`` is its form there."""

    value: float
    printed: str
    notes: Notes = ()


class ReproducedFigure(_Part):
    """Metric of our runs, the mean over their seeds.

    Args:
        mean: ``None`` if it is undefined for a seed; the notes say why.
        std: standard deviation over seeds (n - 1), ``None`` for one seed.
        low, high: 95 % interval of the mean from resampling the test videos.
        seeds: seeds of the runs.
        unprocessed: mean without the post-processing of the scores, of a headline metric of runs that have any.
        best, second, tied: its rank among the figures of its column that may be ranked together.
        p: p-value of no difference from the best, adjusted for the column.
    """

    mean: float | None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: tuple[int, ...]
    unprocessed: float | None = None
    best: bool = False
    second: bool = False
    tied: bool = False
    p: float | None = None
    notes: Notes = ()


class TableCell(_Part):
    """Place of a table, in one row and column.

    Args:
        gap: reproduced minus published; ``None`` if the two cannot be compared.
        verdict: ``within the interval``, ``below`` or ``above``, about the reproduced number; ``too few videos to
            tell``; ``protocol differs in ...`` if there are only runs under other rules; empty without a verdict.
    """

    published: PublishedFigure | None = None
    reproduced: ReproducedFigure | None = None
    gap: float | None = None
    verdict: str = ""


class TableColumn(_Part):
    """Column of one metric; ``unit`` is the printed unit of its numbers, empty for a count.

    One of ``cost`` has no metric: its ``metric`` is a name, and nothing in it is ranked.
    """

    title: str
    dataset: str
    metric: str
    definition: str = ""
    unit: str = "%"
    cost: bool = False

    @property
    def heading(self) -> str:
        """Title, followed by the unit unless that is percent, none, or in the title."""
        return self.title if self.unit in ("%", "") or self.unit in self.title else f"{self.title} ({self.unit})"


class TableRow(_Part):
    """Row: ``group`` is a heading shared by neighbouring rows, ``rank`` its place in a leaderboard.

    ``supervision`` says what the method learnt from, ``depends`` what a score depends on where that is not just its own
    video, as in :class:`vadbench.records.record.RunRecord`, ``post`` the post-processing of its scores.
    """

    label: str
    cells: tuple[TableCell, ...]
    group: str = ""
    supervision: str = ""
    depends: str = ""
    post: str = ""
    rank: int | None = None
    seeds: int | None = None
    notes: Notes = ()


class Table(_Part):
    """Table of rows and columns.

    Args:
        id: short name, such as ``anomalyclip/7``; empty for a leaderboard.
        title: its heading.
        note: text below the heading, on what all figures have in common.
        columns: one for each cell of a row.
        blind: rows that look at no frame, below the others; never ranked.
        notes: notes on every figure.
        made: dates and machines of the runs; empty without runs.
        missing: how to make missing runs; empty if none is missing.
        group: word that identifies a leaderboard among all others; empty for a table of a benchmark.
        protocol: name of the rules, if all figures of a leaderboard share them.
        backbone: the encoder as papers call it, if all figures of a leaderboard share it.
    """

    id: str = ""
    title: str
    note: str = ""
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    blind: tuple[TableRow, ...] = ()
    notes: Notes = ()
    made: str = ""
    missing: str = ""
    group: str = ""
    protocol: str = ""
    backbone: str = ""


class _File(_Part):
    schema_version: Literal[1]
    tables: tuple[Table, ...]


def to_json(tables: Sequence[Table]) -> str:
    """Return tables as JSON; omitted fields have their defaults."""
    return _File(schema_version=1, tables=tuple(tables)).model_dump_json(indent=2, exclude_defaults=True) + "\n"


def tables_from_json(text: str) -> list[Table]:
    """Read tables from the JSON of :func:`to_json`.

    Raises:
        RunError: the text is damaged or of another version.
    """
    try:
        return list(_File.model_validate_json(text).tables)
    except ValidationError as error:
        raise RunError(f"expected tables as JSON: {first_complaint(error)}; make them again") from error


def with_shared_notes(table: Table) -> Table:
    """Return the table with notes shared by all numbers of a row moved to the row, and by all rows to the table."""
    for kind in ("published", "reproduced"):
        table = _lifted(table, kind)
    return table


def _lifted(table: Table, kind: str) -> Table:
    everywhere = _shared([p for row in table.rows for p in _parts(row, kind)])
    rows = []
    for row in table.rows:
        parts = _parts(row, kind)
        own = [n for n in _shared(parts) if n not in everywhere] if len(parts) > 1 else []
        cells = tuple(_without(cell, kind, [*everywhere, *own]) for cell in row.cells)
        rows.append(row.model_copy(update={"cells": cells, "notes": (*row.notes, *own)}))
    return table.model_copy(update={"rows": tuple(rows), "notes": (*table.notes, *everywhere)})


def _parts(row: TableRow, kind: str) -> list[PublishedFigure | ReproducedFigure]:
    return [part for cell in row.cells if (part := getattr(cell, kind)) is not None]


def _shared(parts: Sequence[PublishedFigure | ReproducedFigure]) -> list[str]:
    return [note for note in parts[0].notes if all(note in p.notes for p in parts)] if parts else []


def _without(cell: TableCell, kind: str, notes: Sequence[str]) -> TableCell:
    part = getattr(cell, kind)
    if part is None:
        return cell
    kept = tuple(note for note in part.notes if note not in notes)
    return cell.model_copy(update={kind: part.model_copy(update={"notes": kept})})
