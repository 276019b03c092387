"""``vadbench features``: describe a set of features, or explain how two sets differ."""

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
    from vadbench.inspect.feature_comparison import Comparison, VideoComparison
    from vadbench.inspect.feature_summary import Summary

SHOWN = 10
"""Maximum number of printed videos, names and damaged files; the rest is counted."""

WIDEST = 70
"""Maximum width of a column, which fits a hash of weights."""


@click.group("features", short_help="Describe features, or compare two sets of them.")
def command() -> None:
    """Describe features, or compare two sets of them."""


@command.command("info", short_help="Describe a set of features.")
@click.argument("path", type=click.Path(path_type=Path))
@options.features_layout
@click.option("--all", "every_row", is_flag=True, help="Read every value, not only some rows of 64 videos.")
@options.as_json
def info(path: Path, features_layout: Any, every_row: bool, as_json: bool) -> None:
    """Describe the features in the folder PATH: layout, origin and figures.

    \b
      vadbench features info features/ucf
      vadbench features info UCFClipFeatures --all
      vadbench features info Image-Features --features-layout anomalyclip --json

    PATH is a feature store of vadbench extract, or a folder of .npy files. Every file's header is read. The exit status
    is 1 if a file cannot be read or a value that was read is NaN or infinite.
    """
    from vadbench.features.layouts import open_features
    from vadbench.inspect.feature_summary import summarise

    source = open_features(path, None, {}, features_layout)
    with shown_progress() as progress:
        summary = summarise(source, every_row, progress)
    if as_json:
        print_json(summary.to_dict())
    else:
        _print_summary(summary)
    click.get_current_context().exit(1 if summary.unreadable or summary.not_finite else 0)


@command.command("diff", short_help="Show how two sets of features differ, and why.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--features-layout",
    "layouts",
    multiple=True,
    type=options.LAYOUTS,
    help="Layout of the files, as for 'features info'; given twice, A's and then B's.  [default: detected]",
)
@options.as_json
def diff(a: Path, b: Path, layouts: tuple[Any, ...], as_json: bool) -> None:
    """Compare the features in folder A with those of the same videos in folder B, and say why they differ.

    \b
      vadbench features diff features/mine UCFClipFeatures
      vadbench features diff Image-Features UCFClipFeatures --features-layout anomalyclip --features-layout vadclip

    Rows of one video are aligned; rows of every frame are pooled if the other set has one every 16 frames. The likely
    cause is judged by the values: rounded, normalised, pooled, shifted, another crop, other preprocessing, another
    encoder. The exit status is 0 if all values of all videos are the same, 1 otherwise.
    """
    from vadbench.features.fingerprint import FINGERPRINT_FILE
    from vadbench.features.layouts import open_features
    from vadbench.features.store import FeatureStore
    from vadbench.inspect.feature_comparison import compare

    if len(layouts) > 2:
        raise ConfigError(f"--features-layout is for A and for B: expected it at most twice, found {len(layouts)}")
    first, last = (layouts[0], layouts[-1]) if layouts else (None, None)
    # A store knows how long its videos are, which tells the layout of the other side.
    stores = [FeatureStore(folder) for folder in (a, b) if (folder / FINGERPRINT_FILE).is_file()]
    frames = {name: store.frames(name) for store in stores for name in store.names}
    of_a, of_b = open_features(a, None, frames, first), open_features(b, None, frames, last)
    with shown_progress() as progress:
        comparison = compare(of_a, of_b, progress)
    if as_json:
        print_json({"a": str(a), "b": str(b), **comparison.to_dict()})
    else:
        _print_comparison(comparison)
    click.get_current_context().exit(0 if comparison.same else 1)


def _print_summary(summary: Summary) -> None:
    made = summary.made_by
    recorded = ("encoder", "weights", "activation", "preprocessing", "regions", "pooling", "decoder", "arithmetic")
    crops = f"regions of a frame, at most {len(made['crops'])}" if "regions" in made else ", ".join(made["crops"])
    rows = [
        ["layout", summary.layout],
        ["fingerprint", summary.fingerprint],
        *([key, made[key]] for key in recorded if made.get(key, "unknown") != "unknown"),
        ["videos", f"{summary.videos:,}"],
        ["rows in one crop", f"{summary.rows:,}, one {spaced(made['stride'])}"],
        ["crops", crops],
        ["values in a row", f"{made['dim']}, {made['dtype']}"],
        ["bytes", f"{summary.bytes:,}"],
        ["rows looked at", f"{summary.looked_at:,}"],
        ["length of a row", _length(summary)],
        ["rows with NaN or Inf", f"{summary.not_finite:,}"],
        ["unreadable videos", f"{len(summary.unreadable):,}"],
    ]
    print_table(rows, ["", summary.folder], widest=WIDEST)
    _note_first("unreadable", summary.unreadable)


def _length(summary: Summary) -> str:
    if summary.length_mean is None:
        return "-"
    normalised = ", normalised" if summary.made_by["normalised"] else ""
    return f"{summary.length_mean:.4g} ± {summary.length_std:.2g}{normalised}"


def _print_comparison(comparison: Comparison) -> None:
    print_table([[count, cause.text] for cause, count in comparison.causes], ["videos", "likely cause"])
    click.echo()
    if comparison.fingerprint:
        click.echo("fingerprints differ: here is A, there is B")
        for difference in comparison.fingerprint:
            click.echo(f"  {difference}")
        click.echo()
    unlike = [v for v in comparison.videos if any(c.kind != "same" for c in v.causes)]
    # The least similar first: rows that cannot be compared, then the lowest cosines.
    unlike.sort(key=lambda v: -2 if v.cosine is None else v.cosine)
    if unlike:
        headers = ["differing video", "A: crops, rows, dim", "B", "mean cosine", "lowest", "likely cause"]
        print_table([_row(v) for v in unlike[:SHOWN]], headers)
        if len(unlike) > SHOWN:
            click.echo(f"and {len(unlike) - SHOWN:,} more (--json lists all)")
        click.echo()
    for side, names in (("A", comparison.only_a), ("B", comparison.only_b)):
        _note_first(f"only in {side}", names)
    same = len(comparison.videos) - len(unlike)
    alone = f"; {len(comparison.only_a):,} only in A, {len(comparison.only_b):,} only in B"
    click.echo(f"{same:,} of {len(comparison.videos):,} common videos have the same values{alone}")


def _row(video: VideoComparison) -> list[str]:
    shapes = [", ".join(map(str, s)) for s in video.shapes] if video.shapes else ["-", "-"]
    cosines = ["-" if c is None else f"{c:.5f}" for c in (video.cosine, video.lowest)]
    return [video.name, *shapes, *cosines, ", ".join(cause.kind for cause in video.causes)]


def _note_first(what: str, lines: Any) -> None:
    for line in lines[:SHOWN]:
        note(f"{what}: {line}")
    if len(lines) > SHOWN:
        note(f"{what}: and {len(lines) - SHOWN:,} more (--json lists all)")
