"""A scratch plugin: sound data sets, and data sets that each break one thing.

``FAILS`` says which checks each must fail: the one it is made for first, then those that this implies.
"""

import time
from dataclasses import replace
from pathlib import Path

from vadbench import DatasetSpec, hookimpl
from vadbench.base.errors import DataError
from vadbench.base.ground_truth import Truth, TruthVariant, VideoTruth
from vadbench.dataset import ClassTable, Dataset, Partition, Segment, Video, VideoClass

LISTED = ["names", "splits", "labels", "segments", "order", "paths", "boundaries", "counts"]
FAILS = {
    "double-names": ["classes"],
    "double-words": ["classes"],
    "alias-of-another": ["classes"],
    "no-normal": ["classes", "labels", "segments"],
    # Whose splits are not known cannot be listed.
    "half-expected": ["expected", *LISTED],
    "odd-split": ["expected", *LISTED],
    "no-files-text": ["files"],
    "odd-headline": ["attributes"],
    "no-stride": ["attributes"],
    "no-rate": ["attributes"],
    "letters-for-folders": ["attributes"],
    "perhaps-by-class": ["attributes"],
    "pair-for-reading": ["attributes"],
    "letters-for-remarks": ["attributes"],
    "long-remark": ["attributes"],
    "odd-partition-name": ["attributes"],
    "unexplained-partition": ["attributes"],
    # It cannot be followed either.
    "untested-partition": ["attributes", "partitions"],
    "unexplained-truth": ["attributes"],
    "odd-tail": ["attributes"],
    # It cannot be made where it should say what is missing either.
    "eager": ["constructor", "missing-root"],
    "slow": ["constructor"],
    "creates-root": ["constructor", "missing-root"],
    "takes-no-root": ["constructor", "missing-root", *LISTED, "partitions", "truths"],
    "content-with-nothing": ["missing-root"],
    "other-error": ["missing-root"],
    "unnamed-root": ["missing-root"],
    "same-name-twice": ["names"],
    "numbered": ["names"],
    "overlap": ["splits"],
    "selects-on-test": ["splits"],
    # Nothing is annotated then.
    "no-test": ["splits", "segments"],
    "unlabelled": ["labels"],
    "by-alias": ["labels", "segments"],
    "normal-and-more": ["labels"],
    "numbered-scenes": ["labels"],
    # Labels and segments are both looked up in the table.
    "double-own-table": ["labels", "segments"],
    "strong": ["segments"],
    "past-the-end": ["segments"],
    "normal-segment": ["segments"],
    "anomaly-of-normal": ["segments"],
    "unmerged": ["segments"],
    "unannotated": ["segments"],
    "half-annotated": ["segments"],
    "normal-validation-segment": ["segments"],
    "reverses": ["order"],
    "elsewhere": ["paths"],
    "not-there": ["paths"],
    "native-only": ["boundaries"],
    "counts-wrong": ["counts"],
    "leaky-partition": ["partitions"],
    "crowded-partition": ["partitions"],
    "empty-partition": ["partitions"],
    "double-in-partition": ["partitions"],
    "crashing-partition": ["partitions"],
    "chatty-partition": ["partitions"],
    "misnamed-truth": ["truths"],
    "short-truth": ["truths"],
    "truth-past-the-end": ["truths"],
    "truth-of-nothing": ["truths"],
    "unread-truth": ["truths"],
    "crashing-truth": ["truths"],
    "chatty-truth": ["truths"],
    "other-videos-under-truth": ["truths"],
}
SOUND = ["sound-set", "three-parts", "plain-validation", "for-testing", "own-table", "many-sided"]
ABSENT = {"absent-partition": "partitions", "absent-truth": "truths"}
"""Data sets whose files for another division or ground truth are not there, and the check that is skipped then."""
NEEDY = "needs-annotation"
"""A data set that demands its own annotation whatever ground truth was adopted."""


