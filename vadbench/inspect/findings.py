"""The outcome of looking at a data set, as values that print and that turn into JSON."""

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
    "origin",
]

MEANINGS: Mapping[ProblemKind, tuple[DatasetStatus, str]] = {
    "list": ("unusable", "lists or annotations absent or damaged"),
    "features": ("unusable", "features that cannot be opened"),
    "encoder": ("unusable", "features of another encoder"),
    "nothing": ("unusable", "splits or kinds of video without any"),
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
    "origin": ("complete", "features of unknown origin, which no comparison with a CLIP confirms"),
}
"""What each kind of problem makes of the data at the least, and what tables call it."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Args:
        kind: one of :data:`MEANINGS`.
        name: the video's or the file's name, "" where it is about neither.
        text: one line that names the file and says what to do.
    """

    kind: ProblemKind
    name: str
    text: str


@dataclass
class Tally:
    """How many videos there should be, how many have a file or features, and how many of these can be used."""

    expected: int = 0
    found: int = 0
    usable: int = 0


@dataclass
class SplitReport:
    """One split.

    Args:
        videos: as many as a complete copy has are expected here; below, as many as the lists name.
        listed: how many the lists name.
        normal: those without an anomaly.
        abnormal: the others.
        classes: by class; a video of several classes counts in each.
        frames_stated: total that the annotation states, 0 where it states none.
        stating: of how many videos it does.
        frames_found: total of the usable videos: as features record it, else rows times stride, or as containers say.
        positive_frames: anomalous frames by the annotation, native boundaries.
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
    """Where features lie, in which layout, and what made them: a digest or ``unknown``, and the fingerprint."""

    folder: str
    layout: str
    fingerprint: str
    made_by: dict[str, Any]


@dataclass
class Report:
    """Everything found.

    Args:
        dataset: the data set's name.
        root: where it lies.
        source: what was looked at: ``features``, ``videos``, or ``none`` where no list could be read.
        splits: by split; one whose list could not be read is not there.
        features: the features looked at.
        preflight: how they go with the CLIP named; ``None`` where none was.
        problems: by kind in the order of :data:`MEANINGS`, the worst first.
    """

    dataset: str
    root: str
    source: Literal["features", "videos", "none"] = "none"
    splits: dict[Split, SplitReport] = field(default_factory=dict)
    features: FeaturesReport | None = None
    preflight: Preflight | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def status(self) -> DatasetStatus:
        """``unusable`` where no run can be made, ``incomplete`` where one can be made of a part."""
        found = {MEANINGS[p.kind][0] for p in self.problems}
        return "unusable" if "unusable" in found else "incomplete" if "incomplete" in found else "complete"

    @property
    def counts(self) -> dict[ProblemKind, int]:
        """Number of problems of every kind, 0 included."""
        found = Counter(p.kind for p in self.problems)
        return {kind: found[kind] for kind in MEANINGS}

    def to_dict(self) -> dict[str, Any]:
        """Plain values ready for JSON: ``status``, ``counts`` and the fields of this class, all by their names."""
        return {"status": self.status, "counts": self.counts, **dataclasses.asdict(self)}
