"""Results of checking a data set, as values that can be printed or written as JSON."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vadbench.dataset import Split
from vadbench.features.preflight import Preflight

DatasetStatus = Literal["complete", "incomplete", "unusable"]
ProblemKind = Literal[
    "list",
    "features",
    "encoder",
    "nothing",
    "count",
    "missing",
    "unreadable",
    "zero-length",
    "width",
    "not-finite",
    "source",
    "frames",
    "extra",
    "link",
    "annotation",
    "length",
    "origin",
    "duplicate",
]

MEANINGS: Mapping[ProblemKind, tuple[DatasetStatus, str]] = {
    "list": ("unusable", "lists or annotations absent or damaged"),
    "features": ("unusable", "features that cannot be opened"),
    "encoder": ("unusable", "features of another encoder"),
    "nothing": ("unusable", "splits or kinds of video that are empty"),
    "count": ("incomplete", "lists shorter or longer than a complete copy's"),
    "missing": ("incomplete", "missing"),
    "unreadable": ("incomplete", "unreadable"),
    "zero-length": ("incomplete", "zero-length"),
    "width": ("incomplete", "wrong width"),
    "not-finite": ("incomplete", "NaN or Inf"),
    "source": ("incomplete", "features made from another file than the one there"),
    "frames": ("incomplete", "frame count other than the annotation's"),
    "extra": ("complete", "in no list"),
    "link": ("complete", "links that lead out of the folder or nowhere"),
    "annotation": ("complete", "peculiarities of the annotation"),
    "length": ("complete", "files that state no length, and images that are not counted from 0 or 1 on"),
    "origin": ("complete", "features of unknown origin, which no comparison with a CLIP confirms"),
    "duplicate": ("complete", "pairs of videos that show the same"),
}
"""Kinds of problem with the status that they give the data at best, and their names in tables."""


@dataclass(frozen=True)
class Problem:
    """Problem found in a data set.

    Args:
        kind: one of :data:`MEANINGS`.
        name: name of the video or file, "" if it is about neither.
        text: one line that names the file and says what to do.
    """

    kind: ProblemKind
    name: str
    text: str


@dataclass
class Tally:
    """Counts of videos: expected, found with a file or features, and usable among these."""

    expected: int = 0
    found: int = 0
    usable: int = 0


@dataclass
class SplitReport:
    """Results for one split.

    Args:
        videos: all videos; expected are those of a complete copy, in the tallies below those in the lists.
        listed: number of videos in the lists.
        normal: videos without an anomaly.
        abnormal: the other videos.
        classes: videos by class; a video of several classes counts in each.
        frames_stated: total number of frames in the annotation, 0 if it has none.
        stating: number of videos whose frames the annotation gives.
        frames_found: total of the usable videos: as recorded in features, else rows times stride, or from containers.
        positive_frames: anomalous frames according to the annotation, with native boundaries.
    """

    videos: Tally
    listed: int
    normal: Tally = field(default_factory=Tally)
    abnormal: Tally = field(default_factory=Tally)
    classes: dict[str, Tally] = field(default_factory=dict)
    frames_stated: int = 0
    stating: int = 0
    frames_found: int = 0
    positive_frames: int = 0


@dataclass(frozen=True)
class FeaturesReport:
    """Folder of features, their layout, and their origin: a digest or ``unknown``, and the fingerprint."""

    folder: str
    layout: str
    fingerprint: str
    made_by: dict[str, Any]


@dataclass(frozen=True)
class DuplicateCount:
    """Number of pairs of near-duplicates, and of those in two splits."""

    pairs: int
    across: int


@dataclass
class Report:
    """Results of checking a data set.

    Args:
        dataset: the data set's name.
        root: its folder.
        source: the checked files: ``features``, ``videos``, or ``none`` if no list could be read.
        splits: results by split, without splits whose list could not be read.
        features: the checked features.
        preflight: comparison of the features with the given CLIP; ``None`` without one.
        duplicates: near-duplicates by the checked features; ``None`` if they were not looked for.
        problems: by kind in the order of :data:`MEANINGS`, the worst first.
        partition, truth: names of the division and of the ground truth that were checked; empty for its own.
    """

    dataset: str
    root: str
    source: Literal["features", "videos", "none"] = "none"
    splits: dict[Split, SplitReport] = field(default_factory=dict)
    features: FeaturesReport | None = None
    preflight: Preflight | None = None
    duplicates: DuplicateCount | None = None
    problems: list[Problem] = field(default_factory=list)
    partition: str = ""
    truth: str = ""

    @property
    def status(self) -> DatasetStatus:
        """``unusable`` if no run is possible, ``incomplete`` if a run is possible on a part."""
        found = {MEANINGS[p.kind][0] for p in self.problems}
        return "unusable" if "unusable" in found else "incomplete" if "incomplete" in found else "complete"

    @property
    def counts(self) -> dict[ProblemKind, int]:
        """Number of problems of every kind, 0 included."""
        found = Counter(p.kind for p in self.problems)
        return {kind: found[kind] for kind in MEANINGS}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: ``status``, ``counts`` and the fields of this class, by their names."""
        return {"status": self.status, "counts": self.counts, **dataclasses.asdict(self)}
