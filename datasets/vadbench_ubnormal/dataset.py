"""UBnormal: rendered scenes with the authors' three splits and tracks of the anomalous objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vadbench.base.errors import DataError, MediaError, shortened
from vadbench.base.ground_truth import IntervalReading
from vadbench.data.annotations.listed_dataset import ListedDataset
from vadbench.data.annotations.lists import Interval, ListEntry
from vadbench.data.media import declared_frames
from vadbench.dataset import ClassTable, Partition, Segment, Split, Video, VideoClass, merged
from vadbench_ubnormal.tracks import ABNORMAL, FOLDER, SUFFIX, find_tracks, read_tracks

NORMAL = "Normal"
PLOVAD = "plovad"
PLOVAD_LIST = "ub-vit-train.list"

_WORDS: Mapping[Split, str] = {"train": "training", "validation": "validation", "test": "test"}
_NAME = re.compile(r"(?P<kind>abnormal|normal)_scene_(?P<scene>[0-9]{1,3})_scenario_?[0-9]{1,3}(_[0-9a-z]{1,9})*")


class UbNormal(ListedDataset):
    """543 rendered videos of 29 scenes; test has event types that training has not (supervised open set).

    The frames in which any object is anomalous are one run, whatever the number of objects. No video has a class: the
    authors name types of events and say of no video which one it shows. Endings of names such as ``_fog`` stand for
    variants of one script and are part of the name.
    """

    name = "ubnormal"
    # The words name no type of event: a prompt must not give away what test alone is about.
    classes = ClassTable(
        (
            VideoClass(ABNORMAL, "abnormal or dangerous event"),
            VideoClass(NORMAL, "people walking, standing or talking"),
        ),
        normal=1,
    )
    by_class = False
    expected = {"train": 268, "validation": 64, "test": 211}
    files = (
        "the authors' six lists abnormal_ and normal_ with training_, validation_ and test_video_names.txt (folder"
        " scripts of their repository), in the root or one folder below; the archive as it is, Scene1/<name>.mp4 with"
        f" <name>{FOLDER}/<name>{SUFFIX} beside it, or these files and features <name>.npy anywhere below the root;"
        " optional: *frames.txt, 'name@frames' a line, for features without videos;"
        f" for --partition {PLOVAD}: {PLOVAD_LIST} (github.com/ctX-u/PLOVAD, src/list/ubnormal)"
    )
    homepage = "https://github.com/lilygeorgescu/UBnormal"
    licence = "CC BY-NC-ND 4.0"
    citation = (
        "Acsintoae, Florescu, Georgescu, Mare, Sumedrea, Ionescu, Khan, Shah: UBnormal: New Benchmark for Supervised"
        " Open-Set Video Anomaly Detection, CVPR 2022"
    )
    count_files = "*frames.txt"
    readings = {"native": IntervalReading(0, 1)}
    share_reading = IntervalReading(0, 0, final=1)
    partitions = {
        PLOVAD: Partition(
            "PLOVAD's: training takes 36 of the 38 abnormal validation videos too, and validation keeps the rest;"
            f" needs {PLOVAD_LIST}",
            {"train": 304, "validation": 28, "test": 211},
        )
    }
    remarks = (
        "open set: by the authors' word, the types of events in test occur in no training video; all 29 scenes occur in"
        " both",
        "by the hand labels of PLOVAD's authors, training and test share 'having a seizure' and 'laying down' (the"
        " latter in 2 training videos), validation and test 'having a seizure' and 'jumping'",
        "no classes: the authors give no video a type of event, so metrics of classes are undefined",
    )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._tracks: dict[str, Path] | None = None

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split in the order of its lists, the abnormal ones first.

        Test and validation videos have their anomalous frames. Validation may lack all of them, with a note: weights
        are chosen by whole videos then. Frame counts are stated where a file gives them.

        Raises:
            DataError: a list or a file of tracks is missing, damaged, or contradicts another.
        """
        entries = self.entries(split, boundaries)
        paths, counts = self.paths(entries, split), self.counts(split)
        tracks = self._annotation(split, entries)
        videos = []
        for e in entries:
            frames = counts.get(e.name) or self._declared(e.name, paths[e.name])
            placed = self.place(e.name, tracks.get(e.name, ()), "native", frames)
            segments = tuple(Segment(ABNORMAL, *run) for run in merged(placed))
            videos.append(Video(e.name, (e.label,), paths[e.name], frames, segments, scenario=_scene(e.name)))
        return videos

    def _declared(self, name: str, path: Path | None) -> int | None:
        """Return the frames that a video's file states, where another ground truth gives fractions of its length."""
        other = self.other_truth.videos.get(name) if self.other_truth else None
        if path is None or other is None or not other.shares or other.frames:
            return None
        # A file that cannot be opened is reported when it is read.
        with suppress(MediaError):
            return declared_frames(path)
        return None

    def lists(self, split: Split, boundaries: str) -> list[ListEntry]:
        """Return the entries of a split of the division that is followed, each with its class as its label.

        Raises:
            DataError: a list is missing, or a line of one is wrong.
        """
        official = self._official()
        added = self._added(official) if self.partition == PLOVAD else set()
        of_split = {n: "train" if n in added else own for n, (own, _) in official.items()}
        return [entry for name, (_, entry) in official.items() if of_split[name] == split]

    def _official(self) -> dict[str, tuple[Split, ListEntry]]:
        """Return the authors' split and the entry of every video, by name."""
        found: dict[str, tuple[Split, ListEntry]] = {}
        for split, word in _WORDS.items():
            for kind, label in (("abnormal", ABNORMAL), ("normal", NORMAL)):
                for e in self._list(self.required(f"{kind}_{word}_video_names.txt")):
                    match = _NAME.fullmatch(e.name)
                    if not match or match["kind"] != kind:
                        raise DataError(
                            f"{e.where}: expected a name such as {kind}_scene_2_scenario_1, found {shortened(e.name)}"
                        )
                    if e.name in found:
                        raise DataError(
                            f"{e.where}: {e.name!r} is listed already in {found[e.name][1].where}; fetch both lists"
                            " again"
                        )
                    found[e.name] = split, ListEntry(e.name, e.where, e.folder, label)
        return found

    def _added(self, official: Mapping[str, tuple[Split, ListEntry]]) -> set[str]:
        """Return the validation videos that PLOVAD trains on."""
        added = set()
        for e in self._list(self.required(PLOVAD_LIST)):
            split = official[e.name][0] if e.name in official else None
            if split not in ("train", "validation"):
                where = "the test split" if split else "none of the authors' lists"
                raise DataError(f"{e.where}: expected a training or validation video, found {e.name!r} of {where}")
            if split == "validation":
                added.add(e.name)
        return added

    def _annotation(self, split: Split, entries: Sequence[ListEntry]) -> dict[str, list[Interval]]:
        """Return the tracks of videos, where the split has any and no other ground truth takes their place."""
        if split == "train" or (split == "test" and self.other_truth is not None):
            return {}
        if self._tracks is None:
            self._tracks = find_tracks(self.root)
        files = self._tracks
        found = {e.name: read_tracks(files[e.name]) for e in entries if e.name in files}
        abnormal = [e for e in entries if e.label == ABNORMAL]
        for e in entries:
            if e.label == NORMAL and found.get(e.name):
                raise DataError(f"{found[e.name][0].where}: {e.name!r} is normal by {e.where}, found a track")
            if e.label == ABNORMAL and found.get(e.name) == []:
                raise DataError(f"{files[e.name]}: expected a track of {e.name!r}, found an empty file; fetch it again")
        lacking = [e.name for e in abnormal if e.name not in found]
        if split == "validation" and lacking and len(lacking) == len(abnormal):
            self.note(f"no validation video has a file of tracks below {self.root}; weights are chosen by whole videos")
        elif lacking:
            other = "" if split == "validation" else ", or name another ground truth with --truth FILE"
            raise DataError(
                f"{self.name}: {len(lacking)} of {len(abnormal)} abnormal {split} videos have no file of tracks below"
                f" {self.root}, the first is {lacking[0]}{SUFFIX}; add the authors' folders <name>{FOLDER}{other}"
            )
        return found


def _scene(name: str) -> str:
    match = _NAME.fullmatch(name)
    assert match  # a list with another name is refused
    return f"scene {match['scene']}"
