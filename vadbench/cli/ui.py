"""``vadbench ui``: MLflow's pages on the store that runs are logged to."""

from __future__ import annotations

import click

HOST = "127.0.0.1"


@click.command("ui", short_help="Open MLflow's pages on the store that runs are logged to.")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port on this machine.")
def command(port: int) -> None:
    """Start MLflow's own pages on 127.0.0.1, with the store that vadbench logs to, until Ctrl-C.

    The store is the one that MLFLOW_TRACKING_URI names, otherwise results/mlflow.db. Nobody but this machine can reach
    the pages.

    \b
      vadbench ui
      vadbench ui --port 5001
    """
    from vadbench.serving import serve

    serve(HOST, port, lambda address, store: click.echo(f"MLflow at {address} shows {store}; Ctrl-C ends it"))
