"""Render tables for a terminal: tables that are too wide are split by columns, never wrapped."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vadbench.base.text import plain
from vadbench.tables.layout import INTERVALS, TIED, PrintedEntry, PrintedTable, legend

WIDEST_NAME = 44
"""Maximum width of a row's name; longer ones are folded."""
GAP = 2
"""Spaces between columns, one of which is rich's divider."""
SIGNS = {"best": "*", "second": "_"}
_POINT = re.compile(r"([-+]?\d+)(.*)")
"""Number up to its point, and the rest of the text."""
STYLES = {"best": "bold", "second": "underline"}

Places = Sequence[int]
"""Printed columns by their index in a line's entries."""


def to_text(layout: PrintedTable, width: int, styled: bool) -> str:
    """Return the table in lines of at most ``width`` characters, unless its narrowest column is wider.

    Intervals are omitted if the table does not fit with them.

    Args:
        layout: the table.
        width: width of the terminal.
        styled: mark best and second best by the terminal's bold and underline rather than by signs.
    """
    shown = _Columns(layout, styled, intervals=True)
    if len(shown.pieces(width)) > 1:
        shown = _Columns(layout, styled, intervals=False)
    pieces = shown.pieces(width)
    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, *(shown.width([*shown.own, *piece]) for piece in pieces)),
        force_terminal=styled,
        force_jupyter=False,  # in a notebook it would show the text there and write none
        color_system="standard" if styled else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    reading = [text if shown.intervals else text.replace(f"; {INTERVALS}", "") for text in layout.reading]
    words = ("bold", "underlined") if styled else (SIGNS["best"], SIGNS["second"])
    console.print(Text(plain(layout.title), style="bold"))
    for text in filter(None, (layout.note,)):
        console.print(Text(plain(text)))
    for piece in pieces:
        console.print()
        console.print(shown.table([*shown.own, *piece]))
    console.print()
    for text in (*reading, *([legend(*words)] if layout.ranked else []), *layout.remarks):
        console.print(Text(plain(text)))
    for letter, text in layout.footnotes:
        console.print(Text(f"({letter}) {plain(text)}"))
    if layout.missing:
        # Never wrapped: it ends with a command to copy.
        console.print(Text(plain(layout.missing)), soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


class _Columns:
    """Printed columns of a layout with their widths."""

    def __init__(self, layout: PrintedTable, styled: bool, intervals: bool) -> None:
        self.layout, self.intervals = layout, intervals
        lead = len(layout.lead)
        self.own, self.name = range(lead), layout.lead.index("method")
        several = len(layout.parts) > 1
        self.headings = [*layout.lead]
        for title in (plain(c.heading) for c in layout.columns):
            self.headings += [f"{title}\n{part}" if several else title for part in layout.parts]
        lines = [line.entries for line in layout.lines if line.entries]
        headings = accumulate(bool(line.heading) for line in layout.lines)
        below = [n > 0 for n, line in zip(headings, layout.lines, strict=True) if line.entries]
        columns = [_aligned([line[i] for line in lines], styled, intervals) for i in range(len(self.headings))]
        names = _names([line[self.name] for line in lines])
        # Indented below a heading.
        columns[self.name] = [
            Text("  " if under else "").append_text(name) for name, under in zip(names, below, strict=True)
        ]
        self.cells = list(zip(*columns, strict=True))
        self.widths = [
            max(cell_len(text) for text in (*heading.split("\n"), *(cell.plain for cell in column)))
            for heading, column in zip(self.headings, columns, strict=True)
        ]
        widest = max((cell_len(plain(line.heading)) for line in layout.lines), default=0)
        self.widths[self.name] = min(max(self.widths[self.name], widest), WIDEST_NAME)

    def width(self, places: Places) -> int:
        """Return the width of a line of these columns."""
        return sum(self.widths[i] + GAP for i in places)

    def pieces(self, width: int) -> list[list[int]]:
        """Return the columns of metrics in pieces that fit next to the names of rows."""
        room = width - self.width(self.own)
        pieces: list[list[int]] = []
        for block in self._blocks(room):
            if pieces and self.width([*pieces[-1], *block]) <= room:
                pieces[-1] += block
            else:
                pieces.append([*block])
        return pieces

    def _blocks(self, room: int) -> Iterator[Places]:
        """Yield the columns of each metric, one by one if they do not fit side by side."""
        count = len(self.layout.parts)
        for place in range(len(self.own), len(self.headings), count):
            block = range(place, place + count)
            if self.width(block) <= room:
                yield block
            else:
                yield from ([i] for i in block)

    def table(self, places: Places) -> Table:
        """Return some of the columns as a table of rich."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False, header_style="")
        for i in places:
            if i == self.name:
                table.add_column(self.headings[i], width=self.widths[i], overflow="fold", vertical="bottom")
            else:
                # Columns of numbers are already padded: rich would strip spaces below a sign.
                lines = (line.rjust(self.widths[i]) for line in self.headings[i].split("\n"))
                table.add_column(Text("\n".join(lines)), no_wrap=True, vertical="bottom")
        cells, lead = iter(self.cells), len(self.own)
        entered = [line for line in self.layout.lines if line.entries]
        # Rows that look at no frame tell no classes apart: they are left out where they would be empty.
        told = any(line.apart and any(line.entries[i].text for i in places if i >= lead) for line in entered)
        for line in self.layout.lines:
            row = next(cells) if line.entries else ()
            if line.apart and not told:
                continue
            if line.heading:
                heading = Text(plain(line.heading), style="italic")
                table.add_row(*(heading if i == self.name else Text() for i in places))
            else:
                table.add_row(*(row[i] for i in places))
        return table


def _names(entries: Sequence[PrintedEntry]) -> list[Text]:
    return [Text(plain(entry.figure) + _marks(entry)) for entry in entries]


def _aligned(entries: Sequence[PrintedEntry], styled: bool, intervals: bool) -> list[Text]:
    """Return a column's entries with aligned points, tie signs and intervals."""
    signs = {} if styled else SIGNS
    split = [_POINT.match(plain(entry.figure)) for entry in entries]
    numbers = _right(found[1] if found else "" for found in split)
    spreads = _left(
        f"{found[2] if found else plain(entry.figure)}{signs.get(entry.emphasis, '')}"
        for entry, found in zip(entries, split, strict=True)
    )
    ties = _left(f" {TIED}" if entry.tied else "" for entry in entries)
    brackets = _right(f" {entry.interval}" if entry.interval and intervals else "" for entry in entries)
    marks = _left(_marks(entry) for entry in entries)
    texts = []
    for entry, number, spread, *others in zip(entries, numbers, spreads, ties, brackets, marks, strict=True):
        text = Text(f"{number}{spread}{''.join(others)}")
        if styled and entry.emphasis:
            text.stylize(STYLES[entry.emphasis], len(number) - len(number.lstrip()), len(f"{number}{spread}".rstrip()))
        texts.append(text)
    return texts


def _marks(entry: PrintedEntry) -> str:
    return f" ({','.join(entry.marks)})" if entry.marks else ""


def _left(texts: Iterable[str]) -> list[str]:
    found = list(texts)
    return [text.ljust(max(map(len, found))) for text in found]


def _right(texts: Iterable[str]) -> list[str]:
    found = list(texts)
    return [text.rjust(max(map(len, found))) for text in found]
