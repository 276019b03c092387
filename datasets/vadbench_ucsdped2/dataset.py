"""UCSD Ped2: clips as video files or as the official folders of .tif frames, ground truth from either official form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vadbench.annotations.reading import read_json, read_lines, whole
from vadbench.dataset import Boundaries, ClassTable, Dataset, Progress, Segment, Split, Video, VideoClass, silent
from vadbench.errors import DataError
from vadbench.media import VIDEO_SUFFIXES

TRAIN_ABNORMAL = ("Test002", "Test006", "Test009", "Test010", "Test011", "Test012")
TRAIN_NORMAL = ("Train007", "Train008", "Train014", "Train015")
OFFICIAL_TEST, OFFICIAL_TRAIN = 12, 16
INTERVALS_JSON = "ped2_mat_gt.json"
INTERVALS_MATLAB = "UCSDped2.m"
_RANGE = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*\]")


class UcsdPed2(Dataset):
    """The 28 clips of UCSD Ped2 in the weakly supervised re-split used with TEVAD and others.

    The original split trains on normal clips only; the re-split moves six abnormal clips to the training side and
    twelve normal ones to the test side. No class labels exist, so there is one abnormal class, and mAUC and mAP are
    those of that class.
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
        " folders of frames (UCSDped2/Test/Test001/001.tif ...), and the abnormal intervals as UCSDped2.m (official) or"
        f" {INTERVALS_JSON}"
    )
    homepage = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm"
    licence = "none stated; for research"
    citation = "Mahadevan, Li, Bhalodia, Vasconcelos: Anomaly Detection in Crowded Scenes, CVPR 2010"
    extraction_stride = 1

    def prepare(self, progress: Progress = silent) -> None:
        super().prepare(progress)
        self.videos("train")
        self._intervals()

    def videos(self, split: Split, boundaries: Boundaries = "native") -> Sequence[Video]:
        official = [f"Test{i:03d}" for i in range(1, OFFICIAL_TEST + 1)]
        official += [f"Train{i:03d}" for i in range(1, OFFICIAL_TRAIN + 1)]
        training = TRAIN_ABNORMAL + TRAIN_NORMAL
        names = [n for n in official if (n in training) == (split == "train")]
        found = [(n, path) for n in names if (path := self._clip(n))]
        if not found:
            raise DataError(f"no clip of {self.name} under {self.root}; expected there: {self.files}")
        intervals = self._intervals() if split == "test" else {}
        return [
            Video(
                name,
                ("Anomaly",) if name.startswith("Test") else ("Normal",),
                path,
                segments=(Segment("Anomaly", *intervals[name]),) if name in intervals else (),
            )
            for name, path in found
        ]

    def _clip(self, name: str) -> Path | None:
        side = name[:-3]
        for parent in (self.root, self.root / side, self.root / "UCSDped2" / side):
            for candidate in (*(parent / f"{name}{s}" for s in sorted(VIDEO_SUFFIXES)), parent / name):
                if candidate.exists():
                    return candidate
        return None

    def _intervals(self) -> dict[str, tuple[int, int]]:
        """Half-open 0-based interval of each official test clip; both sources are 1-based with both ends inside."""
        for parent in (self.root, self.root / "Test", self.root / "UCSDped2", self.root / "UCSDped2" / "Test"):
            if (path := parent / INTERVALS_JSON).is_file():
                pairs = _from_json(path)
            elif (path := parent / INTERVALS_MATLAB).is_file():
                pairs = _from_matlab(path)
            else:
                continue
            if len(pairs) != OFFICIAL_TEST:
                raise DataError(
                    f"{path}: expected one interval for each of {OFFICIAL_TEST} test clips, found {len(pairs)}"
                )
            intervals = {f"Test{i:03d}": pair for i, pair in enumerate(pairs, start=1)}
            for name, (first, last) in intervals.items():
                if not 1 <= first <= last:
                    raise DataError(f"{path}: expected 1 <= first <= last frame of {name}, found {first} {last}")
            return {name: (first - 1, last) for name, (first, last) in intervals.items()}
        raise DataError(f"no abnormal intervals of {self.name} under {self.root}; expected there: {self.files}")


def _from_json(path: Path) -> list[tuple[int, int]]:
    content, where = read_json(path), str(path)
    try:
        return [(whole(first, where), whole(last, where)) for (first,), (last,) in content]
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: expected a list of [[first], [last]] pairs, one a test clip: {error}") from error


def _from_matlab(path: Path) -> list[tuple[int, int]]:
    found = [(where, pair) for where, text in read_lines(path) for pair in _RANGE.findall(text)]
    return [(whole(first, where), whole(last, where)) for where, (first, last) in found]
