"""``vadbench check``: check that a plugin meets the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import UnknownNameError
from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import print_json, print_table

if TYPE_CHECKING:
    from vadbench.base.types import Progress
    from vadbench.testing import Check

WIDEST = 76
"""Maximum width of a column, so that the table fits a wide terminal."""

only = click.option("--only", "names", multiple=True, metavar="CHECK", help="Run only this check; may be repeated.")


@click.group("check", short_help="Check that a method or data set meets the contract.")
def command() -> None:
    """Check that a method or data set plugin meets the contract.

    \b
      vadbench check method mine --plugin mine.py
      vadbench check dataset ucfcrime --data-root UCF-Crime

    Every check says what it found and, if it failed, how to fix it. The same checks are tests for pytest:
    vadbench.testing.method_checks and dataset_checks.
    """


@command.command("method", short_help="Check a method.")
@click.argument("name")
@only
@options.plugin
@options.as_json
def method(name: str, names: tuple[str, ...], plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Check a method of any kind: what it says of itself, its scores, its weights, and what it must not use.

    \b
      vadbench check method anomalyclip
      vadbench check method mine --plugin mine.py --only shapes --only gradients
      vadbench check method mine --json

    Most checks use a few generated videos of the kind that the method reads (rows of its streams, bags of crops, files
    to decode, nothing) and take seconds. Those of learning (blind, learns, leak) train on the data set synthetic with
    the method's settings, 7 times in all; its videos and features are made the first time, and a stream beside the
    first is noise. A method learns if its AUC, the mean of three seeds, beats that of random beyond the test videos'
    95 % interval. It leaks if a bit of its weights or scores changes when the annotations of the test videos change
    places, or if shuffled labels do not change its weights; the AUC after training on them is told and fails nothing.
    What needs() declare is verified and said. A failure that the method declares in known_failures is shown as known.
    No check needs a GPU or a network.

    The exit status is 0, 1 if a check failed, 2 for an unknown name or a class that cannot be imported. With --json
    it prints a list of objects with: check, asks, result (passed, FAILED, known, skipped), found.
    """
    from vadbench.testing import method_checks

    _run(lambda progress: method_checks(name, plugin_files, progress), names, as_json)


@command.command("dataset", short_help="Check a data set.")
@click.argument("name")
@options.data_root
@options.truth
@only
@options.plugin
@options.as_json
def dataset(
    name: str,
    data_root: Path | None,
    truth: str | None,
    names: tuple[str, ...],
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Check a data set: its class table, its lists, its annotation, and how it behaves without files.

    \b
      vadbench check dataset synthetic
      vadbench check dataset mine --plugin mine.py --data-root MINE

    Without the data set's files, the checks that need them are skipped and say so; so are those of other divisions and
    ground truths whose files are not there. A data set whose own ground truth is not public is checked under one that
    --truth names. To check that a copy is complete, use vadbench data check.

    The exit status is 0, 1 if a check failed, 2 for an unknown name or a class that cannot be imported. With --json
    it prints a list of objects with: check, asks, result (passed, FAILED, skipped), found.
    """
    from vadbench.testing import dataset_checks

    _run(lambda progress: dataset_checks(name, plugin_files, data_root, progress, truth or ""), names, as_json)


def _rows(entries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the rows of the table: checks that are skipped for one reason share a row, where the first of them is."""
    together: dict[str, list[str]] = {}
    for entry in entries:
        skipped = entry["result"] == "skipped"
        together.setdefault(entry["found"] if skipped else f"{entry['check']}:", []).append(entry["check"])
    by_check = {entry["check"]: entry for entry in entries}
    firsts = [(by_check[checks[0]], checks) for checks in together.values()]
    return [["\n".join(checks), first["result"], first["found"]] for first, checks in firsts]


def _run(make: Callable[[Progress], Sequence[Check]], names: Sequence[str], as_json: bool) -> None:
    entries: list[dict[str, Any]] = []
    with shown_progress() as progress:
        checks = make(progress)
        for name in names:
            if name not in map(str, checks):
                raise UnknownNameError("check", name, map(str, checks))
        chosen = [c for c in checks if not names or c.name in names]
        for done, check in enumerate(chosen):
            progress("checking", done, len(chosen), check.name)
            result = check.result()
            entries.append({"check": check.name, "asks": check.about, "result": result.status, "found": result.found})
        progress("checking", len(chosen), len(chosen))
    if as_json:
        print_json(entries)
    else:
        print_table(_rows(entries), ["check", "result", "what was found"], widest=WIDEST)
    if any(e["result"] == "FAILED" for e in entries):
        click.get_current_context().exit(1)
