"""``vadbench extract``: extract CLIP features from videos into a feature store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vadbench.base.progress_bar import shown_progress
from vadbench.base.text import counted
from vadbench.cli import options
from vadbench.cli.output import note, print_json


def parse_shard(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    """Parse a shard ``i/n`` with ``0 <= i < n``."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise click.BadParameter(f"expected i/n with i from 0 to n-1, such as 0/4, found '{text}'")
    return int(index), int(count)


@click.command("extract", short_help="Extract CLIP features from videos into a feature store.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--dataset", "-d", help="Extract all videos of this data set instead of PATHS.")
@options.data_root
@options.truth
@options.clip_model
@options.clip_weights
@click.option("--stride", type=click.IntRange(min=1), default=16, show_default=True, help="Frames between two rows.")
@click.option(
    "--pooling",
    type=click.Choice(["first", "middle", "mean"]),
    help="Frames that a row is made from.  [default: mean; middle with --regions or --detector]",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Type to store.",
)
@click.option(
    "--crops",
    type=click.Choice(["1", "5", "10"]),
    default="1",
    show_default=True,
    help="Center of each frame, also its four corners, or all five and their mirror images.",
)
@click.option(
    "--regions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Encode the boxes of this .csv or .parquet file instead of whole frames: columns video, frame, x1, y1, x2, y2,"
    " confidence.",
)
@click.option(
    "--detector", metavar="NAME", help="Encode objects found by this torchvision detector instead of whole frames."
)
@click.option(
    "--detector-weights",
    metavar="NAME|FILE",
    help="Weights of the detector: torchvision's name, or a local .pth file with a state dict.  [default: DEFAULT]",
)
@click.option(
    "--detector-threshold",
    type=click.FloatRange(0, 1),
    help="Minimum confidence of an object.  [default: 0.5]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "tf32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the encoder; all but fp32 are faster on a GPU and change the features a little, by how much is"
    " said at the end. On a CPU, tf32 is fp32.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 4096),
    help="Images encoded at once: fewer take less memory, and another number may change the last digits, as another"
    " machine does.  [default: 256]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Threads that decode videos and prepare frames, each a video of its own where there are enough; their number"
    " changes no value.  [default: half the cores that this process may use, at most 4]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    help="Processes that decode videos and prepare frames instead, for a GPU that many cores must feed; their number"
    " changes no value.  [default: none]",
)
@click.option(
    "--skip",
    type=click.Choice(["none", "nonref"]),
    default="none",
    show_default=True,
    help="nonref passes over the frames of video files that no other frame depends on, which decodes up to 1.4 times as"
    " fast; a row is then of the nearest other frame before its own. Needs --pooling first or middle.",
)
@click.option(
    "--shard", default="0/1", callback=parse_shard, metavar="I/N", help="Do part I of N, counted from 0: 0/4 to 3/4."
)
@click.option("--keep-going", is_flag=True, help="Record a damaged video and continue with the next.")
@options.device
@click.option("--out", "store", type=click.Path(path_type=Path), required=True, help="Folder of the feature store.")
@options.plugin
@options.as_json
def command(plugin_files: tuple[Path, ...], as_json: bool, **request: Any) -> int:
    """Extract CLIP features of video files, folders of videos or folders of frames, or of a whole data set.

    \b
      vadbench extract my_videos/ --out features/mine
      vadbench extract --dataset ucsdped2 --data-root UCSD --stride 1 --out features/ped2
      vadbench extract --dataset ucfcrime --clip ViT-B-16-quickgelu --clip-weights openai --out features/ucf

    Photos in a folder are turned upright as their camera notes; the frames of a data set are read as they are stored.

    It may be stopped at any time; the same command continues with the next video. A data set whose files alone do not
    say which videos are tested, or how, needs --truth; the features do not depend on it.

    Of objects instead of whole frames:

    \b
      vadbench extract --dataset shanghaitech --stride 4 --regions boxes.csv --out features/objects
      vadbench extract my_videos/ --detector fasterrcnn_resnet50_fpn --out features/objects

    A line of boxes.csv is a box: the video's name, the frame counted from 0, left, top, right and bottom edge in pixels
    of that frame, and a confidence from 0 to 1. The 20 most confident boxes of a frame are encoded, or the whole frame
    if it has none; a run on such features scores a frame by the highest of its boxes. The boxes of a detector are saved
    in the store as such a file.
    """
    from dataclasses import asdict

    from vadbench.harness.extraction_request import ExtractionRequest, open_extraction
    from vadbench.plugins.registry import Registry

    asked = ExtractionRequest(**request)
    with shown_progress() as progress:
        extraction = open_extraction(asked, Registry(files=plugin_files), progress)
        for text in extraction.notes:
            note(f"note: {text}")
        report = extraction.run(progress)
    if as_json:
        print_json({"store": str(asked.store), **asdict(report)})
    else:
        click.echo(
            f"{asked.store}: {counted(len(report.extracted), 'video')} extracted, {len(report.present)} there already;"
            f" {counted(report.frames, 'frame')} in {report.seconds:.1f} s"
            f" ({report.frames / report.seconds:,.0f} a second)"
        )
    if report.cosine is not None:
        note(
            f"note: in {asked.precision}, features of the first images have a cosine of {report.cosine:.6f} or more"
            " with those in fp32"
        )
    for found in [*report.mismatches, *report.notes]:
        note(f"note: {found}")
    for name, reason in report.failed:
        note(f"left out: {name}: {reason}")
    return 1 if report.failed else 0
