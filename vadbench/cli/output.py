"""Print the output of commands: tables and records on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from textwrap import wrap
from typing import IO, TYPE_CHECKING, Any

import click

from vadbench.base.errors import ConfigError

if TYPE_CHECKING:
    from vadbench.metrics.definitions import MetricValue
    from vadbench.records.record import RunRecord


_BESIDE = ("recall@1%FPR", "hit", "delay", "false-alarms-per-hour", "distinct")
"""Further metrics that are printed after a run where they are defined."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python makes of the bytes of a file name that are not UTF-8."""
_RESULTS = "vadbench.results"
"""Name in a command's context of the standard output of a command that prints JSON."""


def only_results(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    """Send what libraries, methods and plugins print to standard error while a command runs that prints JSON.

    A callback of an option; :func:`results` is where the JSON goes.
    """
    if value:
        context.meta[_RESULTS] = sys.stdout
        context.with_resource(redirect_stdout(sys.stderr))
    return value


def results() -> IO[str]:
    """Return where the result of a command is printed: standard output, even while :func:`only_results` holds."""
    context = click.get_current_context(silent=True)
    stream: IO[str] | None = context.meta.get(_RESULTS) if context else None
    return stream or sys.stdout


def print_json(value: Any) -> None:
    """Print a value as JSON in UTF-8; bytes of file names that are none are escaped, as in ``\\udcfc``."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    click.echo(_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text), file=results())


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


def confirm(what: str, yes: bool) -> bool:
    """Ask whether to delete what was listed, unless ``yes`` was given.

    Raises:
        ConfigError: there is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"nothing was deleted: standard input is no terminal to ask {what}; add --yes")
    return click.confirm(what, err=True)


def printable(text: str) -> str:
    """Return untrusted text without control characters for a terminal; line breaks stay.

    >>> printable("two\\nlines \\x1b[31mred")
    'two\\nlines [31mred'
    """
    from vadbench.base.text import plain

    return "\n".join(map(plain, text.split("\n")))


def printed(value: float | None, key: str = "AUC") -> str:
    """Format a value in the unit of its metric, a fraction as a percentage with two digits, or a dash.

    >>> printed(0.86361), printed(None), printed(12.5, "delay"), printed(8123, "distinct")
    ('86.36', '-', '12.50', '8123')
    """
    from vadbench.metrics.definitions import unit_of
    from vadbench.tables.layout import number

    return "-" if value is None else number(value, unit_of(key))


def printed_with_interval(value: MetricValue | None, key: str) -> str:
    """Format a metric with its interval in brackets, if it has one."""
    if value is None:
        return "-"
    interval = f" [{printed(value.low, key)}, {printed(value.high, key)}]" if value.low is not None else ""
    return printed(value.value, key) + interval


def with_unit(key: str) -> str:
    """Return the key of a metric, followed by the unit of its values unless that is percent, none, or in the key.

    >>> with_unit("AUC"), with_unit("delay"), with_unit("distinct"), with_unit("false-alarms-per-hour")
    ('AUC', 'delay (frames)', 'distinct', 'false-alarms-per-hour')
    """
    from vadbench.metrics.definitions import unit_of

    unit = unit_of(key)
    return key if unit in ("%", "") or unit.replace(" ", "-") in key else f"{key} ({unit})"


def print_results(records: Sequence[RunRecord]) -> None:
    """Print the metrics of one method's seeds: values with their intervals, means, and a table per class."""
    from vadbench.base.metric_keys import MetricKey
    from vadbench.metrics.definitions import CLASS_METRICS, COMPARED, HEADLINES
    from vadbench.metrics.glossary import UNPROCESSED
    from vadbench.records.record import summarise

    means = summarise(records)
    several = len(records) > 1
    seeds = [f"seed {r.seed}" for r in records]
    # The record of a seed may be of an earlier version, which lacks a metric or has one that was removed.
    keys = [MetricKey.parse(name) for name in dict.fromkeys(name for r in records for name in r.metrics)]
    whole = [k.metric for k in keys if k.branch is None and k.of_class is None]
    of_branches = [str(k) for k in keys if k.branch is not None]
    rows = []
    beside = [name for name in _BESIDE if any(name in r.metrics and r.metrics[name].value is not None for r in records)]
    before = [name + UNPROCESSED for name in HEADLINES if name + UNPROCESSED in whole]
    for name in (*(n for n in (*COMPARED, "prevalence") if n in whole), *before, *beside, *of_branches):
        cells = [printed_with_interval(r.metrics.get(name), name) for r in records]
        rows.append([with_unit(name), *cells, *([_mean(means.get(name), name)] if several else [])])
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
            [[c, *(_mean(means.get(str(MetricKey(m, of_class=c))), m) for m in CLASS_METRICS)] for c in per_class],
            ["class", *CLASS_METRICS],
        )
    _print_scenarios(records)


def _print_scenarios(records: Sequence[RunRecord]) -> None:
    """Print the metrics of each scenario: with their intervals for one seed, as means over several."""
    from statistics import fmean, stdev

    from vadbench.metrics.scenarios import SCENARIO_METRICS

    def cell(name: str, key: str) -> str:
        found = [r.scenarios[name].metrics.get(key) for r in records if name in r.scenarios]
        values = [v.value for v in found if v is not None and v.value is not None]
        if len(records) == 1:
            return printed_with_interval(found[0], key)
        return _mean((fmean(values), stdev(values)) if len(values) == len(records) else None, key)

    names = {name: result.abnormal for name, result in records[0].scenarios.items()}
    if names:
        click.echo("\nabnormal videos of each scenario against all normal ones")
        rows = [[name, str(count), *(cell(name, key) for key in SCENARIO_METRICS)] for name, count in names.items()]
        print_table(rows, ["scenario", "abnormal videos", *SCENARIO_METRICS])


def _mean(summary: tuple[float, float | None] | None, key: str) -> str:
    if summary is None:
        return "-"
    mean, deviation = summary
    return printed(mean, key) if deviation is None else f"{printed(mean, key)} ± {printed(deviation, key)}"
