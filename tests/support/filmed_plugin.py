"""Data sets for recorded scores: videos of many lengths and hard names, whose files nobody needs."""

import numpy as np

from vadbench import DatasetSpec, hookimpl
from vadbench.base.ground_truth import Truth, TruthVariant, VideoTruth
from vadbench.dataset import ClassTable, Dataset, Partition, Segment, Video, VideoClass

TEST = {
    "Riot001_x264": (100, [("Riot", 20, 60)]),
    "Bad.Boys.1995__#00-10-00_label_B2-0-0": (163, [("Riot", 0, 40), ("Fire", 100, 150)]),
    "Fire003_x264": (352, [("Fire", 300, 352)]),
    "Straße, 5": (96, [("Fire", 31, 33)]),
    "v=Xy__#1_label_G-0-0": (211, [("Riot", 5, 205)]),
    "01_0014": (145, [("Fire", 64, 128)]),
    "Normal_Videos_003_x264": (130, []),
    "Normal_Videos_010_x264": (250, []),
    "calm_clip": (80, []),
    "calm": (320, []),
    "empty street": (161, []),
    "Night.at.2200": (48, []),
}
"""Frames and segments of the test videos, 0-based and half-open."""
ABNORMAL = sum(bool(segments) for _, segments in TEST.values())
FRAMES = sum(frames for frames, _ in TEST.values())
POSITIVES = 40 + 90 + 52 + 2 + 200 + 64
HALF = list(TEST)[::2]


@hookimpl
def vadbench_datasets():
    return [
        DatasetSpec("filmed", "videos of many lengths", "filmed_plugin:Filmed"),
        DatasetSpec("unmeasured", "the same, whose lengths are not known", "filmed_plugin:Unmeasured"),
    ]


class Filmed(Dataset):
    """Videos of many lengths, some with anomalies of two classes."""

    name = "filmed"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Riot", aliases=("G",)), VideoClass("Fire")), normal=0)
    expected = {"train": 4, "test": len(TEST)}
    files = "nothing"
    makes_itself = True
    frame_rate = 25.0
    partitions = {"half": Partition("every second test video", {"train": 4, "test": len(HALF)})}
    truths = {
        "late": TruthVariant("every anomaly 8 frames later"),
        "rows": TruthVariant("the same by rows", tail="rows"),
    }

    def videos(self, split, boundaries="native"):
        if split == "train":
            return [Video(f"train-{i}", ("Normal",), frames=100) for i in range(4)]
        names = HALF if self.partition == "half" else list(TEST)
        return [self._video(name) for name in names]

    def _video(self, name):
        frames, segments = TEST[name]
        labels = tuple(dict.fromkeys(label for label, _, _ in segments)) or ("Normal",)
        other = ("quiet",) if name == "calm" else ()
        return Video(name, labels, frames=frames, segments=tuple(Segment(*s) for s in segments), aliases=other)

    def truth(self, name):
        if name not in self.truths:
            return super().truth(name)
        moved = {
            video: tuple((label, min(start + 8, frames - 1), min(end + 8, frames)) for label, start, end in segments)
            for video, (frames, segments) in TEST.items()
        }
        return Truth(name, {video: VideoTruth(segments, TEST[video][0], name) for video, segments in moved.items()})


class Unmeasured(Filmed):
    """The same videos; nobody says how long they are."""

    name = "unmeasured"

    def _video(self, name):
        video = super()._video(name)
        return Video(name, video.labels, segments=video.segments)


def inside(name):
    """The anomalous frames of a test video."""
    frames, segments = TEST[name]
    mask = np.zeros(frames, bool)
    for _, start, end in segments:
        mask[start:end] = True
    return mask


def drawn(seed=0, stride=16, rows=lambda frames, stride: -(-frames // stride), quality=1.0):
    """Scores of every test video, a row per ``stride`` frames, higher where a row begins in an anomaly."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, (frames, _) in TEST.items():
        count = max(rows(frames, stride), 1)
        noise = rng.normal(size=count)
        mask = np.pad(inside(name), (0, count * stride))[: count * stride : stride]
        found[name] = (1 / (1 + np.exp(-noise - quality * mask))).astype(np.float32)
    return found


def by_frame(scores, stride=16, tail="hold"):
    """Scores and truth of the frames of every video, by loops."""
    found = []
    for name, values in scores.items():
        mask, own = inside(name), []
        frames = len(values) * stride if tail.startswith("rows") else len(mask)
        for frame in range(frames):
            row = frame // stride
            own.append(values[row] if row < len(values) else values[-1] if tail == "hold" else 0.0)
        truth = np.zeros(frames, bool)
        truth[: min(frames, len(mask))] = mask[:frames]
        truth[len(mask) :] = tail == "rows-prolonged" and mask[-1]
        found.append((np.array(own, values.dtype), truth))
    return found
