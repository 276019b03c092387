"""``vadbench score``: one's own videos."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.errors import ConfigError, DataError
from vadbench.base.locations import DEFAULT_OUT
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from vadbench.watch.events import Event
    from vadbench.watch.reader import Reader
    from vadbench.watch.scored_video import ScoredVideo
    from vadbench.watch.scorer import Scorer
    from vadbench.watch.sources import VideoSource

_SHOWN = 20


@click.command("score", short_help="Score your own videos with a trained run, or with words alone.")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO...")
@click.option("--run", "run", metavar="RUN", help="Finished run whose method scores: its folder or its key.")
@click.option("--method", "-m", help="Method that needs no training, instead of a run: descriptions-frame, zero-shot.")
@click.option(
    "--descriptions",
    type=click.Path(path_type=Path),
    help="With --method: TOML file that says what is normal and what is not (vadbench descriptions check).",
)
@click.option("--dataset", "-d", help="With --method: data set whose classes to look for; none of its files is needed.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="With --method: change a setting.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results/scored"),
    show_default=True,
    help="Folder that a folder for each video goes under.",
)
@click.option(
    "--threshold",
    type=float,
    help="Score from which on an event is one.  [default: the run's, the 99th percentile on normal training videos; 0.5"
    " without training]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "parquet"]),
    default="json",
    show_default=True,
    help="Form of the table of scores that is written beside the csv, which always is; csv: none.",
)
@click.option("--follow", is_flag=True, help="Go on as a file grows, and write scores as soon as a window is complete.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds without anything new after which a growing file has ended and a stream is lost.",
)
@click.option("--annotate", type=click.Path(path_type=Path), metavar="FILE", help="Write the video with its curve.")
@click.option(
    "--fps",
    type=click.FloatRange(0, 1000, min_open=True),
    default=25.0,
    show_default=True,
    help="Frames a second of a folder of frames.",
)
@options.clip_model
@options.clip_weights
@options.device
@options.plugin
@options.as_json
def command(
    videos: tuple[str, ...],
    run: str | None,
    method: str | None,
    descriptions: Path | None,
    dataset: str | None,
    assignments: tuple[str, ...],
    out: Path,
    threshold: float | None,
    form: str,
    follow: bool,
    timeout: float,
    annotate: Path | None,
    fps: float,
    clip_model: str | None,
    clip_weights: str | None,
    device: str,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Score your own videos with a trained run, or with words alone.

    \b
      vadbench score door.mp4 --run results/runs/ucfcrime/vadclip/1f0c...
      vadbench score recordings/ another.mkv --run 1f0c
      vadbench score door.mp4 --run 1f0c --annotate shown.mp4
      vadbench score door.mp4 --method descriptions-frame --descriptions my_site.toml --set rows.stride=8
      vadbench score door.mp4 --method zero-shot --dataset ucfcrime --clip ViT-B-16-quickgelu --clip-weights openai
      vadbench score rtsp://camera/stream --run 1f0c --follow
      vadbench score recording.mkv --run 1f0c --follow

    A VIDEO is a file of any kind that FFmpeg reads, a folder of frames, a folder of videos, or an address that begins
    with http, https or rtsp. Features are made as the run's were. Frames are shown upright where a phone notes how it
    was held.

    Each video gets a folder under --out: scores.csv and scores.json (time and first frame of each row, its score and
    the probability of each class), events.csv and events.json (stretches that reach the threshold, gaps of up to a
    second joined), curve.png, index.html and summary.json. A folder of an earlier call with the same name is
    overwritten.

    The exit status is 0 where every video was scored to its end and 1 where one was not: it is named, what was scored
    before the damage is kept, and the others are scored. --follow ends when a file stops growing, or with Ctrl-C.
    """
    from vadbench.watch.sources import find_sources, name_folders

    if run is not None and method is not None:
        raise ConfigError(
            f"--run names a finished run and --method a method without training, found both ({run} and {method});"
            " leave one out"
        )
    if run is None and method is None:
        raise ConfigError("score needs --run with a finished run, or --method with one that needs no training")
    if run is not None and (descriptions or dataset or assignments):
        raise ConfigError("--run scores with the run's own settings; leave out --descriptions, --dataset and --set")
    if threshold is not None and not math.isfinite(threshold):
        raise ConfigError(f"--threshold must be a number, found {threshold}")
    sources = find_sources(videos)
    _check_annotation(annotate, sources)
    if follow and (frames := next((s for s in sources if isinstance(s.place, Path) and s.place.is_dir()), None)):
        raise ConfigError(f"--follow reads a growing file or a stream, {frames.shown} is a folder of frames")
    folders = name_folders(out, sources)
    scorer = _scorer(run, method, descriptions, dataset, assignments, threshold, clip_model, clip_weights, device,
                     plugin_files)  # fmt: skip
    if not as_json:
        for text in scorer.notes:
            note(f"note: {text}")
        click.echo(f"{scorer.origin}; threshold {scorer.threshold:.4g} ({scorer.threshold_origin})")

    from vadbench.watch.reader import Reader
    from vadbench.watch.scored_video import score_video

    results = []
    for source, folder in zip(sources, folders, strict=True):
        with progress_bar() as progress:
            result = score_video(
                source,
                scorer,
                folder,
                Reader(source, follow, timeout, fps),
                form=form,  # type: ignore[arg-type]
                progress=progress,
                tell=_tell if follow and not as_json else lambda event: None,
            )
            if annotate is not None and result.rows and not result.error:
                _annotate(result, Reader(source, fps=fps), annotate)
        results.append(result)
        if not as_json:
            _report(result, scorer, events=not follow)
        if result.error:
            note(f"vadbench: {result.error}")
    if as_json:
        print_json([result.summary() for result in results])
    failed = sum(bool(result.error) for result in results)
    if failed and len(results) > 1:
        note(f"vadbench: {failed} of {len(results)} videos were not scored to their end")
    return 1 if failed else 0


