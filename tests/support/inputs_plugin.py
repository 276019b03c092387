"""A scratch plugin for tests: a data set of files that a test damages, takes away or replaces."""

import json

from vadbench import DatasetSpec, hookimpl
from vadbench.dataset import ClassTable, Dataset, Segment, Video, VideoClass


@hookimpl
def vadbench_datasets():
    return [DatasetSpec("yard", "videos and folders of frames", "inputs_plugin:Yard")]


class Yard(Dataset):
    """Videos and folders of frames named in ``truth.json``, which gives the anomalous frames of each."""

    name = "yard"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Square")), normal=0)
    expected = {"train": 4, "test": 5}
    files = "truth.json, and a file or folder for each of its videos"

    def videos(self, split, boundaries="native"):
        videos = []
        for name, (first, end) in json.loads((self.root / "truth.json").read_text())[split].items():
            labels = ("Square",) if end else ("Normal",)
            segments = (Segment("Square", first, end),) if end and split == "test" else ()
            videos.append(Video(name, labels, self.root / "clips" / name, 30, segments))
        return videos
