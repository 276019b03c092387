"""ShanghaiTech Campus in the weakly supervised split: frame masks and class spans."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vadbench.base.errors import DataError
from vadbench.base.ground_truth import IntervalReading
from vadbench.data.annotations.listed_dataset import ListedDataset
from vadbench.data.annotations.lists import ListEntry
from vadbench.data.annotations.partition_lists import ListedPartition
from vadbench.data.annotations.temporal_files import read_temporal
from vadbench.dataset import ClassTable, Segment, Split, Video, VideoClass, merged
from vadbench_shanghaitech.truth import MASK_FOLDER, Spans, mask_folder, read_masks, read_spans

SPANS_FILE = "semantic_annotation.json"
MASKS_FILE = "frame_masks.json"

_NAME = re.compile(r"\d\d_(?P<clip>\d{3}|\d{4})")
_ABNORMAL_DIGITS = 4


def _plovad(tested: str, part: str, videos: int, trained: str = "base+normal", training: int = 220) -> ListedPartition:
    """Return a division of PLOVAD's, which takes videos of one class only."""
    lists: dict[Split, str] = {"train": f"sh-vit-train_{trained}.list", "test": f"sh-vit-test_{part}.list"}
    classes = "base classes" if trained == "base+normal" else "all classes"
    about = f"PLOVAD's: trained on {classes} and normal, tested on {tested}; needs {', '.join(lists.values())}"
    return ListedPartition(about, {"train": training, "test": videos}, lists, class_mark="__")


