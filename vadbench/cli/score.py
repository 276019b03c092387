"""``vadbench score``: score a user's own videos."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.device_failures import device_errors
from vadbench.base.errors import cut
from vadbench.base.progress_bar import shown_progress
from vadbench.base.text import score_text
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table, printable

if TYPE_CHECKING:
    from vadbench.watch.events import Event
    from vadbench.watch.scored_video import ScoredVideo
    from vadbench.watch.scorer import Scorer
    from vadbench.watch.session import ScoreSession

_SHOWN = 20
"""Number of events that are printed."""
_SAID = 80
"""Number of characters of an event's remarks that are printed."""


@click.command("score", short_help="Score your own videos with a trained run, or from descriptions alone.")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO...")
@click.option(
    "--run",
    "run",
    metavar="RUN",
    help="Finished run whose method scores: its folder, key or label, or the like of 'synthetic/mil[seed=0]'.",
)
@click.option("--method", "-m", help="Method that needs no training, instead of a run: descriptions-frame, zero-shot.")
@click.option(
    "--descriptions",
    type=click.Path(path_type=Path),
    help="With --method: TOML file with descriptions of normal and abnormal events (vadbench descriptions check).",
)
@click.option("--dataset", "-d", help="With --method: data set whose classes to look for; its files are not needed.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="With --method: change a setting.")
@click.option(
    "--post",
    metavar="STEPS",
    help="With --method: post-processing of the scores, such as 'gaussian(50f)'; none: without any.  [default: the"
    " method's, mostly none]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results/scored"),
    show_default=True,
    help="Folder for the folders of all videos.",
)
@click.option(
    "--threshold",
    type=float,
    help="Score at which an event begins.  [default: the run's, the 99th percentile on normal training videos; without"
    " training what --calibrate or the video itself says]",
)
@click.option(
    "--threshold-end",
    type=float,
    help="With --threshold: score below which an event ends, at most the threshold.  [default: 1 less in log-odds]",
)
@click.option(
    "--calibrate",
    multiple=True,
    metavar="QUIET",
    help="Video in which nothing happens, or a folder of such: its scores say the threshold. May be given several"
    " times.",
)
@click.option(
    "--min-length",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Seconds that an event lasts at least.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "parquet"]),
    default="json",
    show_default=True,
    help="Format of a second table of scores, in addition to scores.csv, which is always written; csv: no second one.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Follow a growing file or a stream, and write scores as soon as a window is complete.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds without new data after which a growing file has ended and a stream is lost.",
)
@click.option("--annotate", type=click.Path(path_type=Path), metavar="FILE", help="Write the video with its curve.")
@click.option(
    "--fps",
    type=click.FloatRange(0, 1000, min_open=True),
    default=25.0,
    show_default=True,
    help="Frames per second of a folder of frames.",
)
@options.clip_model
@options.clip_weights
@options.device
@options.plugin
@options.as_json
@device_errors("score on the CPU with --device cpu, or end what else uses the memory")
def command(plugin_files: tuple[Path, ...], as_json: bool, **request: Any) -> int:
    """Score your own videos with a trained run, or from descriptions alone.

    \b
      vadbench score door.mp4 --run results/runs/ucfcrime/vadclip/1f0c...
      vadbench score recordings/ another.mkv --run 1f0c
      vadbench score door.mp4 --run 1f0c --annotate shown.mp4
      vadbench score door.mp4 --method descriptions-frame --descriptions my_site.toml --set rows.stride=8
      vadbench score door.mp4 --method zero-shot --dataset ucfcrime --clip ViT-B-16-quickgelu --clip-weights openai
      vadbench score door.mp4 --run 1f0c --calibrate quiet.mp4
      vadbench score rtsp://camera/stream --run 1f0c --follow
      vadbench score recording.mkv --run 1f0c --follow

    A VIDEO is a file of any kind that FFmpeg reads, a folder of frames, a folder of videos, or an address that begins
    with http, https or rtsp. Features are made in the same way as those of the run. Frames are turned upright if the
    file records its orientation, as those of phones do.

    Each video gets a folder under --out: scores.csv and scores.json (time and first frame of each row, its score and
    the probability of each class), events.csv and events.json (intervals that begin at the threshold and end below a
    lower one, gaps of up to a second joined), curve.png, index.html and summary.json. A folder of an earlier call with
    the same name is overwritten.

    The exit status is 0 if every video was scored to its end and 1 if one was not: it is named, its scores up to the
    damage are saved, and the others are scored. --follow ends when a file stops growing, or with Ctrl-C.
    """
    from vadbench.plugins.registry import Registry
    from vadbench.watch.session import ScoreRequest, open_session

    asked = ScoreRequest(**request)
    session = open_session(asked, Registry(files=plugin_files))
    with shown_progress() as progress:
        session = session.calibrate(progress)
    scorer = session.scorer
    if not as_json:
        for text in scorer.notes:
            note(f"note: {text}")
        smoothed = f"; post-processing {scorer.post}" if scorer.post else ""
        known = scorer.threshold.words if scorer.threshold else "of each video itself"
        click.echo(printable(f"{scorer.origin}{scorer.by.words}; threshold {known}{smoothed}"))
    tell = _tell if asked.follow and not as_json else lambda event: None
    results = []
    for result in _results(session, tell):
        results.append(result)
        if not as_json and (result.rows or not result.error):
            # Events of a stream were told as they ended, unless its threshold is known only now.
            _report(result, scorer, events=not asked.follow or scorer.threshold is None)
        if result.error:
            note(f"vadbench: {result.error}")
    if as_json:
        print_json([result.summary() for result in results])
    failed = sum(bool(result.error) for result in results)
    if failed and len(results) > 1:
        note(f"vadbench: {failed} of {len(results)} videos were not scored to their end")
    return 1 if failed else 0


