"""Leaderboard page: our figures group by group, and published figures in separate tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from vadbench.metrics.definitions import COMPARED, definition
from vadbench.records.published import TRAPEZOID, PublishedNumber
from vadbench.report.page import render_page
from vadbench.tables.layout import COUNTS, PrintedEntry, lay_out, legend
from vadbench.tables.table import Table, TableColumn

SCRIPTS = ("base.js", "board.js")
PUBLISHED = "as published"
"""Name on the page for the rules of published figures."""


def leaderboard_page(tables: Sequence[Table], numbers: Sequence[PublishedNumber]) -> str:
    """Return an HTML document with the leaderboards, followed by the published figures of the same metrics.

    Args:
        tables: from :func:`vadbench.tables.leaderboard.leaderboards`.
        numbers: published numbers to show.
    """
    sections = [*map(_reproduced, tables), *_published(numbers)]
    return render_page("Leaderboard", "board.html", SCRIPTS, {"sections": sections})


def _reproduced(table: Table) -> dict[str, Any]:
    layout = lay_out(table)
    leads = [{"title": title, "number": title in COUNTS, "heading": title == "method"} for title in layout.lead]
    cells = []
    for line, row in zip((n for n in layout.lines if n.entries), (*table.rows, *table.blind), strict=True):
        values = [
            *_lead_values(layout.lead, line.entries),
            *(c.reproduced.mean if c.reproduced else None for c in row.cells),
        ]
        cells.append([{**vars(entry), "value": value} for entry, value in zip(line.entries, values, strict=True)])
    ranked = len(table.rows)
    return {
        "published": False,
        "title": layout.title,
        "note": layout.note,
        "dataset": table.columns[0].dataset,
        "protocol": table.protocol,
        "columns": [*leads, *map(_of_table, table.columns)],
        "rows": [{"backbone": table.backbone, "cells": own} for own in cells[:ranked]],
        "apart": {"heading": table.blind[0].group, "rows": cells[ranked:]} if table.blind else None,
        "below": [*layout.reading, *([legend("bold", "underlined")] if layout.ranked else []), *layout.remarks],
        "footnotes": layout.footnotes,
    }


def _lead_values(leads: Sequence[str], entries: Sequence[PrintedEntry]) -> Iterator[str | float | None]:
    for title, entry in zip(leads, entries, strict=False):
        yield float(entry.text) if title in COUNTS and entry.text else entry.text or None


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
            place = (n.method, n.variant, n.backbone, n.supervision, n.reported_in, n.table, n.protocol_note)
            rows.setdefault(place, {})[n.metric, n.ap_rule] = n
        columns = [
            (metric, rule)
            for metric in COMPARED
            for rule in ("", *AP_HEADINGS)
            if any((metric, rule) in found for found in rows.values())
        ]
        yield {
            "published": True,
            "title": f"{dataset}: published figures",
            "note": "Each figure is under the rules of the paper in its row: these are not comparable with ours, and"
            " not always with each other.",
            "dataset": dataset,
            "protocol": PUBLISHED,
            "columns": [
                {"title": "method", "heading": True},
                *({"title": title} for title in ("variant", "backbone", "supervision", "reported in")),
                *(_published_column(*column) for column in columns),
            ],
            "rows": [_published_row(place, found, columns) for place, found in rows.items()],
            "below": [
                "In percent, as printed. An asterisk marks numbers that are not from the paper that measured them:"
                " quoted or refitted by another paper, computed, recalled, or read in a list. Dotted numbers are known"
                " to come from weights selected on the test set or from post-processed scores, to be over rows of"
                " features instead of frames, or to be under another ground truth; the pointer shows which."
            ],
            "footnotes": [],
        }


def _published_column(metric: str, rule: str) -> dict[str, Any]:
    """Return the column of a metric, for AP that of one rule: two metrics never share a column."""
    if not rule:
        return _column(metric, definition(metric).title)
    found = _column(TRAPEZOID if rule == "trapezoid" else metric, AP_HEADINGS[rule])
    return found | ({"explanation": _UNKNOWN_RULE} if rule == "unknown" else {})


def _published_row(
    place: tuple[str, ...], found: dict[tuple[str, str], PublishedNumber], columns: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    *words, source, table, note = place
    texts = [*words, f"{source}, {table}" if table else source]
    cells: list[dict[str, Any]] = [{"text": text, "value": text or None} for text in texts]
    cells[-1]["explanation"] = note
    for column in columns:
        number = found.get(column)
        cells.append(
            {"text": "", "value": None}
            if number is None
            else {"text": number.printed, "value": number.value, "star": not number.first_hand} | _conditions(number)
        )
    return {"backbone": words[2], "cells": cells}


def _conditions(number: PublishedNumber) -> dict[str, str]:
    """Return what is said of a number under the pointer, if there is anything."""
    selected = ["weights selected on the test set (best-on-test)"] if number.selection == "best-on-test" else []
    processed = [f"scores post-processed ({number.post})"] if number.post else []
    counted = [f"over {number.counted} of features, not frames"] if number.counted else []
    truth = [f"another ground truth of the test videos ({number.truth})"] if number.truth else []
    said = [*selected, *processed, *counted, *truth]
    return {"explanation": "; ".join(said)} if said else {}
