"""NWPU Campus: videos of two folders that share names, in the official division and in that of TDSD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vadbench.base.errors import DataError, shortened
from vadbench.base.ground_truth import Truth
from vadbench.data.annotations.lists import read_lines, video_name
from vadbench.data.annotations.video_files import VideoFiles, find_files
from vadbench.dataset import ClassTable, Dataset, Partition, Split, Video, VideoClass

TDSD = "tdsd"
ABNORMAL = 124
"""Abnormal videos of the folder Test, by the data set's authors."""
LISTS: Mapping[str, tuple[Split, str]] = {
    "trainingSet_train.txt": ("train", "Train"),
    "trainingSet_test_label.txt": ("train", "Test"),
    "testingSet_train.txt": ("test", "Train"),
    "testingSet_test.txt": ("test", "Test"),
}
"""TDSD's lists: their split, and the folder of their videos. Together they name all videos."""
_LABELLED = "trainingSet_test_label.txt"
_LABELS = {"0": "Normal", "1": "Anomaly"}
_UNLISTED = {"Train": "Normal", "Test": "Anomaly"}
"""Labels where no list gives them, by folder; the ground truth decides about those of Test."""
_NAME = re.compile(r"(?P<scene>D\d{3})_\d{2}")


@dataclass(frozen=True)
class Recording:
    """A video of a folder, with its split by TDSD (``None`` where its lists are absent) and its label."""

    split: Split | None
    folder: str
    stem: str
    label: str

    @property
    def name(self) -> str:
        """The folder and the file's name, since 221 names occur in both folders; features are found by it."""
        return f"{self.folder}_{self.stem}"


class NwpuCampus(Dataset):
    """547 videos of 43 scenes. ``Train/D001_02`` is called ``Train_D001_02`` here, and so are its features.

    The videos are those of TDSD's lists, or else those that are in the folders Train and Test. Which frames are
    anomalous is in no public repository: nothing can be tested without ``--truth FILE``.
    """

    name = "nwpu"
    classes = ClassTable(
        (VideoClass("Anomaly", "abnormal behaviour on a campus"), VideoClass("Normal", "people on a campus")), normal=1
    )
    by_class = False
    expected = {"train": 305, "test": 242}
    files = (
        "videos or folders of frames below folders Train and Test, such as Train/D001_02.avi; and, for --partition tdsd"
        f" or features alone, TDSD's lists {', '.join(LISTS)} in the root or one folder below"
    )
    homepage = "https://campusvaa.github.io"
    licence = "none stated; for research"
    citation = (
        "Cao, Lu, Wang, Zhang: A New Comprehensive Benchmark for Semi-supervised Video Anomaly Detection and"
        " Anticipation, CVPR 2023; weakly supervised division: TDSD"
    )
    partitions = {
        TDSD: Partition(
            f"TDSD's weakly supervised division, with abnormal videos for training; needs {', '.join(LISTS)}",
            {"train": 316, "test": 231},
        )
    }
    remarks = (
        "its frames were annotated by a file that --truth names: compare results under one file only",
        "no classes: the lists in circulation give no video a type of event, so metrics of classes are undefined",
    )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._files: VideoFiles | None = None

    def adopt(self, truth: Truth) -> None:
        """Take a ground truth, whose anomalous videos are those of the folder Test that the authors count.

        Raises:
            DataError: in the official division, their number is another; or a video of the folder Train is anomalous.
        """
        abnormal = [name for name, video in truth.videos.items() if video.segments or video.shares]
        if wrong := sorted(name for name in abnormal if name.startswith("Train_")):
            raise DataError(f"{truth.videos[wrong[0]].where}: {wrong[0]} is of the folder Train, where all are normal")
        found = sum(name.startswith("Test_") for name in abnormal)
        if not self.partition and found != ABNORMAL:
            raise DataError(
                f"the ground truth {truth.name} has {found} anomalous videos with names such as Test_D001_03, expected"
                f" {ABNORMAL} among the {self.expected['test']} of the official division; fetch it again, or name"
                f" --partition {TDSD}"
            )
        super().adopt(truth)

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split by folder and name.

        A test video of unknown label counts as abnormal until the ground truth that was adopted says otherwise.

        Raises:
            DataError: neither lists nor videos are there, a list is damaged, or no ground truth was adopted for test.
        """
        if split == "test" and self.other_truth is None:
            raise DataError(
                f"{self.name}: which frames are anomalous is not public; ask its authors at {self.homepage} and give it"
                " with --truth FILE (videos are called Test_D001_03 and so on)"
            )
        recordings = self._listed()
        if self._files is None:
            self._files = VideoFiles(self.root, {r.stem for r in recordings})
        chosen = [r for r in recordings or _found(self._files) if self._split(r) == split]
        if not chosen:
            raise DataError(
                f"{self.name}: no {split} videos and no lists below {self.root}; expected there: {self.files}"
            )
        videos = [self._video(r, self._files) for r in sorted(chosen, key=lambda r: r.name)]
        missing = [v.name for v in videos if v.path is None]
        if len(missing) not in (0, len(videos)):
            problem = (
                f"{len(missing)} of {len(videos)} {split} videos have no file under {self.root}, the first is"
                f" {missing[0]}"
            )
            if problem not in self.problems:
                self.problems.append(problem)
        return videos

    def _split(self, recording: Recording) -> Split | None:
        if self.partition == TDSD:
            return recording.split
        return "train" if recording.folder == "Train" else "test"

    def _video(self, recording: Recording, files: VideoFiles) -> Video:
        match = _NAME.fullmatch(recording.stem)
        scene = match["scene"] if match else ""
        path = next(iter(files.of_side(recording.stem, recording.folder.lower())), None)
        return Video(recording.name, (recording.label,), path, scenario=scene)

    def _listed(self) -> list[Recording]:
        """Return all videos as TDSD's lists name them; empty where there are no lists and none is needed.

        Raises:
            DataError: lists are absent, or a line of one is wrong.
        """
        paths = {name: next(iter(find_files(self.root, name)), None) for name in LISTS}
        absent = [name for name, path in paths.items() if path is None]
        if absent and (len(absent) < len(LISTS) or self.partition == TDSD):
            raise DataError(f"{self.name}: no {absent[0]} in {self.root} or one folder below; add TDSD's four lists")
        found: dict[str, Recording] = {}
        for path in filter(None, paths.values()):
            for where, r in _read_list(path):
                if r.name in found:
                    raise DataError(f"{where}: {r.folder}/{r.stem} is listed already; keep one of the two")
                found[r.name] = r
        return list(found.values())


def _found(files: VideoFiles) -> list[Recording]:
    """Return the videos that are in folders of the two sides."""
    stems = dict.fromkeys(video_name(path.name) for path in files.videos)
    return [
        Recording(None, folder, stem, label)
        for folder, label in _UNLISTED.items()
        for stem in stems
        if files.of_side(stem, folder.lower())
    ]


def _read_list(path: Path) -> Iterator[tuple[str, Recording]]:
    """Read a list of TDSD, each video with its place: names, in one of the four with a label behind each."""
    labelled = path.name == _LABELLED
    split, folder = LISTS[path.name]
    for where, text in read_lines(path):
        stem, *labels = text.split()
        if not _NAME.fullmatch(stem) or len(labels) != labelled or not set(labels) <= _LABELS.keys():
            expected = "D001_02 and a label, 0 or 1" if labelled else "D001_02"
            raise DataError(f"{where}: expected a name such as {expected}, found {shortened(text)}; fetch it again")
        yield where, Recording(split, folder, stem, _LABELS[labels[0]] if labels else _UNLISTED[folder])
