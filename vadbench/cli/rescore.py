"""``vadbench rescore``: compute every metric again from saved scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import VadbenchError, one_line
from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table, printed_with_interval, with_unit

if TYPE_CHECKING:
    from vadbench.metrics.definitions import MetricValue
    from vadbench.results.rescore import Rescored


@click.command("rescore", short_help="Compute a run's metrics again from its saved scores.")
@click.argument("runs", nargs=-1, required=True)
@options.out
@options.as_json
def command(runs: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Compute every metric of finished runs again from their saved scores, with this version's definitions.

    A RUN is a run folder, the beginning of its key, its label, or a folder with many runs, all of which are measured;
    so are its other evaluations. Data, features and the method are not needed.

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
    with shown_progress() as progress:
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
    rows = [[with_unit(name), _words(old, name), _words(new, name)] for name, (old, new) in rescored.changed.items()]
    print_table(rows, ["%, [95 % interval]", "before", "now"])


def _words(value: MetricValue | None, key: str) -> str:
    if value is None:
        return "absent"
    if value.value is None:
        return f"undefined: {value.reason}"
    return printed_with_interval(value, key)


def _plain(rescored: Rescored) -> dict[str, Any]:
    changed = {
        name: {"old": old and old.model_dump(), "new": new and new.model_dump()}
        for name, (old, new) in rescored.changed.items()
    }
    return {"folder": str(rescored.folder), "metrics": len(rescored.record.metrics), "changed": changed}
