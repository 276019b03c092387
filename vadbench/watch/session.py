"""Scoring of a user's videos as it was requested: the method and the videos that it is to score.

What imports torch is imported where it is needed, so that a request that cannot be meant is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vadbench.base.errors import ConfigError, DataError, MediaError
from vadbench.base.types import Progress, silent
from vadbench.plugins.registry import Registry
from vadbench.watch.reader import Reader
from vadbench.watch.score_request import ScoreRequest, find_requested
from vadbench.watch.sources import VideoSource

if TYPE_CHECKING:
    from vadbench.watch.events import Event
    from vadbench.watch.scored_video import ScoredVideo
    from vadbench.watch.scorer import Scorer

__all__ = ["ScoreRequest", "ScoreSession", "open_session"]


@dataclass(frozen=True)
class ScoreSession:
    """Method and the videos that it is to score, each with its folder, and the quiet ones of the threshold, if any."""

    request: ScoreRequest
    scorer: Scorer
    videos: Sequence[tuple[VideoSource, Path]]
    quiet: Sequence[VideoSource] = ()

    def calibrate(self, progress: Progress = silent) -> ScoreSession:
        """Return a session with the threshold of the quiet videos, or this one if there are none.

        Raises:
            DataError: one of them cannot be read to its end.
        """
        if not self.quiet:
            return self
        from vadbench.watch.quiet_stretches import calibrated

        readers = [Reader(source, fps=self.request.fps) for source in self.quiet]
        return replace(self, scorer=calibrated(self.scorer, readers, progress), quiet=())

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
        from vadbench.watch.scored_video import score_video

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
        from vadbench.watch.company import score_company

        readers = [Reader(source, fps=self.request.fps) for source, _ in self.videos]
        folders = [folder for _, folder in self.videos]
        found = score_company(readers, self.scorer, folders, self.request.form, progress)
        return [self._shown(*video, result) for video, result in zip(self.videos, found, strict=True)]

    def _shown(self, source: VideoSource, folder: Path, result: ScoredVideo) -> ScoredVideo:
        """Return a scored video, after it was written with its curve if requested."""
        asked = self.request
        if asked.annotate is None or result.threshold is None or not result.rows or result.error:
            return result
        from vadbench.watch.annotated_video import annotate

        again, scores = Reader(source, fps=asked.fps), folder / "scores.csv"
        try:
            annotate(again, scores, result.curve, result.events, result.threshold.value, asked.annotate)
        except DataError as error:
            return replace(result, error=str(error))
        return result


def open_session(request: ScoreRequest, registry: Registry) -> ScoreSession:
    """Find the videos of a request, and open its method.

    Raises:
        VadbenchError: an option contradicts another, or names something that does not exist; cheapest checks first.
    """
    found = find_requested(request)
    sources = [source for source, _ in found.videos]
    scorer = replace(_open_scorer(request, found.run, registry), shortest=request.min_length)
    _require_on_disk(scorer, request.follow, sources)
    if scorer.in_company and found.quiet:
        raise ConfigError(
            f"'{scorer.name}' scores all videos at once, so those of --calibrate would have other scores; give"
            " --threshold"
        )
    if request.calibrate and not found.quiet:
        scorer = replace(scorer, notes=[*scorer.notes, "--calibrate is not used, as --threshold is given"])
    if scorer.in_company:
        scorer = replace(scorer, notes=[*scorer.notes, _company_note(len(sources))])
    if not request.follow:
        _require_one_readable(sources)
    return ScoreSession(request, scorer, found.videos, found.quiet)


def _require_one_readable(sources: Sequence[VideoSource]) -> None:
    """Raise if not one of the sources is a video, before anything is written.

    Raises:
        MediaError: the first frame of none can be read.
    """
    first: MediaError | None = None
    for source in sources:
        if source.live:
            return
        try:
            with closing(iter(Reader(source))) as frames:
                next(frames, None)
        except MediaError as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first if len(sources) == 1 else MediaError(f"none of {len(sources)} videos can be read: {first}")


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


def _open_scorer(request: ScoreRequest, run: Path | None, registry: Registry) -> Scorer:
    from vadbench.harness.environment import choose_device
    from vadbench.watch.scorer import open_trained, open_untrained

    device = choose_device(request.device)
    if run is not None:
        own = (request.clip_model, request.clip_weights, request.threshold, request.threshold_end)
        return open_trained(run, registry, device, *own, calibrate=bool(request.calibrate))
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
        threshold_end=request.threshold_end,
        post=request.post,
    )
