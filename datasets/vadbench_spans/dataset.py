"""DoTA, LAD and TAD, whose test videos and ground truth LaGoVAD's authors publish as one JSON file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from vadbench.base.errors import DataError
from vadbench.base.ground_truth import Truth, VideoTruth, under
from vadbench.base.hashing import digest
from vadbench.base.locations import cache_root
from vadbench.data.annotations.count_files import read_counts
from vadbench.data.annotations.truth_files import read_truth
from vadbench.data.annotations.video_files import VideoFiles, find_files
from vadbench.data.media import declared_frames
from vadbench.data.timed_frames import FrameCounts
from vadbench.dataset import ClassTable, Dataset, Split, Video, VideoClass

TRUTH_FILE = "truth.json"
COUNT_FILES = ("frames.json", "frames.txt")
NORMAL = VideoClass("Normal", "normal", ("normal",))
UNNAMED = VideoClass("Abnormal", "abnormal", ("abnormal",))
"""The class of anomalies whose kind is not said."""

_FILES = (
    "{} (LaGoVAD's repository) or truth.json (as vadbench data export writes it), in the root or one folder below;"
    " frame counts as frames.json ({{name: frames}}) or frames.txt (lines 'name frames'), else the videos: fractions of"
    " a length need one of them; videos, or folders of frames, anywhere below the root"
)


class SpannedDataset(Dataset):
    """Videos for testing alone, which one file names together with their ground truth.

    The file is in the root or, with ``--truth FILE``, anywhere; then the root may be left out where no video is
    decoded.
    """

    root_needed = False
    truth_files: ClassVar[Sequence[str]]
    """Name patterns of the file in the root."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._own: Truth | None = None
        self._files: VideoFiles | None = None

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the test videos in the order of the file.

        Args:
            split: ``test``, the only one.
            boundaries: without meaning here.

        Raises:
            DataError: the file is missing or damaged, or the length of a video with fractions is not known.
        """
        truth = self.source
        self.require_list(truth)
        counts = self._counts()
        paths = self._paths(truth.videos)
        bare = [
            Video(name, self._labels(entry), paths[name], self._frames(name, entry, counts, paths[name]))
            for name, entry in truth.videos.items()
        ]
        laid = under(truth, bare, self.classes, self.share_reading)
        self.problems += [note for note in laid.notes if note not in self.problems]
        return laid.videos

    @property
    def source(self) -> Truth:
        """The content of the file in the root or, where there is none, the ground truth that was adopted.

        Raises:
            DataError: there is neither, there are several files, or the file is damaged.
        """
        if self.other_truth is not None and not self._truth_paths():
            return self.other_truth
        return self.own_truth()

    def own_truth(self) -> Truth:
        """Return the content of the file in the root.

        Raises:
            DataError: there is none, there are several, or it is damaged.
        """
        if self._own is None:
            found = self._truth_paths()
            if not found:
                raise DataError(
                    f"{self.name}: no {' or '.join(self.truth_files)} in {self.root} or one folder below; add it, or"
                    f" name a file with --truth FILE; expected there: {self.files}"
                )
            if len(found) > 1:
                raise DataError(f"{self.name}: expected one ground truth, found {found[0]} and {found[1]}; keep one")
            self._own = read_truth(found[0])
        return self._own

    def _truth_paths(self) -> list[Path]:
        return [path for pattern in self.truth_files for path in find_files(self.root, pattern)]

    def require_list(self, truth: Truth) -> None:
        """Raise if the videos are those of another list than the data set's; to override.

        Raises:
            DataError: they are; says whose list it is.
        """

    def _labels(self, entry: VideoTruth) -> tuple[str, ...]:
        """Return the class that the segments of a video have where they name none, and it is plain which one."""
        unnamed = None in {label for label, _, _ in entry.segments} | {share.label for share in entry.shares}
        first, *others = self.classes.abnormal
        plain = not others or self.classes.classes[first] == UNNAMED
        return (self.classes.names[first if unnamed and plain else self.classes.normal],)

    def _counts(self) -> Mapping[str, int]:
        found = [path for name in COUNT_FILES for path in find_files(self.root, name)]
        return read_counts(found[0]) if found else {}

    def _paths(self, names: Mapping[str, VideoTruth]) -> dict[str, Path | None]:
        """Return each video's file or folder of frames; those that some of them lack are noted."""
        if self._files is None:
            self._files = VideoFiles(self.root, names)
        found = {name: next(iter(self._files.candidates(name)), None) for name in names}
        missing = [name for name, path in found.items() if path is None]
        if 0 < len(missing) < len(found):
            note = f"{len(missing)} of {len(found)} videos have no file under {self.root}, the first is {missing[0]!r}"
            self.problems += [note] if note not in self.problems else []
        return found

    @staticmethod
    def _frames(name: str, entry: VideoTruth, counts: Mapping[str, int], path: Path | None) -> int | None:
        """Return the number of frames of a video as the ground truth or the counts state it; of one with fractions,
        otherwise, as its file does."""
        if (stated := entry.frames or counts.get(name)) or not entry.shares or path is None:
            return stated
        return declared_frames(path) or FrameCounts(cache_root() / "frame_counts.jsonl").extent(path).frames


