"""Requests for scores, the options of ``vadbench score``, and what can be told of them before a method is opened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vadbench.base.errors import ConfigError
from vadbench.base.locations import DEFAULT_OUT
from vadbench.records.run_names import find_run
from vadbench.watch.sources import VideoSource, find_sources, name_folders
from vadbench.watch.thresholds import SHORTEST

if TYPE_CHECKING:
    from vadbench.watch.video_folder import RowFormat

_ANNOTATED = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True)
class ScoreRequest:
    """Request to score a user's videos; the fields are the options of ``vadbench score``.

    Either ``run`` or ``method`` must be given; ``descriptions``, ``dataset``, ``assignments`` and ``post`` belong to a
    method, ``threshold_end`` to a threshold.
    """

    videos: Sequence[str]
    run: str | None = None
    method: str | None = None
    descriptions: Path | None = None
    dataset: str | None = None
    assignments: Sequence[str] = ()
    post: str | None = None
    out: Path = Path("results/scored")
    threshold: float | None = None
    threshold_end: float | None = None
    calibrate: Sequence[str] = ()
    min_length: float = SHORTEST
    form: RowFormat = "json"
    follow: bool = False
    timeout: float = 10.0
    annotate: Path | None = None
    fps: float = 25.0
    clip_model: str | None = None
    clip_weights: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Requested:
    """What a request names on disk.

    Args:
        run: folder of the run that scores, ``None`` for a method without.
        videos: the videos to score, each with its folder.
        quiet: those of the threshold, if any.
    """

    run: Path | None
    videos: Sequence[tuple[VideoSource, Path]]
    quiet: Sequence[VideoSource]


def find_requested(request: ScoreRequest) -> Requested:
    """Find the videos and the run of a request; nothing heavy is imported to tell what is wrong.

    Raises:
        VadbenchError: an option contradicts another, or names something that does not exist; cheapest checks first.
    """
    _require_agreement(request)
    sources = find_sources(request.videos)
    quiet = _quiet_sources(request)
    _require_annotatable(request.annotate, sources)
    for source in sources if request.follow else ():
        if isinstance(source.place, Path) and source.place.is_dir():
            raise ConfigError(f"--follow reads a growing file or a stream, {source.shown} is a folder of frames")
    _require_folder(request.out)
    folders = name_folders(request.out, sources)
    run = None if request.run is None else find_run(request.run, DEFAULT_OUT)
    named = [replace(source, name=folder.name) for source, folder in zip(sources, folders, strict=True)]
    return Requested(run, list(zip(named, folders, strict=True)), quiet)


def _require_agreement(request: ScoreRequest) -> None:
    """Raise if an option contradicts another.

    Raises:
        ConfigError: names the two options.
    """
    if request.run is not None and request.method is not None:
        raise ConfigError(
            "--run names a finished run and --method a method without training, found both"
            f" ({request.run} and {request.method}); leave one out"
        )
    if request.run is None and request.method is None:
        raise ConfigError("score needs --run with a finished run, or --method with one that needs no training")
    own = {
        "--descriptions": request.descriptions,
        "--dataset": request.dataset,
        "--set": request.assignments,
        "--post": request.post,
    }
    given = [option for option, value in own.items() if value]
    if request.run is not None and given:
        raise ConfigError(f"--run scores with the run's own settings; leave out {' and '.join(given)}")
    _require_thresholds(request.threshold, request.threshold_end)


def _require_thresholds(threshold: float | None, end: float | None) -> None:
    """Raise if events cannot begin and end at these scores.

    Raises:
        ConfigError: one is no number, or the second is there alone or above the first.
    """
    for option, given in (("--threshold", threshold), ("--threshold-end", end)):
        if given is not None and not math.isfinite(given):
            raise ConfigError(f"{option} must be a number, found {given}")
    if end is not None and threshold is None:
        raise ConfigError("--threshold-end says where events of a --threshold end; give --threshold as well")
    if end is not None and threshold is not None and end > threshold:
        raise ConfigError(f"--threshold-end must be at most --threshold {threshold:g}, found {end:g}")


def _quiet_sources(request: ScoreRequest) -> list[VideoSource]:
    """Return the videos of ``--calibrate``, of which none is needed where a threshold is given.

    Raises:
        ConfigError: there is no such file, or it is a stream.
    """
    quiet = find_sources(request.calibrate)
    for source in quiet:
        if source.live:
            raise ConfigError(f"--calibrate reads files and folders of frames, found the stream {source.shown}")
    return [] if request.threshold is not None else quiet


def _require_folder(out: Path) -> None:
    """Raise if a folder for results can be no folder.

    Raises:
        ConfigError: it or one above it is a file.
    """
    there = next((place for place in (out, *out.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise ConfigError(f"--out {out}: expected a folder for results, {there} is a file")


def _require_annotatable(output: Path | None, sources: Sequence[VideoSource]) -> None:
    """Raise if the sources cannot be written to one annotated video.

    Raises:
        ConfigError: there are several sources or a stream, or the output is of another kind or the video itself.
    """
    if output is None:
        return
    if len(sources) != 1 or sources[0].live:
        found = f"{len(sources)} videos" if len(sources) != 1 else "a stream"
        raise ConfigError(
            f"--annotate reads a video a second time: expected one file or folder of frames, found {found}"
        )
    if output.suffix.lower() not in _ANNOTATED:
        raise ConfigError(f"--annotate writes .mp4, .mkv or .mov, found '{output.suffix}'")
    if output.resolve() == Path(sources[0].place).resolve():
        raise ConfigError(f"--annotate would write over the video itself, {output}; name another file")
