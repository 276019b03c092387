"""A data set that papers divide in two ways, and whose test videos others annotated again.

Its files are ``annotation.json`` and ``revised.json``, as ``--truth`` reads them, and the list ``one_class.txt``.
"""

from vadbench import DatasetSpec, hookimpl
from vadbench.base.errors import DataError
from vadbench.base.ground_truth import Truth, TruthVariant
from vadbench.data.annotations.lists import read_lines
from vadbench.data.annotations.truth_files import read_truth
from vadbench.dataset import ClassTable, Dataset, Partition, Segment, Video, VideoClass


@hookimpl
def vadbench_datasets():
    return [DatasetSpec("two-truths", "videos in two divisions and under two ground truths", "two_truths:TwoTruths")]


class TwoTruths(Dataset):
    """Videos 0 to 13, of which every second one is abnormal."""

    name = "two-truths"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Intruder")), normal=0)
    expected = {"train": 8, "test": 6}
    files = "annotation.json, and revised.json and one_class.txt where they are used"
    partitions = {
        "one-class": Partition("normal videos alone for training; needs one_class.txt", {"train": 4, "test": 10}),
    }
    truths = {"revised": TruthVariant("annotated again by others; needs revised.json")}

    def truth(self, name: str) -> Truth:
        if name != "revised":
            return super().truth(name)
        path = self.root / "revised.json"
        if not path.is_file():
            raise DataError(f"{self.root}: no revised.json; fetch it from ... for --truth revised")
        return Truth(name, read_truth(path).videos)

    def videos(self, split, boundaries="native"):
        names = [f"video-{i}" for i in range(14)]
        trained = set(names[:8])
        if self.partition == "one-class":
            trained = {name for _, name in read_lines(self.root / "one_class.txt")}
        own = {}
        if split == "test" and self.other_truth is None:
            own = read_truth(self.root / "annotation.json").videos
        return [
            Video(
                name,
                ("Intruder",) if int(name.removeprefix("video-")) % 2 else ("Normal",),
                segments=tuple(Segment("Intruder", start, end) for _, start, end in own[name].segments) if own else (),
            )
            for name in names
            if (name in trained) == (split == "train")
        ]
