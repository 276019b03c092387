"""A scratch plugin: a sound method, and methods that each break one thing.

``FAILS`` says which checks each must fail: the one it is made for first, then those that this implies. A method that
cannot be trained, or whose scores the harness refuses, implies all checks that need a training or a score.
"""

import socket
from contextlib import suppress

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn
from torch.nn.functional import normalize
from vadbench_baselines.config import LinearConfig
from vadbench_baselines.linear import ClipLinear
from vadbench_baselines.zero_shot import ZeroShot

from vadbench import MethodSpec, hookimpl
from vadbench.base.locations import find_data_root
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.needs import Needs
from vadbench.method import Method, Reach, Scores, VideoInput
from vadbench.plugins.registry import installed

ON_SYNTHETIC = {"blind", "learns", "leak"}
SLOW = {"workers"} | ON_SYNTHETIC
TRAINED = {"seeds", "resume", "names", "width", "needs", "workers", "network", "writes"} | ON_SYNTHETIC
SCORED = {"shapes", "probabilities", "together", "reach", "float16", "memory", "checkpoint", "device"}
FAILS = {
    "undescribed": ["settings"],
    "bad-defaults": ["settings"],
    "knows-a-stranger": ["settings"],
    # The harness refuses scores of the wrong shape.
    "one-short": ["shapes", "reach", *ON_SYNTHETIC],
    "out-of-range": ["shapes"],
    "no-scores-of-one": ["shapes", "probabilities", "together", "float16", "checkpoint", "device"],
    "sometimes-classes": ["shapes"],
    "not-one": ["probabilities"],
    "normal-first": ["probabilities"],
    # A mean over a batch is one over a window as well.
    "batch-mean": ["together", "reach"],
    # A score that is drawn anew is not the same from a checkpoint either.
    "noisy": ["together", "reach", "checkpoint", "names"],
    "last-first": ["together", *ON_SYNTHETIC],
    "sees-further": ["reach"],
    "longer-chunks": ["reach"],
    # The harness cuts long videos by it.
    "no-chunk": ["reach", *ON_SYNTHETIC],
    "last-bits": ["float16"],
    "keeps-rows": ["memory"],
    "keeps-scores": ["memory"],
    "looks-at-normal": ["supervision"],
    "trains-in-secret": ["supervision"],
    "dead": ["gradients"],
    "left-out": ["gradients"],
    "twice": ["gradients", *SCORED, *TRAINED],
    "vector-term": ["gradients"],
    "not-finite": ["gradients", *SCORED, *TRAINED],
    # Two trainings are not the same, for whatever reason there are two.
    "own-generator": ["seeds", "resume", "names", "leak"],
    # What no checkpoint has does not follow a method to a GPU either.
    "attribute": ["checkpoint", "device"],
    # Nothing but tensors can be written, after an epoch or at the end.
    "extra-state": ["checkpoint", "gradients", *SCORED, *TRAINED],
    "keeps-tower": ["checkpoint"],
    "calls-home": ["network"],
    "asks-for-truth": ["blind"],
    "reads-files": ["blind"],
    "flat": ["learns"],
    "upside-down": ["learns"],
    "prompted": ["leak"],
}


@hookimpl
def vadbench_methods():
    names = {"".join(part.title() for part in name.split("-")): name for name in ("sound", *FAILS)}
    return [MethodSpec(name, "for tests", f"broken_methods:{kind}") for kind, name in names.items()]


QUICK = LinearConfig.dataset_defaults["synthetic"]
QUICK = {**QUICK, "recipe": {**QUICK["recipe"], "epochs": 5}}


class SoundConfig(LinearConfig):
    dataset_defaults = {**LinearConfig.dataset_defaults, "synthetic": QUICK}


class Sound(ClipLinear):
    """Passes, and trains briefly: most of the methods here differ in nothing that training would show."""

    Config = SoundConfig


class UndescribedConfig(SoundConfig):
    width: int = 3


class Undescribed(Sound):
    Config = UndescribedConfig


class BadDefaultsConfig(LinearConfig):
    dataset_defaults = {**LinearConfig.dataset_defaults, "ucfcrime": {"lenght": 3}}


class BadDefaults(Sound):
    Config = BadDefaultsConfig


class KnowsAStranger(Sound):
    known_failures = {"leek": "a slip of the pen"}


class Changed(Sound):
    """A method whose scores are changed afterwards."""

    def score(self, videos):
        return [self.change(s, v.rows) for s, v in zip(super().score(videos), videos, strict=True)]


class OneShort(Changed):
    def change(self, s, rows):
        return Scores(s.anomaly[:-1], s.classes[:-1])


class OutOfRange(Changed):
    def change(self, s, rows):
        return Scores(3 * s.anomaly, s.classes)


class NoScoresOfOne(Changed):
    def change(self, s, rows):
        if len(rows) < 2:
            raise ValueError("a video needs two rows")
        return s


class SometimesClasses(Changed):
    """No class probabilities of long videos."""

    def change(self, s, rows):
        return s if len(rows) < 1000 else Scores(s.anomaly)


class NotOne(Changed):
    def change(self, s, rows):
        return Scores(s.anomaly, 0.9 * s.classes)


class NormalFirst(Changed):
    def change(self, s, rows):
        table = self.task.classes
        return Scores(s.anomaly, s.classes[:, [table.normal, *table.abnormal]])


class BatchMean(Sound):
    def score(self, videos):
        mean = 0.1 * torch.cat([v.rows for v in videos]).mean(0)
        return super().score([VideoInput.of_rows(v.rows - mean) for v in videos])


