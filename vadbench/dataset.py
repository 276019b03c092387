"""The base class of data set plugins, and the types they exchange with the harness.

Frames are 0-based and intervals half-open everywhere inside vadbench; an adapter turns its data set's own convention
into this one when it reads the official files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vadbench.base.classes import ClassTable as ClassTable
from vadbench.base.classes import VideoClass as VideoClass
from vadbench.base.errors import DataError, PluginError, UnknownNameError
from vadbench.base.ground_truth import HALF_OPEN, IntervalReading, Truth, TruthVariant, under
from vadbench.base.ground_truth import Segment as Segment
from vadbench.base.ground_truth import Video as Video
from vadbench.base.ground_truth import merged as merged
from vadbench.base.types import Progress, silent

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""The splits that a data set may have; ``test`` is the one that every data set has."""


@dataclass(frozen=True)
class Partition:
    """Another division of a data set's videos into splits that is in use.

    Args:
        about: what it is and who uses it, in one line, with the files that it needs.
        expected: as :attr:`Dataset.expected`.
    """

    about: str
    expected: Mapping[Split, int]


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
    classes: ClassTable
    """Its classes. A data set whose files name them states a table for the time before they are read."""
    by_class: bool = True
    """False where the class of an anomaly is not annotated: metrics of classes are undefined then."""
    expected: ClassVar[Mapping[Split, int]]
    """Number of videos that a complete copy has in each split of the data set. Only ``test`` must be named: without
    ``train``, a data set is for testing alone; with ``validation``, weights can be chosen on videos of its own. 0 is
    for a data set of any size, which overrides :attr:`sizes`."""
    single_anomaly: ClassVar[Mapping[Split, int]] = {}
    """How many of these are of at most one class of anomaly, where some are of several: a copy without the others is
    complete under the protocol's subset of that name."""
    files: ClassVar[str]
    """The files that are expected under the root, and where, in words for a user who has just downloaded it."""
    homepage: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    makes_itself: ClassVar[bool] = False
    """True where no download is needed and :meth:`prepare` creates the files."""
    root_needed: ClassVar[bool] = True
    """False where a ground truth in a file (``--truth FILE``) names all that is needed but features."""
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
    partitions: ClassVar[Mapping[str, Partition]] = {}
    """Other divisions into splits, by the name that ``protocol.partition`` takes."""
    partition: str = ""
    """The division that :meth:`videos` follows; empty for the data set's own."""
    truths: ClassVar[Mapping[str, TruthVariant]] = {}
    """Other ground truths of the test videos, by the name that ``--truth`` takes."""
    other_truth: Truth | None = None
    """The ground truth that takes the place of its own, whose annotation of test videos need not be there then."""
    partial_truth: bool = False
    """True if test videos that it lacks are left out, which makes the copy an incomplete one."""
    share_reading: ClassVar[IntervalReading] = HALF_OPEN
    """What the numbers of this data set mean in files of fractions of lengths, as LaGoVAD publishes them."""
    remarks: ClassVar[Sequence[str]] = ()
    """What a reader of results on it must know, each in one line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        """Problems in :meth:`videos` so far that do not stop a run, each in one line; results repeat those of their
        own :meth:`read`."""

    @property
    def sizes(self) -> Mapping[Split, int]:
        """Number of videos that a complete copy has in each split, in the division that is followed."""
        return self.partitions[self.partition].expected if self.partition else self.expected

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the data set has, by :attr:`sizes`, in the order of :data:`SPLITS`.

        Raises:
            PluginError: it states other splits, or no ``test``.
        """
        sizes = self.sizes
        if "test" not in sizes or not set(sizes) <= set(SPLITS):
            raise PluginError(
                f"data set '{self.name}': expected must name the split test, may name train and validation, and names"
                f" {', '.join(sizes) or 'none'}; correct it in {type(self).__name__}"
            )
        return tuple(split for split in SPLITS if split in sizes)

    def divide(self, partition: str) -> None:
        """Follow another division into splits from now on; an empty name is the data set's own.

        Raises:
            UnknownNameError: it has none of that name.
        """
        if partition and partition not in self.partitions:
            raise UnknownNameError(f"partition of {self.name}", partition, self.partitions)
        self.partition = partition

    def truth(self, name: str) -> Truth:
        """Return one of :attr:`truths`, read from the files in the root.

        Raises:
            UnknownNameError: it has none of that name.
            DataError: the file is missing or damaged.
        """
        raise UnknownNameError(f"ground truth of {self.name}", name, self.truths)

    def adopt(self, truth: Truth) -> None:
        """Take another ground truth in place of its own from now on."""
        self.other_truth = truth

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

        The ground truth of the test videos is the adopted one, where there is one; ``by_class`` is false afterwards
        where that one leaves out classes.

        Raises:
            DataError: as :meth:`videos`, or the ground truth that was adopted does not belong to the test videos.
        """
        before, self.problems = self.problems, []
        try:
            return Listing({split: self.read_split(split, boundaries) for split in self.splits}, self.problems)
        finally:
            self.problems = before + [p for p in self.problems if p not in before]

    def read_split(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split, those for testing with the ground truth that was adopted, if one was.

        Raises:
            DataError: as :meth:`read`.
        """
        videos = self.videos(split, boundaries)
        if split != "test" or self.other_truth is None:
            return videos
        laid = under(self.other_truth, videos, self.classes, self.share_reading, whole=not self.partial_truth)
        self.by_class = type(self).by_class and laid.by_class
        self.problems += [note for note in laid.notes if note not in self.problems]
        return laid.videos

    def is_normal(self, video: Video) -> bool:
        """Return True if the video has no abnormal class; the normal one may be given by any of its names."""
        return self.classes.ids(video.labels) == (self.classes.normal,)

    def is_single(self, video: Video) -> bool:
        """Return True if the video is normal or has one anomaly class: the single-anomaly subset.

        By this rule, one code in the file name, XD-Violence has 4,464 of 4,754; AnomalyCLIP's authors state 4,463.
        """
        return len(self.classes.ids(video.labels)) == 1
