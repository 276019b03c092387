"""A scratch plugin: methods that each break what one kind of method must keep, or what is asked of all kinds.

``FAILS`` is as in ``broken_methods``.
"""

import gc
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from broken_methods import ON_SYNTHETIC, SCORED, Changed, Sound, SoundConfig
from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.needs import Needs
from vadbench.dataset import Video
from vadbench.method import Method, Reach, Remarks, Scores, build_method

FAILS = {
    "heavy-settings": ["config"],
    "no-answer": ["fits"],
    "asks-for-text": ["needs"],
    # What it does not name it is not given.
    "asks-for-sound": ["needs", "names", "width", "network", "writes", *SCORED, *ON_SYNTHETIC],
    "asks-for-frames": ["needs", "names", "width", "network", "writes", *SCORED, *ON_SYNTHETIC],
    "raw-distances": ["shapes"],
    # The harness refuses what does not fit the video.
    "three-for-the-video": ["shapes", "reach", *ON_SYNTHETIC],
    "remarks-past-the-end": ["shapes", *ON_SYNTHETIC],
    "negative-cost": ["shapes", *ON_SYNTHETIC],
    "parts-of-a-video": ["reach"],
    "chooses-in-company": ["together"],
    "one-generator": ["together"],
    "peeks": ["lookahead"],
    "one-width": ["width"],
    "estimate-reads": ["estimate"],
    "estimate-guesses": ["estimate"],
    "half-an-optimiser": ["gradients"],
    "grows": ["checkpoint", "device"],
    "forgets-weights": ["vocabulary"],
    "other-tower": ["vocabulary"],
    # On a GPU a training is broken off as well.
    "counts-steps": ["resume", "device"],
    "knows-where": ["workers"],
    "learns-names": ["names"],
    "scores-names": ["names"],
    "hoards": ["bounded"],
    "makes-on-cpu": ["device"],
    "asks-numpy": ["device"],
    "stays-behind": ["device"],
    "other-on-gpu": ["device"],
    "writes-unsaid": ["writes"],
    "writes-elsewhere": ["writes"],
    # The training on a GPU is the second one.
    "remembers": ["leak", "device"],
    "finds-truth": ["leak"],
}
KINDS = {name: "".join(part.title() for part in name.split("-")) for name in ("open", *FAILS)}


@hookimpl
def vadbench_methods():
    heavy = {"heavy-settings": "broken_kinds:HeavyConfig"}
    return [MethodSpec(n, "for tests", f"broken_kinds:{kind}", config=heavy.get(n, "")) for n, kind in KINDS.items()]


class HeavyConfig(SoundConfig):
    """In a module that imports torch, and named by the spec."""


class HeavySettings(Sound):
    Config = HeavyConfig


class NoAnswerConfig(SoundConfig):
    def unfit(self, facts):
        """Says nothing, where it should say that nothing is the matter."""


class NoAnswer(Sound):
    Config = NoAnswerConfig


class AsksForText(Sound):
    def __init__(self, config, task):
        super().__init__(config, task)
        assert task.text.dim


class AsksForSound(Sound):
    def score(self, videos):
        assert all(v.aligned("audio").shape for v in videos)
        return super().score(videos)


class AsksForFrames(Sound):
    def score(self, videos):
        assert all(next(v.frames()) for v in videos)
        return super().score(videos)


class RawDistances(Changed):
    def change(self, s, rows):
        return Scores(5 * s.anomaly)


class ThreeForTheVideo(Changed):
    def change(self, s, rows):
        return replace(s, video=torch.zeros(3))


class RemarksPastTheEnd(Changed):
    def change(self, s, rows):
        n = len(rows)
        return replace(s, remarks=Remarks(np.array([0]), np.array([n + 1]), np.array([0]), ["too long"]))


class NegativeCost(Changed):
    def change(self, s, rows):
        return replace(s, costs={"calls": -1})


