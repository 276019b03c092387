"""``vadbench extract``: CLIP features from videos into a feature store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.errors import ConfigError, DataError
from vadbench.cli import options
from vadbench.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from vadbench.base.types import Arithmetic, Progress
    from vadbench.dataset import Video
    from vadbench.features.fingerprint import Pooling, Precision
    from vadbench.features.regions import RegionSource


def parse_shard(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    """A shard as ``i/n`` with ``0 <= i < n``."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise click.BadParameter(f"expected i/n with i from 0 to n-1, such as 0/4, found '{text}'")
    return int(index), int(count)


@click.command("extract", short_help="Extract CLIP features from videos into a feature store.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--dataset", "-d", help="Extract all videos of this data set instead of PATHS.")
@options.data_root
@options.clip_model
@options.clip_weights
@click.option("--stride", type=click.IntRange(min=1), default=16, show_default=True, help="Frames between two rows.")
@click.option(
    "--pooling",
    type=click.Choice(["first", "middle", "mean"]),
    help="Which of a row's frames stand for it.  [default: mean; middle with --regions or --detector]",
)
@click.option(
    "--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True, help="Stored as."
)
@click.option(
    "--crops",
    type=click.Choice(["1", "5", "10"]),
    default="1",
    show_default=True,
    help="The center of each frame, its four corners too, or all five mirrored as well.",
)
@click.option(
    "--regions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Encode the boxes of this .csv or .parquet file instead of whole frames: columns video, frame, x1, y1, x2, y2,"
    " confidence.",
)
@click.option("--detector", metavar="NAME", help="Encode what this torchvision detector finds instead of whole frames.")
@click.option(
    "--detector-weights",
    metavar="NAME|FILE",
    help="Its weights: torchvision's name for them, or a local .pth file with a state dict.  [default: DEFAULT]",
)
@click.option(
    "--detector-threshold",
    type=click.FloatRange(0, 1),
    help="How confident it must be that there is an object.  [default: 0.5]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the encoder; bf16 and fp16 are faster on a GPU and change the features a little.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Threads that prepare frames for the encoder; they change no value.  [default: half the cores, at most 4]",
)
@click.option(
    "--shard", default="0/1", callback=parse_shard, metavar="I/N", help="Do part I of N, counted from 0: 0/4 to 3/4."
)
@click.option("--keep-going", is_flag=True, help="Record a damaged video and go on with the next.")
@options.device
@click.option("--out", "store", type=click.Path(path_type=Path), required=True, help="Folder of the feature store.")
@options.plugin
@options.as_json
def command(
    paths: tuple[Path, ...],
    dataset: str | None,
    data_root: Path | None,
    clip_model: str | None,
    clip_weights: str | None,
    stride: int,
    pooling: Pooling | None,
    dtype: Precision,
    crops: str,
    regions: Path | None,
    detector: str | None,
    detector_weights: str | None,
    detector_threshold: float | None,
    precision: Arithmetic,
    workers: int | None,
    shard: tuple[int, int],
    keep_going: bool,
    device: str,
    store: Path,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Extract CLIP features of video files, folders of videos or folders of frames, or of a whole data set.

    \b
      vadbench extract my_videos/ --out features/mine
      vadbench extract --dataset ucsdped2 --data-root UCSD --stride 1 --out features/ped2
      vadbench extract --dataset ucfcrime --clip ViT-B-16-quickgelu --clip-weights openai --out features/ucf

    Stopped at any moment it goes on with the next video when the same command is given again.

    Of objects instead of whole frames:

    \b
      vadbench extract --dataset shanghaitech --stride 4 --regions boxes.csv --out features/objects
      vadbench extract my_videos/ --detector fasterrcnn_resnet50_fpn --out features/objects

    A line of boxes.csv is a box: the video's name, the frame counted from 0, left, top, right and bottom edge in pixels
    of that frame, and a confidence from 0 to 1. The 20 most confident boxes of a frame are encoded, or the whole frame
    where it has none; a run on such features scores a frame by the highest of its boxes. What a detector finds is kept
    in the store as such a file.
    """
    if bool(paths) == bool(dataset):
        raise ConfigError("extract needs either PATHS or --dataset NAME")
    if regions and detector:
        raise ConfigError("--regions and --detector both say where the objects are; give one")
    if not detector and (detector_weights is not None or detector_threshold is not None):
        raise ConfigError("--detector-weights and --detector-threshold are a detector's; name it with --detector")
    if (regions or detector) and crops != "1":
        raise ConfigError(f"regions take the place of crops: expected --crops 1, found {crops}; leave --crops out")
    from dataclasses import asdict

    from vadbench.clip import CROPS, load_clip
    from vadbench.features.decoding import WORKERS
    from vadbench.features.extract import extract_features
    from vadbench.harness.environment import choose_device
    from vadbench.harness.experiment import clip_notes, clip_source

    with progress_bar() as progress:
        videos = _dataset_videos(dataset, data_root, plugin_files, progress) if dataset else find_videos(paths)
        clip = load_clip(clip_source(clip_model, clip_weights), choose_device(device))
        for text in clip_notes(clip.source):
            note(f"note: {text}")
        source: RegionSource | None = None
        if regions:
            from vadbench.features.boxes import Boxes

            source = Boxes(regions, [v.name for v in videos])
        elif detector:
            from vadbench.features.detector import Detector

            threshold = 0.5 if detector_threshold is None else detector_threshold
            source = Detector(detector, detector_weights or "DEFAULT", threshold, clip.device)
        for text in source.notes if source else ():
            note(f"note: {text}")
        report = extract_features(
            videos,
            clip,
            store,
            stride=stride,
            pooling=pooling or ("middle" if source else "mean"),
            dtype=dtype,
            crops=CROPS[: int(crops)],
            arithmetic=precision,
            regions=source,
            workers=workers or WORKERS,
            shard=shard,
            keep_going=keep_going,
            progress=progress,
        )
    if as_json:
        print_json({"store": str(store), **asdict(report)})
    else:
        click.echo(
            f"{store}: {len(report.extracted)} videos extracted, {len(report.present)} there already;"
            f" {report.frames} frames in {report.seconds:.1f} s ({report.frames / report.seconds:,.0f} a second)"
        )
    for mismatch in report.mismatches:
        note(f"note: {mismatch}")
    for name, reason in report.failed:
        note(f"left out: {name}: {reason}")
    if report.failed:
        click.get_current_context().exit(1)


def find_videos(paths: tuple[Path, ...]) -> list[Video]:
    """The videos that paths name: files, folders of frames, and all of these under other folders.

    A video is called by its file name without suffix, or by its path under the given folder.

    Raises:
        DataError: a path is missing or holds no video, or two videos would share a name.
    """
    from vadbench.data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
    from vadbench.dataset import Video

    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"no such file or folder: {path}")
        candidates = [path]
        if path.is_dir() and not any(f.suffix.lower() in IMAGE_SUFFIXES for f in path.iterdir()):
            candidates = sorted(f for f in path.rglob("*") if f.suffix.lower() in VIDEO_SUFFIXES)
            images = {f.parent for f in path.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES}
            candidates += sorted(images)
        if not candidates:
            raise DataError(f"no video under {path}: expected files ending in {', '.join(sorted(VIDEO_SUFFIXES))}")
        for candidate in candidates:
            relative = candidate.relative_to(path) if candidate != path else Path(candidate.name)
            name = (relative if candidate.is_dir() else relative.with_suffix("")).as_posix()
            if name in found:
                raise DataError(f"two videos would be called '{name}': {found[name]} and {candidate}; rename one")
            found[name] = candidate
    return [Video(name, (), path) for name, path in found.items()]


def _dataset_videos(
    name: str, data_root: Path | None, plugin_files: tuple[Path, ...], progress: Progress
) -> list[Video]:
    from vadbench.base.locations import find_data_root
    from vadbench.dataset import SPLITS
    from vadbench.plugins.registry import Registry

    dataset_class = Registry(files=plugin_files).dataset(name)
    dataset = dataset_class(find_data_root(name, dataset_class.makes_itself, data_root))
    dataset.prepare(progress)
    return [v for split in SPLITS for v in dataset.videos(split)]
