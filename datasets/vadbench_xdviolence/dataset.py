"""XD-Violence: labels from file names, binary truth and class truth from its two annotation files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vadbench.base.errors import DataError, shortened
from vadbench.base.ground_truth import IntervalReading
from vadbench.data.annotations.listed_dataset import ListedDataset
from vadbench.data.annotations.lists import (
    Interval,
    ListEntry,
    add_once,
    pairs,
    read_lines,
    video_name,
)
from vadbench.data.annotations.partition_lists import ListedPartition
from vadbench.data.annotations.temporal_files import read_temporal
from vadbench.data.annotations.video_files import VideoFiles
from vadbench.dataset import ClassTable, Split, Video, VideoClass, merged

BINARY_FILE = "annotations.txt"
CLASS_FILE = "annotations_multiclasses.txt"
CODES_IN_A_NAME = 3

_MARK = "_label_"


def _plovad(tested: str, part: str, videos: int) -> ListedPartition:
    """Return a division of PLOVAD's, which takes videos of one class only and trains on its base classes."""
    lists: dict[Split, str] = {"train": "xd-vit-train_base+normal.list", "test": f"xd-vit-test_{part}.list"}
    about = (
        f"PLOVAD's: trained on base classes and normal videos, tested on {tested}; needs {', '.join(lists.values())}"
    )
    return ListedPartition(about, {"train": 3032, "test": videos}, lists)


class XdViolence(ListedDataset):
    """4,754 videos from films, the web, games and surveillance, with up to three of six kinds of violence each.

    A video's labels are the codes in its name. Whether a frame is violent comes from ``annotations.txt``, and its
    class from the multi-class file; where the frames of the two differ, ``Video.binary`` holds the former.
    """

    name = "xdviolence"
    classes = ClassTable(
        (
            VideoClass("Abuse", "abuse", ("B5", "abuse")),
            VideoClass("Car_accident", "car accident", ("B6", "car accident", "CarAccident")),
            VideoClass("Explosion", "explosion", ("G", "explosion")),
            VideoClass("Fighting", "fighting", ("B1", "fighting")),
            VideoClass("Normal", "normal", ("A", "normal")),
            VideoClass("Riot", "riot", ("B4", "riot")),
            VideoClass("Shooting", "shooting", ("B2", "shooting")),
        ),
        normal=4,
    )
    expected = {"train": 3954, "test": 800}
    single_anomaly = {"train": 3711, "test": 753}
    files = (
        f"{BINARY_FILE} (the data set's page) and {CLASS_FILE} (VadCLIP's repository), and optionally frame counts as"
        " tframes.txt (lines 'name@frames'; any name that ends so), in the root or one folder below; for the split"
        " VadCLIP's two csv lists (the one with 'test' in its name is the test list) or AnomalyCLIP's three lists"
        " there, else the videos in their folders, the test videos in folders of their own; for --partition PLOVAD's"
        " lists (github.com/ctX-u/PLOVAD, src/list/xd_base2novel)"
    )
    homepage = "https://roc-ng.github.io/XD-Violence/"
    licence = "none stated; for research"
    citation = (
        "Wu, Liu, Shi, Sun, Shao, Wu, Yang: Not only Look, but also Listen: Learning Multimodal Violence Detection"
        " under Weak Supervision, ECCV 2020"
    )
    headline = "AP"
    readings = {
        "native": IntervalReading(0, 1),
        "anomalyclip": IntervalReading(0, 1, of_id_lists=True),
        "vadclip": IntervalReading(0, 0),
    }
    share_reading = readings["native"]
    count_files = "*tframes.txt"
    partitions = {
        "plovad-base": _plovad("these and normal videos", "base+normal", 562),
        "plovad-base-only": _plovad("videos of these alone", "base", 262),
        "plovad-novel": _plovad("other classes and normal videos", "novel+normal", 491),
        "plovad-novel-only": _plovad("videos of other classes alone", "novel", 191),
        "plovad-all": _plovad("all classes and normal videos", "all", 753),
    }

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._folders: dict[Split, list[ListEntry]] | None = None

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split in the order of its list; frame counts where a file gives them.

        Args:
            boundaries: how interval numbers are read: ``native`` and ``anomalyclip`` [first, last + 1), the latter
                from AnomalyCLIP's own lists and temporal annotation where they are there; ``vadclip`` [first, last).

        Raises:
            DataError: a list or annotation is missing or contradicts another.
        """
        entries = self.members(split, boundaries)
        paths = self.paths(entries, split)
        labels = {e.name: self._labels(e) for e in entries}
        counts = self.counts(split)
        if split == "train" or self.other_truth is not None:
            return [Video(e.name, labels[e.name], paths[e.name], counts.get(e.name)) for e in entries]
        temporal = self.temporal() if boundaries == "anomalyclip" else None
        if temporal:
            class_path = binary_path = temporal
            class_truth = binary_truth = read_temporal(temporal)
        else:
            class_path, binary_path = self.required(CLASS_FILE), self.required(BINARY_FILE)
            class_truth, binary_truth = _read_classes(class_path), _read_binary(binary_path)
        for path, truth in ((class_path, class_truth), (binary_path, binary_truth)):
            self.note_strangers(truth, self.entries(split, boundaries), path)
        videos = []
        for e in entries:
            frames = counts.get(e.name)
            segments = self.annotated(e, labels[e.name], class_truth, class_path, boundaries, frames)
            binary = merged(self.annotated(e, labels[e.name], binary_truth, binary_path, boundaries, frames))
            differs = binary != merged(segments)
            videos.append(
                Video(e.name, labels[e.name], paths[e.name], frames, segments, binary=binary if differs else None)
            )
        return videos

    def entries(self, split: Split, boundaries: str = "native") -> list[ListEntry]:
        return self.lists(split, boundaries) or self._from_folders()[split]

    def _labels(self, entry: ListEntry) -> tuple[str, ...]:
        stated = _codes(entry.name)
        if not stated:
            raise DataError(f"{entry.where}: expected a name that ends in '_label_' and codes, found {entry.name!r}")
        if entry.label not in ("", stated):
            raise DataError(f"{entry.where}: {entry.name!r} is labelled {entry.label!r}, its name says otherwise")
        codes = stated.split("-")
        labels = self.class_names([c for c in codes if c != "0"], entry.where)
        normal = self.classes.names[self.classes.normal]
        if not labels or (normal in labels and len(labels) > 1):
            raise DataError(f"{entry.where}: expected A or codes of violence, found {stated!r}")
        if len(codes) != CODES_IN_A_NAME and labels != (normal,):
            self.note(f"{entry.where}: odd label {stated!r}, read as {' and '.join(labels)}")
        if entry.ids and self.listed_classes(entry) != labels:
            raise DataError(f"{entry.where}: class id {entry.ids[0]} is not the class in the name {entry.name!r}")
        return labels

    def _from_folders(self) -> dict[Split, list[ListEntry]]:
        """Split the videos without lists: a folder with any video of ``annotations.txt`` is a test folder."""
        if self._folders is None:
            videos = {video_name(p.name): p for p in VideoFiles(self.root).videos if _codes(video_name(p.name))}
            if not videos:
                raise DataError(f"{self.name}: neither lists nor videos in {self.root}; expected there: {self.files}")
            annotated = _read_binary(self.required(BINARY_FILE))
            test = {path.parent for name, path in videos.items() if name in annotated}
            self._folders = {"train": [], "test": []}
            for name, path in videos.items():
                split: Split = "test" if path.parent in test else "train"
                if split == "test" and name not in annotated and not name.endswith("_label_A"):
                    raise DataError(
                        f"{path.parent}: train and test videos share a folder ({name!r} is not in {BINARY_FILE}); add"
                        " VadCLIP's csv lists or put the test videos in a folder of their own"
                    )
                self._folders[split].append(ListEntry(name, str(path), path.parent.name))
        return self._folders


def _codes(name: str) -> str:
    """Return the codes at the end of a video's name; "" where it has none."""
    codes = name.rpartition(_MARK)[2] if _MARK in name else ""
    return codes if codes.split() == [codes] else ""


