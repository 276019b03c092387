"""A data set for testing alone: it has no split to train on.

Methods that need no training run on it, and ``vadbench run --from RUN`` evaluates a method that was trained elsewhere.
"""

import numpy as np

from vadbench import DatasetSpec, hookimpl
from vadbench.dataset import ClassTable, Dataset, Segment, Video, VideoClass


@hookimpl
def vadbench_datasets():
    return [DatasetSpec("testing-only", "features of six test videos", "testing_only:Alone")]


class Alone(Dataset):
    """Features of noise, one row a frame; in abnormal videos it is louder from frame 10 to 20."""

    name = "testing-only"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Square")), normal=0)
    expected = {"test": 6}
    files = "nothing: the features are made there on first use"
    makes_itself = True

    def prepare(self, progress=None):
        self.root.mkdir(parents=True, exist_ok=True)
        for seed, video in enumerate(self.videos("test")):
            rows = np.random.default_rng(seed).standard_normal((video.frames, 64))
            for start, end in video.runs:
                rows[start:end] += 1
            np.save(self.root / f"{video.name}.npy", rows.astype(np.float32))

    def videos(self, split, boundaries="native"):
        return [
            Video(f"abnormal-{i}", ("Square",), frames=30, segments=(Segment("Square", 10, 20),)) for i in range(3)
        ] + [Video(f"normal-{i}", ("Normal",), frames=30) for i in range(3)]
