"""Print the output of commands: tables and records on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vadbench.base.types import Progress
    from vadbench.metrics.definitions import MetricValue
    from vadbench.records.record import RunRecord


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(rows: Sequence[Sequence[Any]], headers: Sequence[str], widest: int | None = None) -> None:
    """Print a plain table; cells of more than ``widest`` characters are wrapped."""
    from tabulate import tabulate

    shown = [["" if cell is None else _wrapped(printable(str(cell)), widest) for cell in row] for row in rows]
    click.echo(tabulate(shown, headers, disable_numparse=True))


def _wrapped(text: str, widest: int | None) -> str:
    # tabulate's wrapping takes "1,234" for a number and fails.
    if widest is None:
        return text
    return "\n".join("\n".join(wrap(line, widest)) for line in text.split("\n"))


def note(text: str) -> None:
    """Tell the user something that is not the command's result."""
    click.echo(printable(text), err=True)


def printable(text: str) -> str:
    """Return untrusted text without control characters for a terminal; line breaks stay.

    >>> printable("two\\nlines \\x1b[31mred")
    'two\\nlines [31mred'
    """
    from vadbench.base.text import plain

    return "\n".join(map(plain, text.split("\n")))


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a progress callback: bars on a terminal; elsewhere a note when it waits for another process."""
    if not sys.stderr.isatty():
        yield _note_of_waiting
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int, detail: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, detail=detail)
            bars.update(tasks[stage], completed=done, total=total, detail=detail, visible=done < total)

        yield report


def _note_of_waiting(stage: str, done: int, total: int, detail: str = "") -> None:
    from vadbench.base.files import WAITING

    if stage.startswith(WAITING) and not done:
        note(f"note: {stage}")


def percent(value: float | None) -> str:
    """Format a fraction as a percentage with two digits, or a dash.

    >>> percent(0.86361), percent(None)
    ('86.36', '-')
    """
    return "-" if value is None else f"{100 * value:.2f}"


def print_results(records: Sequence[RunRecord]) -> None:
    """Print the metrics of one method's seeds: values with their intervals, means, and a table per class."""
    from vadbench.base.metric_keys import MetricKey
    from vadbench.metrics.definitions import CLASS_METRICS, COMPARED
    from vadbench.records.record import summarise

    means = summarise(records)
    several = len(records) > 1
    seeds = [f"seed {r.seed}" for r in records]
    # The record of a seed may be of an earlier version, which lacks a metric or has one that was removed.
    keys = [MetricKey.parse(name) for name in dict.fromkeys(name for r in records for name in r.metrics)]
    whole = [k.metric for k in keys if k.branch is None and k.of_class is None]
    of_branches = [str(k) for k in keys if k.branch is not None]
    rows = []
    for name in (*(n for n in (*COMPARED, "prevalence") if n in whole), *of_branches):
        cells = [_with_interval(r.metrics.get(name)) for r in records]
        rows.append([name, *cells, *([_mean(means.get(name))] if several else [])])
    print_table(rows, ["%, [95 % interval]", *seeds, *(["mean ± std"] if several else [])])
    undefined: dict[str | None, list[str]] = {}
    for name in whole:
        found = [r.metrics[name] for r in records if name in r.metrics]
        reasons = [v.reason for v in found if v.value is None]
        reasons += ["not every seed has it"] if len(found) < len(records) else []
        for reason in dict.fromkeys(reasons):
            undefined.setdefault(reason, []).append(name)
    for reason, names in undefined.items():
        note(f"undefined, since {reason}: {', '.join(names)}")
    per_class = sorted({k.of_class for k in keys if k.of_class is not None})
    if per_class:
        click.echo()
        print_table(
            [[c, *(_mean(means.get(str(MetricKey(m, of_class=c)))) for m in CLASS_METRICS)] for c in per_class],
            ["class", *CLASS_METRICS],
        )


def _with_interval(value: MetricValue | None) -> str:
    if value is None:
        return "-"
    interval = f" [{percent(value.low)}, {percent(value.high)}]" if value.low is not None else ""
    return percent(value.value) + interval


def _mean(summary: tuple[float, float | None] | None) -> str:
    if summary is None:
        return "-"
    mean, deviation = summary
    return percent(mean) if deviation is None else f"{percent(mean)} ± {percent(deviation)}"
