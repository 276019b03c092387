"""``vadbench plugins``: which plugins were found, and which could not be loaded."""

from __future__ import annotations

import click

from vadbench.cli import options
from vadbench.cli.output import print_json, print_table


@click.command("plugins", short_help="Show the plugins found and those that failed to load.")
@options.as_json
def command(as_json: bool) -> None:
    """Show every plugin: what it brings, where it is installed, and why it failed where it did.

    The exit status is 1 where one failed or two claim the same name.
    """
    from vadbench.plugins import HOOKS, Registry

    registry = Registry()
    claims = {(kind, name) for kind in HOOKS for name in registry.conflicts(kind)}
    entries = []
    for plugin in registry.plugins:
        brings = [(kind, spec.name) for kind, specs in plugin.specs.items() for spec in specs]
        doubles = [name for kind, name in brings if (kind, name) in claims]
        status = plugin.error or (f"name claimed twice: {', '.join(doubles)}" if doubles else "ok")
        entries.append(
            {
                "name": plugin.name,
                "brings": ", ".join(f"{kind} {name}" for kind, name in brings) or "-",
                "distribution": plugin.distribution,
                "file": plugin.file or plugin.module,
                "status": status,
            }
        )
    if as_json:
        print_json(entries)
    else:
        print_table([list(e.values()) for e in entries], ["name", "brings", "distribution", "file", "status"])
    if any(e["status"] != "ok" for e in entries):
        click.get_current_context().exit(1)