class ShanghaiTech(ListedDataset):
    """437 videos of 13 campus scenes in the split of Zhong et al., which puts abnormal videos on the training side.

    A name with three digits behind the scene (``01_001``) is a normal training video of the original data set, one with
    four (``01_0015``) an abnormal test video. The truth is a mask, so all boundaries give the same frames; only
    AnomalyCLIP's temporal annotation, where it is there, takes its place with ``anomalyclip``.
    """

    name = "shanghaitech"
    classes = ClassTable(
        (
            VideoClass("car"),
            VideoClass("chasing"),
            VideoClass("circuit"),
            VideoClass("fall"),
            VideoClass("fighting"),
            VideoClass("hurdle"),
            VideoClass("jumping"),
            VideoClass("monocycle"),
            VideoClass("normal", aliases=("Normal",)),
            VideoClass("push"),
            VideoClass("robbery"),
            VideoClass("running"),
            VideoClass("skateboard"),
            VideoClass("step"),
            VideoClass("stoop"),
            VideoClass("throwing object", aliases=("throwing_object",)),
            VideoClass("vaudeville"),
            VideoClass("vehicle"),
        ),
        normal=8,
    )
    expected = {"train": 238, "test": 199}
    files = (
        "SH_Train.txt and SH_Test.txt (github.com/jx-zhong-for-academic-purpose/GCN-Anomaly-Detection; AnomalyCLIP's"
        f" three Anomaly_*.txt lists do as well) and {SPANS_FILE} (github.com/svip-lab/MLEP), in the root or one folder"
        " below; the official download with its masks testing/test_frame_mask/*.npy (or"
        f" {MASKS_FILE}: name -> n, runs), videos training/videos/01_001.avi and frames testing/frames/01_0014/; for"
        " --partition PLOVAD's lists (github.com/ctX-u/PLOVAD, src/list/sh_base2novel)"
    )
    homepage = "https://svip-lab.github.io/dataset/campus_dataset.html"
    licence = "none stated; for research"
    citation = (
        "Luo, Liu, Gao: A Revisit of Sparse Coding Based Anomaly Detection in Stacked RNN Framework, ICCV 2017; split:"
        " Zhong, Li, Kong, Liu, Li, Li: Graph Convolutional Label Noise Cleaner, CVPR 2019"
    )
    truth_folders = frozenset({MASK_FOLDER})
    readings = {
        "native": IntervalReading(-1, 0),
        "anomalyclip": IntervalReading(0, 1, of_id_lists=True),
        "vadclip": IntervalReading(0, 0),
    }
    official_lists = {"train": "SH_Train.txt", "test": "SH_Test.txt"}
    partitions = {
        "plovad-base": _plovad("these and normal videos", "base+normal", 185),
        "plovad-base-only": _plovad("videos of these alone", "base", 30),
        "plovad-novel": _plovad("other classes and normal videos", "novel+normal", 167),
        "plovad-novel-only": _plovad("videos of other classes alone", "novel", 12),
        "plovad-all": _plovad("all classes and normal videos", "flag-single", 197),
        "plovad-single": _plovad("the same", "flag-single", 197, trained="flag-single", training=226),
    }

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split in the order of its list.

        Labels are the classes annotated in a video, the one with the most frames first (our decision; AnomalyCLIP's
        list, where it is used, gives one). Abnormal videos have frame counts: the mask's, else the annotation's.

        Raises:
            DataError: a list, mask or annotation is missing or contradicts another.
        """
        entries = self.members(split, boundaries)
        paths = self.paths(entries, split)
        temporal = self.temporal() if boundaries == "anomalyclip" else None
        needed = not (temporal or split == "train") or any(not e.ids for e in entries)
        spans = read_spans(self.required(SPANS_FILE)) if needed else {}
        masks, counts = self._masks(), self.counts(split)
        table = read_temporal(temporal) if temporal and split == "test" else {}
        judged = split == "test" and self.other_truth is None
        videos = []
        for e in entries:
            own = self._own_spans(e, spans) if needed else None
            labels = self.listed_classes(e) or self._labels(own)
            if boundaries == "anomalyclip":
                labels = labels[:1]  # its authors give each video of this data set a single class
            frames, runs = masks.get(e.name, (own.frames if own else counts.get(e.name), None))
            segments: tuple[Segment, ...] = ()
            binary = None
            if judged and temporal:
                segments = self.annotated(e, labels, table, temporal, boundaries, frames)
            elif judged and own:
                if masks and runs is None:
                    raise DataError(f"{self.root}: expected a mask of {e.name!r} ({e.where}), found none; fetch it")
                segments = self.place(e.name, own.intervals, "native", frames)
                if runs is not None and runs != merged(segments):
                    binary = runs
                    self.note(f"{e.name!r}: the mask and {own.where} differ; the mask says what is abnormal")
            videos.append(Video(e.name, labels, paths[e.name], frames, segments, binary=binary))
        return videos

    def _labels(self, own: Spans | None) -> tuple[str, ...]:
        if own is None:
            return (self.classes.names[self.classes.normal],)
        frames: dict[str, int] = {}
        for i in own.intervals:
            frames[i.label] = frames.get(i.label, 0) + i.last - i.first + 1
        return self.class_names(sorted(frames, key=lambda label: (-frames[label], label)), own.where)

    def _own_spans(self, entry: ListEntry, spans: Mapping[str, Spans]) -> Spans | None:
        """Return the class spans of an abnormal video; ``None`` for a normal one."""
        match = _NAME.fullmatch(entry.name)
        if not match:
            raise DataError(f"{entry.where}: expected a name such as 01_001 or 01_0014, found {entry.name!r}")
        if len(match["clip"]) < _ABNORMAL_DIGITS:
            return None
        if match["clip"] not in spans:
            raise DataError(
                f"{entry.where}: {entry.name!r} is abnormal, but {SPANS_FILE} has no '{match['clip']}'; fetch it again"
            )
        return spans[match["clip"]]

    def _masks(self) -> dict[str, tuple[int, tuple[tuple[int, int], ...]]]:
        """Return frames and abnormal runs by video; empty where neither form is there: the class spans say the same."""
        found: Path | None = mask_folder(self.root) or self.optional(MASKS_FILE)
        if found is None:
            self.note(f"no test_frame_mask folder below {self.root}; the abnormal frames are those of {SPANS_FILE}")
            return {}
        return read_masks(found)
