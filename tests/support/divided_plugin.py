"""Data sets with other divisions, other ground truths and scenarios, one of them without classes; they make their own
features, and have no video files."""

import numpy as np

from vadbench import DatasetSpec, hookimpl
from vadbench.base.ground_truth import Truth, TruthVariant, VideoTruth
from vadbench.dataset import ClassTable, Dataset, Partition, Segment, Video, VideoClass

FRAMES, START, END = 30, 10, 20


@hookimpl
def vadbench_datasets():
    return [
        DatasetSpec("divided", "features of videos in two divisions", "divided_plugin:Divided"),
        DatasetSpec("unclassed", "the same without classes", "divided_plugin:Unclassed"),
        DatasetSpec("placed", "the same, whose files are a user's", "divided_plugin:Placed"),
    ]


class Divided(Dataset):
    """Features of noise, one row a frame; in abnormal videos it is louder from frame 10 to 20."""

    name = "divided"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Square"), VideoClass("Circle")), normal=0)
    expected = {"train": 10, "test": 16}
    files = "nothing: the features are made there on first use"
    makes_itself = True
    partitions = {
        "wide": Partition("two abnormal training videos are tested", {"train": 8, "test": 18}),
        "short": Partition("trained as in its own, tested on fewer", {"train": 10, "test": 12}),
        "alone": Partition("everything is tested", {"test": 26}),
    }
    truths = {
        "late": TruthVariant("every anomaly five frames later"),
        "rows": TruthVariant("the same by rows", tail="rows"),
        "nameless": TruthVariant("without classes"),
    }
    remarks = ("Scenarios of normal videos are unknown",)

    def prepare(self, progress=None):
        self.root.mkdir(parents=True, exist_ok=True)
        for seed, video in enumerate(v for split in self.splits for v in self.videos(split)):
            rows = np.random.default_rng(seed).standard_normal((FRAMES, 64))
            rows[START:END] += 0.3 * ("Normal" not in video.labels)
            np.save(self.root / f"{video.name}.npy", rows.astype(np.float32))

    def videos(self, split, boundaries="native"):
        train = [self._video(f"train-{i}", i, "") for i in range(10)]
        count = 12 if self.partition == "short" else 16
        test = [self._video(f"test-{i}", i, "park" if i in (0, 2) else "mall") for i in range(count)]
        moved = {"wide": train[:4:2], "alone": train}.get(self.partition, [])
        return [v for v in train if v not in moved] if split == "train" else test + moved

    def _video(self, name, i, scenario):
        if i % 2:
            return Video(name, ("Normal",), frames=FRAMES)
        labels = ("Square", "Circle") if i == 4 else ("Circle" if i == 6 else "Square",)
        segments = tuple(Segment(label, START, END) for label in labels)
        return Video(name, labels, frames=FRAMES, segments=segments, scenario=scenario)

    def truth(self, name):
        if name not in self.truths:
            return super().truth(name)
        later = 5 if name == "late" else 0
        tested = {v.name: v for split in self.splits for v in self.videos(split)}
        return Truth(
            name,
            {
                v.name: VideoTruth(
                    tuple(
                        (None if name == "nameless" else s.label, s.start + later, s.end + later) for s in v.segments
                    ),
                    FRAMES,
                    f"{name}, {v.name}",
                )
                for v in tested.values()
            },
        )


class Unclassed(Divided):
    """The same videos, whose anomalies have no class."""

    name = "unclassed"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Abnormal")), normal=0)
    by_class = False

    def _video(self, name, i, scenario):
        if i % 2:
            return Video(name, ("Normal",), frames=FRAMES)
        return Video(name, ("Abnormal",), frames=FRAMES, segments=(Segment("Abnormal", START, END),), scenario=scenario)


class Placed(Divided):
    """The same videos in a folder that the user names."""

    name = "placed"
    makes_itself = False

    def prepare(self, progress=None):
        Dataset.prepare(self)
