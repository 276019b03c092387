"""UCF-Crime from its official lists, or from the lists that come with AnomalyCLIP's or VadCLIP's features."""

from __future__ import annotations

from collections.abc import Sequence

from vadbench.base.errors import DataError
from vadbench.base.ground_truth import IntervalReading, Truth
from vadbench.data.annotations.listed_dataset import TEMPORAL_FILE, ListedDataset
from vadbench.data.annotations.lists import ListEntry
from vadbench.data.annotations.partition_lists import ListedPartition
from vadbench.data.annotations.temporal_files import read_temporal
from vadbench.dataset import ClassTable, Split, Video, VideoClass
from vadbench_ucfcrime.other_truths import TRUTHS, read_file

PLOVAD_TRAIN = "ucf-vit-train_base+normal.list"
PLOVAD_BASE, PLOVAD_NOVEL = (f"ucf-vit-test_{part}+normal.list" for part in ("base", "novel"))


class UcfCrime(ListedDataset):
    """1,900 untrimmed surveillance videos, half of them with one of 13 kinds of anomaly.

    A video's label is the folder its list names. Official intervals are 1-based with both ends inside; five end one or
    two frames past their video, which ``problems`` tells where frame counts are known.
    """

    name = "ucfcrime"
    classes = ClassTable(
        (
            VideoClass("Abuse", "abuse", ("abuse",)),
            VideoClass("Arrest", "arrest", ("arrest",)),
            VideoClass("Arson", "arson", ("arson",)),
            VideoClass("Assault", "assault", ("assault",)),
            VideoClass("Burglary", "burglary", ("burglary",)),
            VideoClass("Explosion", "explosion", ("explosion",)),
            VideoClass("Fighting", "fighting", ("fighting",)),
            VideoClass(
                "Normal",
                "normal",
                (
                    "normal",
                    "Training_Normal_Videos_Anomaly",
                    "Testing_Normal_Videos_Anomaly",
                    "Normal_Videos_event",
                    "Training-Normal-Videos-Part-1",
                    "Training-Normal-Videos-Part-2",
                ),
            ),
            VideoClass("RoadAccidents", "road accidents", ("roadAccidents", "roadaccidents", "Road_Accidents")),
            VideoClass("Robbery", "robbery", ("robbery",)),
            VideoClass("Shooting", "shooting", ("shooting",)),
            VideoClass("Shoplifting", "shoplifting", ("shoplifting",)),
            VideoClass("Stealing", "stealing", ("stealing",)),
            VideoClass("Vandalism", "vandalism", ("vandalism",)),
        ),
        normal=7,
    )
    expected = {"train": 1610, "test": 290}
    files = (
        "Anomaly_Train.txt and Anomaly_Test.txt (the data set's page; VadCLIP's csv lists or AnomalyCLIP's"
        " Anomaly_Train_Abnormal.txt, Anomaly_Train_Normal.txt and Anomaly_Test.txt do as well) and"
        f" {TEMPORAL_FILE} (the data set's page), in the root or one folder below; optionally frame counts as"
        " Train_Annotation.txt and Test_Annotation.txt (lines 'path frames ...', as in ekosman's PyTorch port);"
        " videos anywhere below the root, such as Abuse/Abuse001_x264.mp4, or as folders of frames of that name; for"
        " --partition PLOVAD's lists (github.com/ctX-u/PLOVAD, src/list/ucf_base2novel), for --truth the file it names"
    )
    homepage = "https://www.crcv.ucf.edu/projects/real-world/"
    licence = "none stated; for research"
    citation = "Sultani, Chen, Shah: Real-World Anomaly Detection in Surveillance Videos, CVPR 2018"
    readings = {
        "native": IntervalReading(-1, 0),
        "anomalyclip": IntervalReading(0, 1, of_id_lists=True),
        "vadclip": IntervalReading(0, 0),
        "rtfm": IntervalReading(0, 1, row=16),
    }
    share_reading = readings["native"]
    count_files = "*_Annotation.txt"
    official_lists = {"train": "Anomaly_Train.txt", "test": "Anomaly_Test.txt"}
    truths = TRUTHS
    partitions = {
        "plovad-base": ListedPartition(
            f"PLOVAD's: trained and tested on six base classes and normal; needs {PLOVAD_TRAIN}, {PLOVAD_BASE}",
            {"train": 1349, "test": 201},
            {"train": PLOVAD_TRAIN, "test": PLOVAD_BASE},
        ),
        "plovad-novel": ListedPartition(
            "PLOVAD's: trained on six base classes, tested on the seven others, both with normal videos; needs"
            f" {PLOVAD_TRAIN}, {PLOVAD_NOVEL}",
            {"train": 1349, "test": 239},
            {"train": PLOVAD_TRAIN, "test": PLOVAD_NOVEL},
        ),
        "plovad-all": ListedPartition(
            f"PLOVAD's: trained on six base classes and normal, tested on all videos; needs {PLOVAD_TRAIN}",
            {"train": 1349, "test": 290},
            {"train": PLOVAD_TRAIN},
        ),
    }

    def truth(self, name: str) -> Truth:
        if name not in TRUTHS:
            return super().truth(name)
        return read_file(name, self.required(TRUTHS[name].file), self.counts("test"))

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split in the order of its list; frame counts where an annotation gives them.

        Args:
            boundaries: how interval numbers are read: ``native`` [first - 1, last), ``anomalyclip`` [first, last + 1)
                counted from the first frame in its own list, ``vadclip`` [first, last), ``rtfm`` [first, last + 1) cut
                at 16 frames a row (spec of RTFM, section 5).

        Raises:
            DataError: a list or annotation is missing or contradicts another.
        """
        entries = self.members(split, boundaries)
        paths = self.paths(entries, split)
        labels = {e.name: self._labels(e) for e in entries}
        counts = self.counts(split)
        if split == "train" or self.other_truth is not None:
            return [Video(e.name, labels[e.name], paths[e.name], counts.get(e.name)) for e in entries]
        temporal = self.temporal() or self.required(TEMPORAL_FILE)
        truth = read_temporal(temporal)
        self.note_strangers(truth, self.entries(split, boundaries), temporal)
        videos = []
        for e in entries:
            frames = counts.get(e.name)
            segments = self.annotated(e, labels[e.name], truth, temporal, boundaries, frames)
            videos.append(Video(e.name, labels[e.name], paths[e.name], frames, segments))
        return videos

    def _labels(self, entry: ListEntry) -> tuple[str, ...]:
        called = entry.label or entry.folder
        if not called:
            raise DataError(f"{entry.where}: expected 'class folder/video', found {entry.name!r} alone")
        labels = self.class_names([called], entry.where)
        if entry.ids and self.listed_classes(entry) != labels:
            raise DataError(f"{entry.where}: folder {called!r} and class id {entry.ids[0]} are not the same class")
        return labels
