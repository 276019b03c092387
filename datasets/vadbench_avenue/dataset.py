"""CUHK Avenue: normal videos for training, and two ground truths of the test videos that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vadbench.base.errors import DataError, MediaError, shortened
from vadbench.base.ground_truth import Truth, TruthVariant, VideoTruth
from vadbench.data.annotations.frame_arrays import Runs, array_runs, read_frame_array
from vadbench.data.annotations.lists import MOST_FRAMES, read_json, whole
from vadbench.data.annotations.video_files import VideoFiles, find_files
from vadbench.data.media import declared_frames
from vadbench.dataset import ClassTable, Dataset, Segment, Split, Video, VideoClass
from vadbench_avenue.masks import read_mask

FRAME_LABELS = "frame-labels"
LABELS_JSON = "frame_labels.json"
LABELS_ARRAY = "frame_labels_avenue.npy"
NUMBERS: Mapping[Split, range] = {"train": range(1, 17), "test": range(1, 22)}
_SIDES: Mapping[Split, str] = {"train": "Train", "test": "Test"}


class Avenue(Dataset):
    """16 normal training videos and 21 test videos of one walkway.

    Both folders number their videos from 01, so a name says which folder it is: ``Train_01``, ``Test_01``. The authors'
    masks are the ground truth; what the literature on frame prediction is evaluated with is another, a variant. A video
    without a file is handed out without a path: its features may exist.
    """

    name = "avenue"
    classes = ClassTable(
        (
            VideoClass("Anomaly", "person running, throwing objects or walking the wrong way"),
            VideoClass("Normal", "people walking on a walkway"),
        ),
        normal=1,
    )
    by_class = False
    expected = {"train": 16, "test": 21}
    files = (
        "the videos training_videos/01.avi ... 16.avi and testing_videos/01.avi ... 21.avi (or folders of frames"
        " training/frames/01/, testing/frames/01/), and the masks testing_label_mask/1_label.mat ... 21_label.mat"
    )
    homepage = "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html"
    licence = "none stated; for research"
    citation = "Lu, Shi, Jia: Abnormal Event Detection at 150 FPS in MATLAB, ICCV 2013"
    frame_rate = 25.0
    truths = {
        FRAME_LABELS: TruthVariant(
            "labels of frames that the literature on frame prediction is evaluated with (MNAD and others); 97 % of the"
            f" frames are as in the masks; needs {LABELS_JSON} ({{name: [frames, runs]}}), or {LABELS_ARRAY} and the"
            " masks or videos, which say how long each is"
        )
    }
    remarks = (
        "by the masks, test videos 08 and 18 are anomalous throughout and have no AUC of their own; by the labels of"
        " frames they are not, so a mean over videos depends on the ground truth",
    )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._files: VideoFiles | None = None
        self._masks: list[tuple[int, Runs]] | None = None

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split by their numbers, those for testing with frame counts where masks are read.

        Raises:
            DataError: masks are missing, although no other ground truth was adopted, or damaged.
        """
        paths = self._paths(split)
        if split == "train":
            return [Video(name, ("Normal",), path) for name, path in paths.items()]
        if self.other_truth is not None:
            return [Video(name, ("Anomaly",), path) for name, path in paths.items()]
        masks = self._read_masks()
        if masks is None:
            raise DataError(
                f"{self.name}: no masks testing_label_mask/1_label.mat below {self.root}; add the authors' masks, or"
                f" name another ground truth with --truth {FRAME_LABELS}"
            )
        return [
            Video(
                name,
                ("Anomaly",) if runs else ("Normal",),
                paths[name],
                frames,
                tuple(Segment("Anomaly", *run) for run in runs),
            )
            for name, (frames, runs) in zip(paths, masks, strict=True)
        ]

    def truth(self, name: str) -> Truth:
        """Return the labels of frames.

        Raises:
            UnknownNameError: another one is asked for.
            DataError: no file of them is there, or it is damaged or does not fit the videos.
        """
        if name != FRAME_LABELS:
            return super().truth(name)
        if path := next(iter(find_files(self.root, LABELS_JSON)), None):
            return Truth(name, _from_json(path))
        if path := next(iter(find_files(self.root, LABELS_ARRAY)), None):
            return Truth(name, self._from_array(path))
        raise DataError(
            f"{self.name}: neither {LABELS_JSON} nor {LABELS_ARRAY} is in {self.root} or one folder below; add one of"
            f" them for --truth {name}"
        )

    def _paths(self, split: Split) -> dict[str, Path | None]:
        """Return the file or folder of frames of each video, by name; missing ones are noted."""
        if self._files is None:
            self._files = VideoFiles(self.root, {f"{n:02d}" for n in NUMBERS["test"]})
        found = {n: self._files.of_side(f"{n:02d}", split) for n in NUMBERS[split]}
        missing = [video_name(split, n) for n, here in found.items() if not here]
        if len(missing) not in (0, len(found)):
            problem = f"{len(missing)} of {len(found)} {split} videos have no file under {self.root}: " + ", ".join(
                missing
            )
            if problem not in self.problems:
                self.problems.append(problem)
        return {video_name(split, n): next(iter(here), None) for n, here in found.items()}

    def _read_masks(self) -> list[tuple[int, Runs]] | None:
        """Return the frames and runs of each test video's masks, read once; ``None`` where there are none."""
        if self._masks is None:
            places = (p.parent for depth in ("", "*/", "*/*/") for p in sorted(self.root.glob(depth + "*_label.mat")))
            if (folder := next(places, None)) is None:
                return None
            self._masks = [read_mask(folder / f"{n}_label.mat") for n in NUMBERS["test"]]
        return self._masks

    def _from_array(self, path: Path) -> dict[str, VideoTruth]:
        """Return the labels in one array of all test videos, cut where masks or videos say that each ends."""
        masks, lengths = self._read_masks(), []
        for i, (name, video) in enumerate(self._paths("test").items()):
            try:
                frames = masks[i][0] if masks else declared_frames(video) if video else None
            except MediaError as error:
                raise DataError(str(error)) from error
            if frames is None:
                raise DataError(
                    f"{path}: one array of all videos does not say where {name} ends, and neither its masks nor its"
                    f" video under {self.root} do; add them, or {LABELS_JSON}"
                )
            lengths.append(frames)
        array = read_frame_array(path)
        if len(array) != sum(lengths):
            raise DataError(
                f"{path}: expected a label for each of {sum(lengths)} frames of the test videos, found {len(array)};"
                " the two do not belong together"
            )
        found, start = {}, 0
        for n, frames in zip(NUMBERS["test"], lengths, strict=True):
            runs, name = array_runs(array[start : start + frames]), video_name("test", n)
            found[name] = VideoTruth(tuple((None, *run) for run in runs), frames, f"{path}, {name}")
            start += frames
        return found


