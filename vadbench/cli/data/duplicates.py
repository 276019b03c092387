"""``vadbench data duplicates``: find videos of a data set that show the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import ConfigError
from vadbench.base.progress_bar import shown_progress
from vadbench.base.text import spaced
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from vadbench.inspect.duplicate_report import DuplicateReport

SHOWN = 20
"""Maximum number of printed pairs; the rest is counted."""


@click.command("duplicates", short_help="Find videos that show the same, within and across splits.")
@click.argument("dataset")
@options.data_root
@options.partition
@options.truth
@options.features
@options.features_layout
@options.clip_model
@options.clip_weights
@options.device
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    help="Least cosine of the aligned rows without their means; short overlaps need more.  [default: 0.88]",
)
@click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with pictures to this file."
)
@options.plugin
@options.as_json
def command(
    dataset: str,
    data_root: Path | None,
    partition: str | None,
    truth: str | None,
    features: Path | None,
    features_layout: Any,
    clip_model: str | None,
    clip_weights: str | None,
    device: str,
    threshold: float | None,
    page: Path | None,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Find near-duplicates among the videos of a data set by their features: re-encodings, cuts and mirror images.

    \b
      vadbench data duplicates ucsdped2 --data-root UCSD
      vadbench data duplicates ucfcrime --data-root UCF --features UCF/features --page duplicates.html
      vadbench data duplicates shanghaitech --data-root SH --partition NAME --json

    Compares the features in --features, or those in the root if it has no video, or those that a run extracts, which
    are extracted if they are not in the cache. Rows of two videos are aligned in time and compared without the mean of
    the stretch, so that another day of the same camera is no near-duplicate. Where both files exist, their pictures say
    whether one is mirrored. A data set whose files alone do not say which videos are tested, or how, needs --truth.

    The exit status is 0 if no pair is in two splits, 1 if one is. With --json the report is an object with: dataset,
    features, count, across (pairs in two splits), pairs (a, b, splits, kind (same, part, overlap), mirrored (null if
    unknown), cosine, rows, changes, overlap, spacing, start, offset, labels (null if they agree), across), videos,
    short, unreadable, aligned, spacing, threshold.
    """
    from vadbench.base.files import write_text
    from vadbench.base.locations import cache_root
    from vadbench.clip import load_clip
    from vadbench.harness.clips import clip_notes, clip_source
    from vadbench.harness.environment import choose_device
    from vadbench.harness.given_features import GivenFeatures
    from vadbench.harness.rules import open_dataset
    from vadbench.inspect.duplicate_pictures import add_pictures, duplicates_page
    from vadbench.inspect.duplicate_report import THRESHOLD
    from vadbench.inspect.duplicate_search import search
    from vadbench.plugins.registry import Registry

    if features is None and features_layout is not None:
        raise ConfigError("--features-layout is the layout of the files in --features; give both")
    opened = open_dataset(Registry(files=plugin_files).dataset(dataset), data_root, partition or "", truth or "")
    given = GivenFeatures(features, features_layout) if features is not None else None
    source = clip_source(clip_model, clip_weights)

    def clip() -> Any:
        for text in clip_notes(source):
            note(f"note: {text}")
        return load_clip(source, choose_device(device))

    with shown_progress() as progress:
        asked = THRESHOLD if threshold is None else threshold
        report, paths = search(opened, clip, cache_root(), given, asked, progress)
        pictured = add_pictures(report, paths, progress)
    if page is not None:
        write_text(page, duplicates_page(dataset, pictured))
    for text in [*report.unreadable, *pictured.notes]:
        note(f"note: {text}")
    if as_json:
        print_json({"dataset": dataset, **pictured.report.to_dict()})
    else:
        _print(dataset, pictured.report)
        if page is not None:
            click.echo(f"written: {page}")
    click.get_current_context().exit(1 if report.across else 0)


def _print(dataset: str, report: DuplicateReport) -> None:
    from vadbench.inspect.duplicate_pictures import describe

    rows = [
        [
            *(f"{name} ({split})" for name, split in zip((pair.a, pair.b), pair.splits, strict=True)),
            describe(pair),
            f"{pair.cosine:.3f}",
            pair.overlap,
            pair.offset,
        ]
        for pair in report.pairs[:SHOWN]
    ]
    if rows:
        print_table(rows, ["video A", "video B", "what", "cosine", "overlap (rows)", "offset (frames)"])
    if len(report.pairs) > SHOWN:
        click.echo(f"and {len(report.pairs) - SHOWN:,} more (--json lists all)")
    short = f"; {len(report.short):,} have fewer than 8 rows and were not compared" if report.short else ""
    click.echo(
        f"{dataset}: {len(report.pairs):,} near-duplicates, {report.across:,} across splits, among"
        f" {report.videos:,} videos with a row {spaced(report.spacing)}{short}"
    )
