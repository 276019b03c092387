"""Any videos with a ground truth in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vadbench.base.errors import DataError
from vadbench.base.ground_truth import Truth
from vadbench.data.annotations.fraction_files import HALF_OPEN, convention
from vadbench.data.annotations.fraction_files import NORMAL as NORMAL_NAME
from vadbench.dataset import ClassTable, Split, Video, VideoClass
from vadbench_spans.dataset import NORMAL, TRUTH_FILE, UNNAMED, SpannedDataset


class Spans(SpannedDataset):
    """Videos, classes and ground truth of one file; results under different files are never ranked together.

    Segments without a class are of one class, ``Abnormal``. There are metrics of classes where every segment has a
    class and two are not of the same one.
    """

    name = "spans"
    truth_files = ("*_test_anno.json", TRUTH_FILE)
    classes = ClassTable((NORMAL, UNNAMED), normal=0)
    expected = {"test": 0}
    files = (
        "a ground truth, --truth FILE or truth.json in the root (as vadbench data export writes it, or LaGoVAD's"
        " *_test_anno.json); with fractions of lengths frame counts as frames.json ({name: frames}) or frames.txt"
        " (lines 'name frames'), else the videos; videos, or folders of frames, anywhere below the root"
    )
    licence = "that of the videos"
    _adopted: Truth | None = None

    @property
    def other_truth(self) -> Truth | None:
        """The ground truth of all videos, which names results whether it is an option's or in the root.

        Raises:
            DataError: as :attr:`source`.
        """
        if self._adopted is None:
            self.adopt(self.own_truth())
        return self._adopted

    @other_truth.setter
    def other_truth(self, truth: Truth | None) -> None:
        self._adopted = truth

    @property
    def source(self) -> Truth:
        if (truth := self.other_truth) is None:
            raise DataError(f"{self.name}: no ground truth; expected: {self.files}")
        return truth

    @property
    def sizes(self) -> Mapping[Split, int]:
        return {"test": len(self.source.videos)}

    def adopt(self, truth: Truth) -> None:
        """Take a ground truth, and the classes and videos that it names."""
        super().adopt(truth)
        self.classes = _class_table(truth)
        self.by_class = len(self.classes.abnormal) > 1 and UNNAMED not in self.classes.classes

    def read_split(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        # The ground truth is that of the videos already.
        videos = self.videos(split, boundaries)
        if (found := convention(self.source.videos)) not in ("", HALF_OPEN):
            read = f"{self.source.name}: spans are read as [start, end)"
            note = f"{read}, and look {found}: frames at their ends may be wrong"
            self.problems += [note] if note not in self.problems else []
        return videos


def _class_table(truth: Truth) -> ClassTable:
    """Return the classes that a ground truth names, the normal one first; names that differ in the case of letters or
    in ``_`` for a blank are one class."""
    labels = {s.label for v in truth.videos.values() for s in v.shares}
    labels |= {label for v in truth.videos.values() for label, _, _ in v.segments}
    spellings: dict[str, list[str]] = {}
    for label in sorted(label for label in labels if label is not None):
        spellings.setdefault(label.casefold().replace("_", " "), []).append(label)
    spellings.pop(NORMAL_NAME, None)
    some = None in labels or spellings.pop(UNNAMED.words, None) is not None
    named = [VideoClass(first, aliases=tuple(others)) for _, (first, *others) in sorted(spellings.items())]
    unnamed = [UNNAMED] if some or not named else []
    return ClassTable((NORMAL, *unnamed, *named), normal=0)
