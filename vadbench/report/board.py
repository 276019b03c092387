"""Leaderboard page: our figures group by group, and published figures in separate tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from vadbench.base.text import counted
from vadbench.metrics.definitions import COMPARED, definition
from vadbench.records.published import TRAPEZOID, PublishedNumber
from vadbench.report.page import render_page
from vadbench.tables.layout import RANK, WORDS, Letters, PrintedEntry, PrintedTable, lay_out, legend
from vadbench.tables.table import Table, TableColumn, TableRow

SCRIPTS = ("base.js", "board.js")
PUBLISHED = "as published"
"""Name on the page for the rules of published figures."""
BESIDE = 2
"""Number of metrics in a table on a narrow screen at first."""
TESTED = 4
"""Place of what was tested among the words of a published row, which is a column where it varies."""
_TESTED_ON = "Test videos, and the ground truth where it is known to be another than the data set's own."


def leaderboard_page(tables: Sequence[Table], numbers: Sequence[PublishedNumber]) -> str:
    """Return an HTML document with the leaderboards, followed by the published figures of the same metrics.

    Notes are once on the page, with letters that all tables share.

    Args:
        tables: from :func:`vadbench.tables.leaderboard.leaderboards`.
        numbers: published numbers to show.
    """
    letters = Letters()
    layouts = [lay_out(table, letters) for table in tables]
    measured = [_measured(table, layout, letters) for table, layout in zip(tables, layouts, strict=True)]
    ranked = [legend("Bold", "underlined")] if any(layout.ranked for layout in layouts) else []
    data = {
        "sections": [*measured, *_published(numbers)],
        "reading": [*_reading(layouts), *ranked],
        "footnotes": letters.all,
    }
    return render_page("Leaderboard", "board.html", SCRIPTS, data)


def _reading(layouts: Sequence[PrintedTable]) -> list[str]:
    """Return how to read the figures of all tables, without what another sentence says too."""
    sentences = dict.fromkeys(text for layout in layouts for text in layout.reading)
    said = {text: set(text.removesuffix(".").split("; ")) for text in sentences}
    return [text for text, own in said.items() if not any(own < other for other in said.values())]


def _measured(table: Table, layout: PrintedTable, letters: Letters) -> dict[str, Any]:
    lines = [line.entries for line in layout.lines if line.entries]
    rows = [_row(table, layout, row, entries) for row, entries in zip((*table.rows, *table.blind), lines, strict=True)]
    ranked = len(table.rows)
    return {
        "published": False,
        "title": layout.title,
        "note": layout.note,
        "marks": letters.of(layout.remarks),
        "dataset": table.columns[0].dataset,
        "protocol": table.protocol,
        "columns": [
            *([{"title": RANK, "number": True, "keep": True}] if RANK in layout.lead else []),
            {"title": "method", "heading": True},
            *({**_of_table(column), "first": i < BESIDE} for i, column in enumerate(table.columns)),
        ],
        "rows": rows[:ranked],
        "apart": {"heading": table.blind[0].group, "rows": rows[ranked:]} if table.blind else None,
    }


def _row(table: Table, layout: PrintedTable, row: TableRow, entries: Sequence[PrintedEntry]) -> dict[str, Any]:
    """Return a row: the columns of words and the seeds are a line below the method, so that numbers have the width."""
    lead = dict(zip(layout.lead, entries, strict=False))
    # What a method is called has no blank; its settings follow.
    name, _, settings = lead["method"].text.partition(" ")
    seeds = [counted(row.seeds, "seed")] if row.seeds else []
    below = [*(lead[word].text for word in WORDS if word in lead and lead[word].text), *seeds]
    method = {"text": name, "value": row.label, "marks": lead["method"].marks, "settings": settings, "below": below}
    values = (cell.reproduced.mean if cell.reproduced else None for cell in row.cells)
    figures = [{**vars(e), "value": v} for e, v in zip(entries[len(layout.lead) :], values, strict=True)]
    rank = [{"text": lead[RANK].text, "value": row.rank}] if RANK in lead else []
    return {"backbone": table.backbone, "supervision": row.supervision, "cells": [*rank, method, *figures]}


def _column(metric: str, title: str) -> dict[str, Any]:
    means = definition(metric)
    return {"title": title, "explanation": means.text, "number": True, "better": means.better}


def _of_table(column: TableColumn) -> dict[str, Any]:
    if column.cost:
        return {"title": column.heading, "explanation": column.definition, "number": True, "better": None}
    return _column(column.metric, column.heading)


AP_HEADINGS = {"step": "AP (step)", "trapezoid": "AP (trapezoid)", "unknown": "AP (rule unknown)"}
"""Columns of the numbers that papers call AP, by their rule."""
_UNKNOWN_RULE = "Average precision of the anomaly score, by the step sum or the trapezoid rule: which is not known."


def _published(numbers: Sequence[PublishedNumber]) -> Iterator[dict[str, Any]]:
    """Yield a section for each data set, with a row for each place of a paper that has figures of these metrics."""
    shown = sorted((n for n in numbers if n.metric in COMPARED), key=lambda n: n.dataset)
    for dataset, of_dataset in groupby(shown, key=lambda n: n.dataset):
        rows: dict[tuple[str, ...], dict[tuple[str, str], PublishedNumber]] = {}
        for n in of_dataset:
            words = (n.method, n.variant, n.backbone, n.supervision, _tested(n))
            place = (*words, n.reported_in, n.table, n.protocol_note)
            rows.setdefault(place, {})[n.metric, n.ap_rule] = n
        columns = [
            (metric, rule)
            for metric in COMPARED
            for rule in ("", *AP_HEADINGS)
            if any((metric, rule) in found for found in rows.values())
        ]
        varies = len({place[TESTED] for place in rows}) > 1
        fullest = sorted(columns, key=lambda column: -sum(column in found for found in rows.values()))[:BESIDE]
        yield {
            "published": True,
            "title": f"{dataset}: published figures",
            "note": "",
            "dataset": dataset,
            "protocol": PUBLISHED,
            "columns": [
                {"title": "method", "heading": True},
                *({"title": title} for title in ("variant", "backbone", "supervision")),
                *([{"title": "tested on", "explanation": _TESTED_ON}] if varies else []),
                {"title": "reported in"},
                *({**_published_column(*column), "first": column in fullest} for column in columns),
            ],
            "rows": [_published_row(place, found, columns, varies) for place, found in rows.items()],
            "marks": [],
            "apart": None,
        }


def _published_column(metric: str, rule: str) -> dict[str, Any]:
    """Return the column of a metric, for AP that of one rule: two metrics never share a column."""
    if not rule:
        return _column(metric, definition(metric).title)
    found = _column(TRAPEZOID if rule == "trapezoid" else metric, AP_HEADINGS[rule])
    return found | ({"explanation": _UNKNOWN_RULE} if rule == "unknown" else {})


def _tested(number: PublishedNumber) -> str:
    """Return which test videos and which ground truth a number is of, as far as that is known."""
    split = " split" if number.test_protocol in ("weakly-supervised", "one-class") else ""
    videos = [] if number.test_protocol == "unknown" else [f"{number.test_protocol}{split}"]
    return ", ".join([*videos, *([f"truth {number.truth}"] if number.truth else [])])


def _published_row(
    place: tuple[str, ...],
    found: dict[tuple[str, str], PublishedNumber],
    columns: Sequence[tuple[str, str]],
    varies: bool,
) -> dict[str, Any]:
    """Return a row; what tells methods apart is below the name too, for a screen without room for its columns."""
    *words, source, table, note = place
    texts = [*(words if varies else words[:TESTED]), f"{source}, {table}" if table else source]
    cells: list[dict[str, Any]] = [{"text": text, "value": text or None} for text in texts]
    cells[0]["stacked"] = [text for text in texts[1:] if text]
    cells[-1]["explanation"] = note
    for column in columns:
        number = found.get(column)
        cells.append(
            {"text": "", "value": None}
            if number is None
            else {"text": number.printed, "value": number.value, "star": not number.first_hand} | _conditions(number)
        )
    return {"backbone": words[2], "supervision": words[3], "cells": cells}


def _conditions(number: PublishedNumber) -> dict[str, str]:
    """Return what is said of a number under the pointer, if there is anything."""
    selected = ["weights selected on the test set (best-on-test)"] if number.selection == "best-on-test" else []
    processed = [f"scores post-processed ({number.post})"] if number.post else []
    counted = [f"over {number.counted} of features, not frames"] if number.counted else []
    truth = [f"another ground truth of the test videos ({number.truth})"] if number.truth else []
    said = [*selected, *processed, *counted, *truth]
    return {"explanation": "; ".join(said)} if said else {}
