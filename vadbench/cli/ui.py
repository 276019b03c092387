"""``vadbench ui``: serve MLflow's pages for the store that runs are logged to."""

from __future__ import annotations

from pathlib import Path

import click

from vadbench.cli import options

HOST = "127.0.0.1"


@click.command("ui", short_help="Open MLflow's pages on the store that runs are logged to.")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port on this machine.")
@options.out
def command(port: int, out: Path) -> None:
    """Serve MLflow's pages on 127.0.0.1, for the store that vadbench logs to, until Ctrl-C.

    The store is the one that MLFLOW_TRACKING_URI names, otherwise results/mlflow.db, or mlflow.db in another folder
    that --out names. Only this machine can reach the pages.

    \b
      vadbench ui
      vadbench ui --port 5001 --out mine
    """
    from vadbench.tracking.ui import serve

    serve(HOST, port, out, lambda address, store: click.echo(f"MLflow at {address} shows {store}; Ctrl-C ends it"))
