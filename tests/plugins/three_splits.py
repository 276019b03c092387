"""A data set with a validation split, on which ``vadbench run --selection validation`` chooses weights."""

import os

import numpy as np

from vadbench import DatasetSpec, hookimpl
from vadbench.dataset import ClassTable, Dataset, Segment, Video, VideoClass


@hookimpl
def vadbench_datasets():
    return [DatasetSpec("three-splits", "features of videos in three splits", "three_splits:ThreeSplits")]


class ThreeSplits(Dataset):
    """Features of noise, one row a frame; in abnormal videos it is louder from frame 10 to 20."""

    name = "three-splits"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Square")), normal=0)
    expected = {"train": 8, "validation": 6, "test": 6}
    files = "nothing: the features are made there on first use"
    makes_itself = True

    def prepare(self, progress=None):
        self.root.mkdir(parents=True, exist_ok=True)
        for seed, video in enumerate(v for split in self.splits for v in self.videos(split)):
            rows = np.random.default_rng(seed).standard_normal((video.frames, 64))
            rows[10:20] += video.labels == ("Square",)
            np.save(self.root / f"{video.name}.npy", rows.astype(np.float32))

    def videos(self, split, boundaries="native"):
        # Validation videos may have segments or not.
        annotated = split == "test" or (split == "validation" and "VALIDATION_WITHOUT_SEGMENTS" not in os.environ)
        return [self._video(split, i, annotated) for i in range(self.expected[split])]

    def _video(self, split, i, annotated):
        if i % 2:
            return Video(f"{split}-{i}", ("Normal",), frames=30)
        segments = (Segment("Square", 10, 20),) if annotated else ()
        return Video(f"{split}-{i}", ("Square",), frames=30, segments=segments)
