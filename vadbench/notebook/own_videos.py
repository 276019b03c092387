"""One's own videos in a notebook."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vadbench.base.arguments import (
    DEVICES,
    given_settings,
    number,
    one_or_more,
    path_text,
    require_choice,
    require_function,
    require_texts,
)
from vadbench.base.errors import ConfigError
from vadbench.base.progress_bar import shown_progress
from vadbench.base.types import Progress
from vadbench.notebook.finished_run import FinishedRun, run_name

if TYPE_CHECKING:
    from vadbench.watch.scored_video import ScoredVideo


@dataclass(frozen=True, eq=False)
class VideoResult:
    """A scored video; a notebook shows its curve and its events.

    Args:
        video: everything that is known of it, and the folder of its files.
    """

    video: ScoredVideo

    @property
    def folder(self) -> Path:
        """The folder of its files, ``index.html`` among them."""
        return self.video.folder

    @property
    def scores(self) -> pd.DataFrame:
        """A row for each row of scores: its time in seconds, its first frame, its score, and the probability of each
        class where the method has classes."""
        return pd.read_csv(self.folder / "scores.csv")

    @property
    def events(self) -> pd.DataFrame:
        """A row for each event: its ends in seconds and frames, its peak, its mean score and its class."""
        from vadbench.watch.events import Event

        return pd.DataFrame([asdict(event) for event in self.video.events], columns=[f.name for f in fields(Event)])

    def __repr__(self) -> str:
        events = len(self.video.events)
        return f"<{self.video.source.shown}: {events} event{'' if events == 1 else 's'}; {self.folder}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        curve = self.folder / "curve.png"
        picture = (
            f'<img alt="scores over time" src="data:image/png;base64,{base64.b64encode(curve.read_bytes()).decode()}">'
            if curve.is_file()
            else ""
        )
        error = f"<p><b>{escape(self.video.error)}</b></p>" if self.video.error else ""
        events = self.events.to_html(index=False) if len(self.video.events) else "<p>no event</p>"
        return f"<p><b>{escape(self.video.source.shown)}</b></p>{error}{picture}{events}"


def score(
    *videos: str | Path | Sequence[str | Path],
    run: FinishedRun | str | Path | None = None,
    method: str | None = None,
    descriptions: str | Path | None = None,
    dataset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    post: str | None = None,
    threshold: float | None = None,
    threshold_end: float | None = None,
    calibrate: str | Path | Sequence[str | Path] = (),
    min_length: float = 1.0,
    fps: float = 25.0,
    clip: str | None = None,
    clip_weights: str | Path | None = None,
    device: str = "auto",
    out: str | Path = "results/scored",
    plugins: str | Path | Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> list[VideoResult]:
    """Score your own videos with a trained run, or with a method that needs no training: ``vadbench score``.

    Args:
        videos: video files, folders of frames or of videos, addresses; or lists of them.
        run: a finished run whose method scores.
        method: a method that needs no training instead, with the ``descriptions``, the ``dataset`` whose classes to
            look for, ``settings`` and post-processing (``post``) that belong to it.
        threshold: score at which an event begins; by default the run's, or what the video itself says.
        threshold_end: with a ``threshold``, the score below which an event ends; by default 1 less in log-odds.
        calibrate: a video in which nothing happens, or several: their scores say the threshold.
        min_length: seconds that an event lasts at least, 0 or more.
        fps: frames per second of a folder of frames, more than 0 and at most 1000.
        clip, clip_weights, device: as the options of the command.
        out: folder for the folders of all videos.
        plugins: a Python file with methods that are not installed, or several.
        progress: as of :func:`vadbench.notebook.runs.run`.

    Returns:
        A result for each video; that of a damaged one has an error, and everything before the damage.

    Raises:
        ConfigError: an argument takes no such value, or contradicts another.
        VadbenchError: one names something that does not exist.
    """
    from vadbench.plugins.registry import Registry
    from vadbench.watch.session import ScoreRequest, open_session

    names = [name for given in videos for name in one_or_more("videos", given)]
    if not names:
        raise ConfigError('score needs at least one video, found none; give its path, as in score("door.mp4", run=run)')
    if (run is None) == (method is None):
        there = "neither; give one of them" if run is None else "both; leave one out"
        raise ConfigError(f"score needs either a finished run, or a method that needs no training, found {there}")
    require_texts(method=method, dataset=dataset, post=post, clip=clip)
    require_choice("device", device, DEVICES)
    require_function("progress", progress)
    request = ScoreRequest(
        videos=names,
        run=None if run is None else run_name("run", run),
        method=method,
        descriptions=None if descriptions is None else Path(path_text("descriptions", descriptions)),
        dataset=dataset,
        assignments=given_settings(settings),
        post=post,
        out=Path(path_text("out", out)),
        threshold=None if threshold is None else number("threshold", threshold, "a number"),
        threshold_end=None if threshold_end is None else number("threshold_end", threshold_end, "a number"),
        calibrate=one_or_more("calibrate", calibrate),
        min_length=number("min_length", min_length, "seconds, 0 or more", lambda given: given >= 0),
        fps=number("fps", fps, "a number above 0, up to 1000", lambda given: 0 < given <= 1000),
        clip_model=clip,
        clip_weights=None if clip_weights is None else path_text("clip_weights", clip_weights),
        device=device,
    )
    session = open_session(request, Registry(files=[Path(file) for file in one_or_more("plugins", plugins)]))
    with shown_progress(progress) as told:
        session = session.calibrate(told)
        if session.scorer.in_company:
            found = session.score_all(told)
        else:
            found = [session.score(source, folder, told) for source, folder in session.videos]
    return [VideoResult(video) for video in found]
