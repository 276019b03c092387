"""``vadbench compare``: compare two methods by paired resampling of the test videos."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table, printed, with_unit

if TYPE_CHECKING:
    from vadbench.results.sides import ComparedRuns

_OUTSIDE_BRACKETS = re.compile(r",(?![^\[]*\])")
"""Comma between keys; the name of a class may contain one."""


@click.command("compare", short_help="Compare two methods on the same test videos.")
@click.argument("a")
@click.argument("b")
@click.option(
    "--metrics",
    metavar="KEYS",
    help="Metrics to compare, separated by commas (vadbench list metrics); AUC[Abuse] is the AUC of one class. "
    " [default: AUC, AUC/within, AUC/flattened, AP, AnoAUC, mAUC, mAP, mAP@IoU and FAR, if both have them]",
)
@options.out
@options.as_json
def command(a: str, b: str, metrics: str | None, out: Path, as_json: bool) -> None:
    """Compare two methods on the same test videos: how much better is A than B, and could it be chance?

    A and B are each a run folder, the beginning of a run's key, a label (vadbench run --name), several of these
    separated by commas, or the folder of a method on a data set: its runs of default settings are meant, and settings
    or a label in brackets choose others. Seeds are averaged. Only the run folders are read.

    \b
      vadbench compare synthetic/vadclip synthetic/mil
      vadbench compare synthetic/mil 'synthetic/mil[recipe.epochs=5]'
      vadbench compare 1f0c 7ab2 --metrics AUC,AP
      vadbench compare 1f0c,29e1,c07d 7ab2,e5f0,00b1 --json

    The test videos are drawn 5,000 times with replacement, the same ones for both sides. The interval contains 95 % of
    the differences; p is the probability of a difference this large by chance, adjusted by Holm for all metrics shown.
    Two methods are distinguished if p is at most 0.05. Neither includes the variation of another training. If fewer
    than five of the test videos carry what a metric counts (anomalous frames, frames of a class, frames of both kinds
    or, for FAR, normal videos), they are too few to tell, and neither is computed. No side is called better by FAR: a
    method that never raises an alarm has a FAR of 0.
    """
    from vadbench.results.compare import RESAMPLES, compare_sides
    from vadbench.results.sides import contrasts, load_runs

    sides = {"A": load_runs(a, out), "B": load_runs(b, out)}
    keys = None if metrics is None else [key.strip() for key in _OUTSIDE_BRACKETS.split(metrics)]
    with shown_progress() as progress:
        found = compare_sides(sides, keys, progress)
    notes = contrasts(sides["A"], sides["B"])
    left_out = [] if metrics else _left_out(sides.values())
    for text in dict.fromkeys((*sides["A"].notes, *sides["B"].notes, *notes, *left_out)):
        note(f"note: {text}")
    if as_json:
        about = {name: {"label": s.label, "folders": [str(f) for _, f in s.found]} for name, s in sides.items()}
        print_json({**about, "resamples": RESAMPLES, "notes": notes, "metrics": found})
        return
    for name, side in sides.items():
        click.echo(f"{name}: {side.label}")
    click.echo()
    rows = [
        [
            with_unit(key),
            *(printed(d[name], key) for name in sides),
            _points(d["difference"], key),
            "-" if d["low"] is None else f"[{_points(d['low'], key)}, {_points(d['high'], key)}]",
            "-" if d["p_holm"] is None else f"{d['p_holm']:.4f}",
            d["verdict"],
        ]
        for key, d in found.items()
    ]
    print_table(rows, ["%", *sides, "A - B", "95 % interval", "p (Holm)", "verdict"])


def _left_out(sides: Iterable[ComparedRuns]) -> Iterator[str]:
    """Yield which metrics are not compared because a side lacks them, by reason."""
    from vadbench.metrics.definitions import COMPARED

    reasons: dict[str, dict[str, None]] = {}
    for side in sides:
        for key in (key for key in COMPARED if key in side.first.metrics):
            if (reason := side.first.metrics[key].reason) and side.first.metrics[key].value is None:
                reasons.setdefault(reason, {})[key] = None
    yield from (f"not compared: {', '.join(keys)}, since {reason}" for reason, keys in reasons.items())


def _points(difference: float | None, key: str) -> str:
    """Format a difference of a metric, of fractions in percentage points: ``+1.25``."""
    from vadbench.metrics.definitions import unit_of
    from vadbench.tables.layout import signed

    return "-" if difference is None else signed(difference, unit_of(key))
