"""A scratch plugin for tests: a data set of tiny real videos, a method that trains, and methods that misbehave."""

import os
import time
from dataclasses import replace

import numpy as np
import torch
from pydantic import Field
from torch import nn

from vadbench import DatasetSpec, MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.data.media import write_video
from vadbench.dataset import ClassTable, Dataset, Segment, Video, VideoClass
from vadbench.method import Method, Scores
from vadbench.training import stages

# Tests kill trainings that take a second: they must find a state from which to go on.
stages.SAVE_SECONDS = 0.0
# Tests change these by the environment, because the file is executed again for every registry.
TRAIN, TEST = int(os.environ.get("TINY_TRAIN", 8)), int(os.environ.get("TINY_TEST", 6))
END = int(os.environ.get("TINY_END", 20))
STATED = int(os.environ.get("TINY_STATED", 30))
WORDS = os.environ.get("TINY_WORDS", "a bright square")


@hookimpl
def vadbench_datasets():
    return [
        DatasetSpec("tiny", "tiny real videos", "tiny_plugin:Tiny"),
        DatasetSpec("other", "others", "tiny_plugin:Other"),
    ]


@hookimpl
def vadbench_methods():
    return [
        MethodSpec("linear", "a logistic regression on rows", "tiny_plugin:Linear"),
        MethodSpec("texts", "the same, compared with CLIP's texts", "tiny_plugin:Texts"),
        MethodSpec("wrong-shape", "returns one score too few", "tiny_plugin:WrongShape"),
        MethodSpec("diverges", "its loss is not finite under seed 1", "tiny_plugin:Diverges"),
    ]


class Tiny(Dataset):
    """Grey noise; in abnormal videos a bright square from frame 10 to 20."""

    name = "tiny"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Square", WORDS)), normal=0)
    expected = {"train": TRAIN, "test": TEST}
    files = "nothing"
    makes_itself = True
    extraction_stride = 2

    def prepare(self, progress=lambda *_: None):
        self.root.mkdir(parents=True, exist_ok=True)
        for split in ("train", "test"):
            for video in self.videos(split):
                if not video.path.is_file():
                    write_video(video.path, self._frames(video), fps=10)

    def videos(self, split, boundaries="native"):
        videos = []
        for i in range(self.expected[split]):
            abnormal = i % 2 == 0
            segments = (Segment("Square", 10, END),) if abnormal and split == "test" else ()
            name = f"{split}-{i}"
            labels = ("Square" if abnormal else "Normal",)
            videos.append(Video(name, labels, self.root / f"{name}.mp4", STATED, segments))
        return videos

    def _frames(self, video):
        rng = np.random.default_rng(sum(video.name.encode()))
        for t in range(30):
            frame = rng.integers(60, 90, (48, 64, 3), dtype=np.uint8)
            if video.labels == ("Square",) and 10 <= t < 20:
                frame[10:40, 10:50] = 255
            yield frame


class Other(Tiny):
    """The same videos under other class names."""

    name = "other"
    classes = ClassTable((VideoClass("Calm"), VideoClass("Blob")), normal=0)

    def videos(self, split, boundaries="native"):
        names = {"Square": "Blob", "Normal": "Calm"}
        return [
            Video(
                v.name,
                tuple(names[n] for n in v.labels),
                v.path,
                v.frames,
                tuple(Segment("Blob", s.start, s.end) for s in v.segments),
            )
            for v in super().videos(split)
        ]

    def _frames(self, video):
        labels = ("Square",) if video.labels == ("Blob",) else ("Normal",)
        return super()._frames(Video(video.name, labels))


class Config(MethodConfig):
    dataset_defaults = {"tiny": {"width": 5}}
    width: int = Field(4, description="rows in a view")
    pause: float = Field(0.0, description="seconds to wait in each step, for tests that kill it")
    recipe: Recipe = Recipe(epochs=4, batch_size=4, learning_rate=0.01)


class Linear(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)
        self.register_buffer("center", torch.zeros(task.dim))

    def prepare(self, data):
        total, count = np.zeros(self.task.dim), 0
        for video in data.normal:
            rows = video.rows
            total += rows.sum(0, dtype=np.float64)
            count += len(rows)
        if count:
            self.center = torch.from_numpy((total / count).astype(np.float32))

    def view(self, video, rng):
        features = video.rows
        return {"x": np.asarray(features[rng.integers(len(features), size=self.config.width)])}

    def loss(self, batch):
        if self.config.pause:
            time.sleep(self.config.pause)
        s = self._logits(nn.functional.dropout(batch.views["x"], 0.1)).amax(1)
        target = 1 - batch.labels[:, self.task.classes.normal]
        return {"bce": nn.functional.binary_cross_entropy_with_logits(s, target)}

    def score(self, videos):
        out, normal, others = [], self.task.classes.normal, len(self.task.classes) - 1
        for video in videos:
            s = torch.sigmoid(self._logits(video.rows))
            classes = (s / others)[:, None].repeat(1, others + 1)
            classes[:, normal] = 1 - s
            out.append(Scores(s, classes))
        return out

    def _logits(self, x):
        return self.layer(x - self.center)[..., 0]


class TextsConfig(Config):
    def needs(self):
        return replace(super().needs(), text=True)


class Texts(Linear):
    Config = TextsConfig


class WrongShape(Linear):
    def score(self, videos):
        return [Scores(s.anomaly[1:]) for s in super().score(videos)]


class Diverges(Linear):
    def __init__(self, config, task):
        super().__init__(config, task)
        self.bad = torch.initial_seed() == 1

    def loss(self, batch):
        terms = super().loss(batch)
        if self.bad and os.environ.get("TINY_BUG"):
            raise ZeroDivisionError("a bug")
        return {name: term * (float("nan") if self.bad else 1) for name, term in terms.items()}
