"""``vadbench data export``: the ground truth of a data set in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note


@click.command("export", short_help="Write a data set's ground truth as one JSON file.")
@click.argument("dataset")
@options.data_root
@options.partition
@options.truth
@click.option(
    "--split",
    type=click.Choice(["test", "validation"]),
    default="test",
    show_default=True,
    help="Split whose ground truth to write; training videos have none.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write.  [default: print it]")
@options.plugin
def command(
    dataset: str,
    data_root: Path | None,
    partition: str | None,
    truth: str | None,
    split: Any,
    out: Path | None,
    plugin_files: tuple[Path, ...],
) -> None:
    """Write the ground truth of a data set's videos as JSON, which --truth FILE reads.

    \b
      vadbench data export ucfcrime --data-root UCF-Crime --out ucf.json
      vadbench data export ucfcrime --data-root UCF-Crime --truth ucf_test_anno.json
      vadbench run --method random --dataset spans --truth ucf.json --features UCF-Crime/clip

    The file has an entry for each video: {"videos": {name: {"frames": n, "segments": [[class, first, end], ...]}}}.
    Frames count from 0, and end is one past the last frame. Numbers of frames are the data set's, else those of the
    videos, which are decoded. With --truth it is another ground truth that is written, whatever form it has.

    What may be handed on is for the licence of the data set to say, which is printed.
    """
    from vadbench.base.files import replacing
    from vadbench.base.locations import cache_root
    from vadbench.harness.rules import open_dataset
    from vadbench.inspect import export_truth
    from vadbench.plugins.registry import Registry

    opened = open_dataset(Registry(files=plugin_files).dataset(dataset), data_root, partition or "", truth or "")
    with shown_progress() as progress:
        found = export_truth(opened, split, cache_root(), progress)
    for text in found.notes:
        note(f"note: {text}")
    note(f"licence of {dataset}: {opened.licence or 'not known'}; see whether it allows to hand its ground truth on")
    if out is None:
        click.echo(found.text, nl=False)
        return
    with replacing(out) as temporary:
        temporary.write_text(found.text, encoding="utf-8")
    click.echo(f"{out}: ground truth of {dataset}, split {split}")
