"""The base class of data set plugins, and the types they exchange with the harness.

Frames are 0-based and intervals half-open everywhere inside vadbench; an adapter turns its data set's own convention
into this one when it reads the official files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vadbench.base.classes import ClassTable as ClassTable
from vadbench.base.classes import VideoClass as VideoClass
from vadbench.base.errors import DataError, PluginError
from vadbench.base.types import Progress, silent

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""The splits that a data set may have; ``test`` is the one that every data set has."""


@dataclass(frozen=True)
class Segment:
    """An annotated anomaly: class name, first frame, one past the last frame (0-based, half-open)."""

    label: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise DataError(f"segment of '{self.label}' must have 0 <= start < end, found [{self.start}, {self.end})")


@dataclass(frozen=True)
class Video:
    """A clip of a data set.

    Args:
        name: unique within the data set; the key of features, ground truth and scores.
        labels: video-level class names, the normal class's name for a normal video.
        path: the video file or the folder of frames; ``None`` where only features exist.
        frames: the true frame count where the data set states it; otherwise the decoder's count is used.
        segments: annotated anomalies, of the test split and, where it is annotated, of the validation split; never
            shown to a method.
        binary: the anomalous frames as merged half-open runs, where the data set annotates them apart from its classes
            and the two differ; ``()`` means none. ``None`` where they are the union of the segments.
    """

    name: str
    labels: tuple[str, ...]
    path: Path | None = None
    frames: int | None = None
    segments: tuple[Segment, ...] = ()
    binary: tuple[tuple[int, int], ...] | None = None

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The anomalous frames, whatever their class, as ascending half-open runs."""
        return merged(self.segments) if self.binary is None else self.binary


def merged(segments: Iterable[Segment]) -> tuple[tuple[int, int], ...]:
    """Return the frames that segments cover, as ascending half-open runs that neither overlap nor touch.

    >>> merged([Segment("Riot", 5, 9), Segment("Riot", 0, 3), Segment("Abuse", 3, 4)])
    ((0, 4), (5, 9))
    """
    union: list[tuple[int, int]] = []
    for start, end in sorted((s.start, s.end) for s in segments):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return tuple(union)


@dataclass(frozen=True)
class Listing:
    """The videos of each split, and the problems that do not stop a run, each in one line."""

    videos: Mapping[Split, Sequence[Video]]
    problems: Sequence[str]


class Dataset(ABC):
    """A data set in its place on disk.

    A plugin subclasses it, sets the class attributes and implements :meth:`videos`. The constructor must be cheap:
    it is called to list and show data sets whose files are absent.

    Args:
        root: folder that holds the data set's files. ``None`` is allowed for a data set that makes its own
            (``makes_itself``).
    """

    name: ClassVar[str]
    classes: ClassVar[ClassTable]
    expected: ClassVar[Mapping[Split, int]]
    """Number of videos that a complete copy has in each split of the data set. Only ``test`` must be named: without
    ``train``, a data set is for testing alone; with ``validation``, weights can be chosen on videos of its own."""
    files: ClassVar[str]
    """The files that are expected under the root, and where, in words for a user who has just downloaded it."""
    homepage: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    makes_itself: ClassVar[bool] = False
    """True where no download is needed and :meth:`prepare` creates the files."""
    headline: ClassVar[Literal["AUC", "AP"]] = "AUC"
    """The metric that papers report first on this data set; ``best-on-test`` looks at it."""
    truth_folders: ClassVar[frozenset[str]] = frozenset()
    """Names of folders whose .npy files are ground truth under the videos' names, not features."""
    extraction_stride: ClassVar[int] = 16
    """Frames between two rows when ``run`` extracts features for this data set itself."""
    frame_rate: ClassVar[float | None] = None
    """Frames a second of its videos, where all have the same and its source says so; for videos whose files are absent
    or state none, such as folders of images. ``None`` leaves false alarms per hour and delays in seconds of these
    undefined."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        """Problems in :meth:`videos` so far that do not stop a run, each in one line; results repeat those of their
        own :meth:`read`."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the data set has, by ``expected``, in the order of :data:`SPLITS`.

        Raises:
            PluginError: ``expected`` names other splits, or no ``test``.
        """
        if "test" not in self.expected or not set(self.expected) <= set(SPLITS):
            raise PluginError(
                f"data set '{self.name}': expected must name the split test, may name train and validation, and names"
                f" {', '.join(self.expected) or 'none'}; correct it in {type(self).__name__}"
            )
        return tuple(split for split in SPLITS if split in self.expected)

    def prepare(self, progress: Progress = silent) -> None:
        """Make the files ready, or say what is missing.

        Raises:
            DataError: the root lacks something; the message says what is expected where.
        """
        if not self.root.is_dir():
            raise DataError(f"data root of {self.name} not found: {self.root}; expected there: {self.files}")

    @abstractmethod
    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split in a stable order.

        Args:
            split: one of :attr:`splits`.
            boundaries: how annotated intervals are read: ``native``, by the data set's own convention, or as a paper's
                code reads them, by the paper's name. A data set takes any name, and reads by its own convention where
                it knows no other.

        Raises:
            DataError: a list or annotation is missing or contradicts itself; names the file and what to do.
        """

    def read(self, boundaries: str = "native") -> Listing:
        """Read the videos of all splits, with the problems of this reading alone.

        Raises:
            DataError: as :meth:`videos`.
        """
        before, self.problems = self.problems, []
        try:
            return Listing({split: self.videos(split, boundaries) for split in self.splits}, self.problems)
        finally:
            self.problems = before + [p for p in self.problems if p not in before]

    def is_normal(self, video: Video) -> bool:
        """Return True if the video has no abnormal class; the normal one may be given by any of its names."""
        return self.classes.ids(video.labels) == (self.classes.normal,)

    def is_single(self, video: Video) -> bool:
        """Return True if the video is normal or has one anomaly class: the single-anomaly subset.

        By this rule, one code in the file name, XD-Violence has 4,464 of 4,754; AnomalyCLIP's authors state 4,463.
        """
        return len(self.classes.ids(video.labels)) == 1
