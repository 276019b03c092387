"""``vadbench rescore``: compute every metric again from saved scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import VadbenchError, one_line
from vadbench.base.text import amount
from vadbench.cli import options
from vadbench.cli.output import note, percent, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from vadbench.metrics.definitions import MetricValue
    from vadbench.results.rescore import Rescored


@click.command("rescore", short_help="Compute a run's metrics again from its saved scores.")
@click.argument("runs", nargs=-1, required=True)
@options.out
@options.as_json
def command(runs: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Compute every metric of finished runs again from their saved scores, with this version's definitions.

    A RUN is a run folder, the beginning of its key, or a folder with many runs; its other evaluations are measured
    too. Data, features and the method are not needed.

    \b
      vadbench rescore 1f0c
      vadbench rescore results/runs

    If a metric differs from the record, old and new are shown and result.json is written again, with a note. Damaged
    scores are named and the other runs continue; the exit status is then 1.
    """
    from vadbench.results.rescore import evaluations, rescore

    folders = list(dict.fromkeys(folder for name in runs for folder in evaluations(name, out)))
    found: list[Rescored] = []
    problems: dict[str, str] = {}
    with progress_bar() as progress:
        for done, folder in enumerate(folders):
            progress("measuring", done, len(folders))
            try:
                rescored = rescore(folder)
            except VadbenchError as error:
                problems[str(folder)] = one_line(error)
                continue
            if rescored is None:
                note(f"{folder}: not finished, nothing to measure")
            else:
                found.append(rescored)
        progress("measuring", len(folders), len(folders))
    if as_json:
        print_json([_plain(r) for r in found] + [{"folder": f, "error": reason} for f, reason in problems.items()])
    else:
        for rescored in found:
            _report(rescored)
    for reason in problems.values():
        note(f"vadbench: {reason}")
    if problems:
        click.get_current_context().exit(1)


def _report(rescored: Rescored) -> None:
    if not rescored.changed:
        click.echo(f"{rescored.folder}: unchanged, {len(rescored.record.metrics)} metrics")
        return
    click.echo(f"{rescored.folder}: {len(rescored.changed)} of {len(rescored.record.metrics)} metrics changed")
    rows = [[name, _words(name, old), _words(name, new)] for name, (old, new) in rescored.changed.items()]
    print_table(rows, ["%, [95 % interval]", "before", "now"])


def _words(name: str, value: MetricValue | None) -> str:
    from vadbench.metrics.definitions import unit

    if value is None:
        return "absent"
    if value.value is None:
        return f"undefined: {value.reason}"
    in_unit = unit(name)
    written = percent if in_unit == "%" else amount
    numbers = [written(number) for number in (value.value, value.low, value.high) if number is not None]
    between = f" [{', '.join(numbers[1:])}]" if len(numbers) > 1 else ""
    return numbers[0] + between + (f" {in_unit}" if in_unit not in ("", "%") else "")


def _plain(rescored: Rescored) -> dict[str, Any]:
    changed = {
        name: {"old": old and old.model_dump(), "new": new and new.model_dump()}
        for name, (old, new) in rescored.changed.items()
    }
    return {"folder": str(rescored.folder), "metrics": len(rescored.record.metrics), "changed": changed}