@hookimpl
def vadbench_datasets():
    names = {"".join(part.title() for part in name.split("-")): name for name in (*SOUND, *FAILS, *ABSENT, NEEDY)}
    return [DatasetSpec(name, "for tests", f"broken_datasets:{kind}") for kind, name in names.items()]


ANNOTATION = "annotation.txt"


def make_root(folder):
    """Files of a complete copy."""
    for split, count in ThreeParts.expected.items():
        (folder / split).mkdir(parents=True)
        for i in range(count):
            (folder / split / f"{split}-{i}.mp4").touch()
    (folder.parent / "elsewhere.mp4").touch()
    (folder / ANNOTATION).touch()
    return folder


class SoundSet(Dataset):
    """Passes."""

    name = "sound-set"
    classes = ClassTable((VideoClass("Fire", "a fire", ("fire",)), VideoClass("Normal"), VideoClass("Fight")), 1)
    expected = {"train": 4, "test": 4}
    files = "train/*.mp4 and test/*.mp4"

    def __init_subclass__(cls):
        cls.name = "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).strip("-")

    def videos(self, split, boundaries="native"):
        paths = sorted((self.root / split).glob("*.mp4"))
        return [self.change(split, i, self.video(split, i, path)) for i, path in enumerate(paths)]

    def video(self, split, i, path):
        label = ("Normal", "Fire", "Normal", "Fight")[i % 4]
        segments = (Segment(label, 3, 7),) if label != "Normal" and split != "train" else ()
        return Video(path.stem, (label,), path, 10, segments)

    def change(self, split, i, video):
        return video


class ThreeParts(SoundSet):
    """Passes: validation videos may be annotated."""

    expected = {"train": 4, "validation": 4, "test": 4}


class PlainValidation(ThreeParts):
    """Passes: they need not be."""

    def change(self, split, i, video):
        return replace(video, segments=()) if split == "validation" else video


class ForTesting(SoundSet):
    """Passes: a data set for testing alone."""

    expected = {"test": 4}


class OwnTable(SoundSet):
    """Passes: its files name its classes."""

    classes = ClassTable((VideoClass("Normal"), VideoClass("Anything")), 0)

    def videos(self, split, boundaries="native"):
        self.classes = SoundSet.classes
        return super().videos(split)


class ManySided(SoundSet):
    """Passes: another division, and another ground truth that needs no annotation of its own."""

    partitions = {"swapped": Partition("the two splits change places", {"train": 4, "test": 3})}
    truths = {"later": TruthVariant("a frame later", "rows")}

    def videos(self, split, boundaries="native"):
        if self.other_truth is None and not (self.root / ANNOTATION).is_file():
            raise DataError(f"{self.root}: no {ANNOTATION}")
        if not self.partition:
            return super().videos(split)
        return self.divided(split)

    def divided(self, split):
        return super().videos("test") if split == "train" else super().videos("train")[1:]

    def truth(self, name):
        names = [f"test-{i}" for i in range(4)]
        return Truth(name, {n: VideoTruth(((None, 4, 8),) if n[-1] in "13" else (), 10, n) for n in names})


class NeedsAnnotation(ManySided):
    def videos(self, split, boundaries="native"):
        if not (self.root / ANNOTATION).is_file():
            raise DataError(f"{self.root}: no {ANNOTATION}")
        return super().videos(split)


class DoubleNames(SoundSet):
    classes = ClassTable((VideoClass("Fire", "a fire"), *SoundSet.classes.classes[1:], VideoClass("Fire", "blaze")), 1)


class DoubleWords(SoundSet):
    classes = ClassTable((*SoundSet.classes.classes, VideoClass("Blaze", "a fire")), 1)


class AliasOfAnother(SoundSet):
    classes = ClassTable((*SoundSet.classes.classes, VideoClass("Blaze", "a blaze", ("fire",))), 1)


class NoNormal(SoundSet):
    classes = ClassTable(SoundSet.classes.classes, 3)


