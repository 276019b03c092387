"""A data set of the video files in two folders, whose class is the first word of their names."""

from vadbench import DatasetSpec, hookimpl
from vadbench.dataset import ClassTable, Dataset, Partition, Segment, Video, VideoClass


@hookimpl
def vadbench_datasets():
    return [DatasetSpec("clip-folders", "videos in folders", "clip_folders_plugin:ClipFolders")]


class ClipFolders(Dataset):
    """Every video of ``train`` and ``test``; those named ``riot...`` are abnormal throughout."""

    name = "clip-folders"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Riot")), normal=0)
    expected = {"train": 2, "test": 2}
    files = "train/*.mp4 and test/*.mp4"
    extraction_stride = 1
    partitions = {"one": Partition("all of it is tested", {"test": 4})}

    def videos(self, split, boundaries="native"):
        folders = ("train", "test") if self.partition == "one" else (split,)
        return [self._video(path) for folder in folders for path in sorted((self.root / folder).glob("*.mp4"))]

    def _video(self, path):
        label = "Riot" if path.stem.startswith("riot") else "Normal"
        return Video(path.stem, (label,), path, segments=(Segment(label, 0, 9),) if label == "Riot" else ())
