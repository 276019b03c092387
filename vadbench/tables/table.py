"""What a table says, before it is laid out: every figure with its interval, its standing and what must be said of it.

Figures are fractions, so is a gap; percent is a matter of print. A note stands where it belongs, at a number, a row or
the whole table, and becomes a footnote when the table is laid out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vadbench.base.errors import RunError, first_complaint

Notes = tuple[str, ...]
WITHIN, BELOW, ABOVE, DIFFERS = "within the interval", "below", "above", "protocol differs in"
"""Verdicts; the last is followed by what differs."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedFigure(_Part):
    """A number that a paper states; ``printed`` is how it stands there."""

    value: float
    printed: str
    notes: Notes = ()


class ReproducedFigure(_Part):
    """A metric of our own runs, the mean over their seeds.

    Args:
        mean: ``None`` where it is undefined for a seed; the notes say why.
        std: standard deviation over seeds (n - 1), ``None`` for one seed.
        low, high: 95 % interval of the mean from resampling the test videos.
        seeds: of the runs.
        best, second, tied: its standing among the figures of its column that may be ranked together.
        p: of no difference to the best, adjusted for the column.
    """

    mean: float | None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: tuple[int, ...]
    best: bool = False
    second: bool = False
    tied: bool = False
    p: float | None = None
    notes: Notes = ()


class TableCell(_Part):
    """One place of a table.

    Args:
        gap: reproduced minus published; ``None`` where the two cannot be compared.
        verdict: ``within the interval``, ``below`` or ``above``, said of the reproduced number; ``too few videos to
            tell``; ``protocol differs in ...`` where there are only runs under other rules; empty where nothing can be
            said.
    """

    published: PublishedFigure | None = None
    reproduced: ReproducedFigure | None = None
    gap: float | None = None
    verdict: str = ""


class TableColumn(_Part):
    """One metric; ``unit`` is what its numbers are printed in."""

    title: str
    dataset: str
    metric: str
    definition: str = ""
    unit: str = "%"

    @property
    def heading(self) -> str:
        """The title, with a unit that is not percent."""
        return self.title if self.unit == "%" else f"{self.title} ({self.unit})"


class TableRow(_Part):
    """A line: ``group`` is the heading that neighbouring lines share, ``rank`` its place in a leaderboard."""

    label: str
    cells: tuple[TableCell, ...]
    group: str = ""
    rank: int | None = None
    seeds: int | None = None
    notes: Notes = ()


class Table(_Part):
    """A table.

    Args:
        id: short name, such as ``anomalyclip/7``; empty for a leaderboard.
        title: its heading.
        note: below the heading, what every figure in it has in common.
        columns: as many as each row has cells.
        notes: what must be said of every figure.
        made: when and on what the runs were made; empty without any.
        missing: what to do where runs are missing; empty where none is.
        group: what tells a leaderboard from all others in a word; empty for a table of a benchmark.
        protocol: name of the rules, where all figures of a leaderboard share them.
        backbone: the encoder as papers call it, where all figures of a leaderboard share it.
    """

    id: str = ""
    title: str
    note: str = ""
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
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
    """Tables as JSON; what is left out has its default."""
    return _File(schema_version=1, tables=tuple(tables)).model_dump_json(indent=2, exclude_defaults=True) + "\n"


def tables_from_json(text: str) -> list[Table]:
    """The inverse of :func:`to_json`.

    Raises:
        RunError: the text is damaged or of another version.
    """
    try:
        return list(_File.model_validate_json(text).tables)
    except ValidationError as error:
        raise RunError(f"expected tables as JSON: {first_complaint(error)}; make them again") from error


def with_shared_notes(table: Table) -> Table:
    """The same table, notes of all numbers of a row moved to the row and those of all numbers to the table."""
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
