"""One's own videos in a notebook."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vadbench.base.naming import assignments
from vadbench.base.progress_bar import shown_progress
from vadbench.base.types import Progress
from vadbench.notebook.finished_run import FinishedRun

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
        return pd.DataFrame([asdict(event) for event in self.video.events])

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
    *videos: str | Path,
    run: FinishedRun | str | Path | None = None,
    method: str | None = None,
    descriptions: str | Path | None = None,
    dataset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    post: str | None = None,
    threshold: float | None = None,
    fps: float = 25.0,
    clip: str | None = None,
    clip_weights: str | None = None,
    device: str = "auto",
    out: str | Path = "results/scored",
    plugins: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> list[VideoResult]:
    """Score your own videos with a trained run, or with a method that needs no training: ``vadbench score``.

    Args:
        videos: video files, folders of frames or of videos, addresses.
        run: a finished run whose method scores.
        method: a method that needs no training instead, with the ``descriptions``, the ``dataset`` whose classes to
            look for, ``settings`` and post-processing (``post``) that belong to it.
        threshold: score at which an event begins; by default the run's, or 0.5 without training.
        fps: frames per second of a folder of frames.
        clip, clip_weights, device: as the options of the command.
        out: folder for the folders of all videos.
        plugins: Python files with methods that are not installed.
        progress: as of :func:`vadbench.notebook.runs.run`.

    Returns:
        A result for each video; that of a damaged one has an error, and everything before the damage.

    Raises:
        VadbenchError: an option contradicts another, or names something that does not exist.
    """
    from vadbench.plugins.registry import Registry
    from vadbench.watch.session import ScoreRequest, open_session

    request = ScoreRequest(
        videos=[str(video) for video in videos],
        run=None if run is None else str(run.folder if isinstance(run, FinishedRun) else run),
        method=method,
        descriptions=None if descriptions is None else Path(descriptions),
        dataset=dataset,
        assignments=assignments(settings or {}),
        post=post,
        out=Path(out),
        threshold=threshold,
        fps=fps,
        clip_model=clip,
        clip_weights=clip_weights,
        device=device,
    )
    session = open_session(request, Registry(files=[Path(p) for p in plugins]))
    with shown_progress(progress) as told:
        if session.scorer.in_company:
            found = session.score_all(told)
        else:
            found = [session.score(source, folder, told) for source, folder in session.videos]
    return [VideoResult(video) for video in found]
