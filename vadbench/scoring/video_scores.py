"""The scores of a video as they are kept, and how those of its crops, regions or windows become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import PluginError
from vadbench.base.remarks import Remarks
from vadbench.features.crops import Joining

Scored = NDArray[np.floating[Any]]
"""Scores of one video, ``(rows,)`` or ``(rows, classes)``; float32 where vadbench computes them."""


@dataclass(frozen=True)
class VideoScores:
    """Scores of one video, with its true frame count.

    ``anomaly`` and each of ``branches`` and ``extras`` are ``(rows,)``, ``classes`` is ``(rows, classes)`` or ``None``.
    ``video`` has ``(classes,)`` probabilities of the whole video by the name of a rule, an empty one for its only rule.
    ``costs`` and ``remarks`` are as in :class:`vadbench.outputs.Scores`. ``rate`` is in frames a second, ``None`` where
    unknown.
    """

    name: str
    frames: int
    anomaly: Scored
    classes: Scored | None
    branches: Mapping[str, Scored] = field(default_factory=dict)
    extras: Mapping[str, Scored] = field(default_factory=dict)
    video: Mapping[str, Scored] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    remarks: Remarks | None = None
    rate: float | None = None

    @property
    def form(self) -> tuple[object, ...]:
        """What there is beside the anomaly score: the same for every video of a method."""
        return (self.classes is None, *(tuple(sorted(named)) for named in (self.branches, self.extras, self.video)))

    def without_classes(self) -> VideoScores:
        """Return the scores that have no class, for a data set with other classes."""
        return replace(self, classes=None, video={})

    def part(self, counted: slice) -> VideoScores:
        """Return the scores of some neighbouring rows."""
        return replace(
            self,
            anomaly=self.anomaly[counted],
            classes=None if self.classes is None else self.classes[counted],
            branches={name: s[counted] for name, s in self.branches.items()},
            extras={name: s[counted] for name, s in self.extras.items()},
            remarks=None if self.remarks is None else self.remarks.part(counted.start, counted.stop),
        )


def zero_filled(scores: VideoScores, stride: int) -> VideoScores:
    """Return scores with rows of zeros for the frames behind those of the last row, of every kind of score."""
    missing = -(-scores.frames // stride) - len(scores.anomaly)
    if missing <= 0:
        return scores

    def filled(values: Scored) -> Scored:
        return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])

    return replace(
        scores,
        anomaly=filled(scores.anomaly),
        classes=None if scores.classes is None else filled(scores.classes),
        branches={name: filled(s) for name, s in scores.branches.items()},
        extras={name: filled(s) for name, s in scores.extras.items()},
    )


def joined_crops(crops: Sequence[VideoScores], how: Joining) -> VideoScores:
    """Return the scores of a video from those of its crops, which have the same number of rows.

    Costs add up and remarks are those of the first crop. Of crops everything else is the mean; of regions the anomaly
    score and that of each branch is the highest, and the rest is that of the region whose anomaly score is.

    Raises:
        PluginError: as :func:`require_one_form`.
    """
    first = crops[0]
    if len(crops) == 1:
        return first
    require_one_form(crops)
    return replace(_JOINED[how](crops), costs=_summed(crops), remarks=first.remarks)


def require_one_form(scores: Sequence[VideoScores]) -> None:
    """Raise if there are not the same branches, extras and scores of the whole video beside all anomaly scores.

    Raises:
        PluginError: names the first that differs.
    """
    for other in scores[1:]:
        if other.form != scores[0].form:
            pair = f"{scores[0].name} and {other.name}" if other.name != scores[0].name else f"parts of {other.name}"
            raise PluginError(
                f"{pair} differ in their class scores, branches, extras or scores of the whole video; a method must"
                " give the same of everything that it scores"
            )


def _summed(parts: Sequence[VideoScores]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part.costs)
    return {name: sum(part.costs.get(name, 0) for part in parts) for name in names}


def _mean(crops: Sequence[VideoScores]) -> VideoScores:
    first = crops[0]
    classes = [c.classes for c in crops if c.classes is not None]

    def means(of: Callable[[VideoScores], Mapping[str, Scored]]) -> dict[str, Scored]:
        return {name: np.mean([of(c)[name] for c in crops], axis=0, dtype=np.float32) for name in of(first)}

    return VideoScores(
        first.name,
        first.frames,
        np.mean([c.anomaly for c in crops], axis=0, dtype=np.float32),
        np.mean(classes, axis=0, dtype=np.float32) if classes else None,
        means(lambda c: c.branches),
        means(lambda c: c.extras),
        means(lambda c: c.video),
    )


def _highest(regions: Sequence[VideoScores]) -> VideoScores:
    first = regions[0]
    anomaly = np.stack([r.anomaly for r in regions])
    highest, rows = anomaly.argmax(axis=0), np.arange(len(first.anomaly))
    classes = [r.classes for r in regions if r.classes is not None]
    return VideoScores(
        first.name,
        first.frames,
        anomaly.max(axis=0),
        np.stack(classes)[highest, rows] if classes else None,
        {name: np.max([r.branches[name] for r in regions], axis=0) for name in first.branches},
        {name: np.stack([r.extras[name] for r in regions])[highest, rows] for name in first.extras},
        regions[int(anomaly.max(axis=1).argmax())].video,
    )


_JOINED: Mapping[Joining, Callable[[Sequence[VideoScores]], VideoScores]] = {"mean": _mean, "max": _highest}


def joined_windows(parts: Sequence[VideoScores]) -> VideoScores:
    """Return the scores of a video from those of windows that follow each other, which have one form."""
    first = parts[0]
    classes = [p.classes for p in parts if p.classes is not None]
    remarks = [p.remarks or Remarks.of_rows([]) for p in parts]
    return VideoScores(
        first.name,
        first.frames,
        np.concatenate([p.anomaly for p in parts]),
        np.concatenate(classes) if classes else None,
        {name: np.concatenate([p.branches[name] for p in parts]) for name in first.branches},
        {name: np.concatenate([p.extras[name] for p in parts]) for name in first.extras},
        costs=_summed(parts),
        remarks=Remarks.joined(remarks, [len(p.anomaly) for p in parts]) if any(map(len, remarks)) else None,
    )
