"""Lay a table out for print: its columns, the text of each place, the letters of footnotes, the legend.

The layout is the same in every format; a format only writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vadbench.base.text import amount
from vadbench.tables.table import (
    DIFFERS,
    WITHIN,
    PublishedFigure,
    ReproducedFigure,
    Table,
    TableCell,
    TableColumn,
    TableRow,
)

TIED = "≈"
RANK = "#"
COUNTS = (RANK, "seeds")
"""Headings of the columns of counts before the metrics; the others are words."""
WORDS = ("supervision", "depends", "post")
"""Headings of the columns of words before the metrics, each left out where no row has any."""
INTERVALS = "in brackets the 95 % interval of the mean from resampling test videos"
Part = Literal["published", "reproduced", "gap", "verdict"]
Emphasis = Literal["", "best", "second"]


@dataclass(frozen=True)
class PrintedEntry:
    """Printed content of one place.

    Args:
        text: the number, or words.
        spread: its deviation over seeds.
        without: the number without post-processing, in parentheses.
        interval: its interval in brackets, which a narrow format may omit.
        emphasis: whether it is the best or the second best of a column.
        tied: not distinguishable from the best.
        marks: letters of footnotes.
    """

    text: str = ""
    spread: str = ""
    without: str = ""
    interval: str = ""
    emphasis: Emphasis = ""
    tied: bool = False
    marks: tuple[str, ...] = ()

    @property
    def figure(self) -> str:
        """The number with what belongs to it, but for its interval."""
        return " ".join(filter(None, (self.text, self.spread, self.without)))


@dataclass(frozen=True)
class Line:
    """Printed line: a heading of a group without entries, or entries, the row's own first.

    ``apart`` is true below the rows that may be ranked.
    """

    heading: str = ""
    entries: tuple[PrintedEntry, ...] = ()
    apart: bool = False


@dataclass(frozen=True)
class PrintedTable:
    """Table ready to be written.

    Args:
        lead: headings of the columns that come before the metrics.
        columns: the metrics.
        parts: the printed columns of each metric.
        reading: how to read the figures, in sentences.
        ranked: whether any figure is emphasised, so that a format has to add its :func:`legend`.
        remarks: notes on all figures, in sentences.
        missing: the last line, which says how to make missing runs.
        footnotes: letter and text of each.
    """

    title: str
    note: str
    lead: tuple[str, ...]
    columns: tuple[TableColumn, ...]
    parts: tuple[Part, ...]
    lines: tuple[Line, ...]
    reading: tuple[str, ...]
    ranked: bool
    remarks: tuple[str, ...]
    missing: str
    footnotes: tuple[tuple[str, str], ...]


class Letters:
    """Letters of footnotes in the order of their first use: a, b, ..., z, aa, ..."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, notes: Sequence[str]) -> tuple[str, ...]:
        """Return the letters of notes, new ones of those that have none yet."""
        return tuple(self._known.setdefault(note, _letter(len(self._known))) for note in dict.fromkeys(notes))

    @property
    def all(self) -> tuple[tuple[str, str], ...]:
        """Every letter with its note."""
        return tuple((letter, text) for text, letter in self._known.items())


def lay_out(table: Table, letters: Letters | None = None) -> PrintedTable:
    """Lay a table out; parts of columns that are empty in every row are omitted.

    Args:
        table: the table.
        letters: of the footnotes of a document, if its tables share them.
    """
    letters = Letters() if letters is None else letters
    parts = _parts(table)
    ranks, seeds = (any(getattr(row, name) is not None for row in table.rows) for name in ("rank", "seeds"))
    words = [name for name in WORDS if any(getattr(row, name) for row in table.rows)]
    lines: list[Line] = []
    heading = ""
    for row, apart in (*((row, False) for row in table.rows), *((row, True) for row in table.blind)):
        if row.group != heading:
            heading = row.group
            lines.append(Line(heading=heading or "others", apart=apart))
        own = [
            *([PrintedEntry(_text(row.rank))] if ranks else []),
            PrintedEntry(row.label, marks=letters.of(row.notes)),
            *(PrintedEntry(getattr(row, name)) for name in words),
            *([PrintedEntry(_text(row.seeds))] if seeds else []),
        ]
        lines.append(Line(entries=(*own, *_entries(row, table.columns, parts, letters)), apart=apart))
    figures = [cell.reproduced for row in table.rows for cell in row.cells if cell.reproduced is not None]
    return PrintedTable(
        title=f"{table.title} ({table.id})" if table.id else table.title,
        note=table.note,
        lead=(*([RANK] if ranks else []), "method", *words, *(["seeds"] if seeds else [])),
        columns=table.columns,
        parts=parts,
        lines=tuple(lines),
        reading=tuple(_reading(table, parts, figures)),
        ranked=any(figure.best for figure in figures),
        remarks=tuple(_remarks(table)),
        missing=table.missing,
        footnotes=letters.all,
    )


