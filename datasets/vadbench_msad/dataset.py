"""MSAD from the lists of features in circulation and the annotation of its abnormal videos."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vadbench.base.errors import DataError
from vadbench.base.ground_truth import IntervalReading, Truth, TruthVariant, VideoTruth
from vadbench.data.annotations.count_files import read_counts
from vadbench.data.annotations.listed_dataset import ListedDataset
from vadbench.data.annotations.lists import ListEntry, listed_once
from vadbench.data.annotations.video_files import find_files
from vadbench.dataset import ClassTable, Partition, Segment, Split, Video, VideoClass
from vadbench_msad.annotation import Annotated, full_name, kind_of, read_annotation, short_names

ANNOTATION_FILE = "anomaly_annotation.csv"
ONE_CLASS = "one-class"
PUBLISHED = "published"

_COUNT_FILES = ("*frames.json", "*frames.txt")
_LISTS = (("*.list", "*.txt"), ("*.csv",))
"""Patterns of lists of features or names, and of a fork's csv lists, which are used where there are no others."""
_LIST_NAME = re.compile(r"msad.*(\.list|(train|test)\.txt|\.csv)", re.IGNORECASE)


def _abnormal(name: str) -> VideoClass:
    spaced = name.replace("_", " ")
    return VideoClass(name, spaced.lower(), tuple(dict.fromkeys((name.lower(), spaced.lower(), spaced))))


