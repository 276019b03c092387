"""``vadbench cache``: what the cache holds, and its removal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.locations import cache_root
from vadbench.base.text import size
from vadbench.cli import options
from vadbench.cli.output import confirm, note, print_json, print_table, printable

if TYPE_CHECKING:
    from vadbench.inspect.cache_contents import CacheEntry

WIDEST = 60
"""Characters of a line in the column of words."""


@click.group("cache", short_help="Show what the cache holds, and clear it.", invoke_without_command=True)
@options.as_json
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show what is in the cache (VADBENCH_CACHE): its size by kind and data set, and when it was last used.

    \b
      vadbench cache
      vadbench cache clear --unused-for 30d
      vadbench cache clear features
      vadbench cache clear synthetic --yes

    Kinds are features, data (videos that a data set makes itself), methods, checks and notes (lengths and digests of
    files that were read before). All of it is computed again when it is needed. The time of the last use is
    that of the last reading or writing, as far as the file system keeps it.

    With --json the report is an object with: folder, bytes and entries (kind, owner, what, path, bytes, used).
    """
    from vadbench.inspect.cache_contents import KINDS, cache_entries

    if context.invoked_subcommand is not None:
        return
    folder = cache_root()
    entries = cache_entries(folder)
    total = sum(entry.bytes for entry in entries)
    if as_json:
        print_json({"folder": str(folder), "bytes": total, "entries": [_plain(entry) for entry in entries]})
        return
    print_table([_row(e) for e in entries], ["kind", "of", "what", "size", "last used"], widest=WIDEST)
    by_kind = {kind: sum(entry.bytes for entry in entries if entry.kind == kind) for kind in KINDS}
    click.echo("".join(f"\n{kind}: {size(count)}" for kind, count in by_kind.items() if count))
    click.echo(printable(f"in all {size(total)} in {folder}"))


@command.command("clear", short_help="Remove what the cache holds.")
@click.argument("names", nargs=-1, metavar="[KIND|DATASET]...")
@click.option(
    "--unused-for",
    "unused_since",
    callback=options.parse_age,
    metavar="AGE",
    help="Only what was not used for so long, as 30d.",
)
@options.yes
@options.as_json
@click.pass_context
def clear(
    context: click.Context, names: tuple[str, ...], unused_since: datetime | None, yes: bool, as_json: bool
) -> None:
    """Remove the kinds or data sets named, or everything: list what goes, and ask.

    What a process has locked, open or in its memory stays; the exit status is then 1. With --json the report is an
    object with: removed and in_use, lists of paths.
    """
    from vadbench.inspect.cache_contents import cache_entries, chosen_entries, remove_entry

    folder = cache_root()
    entries = chosen_entries(cache_entries(folder), names, unused_since)
    for entry in entries:
        kind, owner, what, bytes_, used = _row(entry)
        note(f"{kind}: {f'{owner}, ' if owner else ''}{what}, {bytes_}, last used {used}")
    total = sum(entry.bytes for entry in entries)
    removed: list[str] = []
    in_use: list[str] = []
    if not entries:
        note("nothing to remove")
    elif confirm(f"Remove {len(entries)} entries, {size(total)}?", yes):
        for entry in entries:
            (removed if remove_entry(entry, folder) else in_use).append(str(entry.path))
        for path in in_use:
            note(f"in use, and not removed: {path}")
        note(f"removed {len(removed)} of {len(entries)} entries")
    if as_json:
        print_json({"removed": removed, "in_use": in_use})
    context.exit(1 if in_use else 0)


def _row(entry: CacheEntry) -> list[Any]:
    used = "-" if entry.used is None else entry.used.astimezone().strftime("%Y-%m-%d %H:%M")
    return [entry.kind, entry.owner, entry.what, size(entry.bytes), used]


def _plain(entry: CacheEntry) -> dict[str, Any]:
    used = None if entry.used is None else entry.used.isoformat(timespec="seconds")
    told = {"kind": entry.kind, "owner": entry.owner, "what": entry.what, "path": str(Path(entry.path))}
    return {**told, "bytes": entry.bytes, "used": used}
