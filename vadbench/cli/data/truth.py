"""``vadbench data truth``: show where two ground truths of a data set differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table, printed, with_unit

if TYPE_CHECKING:
    from vadbench.inspect.runs_under_truths import RunUnderTwo
    from vadbench.inspect.truth_comparison import TruthComparison

SHOWN = 10
"""Maximum number of printed videos; the rest is counted."""
SHOWN_EACH = 5
"""Maximum number of printed notes on a ground truth, and of names of videos that one of the two has alone."""


@click.command("truth", short_help="Show where two ground truths of a data set differ.")
@click.argument("dataset")
@click.argument("a")
@click.argument("b")
@options.data_root
@options.partition
@click.option(
    "--run",
    "runs",
    metavar="RUN",
    multiple=True,
    help="Run folder, or the beginning of a run's key: measure its stored scores under both; may be repeated.",
)
@options.out
@options.plugin
@options.as_json
def command(
    dataset: str,
    a: str,
    b: str,
    data_root: Path | None,
    partition: str | None,
    runs: tuple[str, ...],
    out: Path,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show where two ground truths of a data set's test videos differ, and what that does to runs.

    A and B are each 'native', which is the data set's own, the name of a variant (vadbench show dataset NAME), or a
    file as for --truth.

    \b
      vadbench data truth ucfcrime native ucf-r --data-root UCF-Crime
      vadbench data truth ucfcrime native mine.json --run 1f0c
      vadbench data truth ucfcrime ucf-r mine.json --json

    Frames are compared in the videos that both have; the others are named. A frame differs if one of the two calls it
    anomalous alone; IoU is the share of frames that both call so in those that any does. Of a run, the stored scores
    are measured under A and under B, in these videos and with the lengths that they had in the run; the run folder is
    not changed.

    With --json: names (of A and B, as are all pairs), videos, videos_differing, frames, frames_differing, positives,
    positives_in_both, iou, only (test videos in one alone), others (names that no test video has), notes, by_video
    (name, frames, positives, differing, runs of anomalous frames, half-open; all videos in both) and runs (folder,
    label, truth, videos, left_out, metrics).
    """
    from vadbench.inspect.truth_comparison import compare_truths
    from vadbench.plugins.registry import Registry
    from vadbench.records.run_names import find_run

    kind = Registry(files=plugin_files).dataset(dataset)
    folders = [find_run(name, out) for name in runs]
    with shown_progress() as progress:
        compared = compare_truths(kind, data_root, (a, b), partition or "", folders, progress)
    if as_json:
        print_json(compared.to_dict())
    else:
        _print(compared)


def _print(compared: TruthComparison) -> None:
    for side, name, notes in zip("AB", compared.names, compared.notes, strict=True):
        click.echo(f"{side}: {name}")
        for text in notes[:SHOWN_EACH]:
            note(f"note: {side}: {text}")
        if len(notes) > SHOWN_EACH:
            note(f"note: {side}: and {len(notes) - SHOWN_EACH} more notes (--json has all)")
    click.echo()
    print_table(
        [
            ["frames", *map(_count, compared.frames)],
            ["anomalous frames", *map(_count, compared.positives)],
            ["anomalous by this one alone", *(_count(own - compared.both) for own in compared.positives)],
        ],
        [f"{len(compared.videos):,} videos", "A", "B"],
    )
    iou = "no frame is anomalous" if compared.iou is None else f"IoU {compared.iou:.3f}"
    click.echo(
        f"\n{len(compared.unlike):,} of {len(compared.videos):,} videos and {compared.differing:,} frames differ; {iou}"
    )
    if compared.unlike:
        rows = [[v.name, *map(_count, (*v.positives, v.differing))] for v in compared.unlike[:SHOWN]]
        click.echo()
        print_table(rows, ["video", "anomalous in A", "in B", "frames that differ"])
        if len(compared.unlike) > SHOWN:
            click.echo(f"and {len(compared.unlike) - SHOWN:,} more (--json lists all)")
    for side, only, others in zip("AB", compared.only, compared.others, strict=True):
        _print_names(f"test videos in {side} alone", only)
        _print_names(f"names in {side} that no test video has", others)
    for run in compared.runs:
        _print_run(run)


def _print_names(what: str, names: Sequence[str]) -> None:
    if names:
        more = f", and {len(names) - SHOWN_EACH:,} more (--json lists all)" if len(names) > SHOWN_EACH else ""
        click.echo(f"\n{what}: {len(names):,}; {', '.join(map(repr, names[:SHOWN_EACH]))}{more}")


def _print_run(run: RunUnderTwo) -> None:
    left_out = f", {run.left_out:,} left out" if run.left_out else ""
    click.echo(f"\n{run.label}, measured under {run.own} before: {run.videos:,} videos{left_out}\n")
    print_table([_metric_row(key, *pair) for key, pair in run.metrics.items()], ["%", "A", "B", "B - A"])
    for key, pair in run.metrics.items():
        for side, value in zip("AB", pair, strict=True):
            if value.reason is not None:
                note(f"{key} of {side} is undefined, since {value.reason}")


def _metric_row(key: str, a: Any, b: Any) -> list[str]:
    from vadbench.metrics.definitions import unit_of
    from vadbench.tables.layout import signed

    change = "-" if a.value is None or b.value is None else signed(b.value - a.value, unit_of(key))
    return [with_unit(key), printed(a.value, key), printed(b.value, key), change]


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
