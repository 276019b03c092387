"""``vadbench data``: look at the files and the ground truth of a data set; one module a command."""

from __future__ import annotations

import click

from vadbench.cli.data import check, duplicates, export, truth


@click.group("data", short_help="Check the files of a data set, and compare or write its ground truth.")
def command() -> None:
    """Check the files of a data set, and compare or write its ground truth."""


for module in (check, duplicates, export, truth):
    command.add_command(module.command)