class Msad(ListedDataset):
    """720 surveillance videos of 14 scenarios, a third of them with one anomaly of 11 classes.

    A video's class is its name without the number. Intervals are 1-based with both ends inside, one for each abnormal
    video. Two divisions of the same videos are in use, whose results have nothing to do with each other.
    """

    name = "msad"
    classes = ClassTable(
        (
            *map(_abnormal, ("Assault", "Explosion", "Fighting", "Fire")),
            VideoClass("Normal", "normal", ("normal", "MSAD_normal")),
            *map(_abnormal, ("Object_falling", "People_falling", "Robbery", "Shooting")),
            *map(_abnormal, ("Traffic_accident", "Vandalism", "Water_incident")),
        ),
        normal=4,
    )
    expected = {"train": 480, "test": 240}
    partitions = {
        ONE_CLASS: Partition(
            "the one-class protocol: trained on the same 360 normal videos, tested on the 120 normal test videos and"
            " all 240 abnormal ones",
            {"train": 360, "test": 360},
        )
    }
    files = (
        "the authors' lists msad-i3d.list and msad-i3d-test.list, or those of Swin features (or names, one a line, as"
        f" msad_train.txt and msad_test.txt), and {ANNOTATION_FILE} (name,scenario,total frames,first,last), in the"
        " root or one folder below; optional: frame counts of normal videos as *frames.json ({name: frames}) or"
        " *frames.txt ('name frames' a line); videos <name>.mp4 or folders of frames <name>/ and features <name>.npy,"
        " <name>_i3d.npy or <name>_swin.npy in any folders below the root"
    )
    homepage = "https://msad-dataset.github.io"
    licence = "for research, on application; no redistribution of the data or of derivatives"
    citation = (
        "Zhu, Wang, Raj, Gedeon, Chen: Advancing Video Anomaly Detection: A Concise Review and a New Dataset, NeurIPS"
        " 2024 Datasets and Benchmarks Track"
    )
    readings = {"native": IntervalReading(-1, 0), "vadclip": IntervalReading(0, 0)}
    share_reading = IntervalReading(-1, 0)
    truths = {
        PUBLISHED: TruthVariant(
            "the authors' concatenated array for the 240 test videos: the same intervals over 16 frames for each row of"
            f" the features; needs {ANNOTATION_FILE}",
            tail="rows",
        )
    }
    remarks = (
        "two test sets are in use, of 240 and of 360 videos (partition one-class): the same scores gave an AUC of 94.36"
        " on one and of 87.55 on the other",
    )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._full: dict[Path, list[ListEntry]] = {}

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split in the order of its list; abnormal ones of both lists for ``one-class``.

        Frame counts are the annotation's, and for normal videos those of a file of them, where there is one.

        Args:
            boundaries: how interval numbers are read: ``native`` [first - 1, last), ``vadclip`` [first, last).

        Raises:
            DataError: a list or annotation is missing or contradicts another.
        """
        entries = self.entries(split, boundaries)
        paths, counts = self.paths(entries, split), self.counts(split)
        path, annotation = self._annotation(needed=split == "test" and self.other_truth is None)
        self._note_unequal(counts, annotation)
        lacking = [e for e in entries if path and e.label and e.name not in annotation]
        if lacking and split == "train":
            self.note(f"{path}: no line for {len(lacking)} abnormal training videos, the first is {lacking[0].name!r}")
        videos = []
        for e in entries:
            labels = self.class_names([e.label or "Normal"], e.where)
            own = annotation.get(e.name)
            if own and not e.label:
                raise DataError(f"{own.interval.where}: {e.name!r} is normal by {e.where}, found an interval")
            frames = own.frames if own else counts.get(e.name)
            segments: tuple[Segment, ...] = ()
            if split == "test" and self.other_truth is None:
                table = {e.name: [replace(own.interval, label=e.label)]} if own else {}
                segments = self.annotated(e, labels, table, path or self.root, boundaries, frames)
            scenario = own.scenario if own else kind_of(e.name, e.where).scenario
            videos.append(
                Video(e.name, labels, paths[e.name], frames, segments, scenario=scenario, aliases=short_names(e.name))
            )
        return videos

    def truth(self, name: str) -> Truth:
        """Return the ground truth of the authors' concatenated array.

        Raises:
            UnknownNameError: another one is asked for.
            DataError: the annotation is missing or damaged, or the division is not the one that it was published for.
        """
        if name != PUBLISHED:
            return super().truth(name)
        if self.partition:
            raise DataError(
                f"the ground truth '{PUBLISHED}' is that of the {self.expected['test']} videos of msad's own division;"
                f" leave out --partition {self.partition}"
            )
        where = str(self.required(ANNOTATION_FILE))
        videos = {
            v.name: VideoTruth(tuple((s.label, s.start, s.end) for s in v.segments), v.frames, where)
            for v in self.videos("test")
        }
        note = (
            f"ground truth {PUBLISHED}: a video has 16 frames for each row of its features, and what is annotated after"
            " them is cut off, so the frames depend on the features; the authors' I3D rows give 143,920 frames, 33,160"
            " of them anomalous"
        )
        return Truth(PUBLISHED, videos, (note,))

    def aliases(self, name: str) -> tuple[str, ...]:
        return short_names(name)

    def counts(self, split: Split) -> dict[str, int]:
        """Return the frame counts that files state, of videos of any split."""
        files = (path for pattern in _COUNT_FILES for path in find_files(self.root, pattern))
        return {full_name(name): frames for path in files for name, frames in read_counts(path).items()}

    def lists(self, split: Split, boundaries: str) -> list[ListEntry]:
        """Return the entries of a split of the division that is followed, each with its class, "" for normal.

        Raises:
            DataError: a list is missing or damaged, or two of one split name different videos.
        """
        own = self._own_division(split)
        if self.partition != ONE_CLASS:
            return own
        if split == "train":
            return [e for e in own if not e.label]
        return [*own, *(e for e in self._own_division("train") if e.label)]

    def _own_division(self, split: Split) -> list[ListEntry]:
        found = self._list_files(split)
        if not found:
            return []
        first, *others = found
        entries = self._entries_of(first)
        for other in others:
            if differing := {e.name for e in entries} ^ {e.name for e in self._entries_of(other)}:
                raise DataError(
                    f"{first} and {other} name different {split} videos, the first is {min(differing)!r}; keep one list"
                )
        if first.suffix.lower() == ".csv" and len(entries) != self.expected[split]:
            self.note(
                f"{first}: a shortened list in circulation, {len(entries)} of {self.expected[split]} {split} videos;"
                " fetch the authors' .list files"
            )
        return entries

    def _list_files(self, split: Split) -> list[Path]:
        for patterns in _LISTS:
            found = [p for pattern in patterns for p in find_files(self.root, pattern) if _LIST_NAME.fullmatch(p.name)]
            if found := [p for p in found if ("test" in p.name.lower()) == (split == "test")]:
                return found
        return []

    def _entries_of(self, path: Path) -> list[ListEntry]:
        """Return a list's entries under the videos' full names, made once."""
        if path not in self._full:
            entries = []
            for e in self._list(path):
                name = full_name(e.name)
                label = kind_of(name, e.where).label
                stated = self.class_names([e.label], e.where) if e.label else ()
                if stated and stated != self.class_names([label or "Normal"], e.where):
                    raise DataError(f"{e.where}: {e.name!r} is labelled {e.label!r}, which its name contradicts")
                entries.append(replace(e, name=name, label=label))
            self._full[path] = listed_once(entries)
        return self._full[path]

    def _annotation(self, needed: bool) -> tuple[Path | None, Mapping[str, Annotated]]:
        """Return the file of the annotation, and what it says of each abnormal video."""
        path = self.required(ANNOTATION_FILE) if needed else self.optional(ANNOTATION_FILE)
        return path, read_annotation(path) if path else {}

    def _note_unequal(self, counts: Mapping[str, int], annotation: Mapping[str, Annotated]) -> None:
        differing = [name for name, own in annotation.items() if counts.get(name, own.frames) != own.frames]
        if differing:
            first = differing[0]
            self.note(
                f"{len(differing)} frame counts of abnormal videos are not those of {ANNOTATION_FILE}, which is"
                f" followed; the first is {counts[first]} of {first!r}, {annotation[first].frames} there"
            )
