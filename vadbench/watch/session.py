"""Requests for scores: the options of ``vadbench score``, checked before anything is decoded, and their videos."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vadbench.base.errors import ConfigError, DataError
from vadbench.base.locations import DEFAULT_OUT
from vadbench.base.types import Progress, silent
from vadbench.harness.environment import choose_device
from vadbench.plugins.registry import Registry
from vadbench.records.folders import find_run
from vadbench.watch.annotated_video import annotate
from vadbench.watch.company import score_company
from vadbench.watch.events import Event
from vadbench.watch.reader import Reader
from vadbench.watch.scored_video import ScoredVideo, score_video
from vadbench.watch.scorer import Scorer, open_trained, open_untrained
from vadbench.watch.sources import VideoSource, find_sources, name_folders
from vadbench.watch.video_folder import RowFormat

_ANNOTATED = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True)
class ScoreRequest:
    """Request to score a user's videos; the fields are the options of ``vadbench score``.

    Either ``run`` or ``method`` must be given; ``descriptions``, ``dataset``, ``assignments`` and ``post`` belong to a
    method.
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
    form: RowFormat = "json"
    follow: bool = False
    timeout: float = 10.0
    annotate: Path | None = None
    fps: float = 25.0
    clip_model: str | None = None
    clip_weights: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class ScoreSession:
    """Method and the videos that it is to score, each with its folder."""

    request: ScoreRequest
    scorer: Scorer
    videos: Sequence[tuple[VideoSource, Path]]

    def score(
        self,
        source: VideoSource,
        folder: Path,
        progress: Progress = silent,
        tell: Callable[[Event], None] = lambda event: None,
    ) -> ScoredVideo:
        """Score one of the videos, and write it with its curve if requested.

        Args:
            source: the video.
            folder: its folder.
            progress: called with the number of scored frames.
            tell: called with every event when it has ended.

        Returns:
            The scored video; if it is damaged, broke off or could not be annotated, it has an ``error``.
        """
        asked = self.request
        reader = Reader(source, asked.follow, asked.timeout, asked.fps)
        result = score_video(reader, self.scorer, folder, form=asked.form, progress=progress, tell=tell)
        return self._shown(source, folder, result)

    def score_all(self, progress: Progress = silent) -> list[ScoredVideo]:
        """Score the videos in one call of the method, for one that scores them in company.

        Args:
            progress: called with the number of videos.

        Returns:
            As :meth:`score`, of each.
        """
        readers = [Reader(source, fps=self.request.fps) for source, _ in self.videos]
        folders = [folder for _, folder in self.videos]
        found = score_company(readers, self.scorer, folders, self.request.form, progress)
        return [self._shown(*video, result) for video, result in zip(self.videos, found, strict=True)]

    def _shown(self, source: VideoSource, folder: Path, result: ScoredVideo) -> ScoredVideo:
        """Return a scored video, after it was written with its curve if requested."""
        asked = self.request
        if asked.annotate is None or not result.rows or result.error:
            return result
        again, scores = Reader(source, fps=asked.fps), folder / "scores.csv"
        try:
            annotate(again, scores, result.curve, result.events, result.threshold, asked.annotate)
        except DataError as error:
            return replace(result, error=str(error))
        return result


def open_session(request: ScoreRequest, registry: Registry) -> ScoreSession:
    """Find the videos of a request, and open its method.

    Raises:
        VadbenchError: an option contradicts another, or names something that does not exist; cheapest checks first.
    """
    _require_agreement(request)
    sources = find_sources(request.videos)
    _require_annotatable(request.annotate, sources)
    for source in sources if request.follow else ():
        if isinstance(source.place, Path) and source.place.is_dir():
            raise ConfigError(f"--follow reads a growing file or a stream, {source.shown} is a folder of frames")
    folders = name_folders(request.out, sources)
    scorer = _open_scorer(request, registry)
    _require_on_disk(scorer, request.follow, sources)
    if scorer.in_company:
        scorer = replace(scorer, notes=[*scorer.notes, _company_note(len(sources))])
    named = [replace(source, name=folder.name) for source, folder in zip(sources, folders, strict=True)]
    return ScoreSession(request, scorer, list(zip(named, folders, strict=True)))


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
    own = request.descriptions or request.dataset or request.assignments or request.post
    if request.run is not None and own:
        raise ConfigError(
            "--run scores with the run's own settings; leave out --descriptions, --dataset, --set and --post"
        )
    if request.threshold is not None and not math.isfinite(request.threshold):
        raise ConfigError(f"--threshold must be a number, found {request.threshold}")


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


def _require_on_disk(scorer: Scorer, follow: bool, sources: Sequence[VideoSource]) -> None:
    """Raise if a method that decodes videos itself, and more than once, is to score what can be read only once, or one
    that scores videos in company what has no end.

    Raises:
        ConfigError: there is a stream, or a file that grows.
    """
    if not (follow or any(source.live for source in sources)):
        return
    if scorer.fingerprint is None or scorer.in_company:
        why = "scores all videos at once" if scorer.in_company else "reads no features and scores a whole video at once"
        raise ConfigError(
            f"'{scorer.name}' {why}: expected files or folders of frames, found"
            f" {'--follow' if follow else 'a stream'}; record it first"
        )


def _company_note(videos: int) -> str:
    given = "this video is" if videos == 1 else f"these {videos} videos are"
    return f"a score depends on all videos that are scored with it: {given} taken as the whole split"


def _open_scorer(request: ScoreRequest, registry: Registry) -> Scorer:
    device = choose_device(request.device)
    if request.run is not None:
        run = find_run(request.run, DEFAULT_OUT)
        return open_trained(run, registry, device, request.clip_model, request.clip_weights, request.threshold)
    assert request.method is not None
    return open_untrained(
        request.method,
        registry,
        device,
        descriptions=request.descriptions,
        dataset=request.dataset,
        assignments=request.assignments,
        clip_model=request.clip_model,
        clip_weights=request.clip_weights,
        threshold=request.threshold,
        post=request.post,
    )
