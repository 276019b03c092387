"""Display of a benchmark's cells: a live table or a line for each while they run, and their results."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import last_line, listed
from vadbench.cli.output import note, print_table, printable, printed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vadbench.benchmarks.schema import Cell
    from vadbench.benchmarks.state import CellState

WIDEST = 60
SHOWN = 12
"""Number of recently ended cells in the live table."""


def _ended(state: CellState) -> str:
    """Return how a cell ended; one that is still to do was stopped."""
    return "stopped" if state.state == "to do" else state.state


class CellLines:
    """Display with a line on stderr for each cell that ends."""

    def __init__(self, states: Sequence[CellState]) -> None:
        self.counts: Counter[str] = Counter(s.state for s in states)
        self.ended_count, self.total = 0, self.counts["to do"]
        self.running: dict[Cell, float] = {}

    def started(self, cell: Cell) -> None:
        self.running[cell] = time.monotonic()

    def ended(self, state: CellState) -> None:
        self.running.pop(state.cell, None)
        self.ended_count += 1
        self.counts["to do"] -= 1
        self.counts[state.state] += 1
        self.show(state)

    def show(self, state: CellState) -> None:
        """Show a cell that has just ended."""
        note(f"[{self.ended_count}/{self.total}] {_ended(state)} {state.cell.label}: {result(state)}")

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Ignore the stages within a cell, which get no lines."""


class Live(CellLines):
    """Live table: counts, running cells with their stage, and those that ended last."""

    def __init__(self, states: Sequence[CellState]) -> None:
        super().__init__(states)
        self._last: deque[CellState] = deque(maxlen=SHOWN)
        self._stage = ""

    def show(self, state: CellState) -> None:
        self._last.append(state)
        self._stage = ""

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self._stage = f"{stage} {done}/{total}" if done < total else ""

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for state in self._last:
            style = {"done": "green", "impossible": "yellow", "to do": "yellow"}.get(state.state, "red")
            table.add_row(Text(_ended(state), style), Text(state.cell.label), Text(result(state), overflow="ellipsis"))
        for cell, since in list(self.running.items()):
            seconds = f"{self._stage}  {time.monotonic() - since:.0f} s".strip()
            table.add_row(Text("running", "cyan"), Text(cell.label), Text(seconds))
        counts = self.counts - Counter({"to do": len(self.running)}) + Counter(running=len(self.running))
        return Group(table, Text("  ".join(f"{n} {what}" for what, n in counts.items())))


@contextmanager
def display(states: Sequence[CellState]) -> Iterator[CellLines]:
    """Show running and ended cells on stderr."""
    if not sys.stderr.isatty():
        yield CellLines(states)
        return
    from rich.console import Console
    from rich.live import Live as LiveTable

    shown = Live(states)
    with LiveTable(shown, console=Console(stderr=True), refresh_per_second=4, transient=True):
        yield shown


def result(state: CellState) -> str:
    """Return the outcome of a cell in a few words.

    >>> from vadbench.benchmarks.state import CellState
    >>> result(CellState(cell=None, state="failed", reason="the loss is not finite"))
    'the loss is not finite'
    """
    if state.outcome is None:
        return last_line(state.reason)
    record = state.outcome.record
    value = record.metrics["AUC"].value if "AUC" in record.metrics else None
    took = "finished by another process" if state.outcome.reused else f"{sum(record.seconds.values()):.1f} s"
    return f"AUC {printed(value)}{record.marks} ({took})"


def counted(states: Sequence[CellState]) -> str:
    """Return the number of cells by state: ``6 runs, 4 done, 2 to do``."""
    counts = Counter(s.state for s in states)
    return f"{len(states)} runs, " + ", ".join(
        f"{counts[k]} {k}" for k in ("done", "to do", "failed", "impossible") if counts[k]
    )


def print_states(states: Sequence[CellState]) -> None:
    """Print a line for the seeds of one experiment that are in one state."""
    from vadbench.base.naming import written

    lines: dict[tuple[Any, ...], list[str]] = {}
    for state in states:
        cell = state.cell
        changes = " ".join(f"{k}={written(v)}" for k, v in cell.settings)
        trained = "" if cell.trained_on == cell.dataset else f" (trained on {cell.trained_on})"
        key = (f"{cell.method} {changes}".strip(), cell.dataset + trained, cell.protocol, state.state)
        lines.setdefault(key, []).append(str(cell.seed))
    rows = [[m, d, p, ", ".join(seeds), state] for (m, d, p, state), seeds in lines.items()]
    print_table(rows, ["method", "data set", "protocol", "seeds", "state"], widest=WIDEST)


def print_reasons(states: Sequence[CellState]) -> None:
    """Print the cells that are not done and for which a reason is known, each reason once."""
    for wanted, said in (("failed", "failed"), ("to do", "not finished before"), ("impossible", "impossible here")):
        reasons: dict[str, list[Cell]] = {}
        for state in states:
            if state.state == wanted and state.reason:
                reasons.setdefault(last_line(state.reason), []).append(state.cell)
        for reason, cells in reasons.items():
            click.echo(printable(f"\n{said}: {listed([cell.label for cell in cells], 1)}: {reason}"))


def as_plain(name: str, states: Sequence[CellState]) -> Mapping[str, Any]:
    """Return the cells of a benchmark and their states, as ``--json`` prints them."""
    return {
        "benchmark": name,
        "counts": dict(Counter(s.state for s in states)),
        "cells": [
            {
                "id": s.cell.id,
                "label": s.cell.label,
                "method": s.cell.method,
                "settings": dict(s.cell.settings),
                "dataset": s.cell.dataset,
                "trained_on": s.cell.trained_on,
                "protocol": s.cell.protocol,
                "seed": s.cell.seed,
                "state": s.state,
                "reason": s.reason,
                "folder": str(s.outcome.folder) if s.outcome else None,
                "metrics": {k: v.value for k, v in s.outcome.record.metrics.items()} if s.outcome else {},
            }
            for s in states
        ],
    }
