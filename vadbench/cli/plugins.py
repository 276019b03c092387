"""``vadbench plugins``: show the plugins that were found, and those that could not be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import vadbench
from vadbench.cli import options
from vadbench.cli.output import print_json, print_table

if TYPE_CHECKING:
    from vadbench.plugins.registry import Plugin

WIDEST = 40
"""Maximum width of a column."""


@click.command("plugins", short_help="Show the plugins found and those that failed to load.")
@options.plugin
@options.as_json
def command(plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Show every plugin: what it provides, where it is installed, and why it failed to load.

    \b
      vadbench plugins
      vadbench plugins --plugin my_method.py

    A plugin that fails does not affect the others. A name that two plugins claim is not available until one of them is
    uninstalled or renamed; a command with the name of one of vadbench's is left out. The exit status is 1 if a plugin
    failed or claims a name that is taken.

    With --json the report is a list of objects with: name, kind (method, dataset, benchmark, protocol, command; several
    with commas),
    brings (their names), distribution, version (a hash of the file for --plugin), file and status (ok, or why not).
    """
    from vadbench.cli import cli
    from vadbench.plugins.registry import HOOKS, Registry

    registry = Registry(files=plugin_files)
    # vadbench's commands take precedence over those of plugins.
    claims = {(kind, name) for kind in HOOKS for name in registry.conflicts(kind)}
    claims |= {("command", name) for name in cli.commands}
    entries = []
    for plugin in registry.plugins:
        brings = [(kind, spec.name) for kind, specs in plugin.specs.items() for spec in specs]
        doubles = [name for kind, name in brings if (kind, name) in claims]
        entries.append(
            {
                "name": plugin.name,
                "kind": ", ".join(dict.fromkeys(kind for kind, _ in brings)) or "-",
                "brings": ", ".join(dict.fromkeys(name for _, name in brings)) or "-",
                "distribution": plugin.distribution,
                "version": _version(plugin),
                "file": plugin.file or plugin.module,
                "status": plugin.error or (f"name claimed twice: {', '.join(doubles)}" if doubles else "ok"),
            }
        )
    if as_json:
        print_json(entries)
    else:
        print_table([list(e.values()) for e in entries], list(entries[0]) if entries else ["name"], widest=WIDEST)
    if any(e["status"] != "ok" for e in entries):
        click.get_current_context().exit(1)


def _version(plugin: Plugin) -> str:
    from vadbench.plugins.provenance import SCRATCH, files_digest
    from vadbench.plugins.registry import CORE

    if plugin.distribution == SCRATCH:
        return files_digest([Path(plugin.file)])
    if plugin.module == CORE:
        return vadbench.__version__
    return plugin.origin.version if plugin.origin else "-"