class Noisy(Changed):
    def change(self, s, rows):
        return Scores((s.anomaly + 1e-4 * torch.rand(len(rows), device=rows.device)).clamp(0, 1), s.classes)


class LastFirst(Sound):
    """Gives the scores of the videos in the wrong order, so that their lengths do not fit."""

    def score(self, videos):
        return super().score(videos)[::-1]


class SeesFurther(Changed):
    """Says that every row counts by itself, as what it is built on does, and looks at its neighbours."""

    def change(self, s, rows):
        ones = rows.new_ones(1, 1, 5)
        count = F.conv1d(rows.new_ones(1, 1, len(rows)), ones, padding=2)
        return Scores((F.conv1d(s.anomaly[None, None], ones, padding=2) / count)[0, 0], s.classes)


class LongerChunks(Changed):
    """Scores chunks of 48 rows and says 16."""

    reach = property(lambda self: Reach(16))

    def change(self, s, rows):
        means = torch.cat([part.mean().expand(len(part)) for part in s.anomaly.split(48)])
        return Scores((s.anomaly + means) / 2, s.classes)


class NoChunk(Sound):
    reach = property(lambda self: Reach(0, whole=True))


class LastBits(Changed):
    def change(self, s, rows):
        return Scores(0.9 * s.anomaly + 0.1 * (1e5 * rows[:, 0]).sin().abs(), s.classes)


class KeepsRows(Sound):
    def score(self, videos):
        self.__dict__.setdefault("seen", []).extend(v.rows for v in videos)
        return super().score(videos)


class KeepsScores(Changed):
    def change(self, s, rows):
        self.__dict__.setdefault("seen", []).append(s.anomaly.cpu().numpy().copy())
        return s


class Dead(Sound):
    def __init__(self, config, task):
        super().__init__(config, task)
        self.unused = nn.Linear(task.dim, 1)


class Scaled(Sound):
    def __init__(self, config, task):
        super().__init__(config, task)
        self.scale = nn.Parameter(torch.ones(()))

    def relate(self, rows, lengths):
        return self.scale * rows


class LeftOut(Scaled):
    def groups(self):
        return {"default": list(self.classifier.parameters())}


class Twice(Scaled):
    """A parameter in two groups; torch refuses to make an optimiser of them."""

    def groups(self):
        return {"default": list(self.parameters()), "scale": [self.scale]}


class VectorTerm(Sound):
    def loss(self, batch):
        return {name: term[None] for name, term in super().loss(batch).items()}


class NotFinite(Sound):
    def loss(self, batch):
        return {name: term.log() * float("inf") for name, term in super().loss(batch).items()}


class OwnGenerator(Sound):
    def view(self, video, rng):
        view = super().view(video, rng)
        return {**view, "features": view["features"] + np.random.normal(0, 1e-3, view["features"].shape).astype("f4")}


class Attribute(Sound):
    center = 0.0

    def prepare(self, data):
        self.center = torch.from_numpy(np.mean([video.rows.mean(0) for video in data.normal], 0)).float()

    def relate(self, rows, lengths):
        return rows - 0.1 * self.center


class ExtraState(Sound):
    def get_extra_state(self):
        return {"classes": self.task.classes.names}

    def set_extra_state(self, state):
        pass


class KeepsTower(ZeroShot):
    def __init__(self, config, task):
        super().__init__(config, task)
        self.tower = task.text


class LooksAtNormal(ZeroShot):
    """Keeps what normal rows are like, and says that it learns nothing, as its settings do."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.register_buffer("center", torch.zeros(task.dim))

    def prepare(self, data):
        for video in data.normal:
            self.center += torch.from_numpy(video.rows.mean(0)).to(self.center.device) / len(data.normal)


class SecretConfig(SoundConfig):
    def needs(self):
        return Needs(supervision="training-free")


class TrainsInSecret(Sound):
    Config = SecretConfig


class CallsHome(Sound):
    """Would be as good without the answer."""

    def __init__(self, config, task):
        super().__init__(config, task)
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()


class AsksForTruth(Sound):
    def score(self, videos):
        kind = installed().dataset("synthetic")
        assert kind(find_data_root("synthetic", True)).videos("test")[0].segments
        return super().score(videos)


class ReadsFiles(Sound):
    def score(self, videos):
        for path in find_data_root("synthetic", True).glob("*/manifest.json"):
            path.read_text()
        return super().score(videos)


class Flat(Changed):
    def change(self, s, rows):
        return Scores(torch.full_like(s.anomaly, 0.5))


class UpsideDown(Changed):
    def change(self, s, rows):
        return Scores(1 - s.anomaly)


class PromptedConfig(MethodConfig):
    temperature: float = Field(0.01, description="divides cosines")
    recipe: Recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.1)

    def needs(self):
        return Needs(text=True)


class Prompted(Method):
    """Learns, whatever the labels say, to trust the class prompts."""

    Config = PromptedConfig

    def __init__(self, config, task):
        super().__init__(config, task)
        self.trust = nn.Parameter(torch.zeros(()))
        with torch.no_grad():
            self.register_buffer("prompts", normalize(task.text(task.classes.words), dim=-1), persistent=False)

    def view(self, video, rng):
        return {"row": np.asarray(video.rows[0], np.float32)}

    def loss(self, batch):
        return {"trust": (1 - self.trust) ** 2 + 0 * batch.views["row"].sum()}

    def score(self, videos):
        normal = self.task.classes.normal
        cosines = [normalize(v.rows, dim=-1) @ self.prompts.T / self.config.temperature for v in videos]
        return [Scores(0.5 + self.trust * (0.5 - c.softmax(-1)[:, normal])) for c in cosines]