class HalfExpected(SoundSet):
    expected = {"train": 4}


class OddSplit(SoundSet):
    expected = {"train": 4, "val": 4, "test": 4}


class NoFilesText(SoundSet):
    files = ""


class OddHeadline(SoundSet):
    headline = "mAP"


class NoStride(SoundSet):
    extraction_stride = 0


class NoRate(SoundSet):
    frame_rate = 0


class LettersForFolders(SoundSet):
    truth_folders = "masks"


class PerhapsByClass(SoundSet):
    by_class = None


class PairForReading(SoundSet):
    share_reading = (0, 1)


class LettersForRemarks(SoundSet):
    remarks = "results on it are old"


class LongRemark(SoundSet):
    remarks = ["results on it\nare old"]


class OddPartitionName(ManySided):
    partitions = {"swapped over": ManySided.partitions["swapped"]}


class UnexplainedPartition(ManySided):
    partitions = {"swapped": Partition("", {"train": 4, "test": 3})}


class UntestedPartition(ManySided):
    partitions = {"swapped": Partition("the two splits change places", {"train": 4})}


class UnexplainedTruth(ManySided):
    truths = {"later": TruthVariant("")}


class OddTail(ManySided):
    truths = {"later": TruthVariant("a frame later", "cut")}


class Eager(SoundSet):
    def __init__(self, root):
        super().__init__(root)
        if not list(root.glob("train/*.mp4")):
            raise DataError("no videos")


class Slow(SoundSet):
    def __init__(self, root):
        super().__init__(root)
        time.sleep(0.51)


class CreatesRoot(SoundSet):
    def __init__(self, root):
        super().__init__(root)
        root.mkdir(exist_ok=True)


class TakesNoRoot(SoundSet):
    def __init__(self):
        super().__init__(Path("/data"))


class ContentWithNothing(SoundSet):
    def prepare(self, progress=None):
        pass


class OtherError(SoundSet):
    def prepare(self, progress=None):
        (self.root / "train").stat()


class UnnamedRoot(SoundSet):
    def prepare(self, progress=None):
        if not self.root.is_dir():
            raise DataError("the root is missing")


class SameNameTwice(SoundSet):
    def change(self, split, i, video):
        return replace(video, name="train-0") if split == "train" and i == 1 else video


class Numbered(SoundSet):
    def change(self, split, i, video):
        return replace(video, name=i) if split == "test" else video


class NumberedScenes(SoundSet):
    def change(self, split, i, video):
        return replace(video, scenario=i) if split == "test" else video


class DoubleOwnTable(SoundSet):
    def videos(self, split, boundaries="native"):
        self.classes = DoubleNames.classes
        return super().videos(split)


class Overlap(SoundSet):
    def change(self, split, i, video):
        return replace(video, name="train-0") if split == "test" and i == 0 else video


class SelectsOnTest(ThreeParts):
    def change(self, split, i, video):
        return replace(video, name="test-0") if split == "validation" and i == 0 else video


class NoTest(SoundSet):
    def videos(self, split, boundaries="native"):
        return super().videos(split) if split == "train" else []


class Unlabelled(SoundSet):
    def change(self, split, i, video):
        return replace(video, labels=()) if video.labels == ("Normal",) else video


class ByAlias(SoundSet):
    def change(self, split, i, video):
        segments = tuple(replace(s, label=s.label.lower()) for s in video.segments)
        return replace(video, labels=("fire",), segments=segments) if video.labels == ("Fire",) else video


class NormalAndMore(SoundSet):
    def change(self, split, i, video):
        return replace(video, labels=("Fire", "Normal")) if split == "train" and i == 1 else video


class Strong(SoundSet):
    def change(self, split, i, video):
        return replace(video, segments=(Segment("Fire", 3, 7),)) if split == "train" and i == 1 else video


class PastTheEnd(SoundSet):
    def change(self, split, i, video):
        return replace(video, segments=(Segment("Fire", 3, 11),)) if split == "test" and i == 1 else video


