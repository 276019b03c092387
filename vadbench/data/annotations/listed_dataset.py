"""A data set described by official lists: what adapters of such data sets share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from vadbench.base.errors import DataError, UnknownNameError, one_line
from vadbench.base.ground_truth import OVERRUN, IntervalReading
from vadbench.data.annotations.count_files import read_counts
from vadbench.data.annotations.lists import Interval, ListEntry, read_csv_list, read_list
from vadbench.data.annotations.partition_lists import ListedPartition
from vadbench.data.annotations.temporal_files import names_classes
from vadbench.data.annotations.video_files import VideoFiles, find_files
from vadbench.dataset import Dataset, Segment, Split, Video

TEMPORAL_FILE = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
_OTHER_TEMPORAL = "Temporal_Anomaly_Annotation*.txt"
"""Other names under which repositories hold that file."""
_ID_LISTS: Mapping[Split, list[str]] = {
    "train": ["Anomaly_Train_Abnormal.txt", "Anomaly_Train_Normal.txt"],
    "test": ["Anomaly_Test.txt"],
}


class ListedDataset(Dataset):
    """A data set whose videos, labels and intervals come from lists; a subclass says which and what a line means.

    A video of the list without a file is handed out without a path: its features may exist.
    """

    readings: ClassVar[Mapping[str, IntervalReading]]
    """Readings by the name of the boundaries: ``native``, the data set's own, and those in papers' code."""
    official_lists: ClassVar[dict[Split, str]] = {}
    """File name of the official list of each split, one path a line."""
    count_files: ClassVar[str] = ""
    """Name pattern of files with frame counts, where there are any."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._files: VideoFiles | None = None
        self._read: dict[Path, list[ListEntry]] = {}

    @abstractmethod
    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]: ...

    def note(self, problem: str) -> None:
        """Note a problem that does not stop a run, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def optional(self, pattern: str) -> Path | None:
        """Return a file in the root or one folder below, if there is one."""
        return next(iter(find_files(self.root, pattern)), None)

    def required(self, pattern: str) -> Path:
        """Return a file in the root or one folder below.

        Raises:
            DataError: it is in neither; says where to get it.
        """
        if path := self.optional(pattern):
            return path
        raise DataError(
            f"{self.name}: {pattern} not found in {self.root} or one folder below; expected there: {self.files}"
        )

    def temporal(self) -> Path | None:
        """Return the annotation of test videos in UCF-Crime's form, noting where it is under another name."""
        if path := self.optional(TEMPORAL_FILE):
            return path
        path = next((p for p in find_files(self.root, _OTHER_TEMPORAL) if names_classes(p)), None)
        if path is not None:
            self.note(f"{path} is read as {TEMPORAL_FILE}, which is not here; its lines have that form")
        return path

    def entries(self, split: Split, boundaries: str = "native") -> list[ListEntry]:
        """Return the videos of a split as the first list found names them.

        Raises:
            DataError: no list, or a damaged one.
        """
        if entries := self.lists(split, boundaries):
            return entries
        raise DataError(
            f"{self.name}: no {split} list in {self.root} or one folder below; expected there: {self.files}"
        )

    def members(self, split: Split, boundaries: str = "native") -> list[ListEntry]:
        """Return the videos of a split in the division that is followed, in the order of :meth:`entries`.

        Raises:
            DataError: as :meth:`entries`, or the list of the division is missing or belongs to other videos.
        """
        entries, division = self.entries(split, boundaries), self.partitions.get(self.partition)
        if not isinstance(division, ListedPartition) or split not in division.lists:
            return entries
        named = self._list(self.required(division.lists[split]))
        return division.part(entries, named, f"{split} videos of {self.name}")

    def lists(self, split: Split, boundaries: str) -> list[ListEntry]:
        """Return the entries of the first list there is: the official one, VadCLIP's csv, or AnomalyCLIP's.

        The last come first with boundaries that count from the first frame they state. Empty where there is no list.
        """
        own = self._id_list_entries(split)
        if own and self.reading(boundaries).of_id_lists:
            return own
        if split in self.official_lists and (path := self.optional(self.official_lists[split])):
            return self._list(path)
        if path := self._csv_list(split):
            return self._list(path)
        return own

    def counts(self, split: Split) -> dict[str, int]:
        """Return frame counts of videos, from ``count_files`` or else from AnomalyCLIP's lists."""
        counts = {e.name: e.frames for e in self._id_list_entries(split) if e.frames}
        for path in find_files(self.root, self.count_files) if self.count_files else ():
            # UCF-Crime's annotation is also called Temporal_Anomaly_Annotation.txt, as a file of counts could be.
            if not names_classes(path):
                counts |= read_counts(path)
        return counts

    def _list(self, path: Path) -> list[ListEntry]:
        """Return a list's entries, parsed once."""
        if path not in self._read:
            kind = path.suffix.lower()
            # Lists of features name the folders of the machine that they were made on.
            root = None if kind == ".list" else self.root
            self._read[path] = read_csv_list(path) if kind == ".csv" else read_list(path, root)
        return self._read[path]

    def _csv_list(self, split: Split) -> Path | None:
        """Return VadCLIP's list of a split: "test" in its name marks the test list, AnomalyCLIP's class csv is none.

        VadCLIP has none of a validation split.
        """
        if split == "validation":
            return None
        lists = [p for p in find_files(self.root, "*.csv") if "label" not in p.name.lower()]
        lists = [p for p in lists if ("test" in p.name.lower()) == (split == "test")]
        if len(lists) > 1:
            raise DataError(
                f"{self.name}: expected one csv list of the {split} split, found {lists[0]} and {lists[1]}; keep one"
            )
        return lists[0] if lists else None

    def _id_list_entries(self, split: Split) -> list[ListEntry]:
        """Return the entries of AnomalyCLIP's lists, whose lines end in class ids."""
        names = _ID_LISTS.get(split, [])
        found = []
        for name in names:
            lists = (self._list(path) for path in find_files(self.root, name))
            own = next((entries for entries in lists if all(e.ids for e in entries)), None)
            if own is None and len(names) > 1 and (path := self.optional(name)):
                raise DataError(f"{path}: expected lines 'path first last id', found lines without class ids")
            if own is None:
                return []
            found += own
        return found

    def class_names(self, found: Iterable[str], where: str) -> tuple[str, ...]:
        """Return the official names of classes that a file names differently, each once.

        Raises:
            DataError: one of them is no class.
        """
        try:
            return tuple(dict.fromkeys(self.classes.names[self.classes.id(name)] for name in found))
        except UnknownNameError as error:
            raise DataError(f"{where}: {one_line(error)}") from None

    def listed_classes(self, entry: ListEntry) -> tuple[str, ...]:
        """Return the names of the classes whose ids AnomalyCLIP's list gives a video.

        Raises:
            DataError: an id beyond the class table.
        """
        if beyond := [i for i in entry.ids if i >= len(self.classes)]:
            raise DataError(f"{entry.where}: expected class ids below {len(self.classes)}, found {beyond[0]}")
        return tuple(self.classes.names[i] for i in dict.fromkeys(entry.ids))

    def reading(self, boundaries: str) -> IntervalReading:
        """Return the reading of that name, or the data set's own where it has none."""
        return self.readings.get(boundaries, self.readings["native"])

    def shift(self, boundaries: str, first: int = 0) -> tuple[int, int]:
        """Return the two numbers to add to an interval to make it half-open and 0-based.

        Args:
            boundaries: name of the reading.
            first: the video's first frame in absolute numbers, which only readings of AnomalyCLIP's lists count from.
        """
        reading = self.reading(boundaries)
        start = first if reading.of_id_lists else 0
        return reading.first - start, reading.last - start

    def place(
        self, name: str, intervals: Sequence[Interval], boundaries: str, frames: int | None, first: int = 0
    ) -> tuple[Segment, ...]:
        """Return segments from annotated intervals.

        ``native`` cuts at the video's end, and notes it; a reading by rows at the end of the last row that has frames.
        With the others the features decide how long a video is.

        Raises:
            DataError: an interval starts past the video's end or ends further past it than ``OVERRUN`` frames, or at
                all past that row, or is of no class.
        """
        segments = []
        native, row = boundaries == "native", self.reading(boundaries).row
        before, behind = self.shift(boundaries, first)
        total, over = (-(-frames // row) * row, 0) if row and frames is not None else (frames, OVERRUN)
        for i in intervals:
            start, end = max(i.first + before, 0), i.last + behind
            late = total is not None and start >= total and not row
            # A paper's reading may put an interval's end one frame behind the native one.
            if total is not None and (late or end > total + over + (not native)):
                side = "starts" if late else f"ends more than {over} frames" if over else "ends"
                raise DataError(
                    f"{i.where}: interval {i.first} {i.last} of {name!r} {side} past its {total} frames;"
                    " the annotation and the frame counts do not belong together"
                )
            if total is not None and end > total and native:
                self.note(f"{i.where}: interval {i.first} {i.last} of {name!r} ends past its {total} frames; cut there")
            if total is not None and (native or row):
                end = min(end, total)
            (label,) = self.class_names([i.label], i.where)
            if start < end:
                segments.append(Segment(label, start, end))
        return tuple(segments)

    def aliases(self, name: str) -> tuple[str, ...]:
        """Return other names that the file and the features of a video circulate under."""
        return ()

    def paths(self, entries: Sequence[ListEntry], split: Split) -> dict[str, Path | None]:
        """Return each video's file or folder of frames; missing, double and unlisted ones are noted."""
        if self._files is None:
            lists = [self.entries(s, boundaries) for s in self.splits for boundaries in self.readings]
            names = {e.name for listed in lists for e in listed}
            self._files = VideoFiles(self.root, names | {other for name in names for other in self.aliases(name)})
        if extra := self._files.unlisted():
            self.note(f"{len(extra)} video files are in no list and left out, the first is {str(extra[0])!r}")
        found: dict[str, Path | None] = {}
        for e in entries:
            here = [p for name in (e.name, *self.aliases(e.name)) for p in self._files.candidates(name, e.folder)]
            found[e.name] = here[0] if here else None
            files = [p for p in here if p.is_file()]
            if len(files) > 1:
                self.note(f"{e.name!r} has {len(files)} files; {str(files[0])!r} is used, not {str(files[1])!r}")
        missing = [e for e in entries if found[e.name] is None]
        if len(missing) not in (0, len(entries)):
            self.note(
                f"{len(missing)} of {len(entries)} {split} videos have no file under {self.root},"
                f" the first is {missing[0].name!r} of {missing[0].where}"
            )
        return found

    def annotated(
        self,
        entry: ListEntry,
        labels: tuple[str, ...],
        table: Mapping[str, Sequence[Interval]],
        path: Path,
        boundaries: str,
        frames: int | None,
    ) -> tuple[Segment, ...]:
        """Return the segments of a test video from an annotation file.

        Args:
            labels: the video's classes; a segment of another one is noted.
            table: intervals by video name, as read from ``path``.
            frames: the video's frame count where it is known.

        Raises:
            DataError: an abnormal video without a line, a normal one with intervals, or an interval out of place.
        """
        intervals = table.get(entry.name, ())
        if labels == (self.classes.names[self.classes.normal],):
            if intervals:
                raise DataError(f"{intervals[0].where}: {entry.name!r} is normal by {entry.where}, found an interval")
            return ()
        if entry.name not in table:
            raise DataError(
                f"{path}: expected a line for {entry.name!r}, abnormal by {entry.where}, found none; fetch it again"
            )
        if not intervals:
            self.note(f"{path}: {entry.name!r} is abnormal by {entry.where} and has no interval")
        segments = self.place(entry.name, intervals, boundaries, frames, entry.first)
        for other in sorted({s.label for s in segments} - set(labels)):
            self.note(f"{path}: {entry.name!r} has a segment of {other}, its label is {' and '.join(labels)}")
        return segments

    def note_strangers(self, annotated: Iterable[str], entries: Collection[ListEntry], path: Path) -> None:
        """Note the videos of an annotation file that the test list does not name."""
        if strangers := sorted(set(annotated) - {e.name for e in entries}):
            self.note(f"{path}: {len(strangers)} videos are not in the test list, the first is {strangers[0]!r}")
