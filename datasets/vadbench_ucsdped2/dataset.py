"""UCSD Ped2: clips as video files or as the official folders of .tif frames, in the weakly supervised re-split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vadbench.base.errors import DataError, MediaError
from vadbench.data.image_folders import VIDEO_SUFFIXES
from vadbench.data.media import declared_frames
from vadbench.dataset import ClassTable, Dataset, Segment, Split, Video, VideoClass
from vadbench_ucsdped2.truth import INTERVALS_JSON, INTERVALS_MATLAB, MASKS, TEST_CLIPS, Mask, read_intervals, read_mask

TRAIN_ABNORMAL = ("Test002", "Test006", "Test009", "Test010", "Test011", "Test012")
TRAIN_NORMAL = ("Train007", "Train008", "Train014", "Train015")
CLIPS = (*TEST_CLIPS, *(f"Train{i:03d}" for i in range(1, 17)))


class UcsdPed2(Dataset):
    """The 28 clips of UCSD Ped2 in the weakly supervised re-split used with TEVAD and others.

    The original split trains on normal clips only; the re-split moves six abnormal clips to the training side and
    twelve normal ones to the test side. No class labels exist, so there is one abnormal class, and mAUC and mAP are
    those of that class.

    The abnormal frames come from the interval file, from the folders of masks, or from both, which must agree. A clip
    without a file is handed out without a path: its features may exist.
    """

    name = "ucsdped2"
    classes = ClassTable(
        (
            VideoClass("Anomaly", "person riding a bicycle, skateboarder or cart on a walkway"),
            VideoClass("Normal", "people walking on a walkway"),
        ),
        normal=1,
    )
    expected = {"train": 10, "test": 18}
    files = (
        "the 28 clips Train001..016 and Test001..012, either as videos (Test001.mp4 ...) or as the official download's"
        " folders of frames (UCSDped2/Test/Test001/001.tif ...), and the abnormal frames as UCSDped2.m or folders of"
        f" masks (Test001_gt/001.bmp ..., both official) or as {INTERVALS_JSON}"
    )
    homepage = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm"
    licence = "none stated; for research"
    citation = "Mahadevan, Li, Bhalodia, Vasconcelos: Anomaly Detection in Crowded Scenes, CVPR 2010"
    extraction_stride = 1
    frame_rate = 10.0

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._masks: dict[str, Mask] | None = None

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the clips of one split; frame counts where there are masks.

        Raises:
            DataError: nothing says which frames are abnormal, or a clip, its masks and its interval contradict each
                other.
        """
        names = [n for n in CLIPS if (n in TRAIN_ABNORMAL + TRAIN_NORMAL) == (split == "train")]
        paths = {name: self._clip(name) for name in names}
        missing = [name for name in names if paths[name] is None]
        if len(missing) not in (0, len(names)):
            self._note(
                f"{len(missing)} of {len(names)} {split} clips have no file under {self.root}: {', '.join(missing)}"
            )
        masks = self._read_masks()
        for name in paths.keys() & masks.keys():
            _require_same_length(name, paths[name], masks[name])
        runs = self._runs(masks) if split == "test" else {}
        return [
            Video(
                name,
                ("Anomaly",) if name in TEST_CLIPS else ("Normal",),
                paths[name],
                masks[name].frames if name in masks else None,
                tuple(Segment("Anomaly", *run) for run in runs.get(name, ())),
            )
            for name in names
        ]

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _clip(self, name: str) -> Path | None:
        side = name[:-3]
        for parent in (self.root, self.root / side, self.root / "UCSDped2" / side):
            files = sorted(p for p in parent.glob(f"{name}.*") if p.stem == name and p.suffix.lower() in VIDEO_SUFFIXES)
            if found := next((p for p in (*files, parent / name) if p.exists()), None):
                return found
        return None

    def _truth_folders(self) -> list[Path]:
        """Return the folders in which the interval file and the folders of masks may be."""
        return [self.root, self.root / "Test", self.root / "UCSDped2", self.root / "UCSDped2" / "Test"]

    def _read_masks(self) -> dict[str, Mask]:
        """Return the masks of the clips that have a folder of them, read once."""
        if self._masks is None:
            places = {n: [f / f"{n}{MASKS}" for f in self._truth_folders()] for n in TEST_CLIPS}
            found = {n: next((p for p in paths if p.is_dir()), None) for n, paths in places.items()}
            self._masks = {n: read_mask(path) for n, path in found.items() if path is not None}
        return self._masks

    def _runs(self, masks: Mapping[str, Mask]) -> dict[str, tuple[tuple[int, int], ...]]:
        """Return the abnormal frames, as half-open runs, of the official test clips that are test clips here too."""
        tested = [n for n in TEST_CLIPS if n not in TRAIN_ABNORMAL]
        files = [folder / name for folder in self._truth_folders() for name in (INTERVALS_JSON, INTERVALS_MATLAB)]
        path = next((file for file in files if file.is_file()), None)
        if path is None:
            if not masks:
                raise DataError(f"no abnormal frames of {self.name} under {self.root}; expected there: {self.files}")
            for name in tested:
                if name not in masks:
                    raise DataError(
                        f"{self.root}: expected a folder {name}{MASKS} as other clips have, found none; fetch it again,"
                        f" or add {INTERVALS_MATLAB}"
                    )
                if not masks[name].runs:
                    self._note(f"{masks[name].folder}: {name} is abnormal and no pixel of its masks is set")
            return {name: masks[name].runs for name in tested}
        intervals = read_intervals(path)
        for name, mask in masks.items():
            if mask.runs != (intervals[name],):
                first, last = intervals[name][0] + 1, intervals[name][1]
                said = ", ".join(f"{start + 1} to {end}" for start, end in mask.runs) or "none"
                raise DataError(
                    f"{name}: {path} says that frames {first} to {last} are abnormal, the masks in {mask.folder} say"
                    f" {said}; fetch both again, or remove the wrong one"
                )
        return {name: (intervals[name],) for name in tested}


def _require_same_length(name: str, path: Path | None, mask: Mask) -> None:
    frames = None
    # A clip that cannot be opened is reported when it is read.
    with suppress(MediaError):
        frames = declared_frames(path) if path is not None else None
    if frames not in (None, mask.frames):
        raise DataError(
            f"{name}: {path} has {frames} frames, {mask.folder} {mask.frames} masks; expected one mask a frame, fetch"
            " both again"
        )
