"""``vadbench log``: log finished runs to MLflow afterwards."""

from __future__ import annotations

from pathlib import Path

import click

from vadbench.cli import options
from vadbench.cli.output import note, print_json


@click.command("log", short_help="Log finished runs to MLflow afterwards.")
@click.argument("runs", nargs=-1, required=True)
@options.out
@options.as_json
def command(runs: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Log finished runs to MLflow, each named by its folder, the beginning of its key or its label.

    For runs made while MLflow was unreachable or off, or to another store: MLFLOW_TRACKING_URI=http://... vadbench log
    RUN
    """
    from vadbench.base.errors import RunError
    from vadbench.records.folders import Outcome
    from vadbench.records.run_names import find_runs
    from vadbench.tracking.mlflow import log_runs

    logged = []
    named = [find_runs(name, out) for name in runs]
    for text in [text for found in named for text in found.notes]:
        note(f"note: {text}")
    for folder, record in [run for found in named for run in found.found.items()]:
        if record.status != "finished":
            raise RunError(f"{folder} has a {record.status} run; run it again before logging it")
        logged.append({"folder": str(folder), "store": log_runs([Outcome(folder, record, reused=True)], out)})
        if not as_json:
            click.echo(f"logged {folder} to {logged[-1]['store']}")
    if as_json:
        print_json(logged)
