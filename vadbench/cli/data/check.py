"""``vadbench data check``: compare the files of a data set with its lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import ConfigError
from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import print_json, print_table

if TYPE_CHECKING:
    from vadbench.inspect import Report

SHOWN = 5
"""Maximum number of printed lines for each kind of problem; the rest is counted."""
EXIT_STATUS = {"complete": 0, "incomplete": 1, "unusable": 2}


@click.command("check", short_help="Compare a data set's files with its lists.")
@click.argument("dataset")
@options.data_root
@options.partition
@options.truth
@options.features
@options.features_layout
@options.clip_model
@options.clip_weights
@options.device
@click.option("--no-duplicates", is_flag=True, help="Do not look for near-duplicates among features.")
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
    no_duplicates: bool,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compare a data set's files with its official lists: what is missing, damaged, of another length or left over.

    \b
      vadbench data check ucfcrime --data-root UCF-Crime
      vadbench data check xdviolence --data-root XD --features XD/clip --clip ViT-B-16-quickgelu --clip-weights openai
      vadbench data check shanghaitech --data-root SH --json

    Checks videos, or the features in --features, or those in the root if it has no video. Features are read in full;
    only the container of a video is opened, and vadbench extract --keep-going finds damage inside. Features are
    compared with the CLIP that a run with the same options uses, the small one without --clip: by their width, by
    their recorded origin or, if none is recorded, by their similarity with the class names, and searched for videos
    that show the same (vadbench data duplicates).

    The exit status is 0 if everything is there, 1 if a run is possible without the rest (--allow-incomplete), 2 if no
    run is possible. With --json the report is an object with: status (complete, incomplete, unusable), counts (problems
    by kind), dataset, partition, truth, root, source (features, videos, none), splits (by name: videos, listed, normal,
    abnormal, classes, each with expected, found and usable; frames_stated, stating, frames_found, positive_frames),
    features (folder, layout, fingerprint, made_by; or null), preflight (clip, cosine, verdict; or null), duplicates
    (pairs, across; or null) and problems (kind, name, text), all of them.
    """
    from vadbench.clip import load_clip
    from vadbench.harness.clips import clip_source
    from vadbench.harness.environment import choose_device
    from vadbench.harness.given_features import GivenFeatures
    from vadbench.harness.rules import open_dataset
    from vadbench.inspect import inspect
    from vadbench.plugins.registry import Registry

    if features is None and features_layout is not None:
        raise ConfigError("--features-layout is the layout of the files in --features; give both")
    kind = Registry(files=plugin_files).dataset(dataset)
    opened = open_dataset(kind, data_root, partition or "", truth or "")
    clip = load_clip(clip_source(clip_model, clip_weights), choose_device(device))
    given = GivenFeatures(features, features_layout) if features is not None else None
    with shown_progress() as progress:
        report = inspect(opened, given, clip, progress, not no_duplicates)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)
    click.get_current_context().exit(EXIT_STATUS[report.status])


def _print(report: Report) -> None:
    from vadbench.inspect import MEANINGS

    if report.splits:
        print_table(list(_split_rows(report)), ["split", "", "expected", "found", "usable"])
        click.echo()
    rows = [[meaning, report.counts[kind]] for kind, (_, meaning) in MEANINGS.items()]
    print_table(rows, ["problems", "found"])
    click.echo()
    _print_features(report)
    if report.duplicates is not None:
        found = report.duplicates
        more = f" (vadbench data duplicates {report.dataset})" if found.pairs else ""
        click.echo(f"near-duplicates: {found.pairs:,} pairs, {found.across:,} across splits{more}")
    for kind, total in report.counts.items():
        for problem in [p for p in report.problems if p.kind == kind][:SHOWN]:
            click.echo(f"{kind}: {problem.text}")
        if total > SHOWN:
            click.echo(f"{kind}: and {total - SHOWN} more (--json lists all)")
    under = "".join(f", {name} {value}" for name in ("partition", "truth") if (value := getattr(report, name)))
    click.echo(f"{report.dataset}{under} in {report.root}: {_verdict(report)}")


def _split_rows(report: Report) -> Any:
    for name, split in report.splits.items():
        tallies = {"videos": split.videos, "normal": split.normal, "abnormal": split.abnormal}
        shown = {label: tally for label, tally in split.classes.items() if tally.expected}
        for what, tally in (tallies | {f"  {label}": tally for label, tally in shown.items()}).items():
            yield [name, what, f"{tally.expected:,}", f"{tally.found:,}", f"{tally.usable:,}"]
        stated = f"{split.frames_stated:,}" if split.stating else "-"
        partly = f" ({split.stating} videos)" if 0 < split.stating < split.listed else ""
        yield [name, "frames", stated + partly, "", f"{split.frames_found:,}"]
        if split.positive_frames:
            yield [name, "anomalous frames", f"{split.positive_frames:,}", "", ""]


def _print_features(report: Report) -> None:
    if report.features is not None:
        made = report.features.made_by
        every = "frame" if made["stride"] == 1 else f"{made['stride']} frames"
        click.echo(
            f"features in {report.features.folder}: layout {report.features.layout}, {made['dim']} wide,"
            f" {made['dtype']}, a row every {every}, crops {', '.join(made['crops'])};"
            f" fingerprint {report.features.fingerprint}, encoder {made['encoder']}"
        )
        if report.preflight is not None:
            click.echo(
                f"preflight: mean cosine with the class names {report.preflight.cosine:.3f} under CLIP"
                f" {report.preflight.clip}: {report.preflight.verdict}"
            )
        else:
            click.echo("preflight: not done")


def _verdict(report: Report) -> str:
    listed = sum(split.listed for split in report.splits.values())
    usable = sum(split.videos.usable for split in report.splits.values())
    # What makes a copy unusable may be its lists or its features as a whole, and no single video.
    what = "are sound" if report.status == "unusable" else "can be used"
    return f"{report.status}, {usable:,} of {listed:,} videos {what}"