def _read_binary(path: Path) -> dict[str, list[Interval]]:
    """Read intervals of ``name first last [first last ...]``, labelled with the first code of the name."""
    found: dict[str, list[Interval]] = {}
    for where, name, rest in _annotated_lines(path):
        add_once(found, name, pairs(rest, _codes(name).split("-")[0], where), where)
    return found


def _read_classes(path: Path) -> dict[str, list[Interval]]:
    """Read intervals of ``name code first last [code first last ...]``."""
    found: dict[str, list[Interval]] = {}
    for where, name, rest in _annotated_lines(path):
        if len(rest) % 3:
            raise DataError(f"{where}: expected 'code first last' groups, found {shortened(' '.join(rest))}")
        groups = [pairs(rest[i + 1 : i + 3], rest[i], where) for i in range(0, len(rest), 3)]
        add_once(found, name, [interval for group in groups for interval in group], where)
    return found


def _annotated_lines(path: Path) -> list[tuple[str, str, list[str]]]:
    lines = []
    for where, text in read_lines(path):
        before, mark, behind = text.rpartition(_MARK)
        codes, *rest = behind.split() if behind and not behind[0].isspace() else [""]
        name = video_name(before + mark + codes)
        if not (_codes(name) and rest):
            raise DataError(
                f"{where}: expected a name that ends in '_label_' and codes, then frames; found {shortened(text)}"
            )
        lines.append((where, name, rest))
    return lines