class NormalSegment(SoundSet):
    def change(self, split, i, video):
        more = (*video.segments, Segment("Normal", 0, 3))
        return replace(video, segments=more) if split == "test" and i == 1 else video


class AnomalyOfNormal(SoundSet):
    def change(self, split, i, video):
        return replace(video, segments=(Segment("Fire", 3, 7),)) if split == "test" and i == 0 else video


class Unmerged(SoundSet):
    def change(self, split, i, video):
        return replace(video, binary=((3, 5), (5, 7))) if split == "test" and i == 1 else video


class Unannotated(SoundSet):
    def change(self, split, i, video):
        return replace(video, segments=())


class HalfAnnotated(ThreeParts):
    def change(self, split, i, video):
        return replace(video, segments=()) if split == "validation" and i == 1 else video


class NormalValidationSegment(ThreeParts):
    def change(self, split, i, video):
        return replace(video, segments=(Segment("Fire", 3, 7),)) if split == "validation" and i == 0 else video


class Reverses(SoundSet):
    calls = 0

    def videos(self, split, boundaries="native"):
        self.calls += 1
        return super().videos(split)[:: 1 - 2 * (self.calls % 2)]


class Elsewhere(SoundSet):
    def change(self, split, i, video):
        return replace(video, path=self.root / ".." / "elsewhere.mp4") if i == 0 else video


class NotThere(SoundSet):
    def change(self, split, i, video):
        return replace(video, path=self.root / "train" / "none.mp4") if i == 0 else video


class NativeOnly(SoundSet):
    def videos(self, split, boundaries="native"):
        if boundaries != "native":
            raise ValueError(boundaries)
        return super().videos(split)


class CountsWrong(SoundSet):
    expected = {"train": 3, "test": 4}


class LeakyPartition(ManySided):
    def divided(self, split):
        return SoundSet.videos(self, "train")[1:]


class CrowdedPartition(ManySided):
    def divided(self, split):
        return SoundSet.videos(self, "test" if split == "train" else "train")


class EmptyPartition(ManySided):
    def divided(self, split):
        return super().divided(split) if split == "test" else []


class DoubleInPartition(ManySided):
    def divided(self, split):
        return [super().divided(split)[0]] * 2


class CrashingPartition(ManySided):
    def divided(self, split):
        return {}[split]


class ChattyPartition(ManySided):
    def divided(self, split):
        raise DataError("the list is missing\nfetch it")


class AbsentPartition(ManySided):
    def divided(self, split):
        raise DataError(f"{self.root}: no swapped.txt; fetch it")


class MisnamedTruth(ManySided):
    def truth(self, name):
        return replace(super().truth(name), name="other")


class ShortTruth(ManySided):
    def truth(self, name):
        truth = super().truth(name)
        return replace(truth, videos={n: v for n, v in truth.videos.items() if n != "test-2"})


class TruthPastTheEnd(ManySided):
    def truth(self, name):
        truth = super().truth(name)
        return replace(truth, videos=truth.videos | {"test-1": VideoTruth(((None, 4, 80),), 10, "line 2")})


class TruthOfNothing(ManySided):
    def truth(self, name):
        truth = super().truth(name)
        return replace(truth, videos={n: VideoTruth() for n in truth.videos})


class UnreadTruth(ManySided):
    def truth(self, name):
        return Dataset.truth(self, name)


class CrashingTruth(ManySided):
    def truth(self, name):
        return {}[name]


class ChattyTruth(ManySided):
    def truth(self, name):
        raise DataError("the file is missing\nfetch it")


class AbsentTruth(ManySided):
    def truth(self, name):
        raise DataError(f"{self.root}: no later.json; fetch it")


class OtherVideosUnderTruth(ManySided):
    def videos(self, split, boundaries="native"):
        found = super().videos(split)
        return found if self.other_truth is None else found[::-1]