def _check_annotation(annotate: Path | None, sources: Sequence[VideoSource]) -> None:
    if annotate is None:
        return
    if len(sources) != 1 or sources[0].live:
        found = f"{len(sources)} videos" if len(sources) != 1 else "a stream"
        raise ConfigError(
            f"--annotate reads a video a second time: expected one file or folder of frames, found {found}"
        )
    if annotate.suffix.lower() not in (".mp4", ".mkv", ".mov"):
        raise ConfigError(f"--annotate writes .mp4, .mkv or .mov, found '{annotate.suffix}'")
    if annotate.resolve() == Path(sources[0].place).resolve():
        raise ConfigError(f"--annotate would write over the video itself, {annotate}; name another file")


def _scorer(
    run: str | None,
    method: str | None,
    descriptions: Path | None,
    dataset: str | None,
    assignments: Sequence[str],
    threshold: float | None,
    clip_model: str | None,
    clip_weights: str | None,
    device_name: str,
    plugin_files: Sequence[Path],
) -> Scorer:
    from vadbench.harness.environment import choose_device
    from vadbench.plugins.registry import Registry
    from vadbench.records.folders import find_run
    from vadbench.watch.scorer import open_trained, open_untrained

    registry, device = Registry(files=plugin_files), choose_device(device_name)
    if run is not None:
        return open_trained(find_run(run, DEFAULT_OUT), registry, device, clip_model, clip_weights, threshold)
    return open_untrained(
        str(method),
        registry,
        device,
        descriptions=descriptions,
        dataset=dataset,
        assignments=assignments,
        clip_model=clip_model,
        clip_weights=clip_weights,
        threshold=threshold,
    )


def _annotate(result: ScoredVideo, reader: Reader, output: Path) -> None:
    from vadbench.watch.annotation import annotate

    try:
        annotate(reader, result.folder / "scores.csv", result.curve, result.events, result.threshold, output)
    except DataError as error:
        result.error = str(error)


def _tell(event: Event) -> None:
    from vadbench.watch.video_page import clock

    label = f" {event.label}" if event.label else ""
    click.echo(f"event {clock(event.start)} to {clock(event.end)}, peak {event.peak:.3f}{label}")
    sys.stdout.flush()


def _report(result: ScoredVideo, scorer: Scorer, events: bool) -> None:
    from vadbench.watch.video_page import clock

    took = ""
    if result.per_second is not None:
        spent = ", ".join(f"{name} {s:.1f} s" for name, s in result.seconds.items() if name != "all")
        took = f", {result.seconds['all']:.1f} s, {result.per_second:.3g} s for each second of video ({spent})"
    click.echo(f"\n{result.source.shown}: {clock(result.duration)}, {result.frames} frames{took}")
    for text in result.notes:
        if text not in scorer.notes:
            note(f"note: {text}")
    if events and result.events:
        rows = [
            [clock(e.start), clock(e.end), f"{e.peak:.3f}", clock(e.peak_time), f"{e.mean:.3f}", e.label]
            for e in result.events[:_SHOWN]
        ]
        print_table(rows, ["start", "end", "peak", "at", "mean", "class"])
        if len(result.events) > _SHOWN:
            click.echo(f"{len(result.events) - _SHOWN} more in {result.folder / 'events.csv'}")
    elif result.rows and not result.events:
        click.echo("no row reaches the threshold")
    click.echo(f"{result.folder / 'index.html'}")