def legend(best: str, second: str) -> str:
    """Return an explanation of emphasis and tie sign, given how a format shows best and second best."""
    return (
        f"{best}: best, {second}: second; {TIED}: not distinguishable from the best (paired resampling of test videos,"
        " Holm's adjustment over the column, 5 %)."
    )


def number(value: float, unit: str = "%", digits: int = 2) -> str:
    """Format a stored value for print; a count, whose unit is empty, as a whole number.

    >>> number(0.86361), number(-0.5, digits=1), number(12.5, "ms"), number(8123.0, "")
    ('86.36', '-50.0', '12.50', '8123')
    """
    return f"{100 * value if unit == '%' else value:.{digits if unit else 0}f}"


def signed(value: float, unit: str = "%") -> str:
    """Format a difference of stored values with its sign, of fractions in percentage points.

    >>> signed(0.0125), signed(-3.0, "frames")
    ('+1.25', '-3.00')
    """
    return number(value, unit) if value < 0 else f"+{number(value, unit)}"


def _parts(table: Table) -> tuple[Part, ...]:
    """Return the parts of every column: published numbers if a paper has the table, others if anything is run."""
    cells = [cell for row in table.rows for cell in row.cells]
    if all(cell.published is None for cell in cells):
        return ("reproduced",)
    parts: list[Part] = ["published"]
    if table.missing or any(cell.reproduced is not None for cell in cells):
        parts.append("reproduced")
    if any(cell.gap is not None for cell in cells):
        parts.append("gap")
    if any(cell.verdict for cell in cells):
        parts.append("verdict")
    return tuple(parts)


def _entries(
    row: TableRow, columns: Sequence[TableColumn], parts: Sequence[Part], letters: Letters
) -> Iterator[PrintedEntry]:
    for cell, column in zip(row.cells, columns, strict=True):
        for part in parts:
            if part == "published":
                yield _published(cell.published, letters)
            elif part == "reproduced" and column.cost:
                yield _cost(cell.reproduced, letters)
            elif part == "reproduced":
                yield _reproduced(cell.reproduced, column.unit, letters)
            elif part == "gap":
                yield PrintedEntry("" if cell.gap is None else signed(cell.gap, column.unit))
            else:
                yield PrintedEntry(_verdict(cell))


def _published(found: PublishedFigure | None, letters: Letters) -> PrintedEntry:
    return PrintedEntry() if found is None else PrintedEntry(found.printed, marks=letters.of(found.notes))


def _reproduced(found: ReproducedFigure | None, unit: str, letters: Letters) -> PrintedEntry:
    if found is None:
        return PrintedEntry()
    marks = letters.of(found.notes)
    if found.mean is None:
        return PrintedEntry("undefined", marks=marks)
    spread = "" if found.std is None else f"± {number(found.std, unit)}"
    without = "" if found.unprocessed is None else f"({number(found.unprocessed, unit)} without)"
    interval = ""
    if found.low is not None and found.high is not None:
        interval = f"[{number(found.low, unit, 1)}, {number(found.high, unit, 1)}]"
    emphasis: Emphasis = "best" if found.best else "second" if found.second else ""
    return PrintedEntry(number(found.mean, unit), spread, without, interval, emphasis, found.tied, marks)


def _cost(found: ReproducedFigure | None, letters: Letters) -> PrintedEntry:
    if found is None:
        return PrintedEntry()
    return PrintedEntry("unknown" if found.mean is None else amount(found.mean), marks=letters.of(found.notes))


def _verdict(cell: TableCell) -> str:
    if cell.verdict.startswith(DIFFERS):
        return "differs"
    return "within" if cell.verdict == WITHIN else cell.verdict


def _reading(table: Table, parts: Sequence[Part], figures: Sequence[ReproducedFigure]) -> Iterator[str]:
    defined = [figure for figure in figures if figure.mean is not None]
    if any(column.unit == "%" for column in table.columns):
        said = ["In percent"]
        if any(figure.std is not None for figure in defined):
            said.append("mean ± standard deviation over seeds")
        if any(figure.unprocessed is not None for figure in defined):
            said.append("in parentheses the mean without post-processing")
        if any(figure.low is not None for figure in defined):
            said.append(INTERVALS)
        yield "; ".join(said) + "."
    if "gap" in parts:
        yield "Gap: reproduced minus published, in points."
    if "verdict" in parts:
        yield (
            "Verdict on the reproduced number: within, if the published one is in its interval, otherwise below or"
            " above it; differs, if there are only runs under other rules."
        )


def _remarks(table: Table) -> Iterator[str]:
    yield from (f"{note[:1].upper()}{note[1:]}." for note in table.notes)
    if table.made:
        yield f"{table.made}."


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def _letter(index: int) -> str:
    """Return the letter of an index: a, b, ..., z, aa, ab, ...

    >>> [_letter(i) for i in (0, 25, 26, 27)]
    ['a', 'z', 'aa', 'ab']
    """
    more, last = divmod(index, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + last)
