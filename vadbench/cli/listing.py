"""``vadbench list``: list methods, data sets, benchmarks, protocols, metrics and CLIPs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from vadbench.plugins.registry import PluginKind

WIDEST = 50
"""Maximum width of a column, so that tables fit a terminal."""
KINDS: dict[str, PluginKind] = {
    "methods": "method",
    "datasets": "dataset",
    "benchmarks": "benchmark",
    "protocols": "protocol",
}


@click.command("list", short_help="List methods, data sets, benchmarks, protocols, metrics or CLIPs.")
@click.argument("what", type=click.Choice([*KINDS, "metrics", "clips"]))
@options.plugin
@options.as_json
def command(what: str, plugin_files: tuple[str, ...], as_json: bool) -> None:
    """List methods, data sets, benchmarks, protocols, metrics, or the CLIPs that --clip and --clip-weights name."""
    listings = {"metrics": _metrics, "clips": _clips}
    entries = listings[what]() if what in listings else _specs(KINDS[what], plugin_files)
    if as_json:
        print_json(entries)
    else:
        headers = list(entries[0]) if entries else ["name"]
        print_table([list(e.values()) for e in entries], headers, widest=WIDEST)


def _metrics() -> list[dict[str, str]]:
    from vadbench.metrics.definitions import DEFINITIONS

    return [{"name": key, "definition": definition.text} for key, definition in DEFINITIONS.items()]


def _clips() -> list[dict[str, str]]:
    from vadbench.clip import SMALL
    from vadbench.clip.loading import loadable_clips

    small = {"name": SMALL, "weights": "(comes with vadbench)"}
    return [small, *({"name": name, "weights": " ".join(tags)} for name, tags in loadable_clips().items())]


def _specs(kind: PluginKind, plugin_files: tuple[str, ...]) -> list[dict[str, str]]:
    from pathlib import Path

    from vadbench.plugins.registry import Registry

    registry = Registry(files=[Path(f) for f in plugin_files])
    for plugin in registry.plugins:
        if plugin.error:
            note(f"plugin {plugin.name} of {plugin.distribution} is left out: {plugin.error}")
    for name, claims in registry.conflicts(kind).items():
        note(f"{kind} {name} is left out, it is registered by {' and '.join(claims)}")
    return [{"name": s.name, "summary": s.summary, "paper": s.paper} for s in registry.specs(kind).values()]
