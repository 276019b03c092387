"""Render tables as text, Markdown, LaTeX, HTML, csv and JSON. The same tables give the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

from vadbench.base import text as escaping
from vadbench.tables.latex import to_latex
from vadbench.tables.layout import COUNTS, TIED, PrintedEntry, PrintedTable, lay_out, legend
from vadbench.tables.table import Table, to_json
from vadbench.tables.terminal import to_text

TableFormat = Literal["text", "md", "latex", "html", "csv", "json"]
FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)
WIDTH = 120
CSV_COLUMNS = (
    *("table", "group", "rank", "row", "supervision", "depends", "post", "dataset", "column", "metric", "unit"),
    *("published", "printed", "reproduced", "std", "low", "high", "unprocessed", "seeds", "gap", "verdict"),
    *("best", "second", "tied", "p", "notes"),
)


def render(tables: Table | Sequence[Table], format: TableFormat, width: int = WIDTH, styled: bool = False) -> str:
    """Return tables as one text that ends with a line break.

    Args:
        tables: one or several.
        format: ``text`` for a terminal, ``md`` for GitHub's Markdown, ``latex`` with booktabs, ``html`` as a fragment
            of a page, ``csv`` with a line for every place of a table, ``json`` for
            :func:`vadbench.tables.table.tables_from_json`.
        width: characters in a line of ``text``; wider tables are split by their columns.
        styled: whether ``text`` may use bold and underlined letters of the terminal.
    """
    several = [tables] if isinstance(tables, Table) else list(tables)
    if format == "json":
        return to_json(several)
    if format == "csv":
        return _csv(several)
    writers: dict[str, Callable[[PrintedTable], str]] = {
        "text": partial(to_text, width=width, styled=styled),
        "md": _markdown,
        "latex": to_latex,
        "html": _html,
    }
    return "\n".join(writers[format](lay_out(table)) for table in several)


def _markdown(layout: PrintedTable) -> str:
    several = len(layout.parts) > 1
    names = [*layout.lead]
    names += [f"{c.heading} {part}" if several else c.heading for c in layout.columns for part in layout.parts]
    marks = ["---" if i < len(layout.lead) and name not in COUNTS else "---:" for i, name in enumerate(names)]
    lines = [f"**{escaping.markdown(layout.title)}**", ""]
    if layout.note:
        lines += [escaping.markdown(layout.note), ""]
    lines += [_markdown_line([escaping.markdown(name) for name in names]), _markdown_line(marks)]
    for line in layout.lines:
        if line.heading:
            lines.append(_markdown_line([f"*{escaping.markdown(line.heading)}*", *[""] * (len(names) - 1)]))
        else:
            lines.append(_markdown_line([_markdown_entry(entry) for entry in line.entries]))
    below = [escaping.markdown(text) for text in layout.reading]
    if layout.ranked:
        below.append(legend("**bold**", "<ins>underlined</ins>"))
    below += [escaping.markdown(text) for text in layout.remarks]
    below += [f"<sup>{letter}</sup> {escaping.markdown(text)}" for letter, text in layout.footnotes]
    below += [escaping.markdown(layout.missing)] if layout.missing else []
    return "\n".join([*lines, "", "<br>\n".join(below), ""] if below else [*lines, ""])


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_entry(entry: PrintedEntry) -> str:
    text = escaping.markdown(entry.figure)
    # GitHub removes <u> but allows <ins>, which browsers underline.
    shown = {"best": f"**{text}**", "second": f"<ins>{text}</ins>"}.get(entry.emphasis, text)
    marks = f"<sup>{','.join(entry.marks)}</sup>" if entry.marks else ""
    tied = f" {TIED}" if entry.tied else ""
    interval = f" {entry.interval}" if entry.interval else ""
    return f"{shown}{tied}{interval}{marks}"


def _html(layout: PrintedTable) -> str:
    quoted = escaping.html_text
    several = len(layout.parts) > 1
    span = len(layout.lead) + len(layout.parts) * len(layout.columns)
    rows = ' rowspan="2"' if several else ""
    out = ['<section class="vadbench-table">', f"<h2>{quoted(layout.title)}</h2>"]
    if layout.note:
        out.append(f"<p>{quoted(layout.note)}</p>")
    # Wherever it is embedded, a wide table scrolls by itself, with the keyboard too.
    out += ['<div style="overflow-x: auto" tabindex="0">', "<table>", "<thead>", "<tr>"]
    out += [f'<th scope="col"{rows}>{quoted(name)}</th>' for name in layout.lead]
    wide = f' colspan="{len(layout.parts)}"' if several else ""
    for column in layout.columns:
        title = f'<abbr title="{quoted(column.definition)}">{quoted(column.heading)}</abbr>'
        out.append(f'<th scope="col"{wide}>{title}</th>')
    out.append("</tr>")
    if several:
        parts = "".join(f'<th scope="col">{part}</th>' for part in layout.parts)
        out += [f"<tr>{parts * len(layout.columns)}</tr>"]
    out += ["</thead>", "<tbody>"]
    name = layout.lead.index("method")
    for line in layout.lines:
        if line.heading:
            out.append(f'<tr><th scope="rowgroup" colspan="{span}">{quoted(line.heading)}</th></tr>')
            continue
        cells = [_html_entry(entry, header=i == name) for i, entry in enumerate(line.entries)]
        out.append(f"<tr>{''.join(cells)}</tr>")
    out += ["</tbody>", "</table>", "</div>"]
    out += [f"<p>{quoted(text)}</p>" for text in layout.reading]
    if layout.ranked:
        out.append(f"<p>{legend('<b>bold</b>', '<u>underlined</u>')}</p>")
    out += [f"<p>{quoted(text)}</p>" for text in layout.remarks]
    out += [f"<p><sup>{letter}</sup> {quoted(text)}</p>" for letter, text in layout.footnotes]
    out += [f"<p>{quoted(layout.missing)}</p>"] if layout.missing else []
    return "\n".join([*out, "</section>", ""])


def _html_entry(entry: PrintedEntry, header: bool) -> str:
    text = escaping.html_text(entry.figure)
    if header:
        # Names may run from right to left; the text after them must not.
        text = f"<bdi>{text}</bdi>"
    shown = {"best": f"<b>{text}</b>", "second": f"<u>{text}</u>"}.get(entry.emphasis, text)
    tied = f" {TIED}" if entry.tied else ""
    interval = f" <small>{escaping.html_text(entry.interval)}</small>" if entry.interval else ""
    marks = f"<sup>{','.join(entry.marks)}</sup>" if entry.marks else ""
    tag = 'th scope="row"' if header else "td"
    return f"<{tag}>{shown}{tied}{interval}{marks}</{tag.split()[0]}>"


def _csv(tables: Sequence[Table]) -> str:
    """Return a line for every place, so that tables of different columns fit in one file; ``unit`` is that of a figure.

    ``table`` and ``group`` together identify the rows that may be ranked together: the name of a benchmark's table and
    the heading of a group of rows, or the title of a leaderboard and a word for what its runs have in common.
    Rows that look at no frame have a heading of their own.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for table in tables:
        apart = (row.model_copy(update={"group": f"{table.group} {row.group}".strip()}) for row in table.blind)
        for row in (*table.rows, *apart):
            for column, cell in zip(table.columns, row.cells, strict=True):
                published, found = cell.published, cell.reproduced
                unit = "fraction" if column.unit == "%" else column.unit
                notes = [table.note, *table.notes, *row.notes, *(published.notes if published else ())]
                words = (row.label, row.supervision, row.depends, row.post)
                writer.writerow(
                    [
                        *map(escaping.spreadsheet, (table.id or table.title, row.group or table.group)),
                        row.rank,
                        *(
                            escaping.spreadsheet(text)
                            for text in (*words, column.dataset, column.title, column.metric, unit)
                        ),
                        *((published.value, published.printed) if published else ("", "")),
                        *((found.mean, found.std, found.low, found.high, found.unprocessed) if found else [""] * 5),
                        " ".join(map(str, found.seeds)) if found else "",
                        cell.gap,
                        escaping.spreadsheet(cell.verdict),
                        *((int(found.best), int(found.second), int(found.tied), found.p) if found else [""] * 4),
                        escaping.spreadsheet("; ".join(filter(None, [*notes, *(found.notes if found else ())]))),
                    ]
                )
    return out.getvalue()