class Dota(SpannedDataset):
    """The clips of dash cameras that DoTA's authors keep for validation, on which methods are scored.

    No clip is normal: frames before and after the event are. The 20 kinds of accident in the data set's own metadata
    are not in LaGoVAD's list.
    """

    name = "dota"
    truth_files = ("dota_test_anno.json", TRUTH_FILE)
    classes = ClassTable((NORMAL, UNNAMED), normal=0)
    by_class = False
    expected = {"test": 1402}
    files = _FILES.format(truth_files[0])
    homepage = "https://github.com/MoonBlvd/Detection-of-Traffic-Anomaly"
    licence = "MIT for the data set's repository, the clips under their sources' own terms; the list Apache-2.0"
    citation = (
        "Yao, Wang, Xu, Pu, Wang, Atkins, Crandall: DoTA: Unsupervised Detection of Traffic Anomaly in Driving Videos,"
        " TPAMI 2022"
    )
    frame_rate = 10.0
    remarks = ("no video is normal: the AUC tells frames of an event from those before and after it",)


class Lad(SpannedDataset):
    """Videos of 14 kinds of anomaly from surveillance and the web, 20 of each kind, and as many normal ones."""

    name = "lad"
    truth_files = ("lad_test_anno.json", TRUTH_FILE)
    classes = ClassTable(
        (
            NORMAL,
            VideoClass("Crash", "crash"),
            VideoClass("Crowd", "crowd"),
            VideoClass("Destroy", "destroying"),
            VideoClass("Drop", "dropping"),
            VideoClass("Falling", "falling"),
            VideoClass("FallIntoWater", "falling into water"),
            VideoClass("Fighting", "fighting"),
            VideoClass("Fire", "fire"),
            VideoClass("Hurt", "hurting"),
            VideoClass("Loitering", "loitering"),
            VideoClass("Panic", "panic"),
            VideoClass("Thiefing", "stealing"),
            VideoClass("Trampled", "trampling"),
            VideoClass("Violence", "violence"),
        ),
        normal=0,
    )
    expected = {"test": 560}
    files = _FILES.format(truth_files[0])
    homepage = "https://github.com/wanboyang/anomaly_detection_LAD2000"
    licence = "none stated for the videos; the list Apache-2.0"
    citation = (
        "Wan, Jiang, Fang, Luo, Ding: Anomaly Detection in Video Sequences: A Benchmark and Computational Model, IET"
        " Image Processing 2021"
    )


class Tad(SpannedDataset):
    """Surveillance videos of traffic, 60 with an anomaly of one of seven kinds and 40 without.

    Whatever its kind, an anomaly is of the class ``Car Accident`` in the list: a class that all share says nothing of
    the kind, so that there are no metrics of classes.
    """

    name = "tad"
    truth_files = ("tad_test_anno.json", TRUTH_FILE)
    classes = ClassTable((NORMAL, VideoClass("Car Accident", "car accident")), normal=0)
    by_class = False
    expected = {"test": 100}
    files = _FILES.format(truth_files[0])
    homepage = "https://github.com/ktr-hubrt/WSAL"
    licence = "none stated for the videos; the list Apache-2.0"
    citation = "Lv, Zhou, Cui, Xu, Li, Yang: Localizing Anomalies from Weakly-Labeled Videos, TIP 2021"
    remarks = ("two test lists of 100 videos circulate, which share 24 of them; this is LaGoVAD's, not UMIL's",)
    names_digest: ClassVar[str] = "7c79cf513b96"
    """Of the sorted names of LaGoVAD's list, which tells it from UMIL's of as many videos."""

    def require_list(self, truth: Truth) -> None:
        """Raise if the videos are as many as in LaGoVAD's list, and others.

        Raises:
            DataError: they are, as in UMIL's list.
        """
        if len(truth.videos) == self.expected["test"] and digest(sorted(truth.videos)) != self.names_digest:
            raise DataError(
                f"tad: {truth.name} names 100 videos that are not those of LaGoVAD's test list; another list of as many"
                " circulates (UMIL's, which shares 24 of them), and results on the two are not comparable: use"
                " LaGoVAD's, or evaluate this one as --dataset spans --truth FILE"
            )