def video_name(split: Split, number: int) -> str:
    """Return the name of the video with a number in the folder of a split.

    >>> video_name("test", 7)
    'Test_07'
    """
    return f"{_SIDES[split]}_{number:02d}"


def _from_json(path: Path) -> dict[str, VideoTruth]:
    """Return the labels in JSON of the form ``{"videos": {"01": [frames, [[start, end], ...]]}}``."""
    content = read_json(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    numbers = {f"{n:02d}": n for n in NUMBERS["test"]}
    if not isinstance(videos, dict) or videos.keys() != numbers.keys():
        raise DataError(f'{path}: expected "videos" with the test videos 01 to 21, found {shortened(videos)}')
    return {video_name("test", n): _labels(videos[text], f"{path}, {shortened(text)}") for text, n in numbers.items()}


def _labels(entry: Any, where: str) -> VideoTruth:
    try:
        stated, listed = entry
        frames = whole(stated, where)
        runs = [(whole(start, where), whole(end, where)) for start, end in listed]
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: expected [frames, [[start, end], ...]], found {shortened(entry)}") from error
    if not 1 <= frames <= MOST_FRAMES:
        raise DataError(f"{where}: expected a number of frames from 1 to {MOST_FRAMES}, found {frames}")
    for start, end in runs:
        if not 0 <= start < end <= frames:
            raise DataError(f"{where}: run [{start}, {end}) must be within its {frames} frames")
    return VideoTruth(tuple((None, start, end) for start, end in runs), frames, where)
