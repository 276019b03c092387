"""``vadbench data``: look at the files and the ground truth of a data set; one module a command."""

from __future__ import annotations

import click

from vadbench.cli.data import check, truth


@click.group("data", short_help="Check the files of a data set, and compare its ground truths.")
def command() -> None:
    """Check the files of a data set, and compare its ground truths."""


for module in (check, truth):
    command.add_command(module.command)
