"""The scores of a split beside its ground truth: all that a metric needs, saved in one file of a run folder.

A run folder can be measured again, compared or drawn without the data set, the features or the method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from vadbench.dataset import ClassTable, Video
from vadbench.scoring.alignment import align, prolonged
from vadbench.scoring.post import processed, within_unit
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.rows import ScoredRows
from vadbench.scoring.video_scores import VideoScores, zero_filled


@dataclass(frozen=True, eq=False)
class ScoredSplit:
    """Scores of a test split with its ground truth.

    Args:
        given: scores of each video as the method gave them; :attr:`scores` are those after post-processing.
        videos: the same videos with their annotated segments, in the same order.
        stride: frames from one row of scores to the next.
        classes: the classes that are measured, those of the columns of ``scores[i].classes``.
        rules: how scores meet ground truth.
        normal_segments: whether the protocol names the videos' data set in its own ``normal_segments``.
        unit_scores: as in :class:`vadbench.scoring.rows.ScoredRows`, of the scores that were given.
        threshold: score from which on frames count as anomalous, fixed without test labels for the scores that were
            given; ``None`` where there is none.
        by_class: as in :class:`vadbench.scoring.rows.ScoredRows`.
    """

    given: Sequence[VideoScores]
    videos: Sequence[Video]
    stride: int
    classes: ClassTable
    rules: Protocol
    normal_segments: bool = False
    unit_scores: bool = True
    threshold: float | None = None
    by_class: bool = True

    @cached_property
    def scores(self) -> Sequence[VideoScores]:
        """Scores of each video after the post-processing of the rules, with zeros behind them if these say so."""
        scores = [processed(s, self.rules.post, self.stride) for s in self.given] if self.rules.post else self.given
        return [zero_filled(s, self.stride) for s in scores] if self.rules.tail == "zero" else scores

    @cached_property
    def annotated(self) -> Sequence[Video]:
        """The videos with their ground truth on the frames that count by the rules."""
        if self.rules.tail != "rows-prolonged":
            return self.videos
        lengths = [(s.frames, len(s.anomaly) * self.stride) for s in self.scores]
        return [prolonged(video, *length) for video, length in zip(self.videos, lengths, strict=True)]

    @property
    def unprocessed(self) -> ScoredSplit:
        """The split without post-processing."""
        return replace(self, rules=self.rules.unprocessed)

    @cached_property
    def rows(self) -> ScoredRows:
        """Scored rows beside their counts of anomalous frames.

        Raises:
            DataError: an annotation does not belong to its video.
        """
        videos = {v.name: v for v in self.annotated}
        unit_scores = within_unit(self.rules.post, self.unit_scores)
        return align(self.scores, videos, self.stride, self.classes, self.rules, unit_scores, self.by_class)