def _results(session: ScoreSession, tell: Callable[[Event], None]) -> Iterator[ScoredVideo]:
    """Yield each video when it is scored; those that are scored in company are so at once."""
    if session.scorer.in_company:
        with shown_progress() as progress:
            found = session.score_all(progress)
        yield from found
        return
    for source, folder in session.videos:
        with shown_progress() as progress:
            result = session.score(source, folder, progress, tell)
        yield result


def _tell(event: Event) -> None:
    from vadbench.watch.video_page import clock

    label = f" {event.label}" if event.label else ""
    click.echo(f"event {clock(event.start)} to {clock(event.end)}, peak {score_text(event.peak, '.3f')}{label}")
    sys.stdout.flush()


def _report(result: ScoredVideo, scorer: Scorer, events: bool) -> None:
    from vadbench.watch.video_page import clock, no_event_words

    took = ""
    if result.per_second is not None:
        spent = ", ".join(f"{name} {s:.1f} s" for name, s in result.seconds.items() if name != "all")
        took = f", {result.seconds['all']:.1f} s, {result.per_second:.3g} s for each second of video ({spent})"
    click.echo(f"\n{result.source.shown}: {clock(result.duration)}, {result.frames} frames{took}")
    for text in result.notes:
        if text not in scorer.notes:
            note(f"note: {text}")
    if scorer.threshold is None and result.threshold:
        click.echo(f"threshold {result.threshold.words}")
    if events and result.events:
        shown, told = result.events[:_SHOWN], partial(score_text, form=".3f")
        rows = [[*map(clock, (e.start, e.end)), told(e.peak), clock(e.peak_time), told(e.mean)] for e in shown]
        heads = ["start", "end", "peak", "at", "mean"]
        if any(e.label for e in shown):
            rows = [[*r, e.label] for r, e in zip(rows, shown, strict=True)]
            heads.append("class")
        if any(e.remarks for e in shown):
            rows = [[*r, cut("; ".join(e.remarks or ()), _SAID)] for r, e in zip(rows, shown, strict=True)]
            heads.append("remarks")
        print_table(rows, heads)
        if len(result.events) > _SHOWN:
            click.echo(f"{len(result.events) - _SHOWN} more in {result.folder / 'events.csv'}")
    elif result.rows and not result.events:
        click.echo(no_event_words(result.curve, result.threshold))
    if result.costs:
        click.echo(printable(f"costs: {result.paid}"))
    click.echo(f"{result.folder / 'index.html'}")