class PartsOfAVideo(Changed):
    """Probabilities of the whole video, and a reach of a row."""

    def change(self, s, rows):
        return replace(s, video=s.classes.mean(0))


class ChoosesInCompany(Sound):
    """Chooses rows by values that it computes for all videos at once, whose last bit depends on their number."""

    reach = property(lambda self: Reach(512, whole=True))

    def score(self, videos):
        rows = torch.cat([v.rows for v in videos])
        values = rows.norm(dim=1) * (
            1 + 2e-7 * torch.sin(torch.arange(len(rows), device=rows.device) * 1.0 + len(rows))
        )
        parts = values.split([v.row_count for v in videos])
        return [self._chosen(s, own) for s, own in zip(super().score(videos), parts, strict=True)]

    def _chosen(self, s, values):
        mark = (values >= values.sort().values[len(values) // 2]).float()
        return Scores(0.995 * s.anomaly + 0.005 * mark)


class OneGenerator(Sound):
    """Draws for one video after the other."""

    reach = property(lambda self: Reach(512, whole=True))

    def score(self, videos):
        rng = np.random.default_rng(self.task.seed)
        noise = [torch.from_numpy(rng.uniform(0, 1e-3, v.row_count)).float() for v in videos]
        found = zip(super().score(videos), noise, strict=True)
        return [Scores(0.99 * s.anomaly + n.to(s.anomaly.device)) for s, n in found]


class CausalConfig(SoundConfig):
    def needs(self):
        return replace(super().needs(), lookahead=1)


class Peeks(Changed):
    """Looks two rows ahead and says one."""

    Config = CausalConfig
    reach = property(lambda self: Reach(512, whole=True))

    def change(self, s, rows):
        after = torch.cat([s.anomaly[2:], s.anomaly[-1:].expand(min(2, len(rows)))])[: len(rows)]
        return Scores((s.anomaly + after) / 2)


class OneWidth(Sound):
    def __init__(self, config, task):
        super().__init__(config, task)
        self.classifier = nn.Linear(64, len(task.classes))


class EstimateReads(Sound):
    def estimate(self, videos):
        return {"rows": sum(len(v.rows) for v in videos)}


class EstimateGuesses(Sound):
    def estimate(self, videos):
        return {"calls": "many"}


class HalfAnOptimiser(Sound):
    def optimisers(self, recipe):
        return {"weight": torch.optim.SGD([self.classifier.weight], lr=0.5)}


class Grows(Sound):
    """Keeps rows, without saying how a state with some is loaded."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.register_buffer("bank", torch.zeros(0, task.dim))

    def prepare(self, data):
        rows = np.stack([np.array(v.rows[0], np.float32) for v in data.normal])
        self.bank = torch.from_numpy(rows).to(self.task.device)


class OpenConfig(MethodConfig):
    recipe: Recipe = Recipe(epochs=20, batch_size=16, learning_rate=0.02)

    @property
    def open_vocabulary(self):
        return True


class Open(Method):
    """Passes: what it learns belongs to no class, and classes share an anomaly evenly."""

    Config = OpenConfig

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)

    def view(self, video, rng):
        return {"rows": np.array(video.rows[rng.integers(video.row_count, size=16)], np.float32)}

    def loss(self, batch):
        logits = self.layer(nn.functional.normalize(batch.views["rows"], dim=-1) * 8)[..., 0].amax(1)
        abnormal = 1 - batch.labels[:, self.task.classes.normal]
        return {"bce": nn.functional.binary_cross_entropy_with_logits(logits, abnormal)}

    def score(self, videos):
        return [self._score(nn.functional.normalize(v.rows, dim=-1) * 8) for v in videos]

    def _score(self, rows):
        table = self.task.classes
        shares = rows.new_full((len(rows), len(table) - 1), 1 / (len(table) - 1))
        return Scores.from_shares(self.layer(rows)[:, 0].sigmoid(), shares, table)


class ForgetsWeights(Open):
    def retarget(self, classes):
        other = super().retarget(classes)
        return build_method(type(self), self.config, other.task, 7)


class TextConfig(OpenConfig):
    def needs(self):
        return Needs(text=True)


class OtherTower(Open):
    """Takes a copy of the text tower along."""

    Config = TextConfig

    def __init__(self, config, task):
        super().__init__(config, task)
        assert task.text

    def retarget(self, classes):
        other = super().retarget(classes)
        other.task.text = type("Tower", (), {"dim": self.task.dim})()
        return other


class CountsSteps(Sound):
    """Weighs the loss by a count that nothing stores."""

    steps = 0

    def loss(self, batch):
        self.steps += 1
        return {name: term / self.steps for name, term in super().loss(batch).items()}


class KnowsWhere(Sound):
    """Its views depend on whether it was built in this process."""

    built = False

    def __init__(self, config, task):
        super().__init__(config, task)
        KnowsWhere.built = True

    def view(self, video, rng):
        view = super().view(video, rng)
        return {
            **view,
            "features": view["features"] + np.eye(view["features"].shape[-1], dtype="f4")[0] * (not self.built),
        }


class LearnsNames(Sound):
    def view(self, video, rng):
        view = super().view(video, rng)
        return {
            **view,
            "features": view["features"] + np.eye(view["features"].shape[-1], dtype="f4")[0] * ("Normal" in video.name),
        }


class ScoresNames(Sound):
    def score(self, videos):
        found = super().score(videos)
        return [Scores(s.anomaly * (0.5 if "Normal" in v.name else 1)) for s, v in zip(found, videos, strict=True)]


class Hoards(Sound):
    """Holds the rows of all normal videos, to keep their mean."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.register_buffer("center", torch.zeros(task.dim))

    def prepare(self, data):
        self.center.copy_(torch.from_numpy(np.concatenate([v.rows for v in data.normal]).mean(0)))


class MakesOnCpu(Sound):
    """Makes a tensor without saying where."""

    def relate(self, rows, lengths):
        return rows * torch.ones(rows.shape[-1])


class AsksNumpy(Changed):
    def change(self, s, rows):
        return Scores(torch.from_numpy(np.sqrt(np.square(s.anomaly.numpy()))).to(rows.device))


class StaysBehind(Sound):
    """Keeps a tensor as an attribute, which does not follow the method, and moves it at every call."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.scales = [torch.ones(task.dim)]

    def relate(self, rows, lengths):
        return rows * self.scales[0].to(rows.device)


class OtherOnGpu(Changed):
    def change(self, s, rows):
        return Scores(s.anomaly if rows.device.type == "cpu" else s.anomaly.square())


class WritesUnsaid(Sound):
    def score(self, videos):
        (Path(tempfile.gettempdir()) / "broken-kinds.txt").write_text("was here")
        return super().score(videos)


class WritesConfig(SoundConfig):
    def needs(self):
        return replace(super().needs(), writes=True)


class WritesElsewhere(WritesUnsaid):
    Config = WritesConfig


class Remembers(Sound):
    """Begins from what it has scored before in this process, of whatever video."""

    scored = 0

    def prepare(self, data):
        with torch.no_grad():
            self.classifier.bias += 0.01 * Remembers.scored

    def score(self, videos):
        Remembers.scored += 1
        return super().score(videos)


class FindsTruth(Changed):
    """Looks through this process's memory for the annotation of what it scores."""

    def score(self, videos):
        found = {t.name: t.runs for t in gc.get_objects() if type(t) is Video and t.segments and "test" in t.name}
        return [self._with(s, v, found.get(v.name, ())) for s, v in zip(Sound.score(self, videos), videos, strict=True)]

    def _with(self, s, video, runs):
        anomaly = s.anomaly.clone()
        for first, end in runs:
            anomaly[first // video.stride : end // video.stride] = 1
        return Scores(anomaly)
