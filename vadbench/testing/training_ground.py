"""Method on ``synthetic``: trained as in a run, trained on shuffled labels, or untrained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from vadbench.base.files import make_folder, write_text
from vadbench.base.locations import cache_root, find_data_root
from vadbench.base.method_config import MethodConfig
from vadbench.base.seeds import Purpose, torch_draws
from vadbench.base.spacing import rows_of
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip
from vadbench.dataset import Dataset, Segment
from vadbench.harness.environment import Meter
from vadbench.harness.evaluate import score_split
from vadbench.harness.experiment import Experiment
from vadbench.harness.featureless import provide_without_features
from vadbench.harness.given_features import ClipDemand, GivenStream
from vadbench.harness.identities import open_training
from vadbench.harness.provision import Provision, provide
from vadbench.harness.streams import STREAM_FILE
from vadbench.harness.training import build, trained_method
from vadbench.harness.video_inputs import training_data
from vadbench.method import Method
from vadbench.metrics.evaluation import evaluate
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.testing.guards import opened_below, without_datasets
from vadbench.training.stage_state import place

SPACING, WIDTH = 6, 24
"""Frames from one row to the next, and width, of the noise that a stream beside the first has on ``synthetic``."""


@dataclass(frozen=True)
class Trained:
    """A training and the scores after it.

    Args:
        weights: the tensors of its checkpoint.
        scores: of the test videos.
    """

    weights: Mapping[str, Tensor]
    scores: ScoredSplit


class TrainingGround:
    """Method on ``synthetic``, trained and scored by the harness; each training is made once.

    Args:
        name: name of the method.
        kind: its class.
        config: its settings for ``synthetic``.
        dataset: the data set's class.
        clip: gives the CLIP that makes the features, unless they are in the cache.
        progress: called with the progress.
    """

    def __init__(
        self,
        name: str,
        kind: type[Method],
        config: MethodConfig,
        dataset: type[Dataset],
        clip: Callable[[], Clip],
        progress: Progress,
    ) -> None:
        self.name, self.kind, self.config = name, kind, config
        self._dataset, self._load_clip, self._progress = dataset, clip, progress
        self._trained: dict[int, Trained] = {}
        self.looked_at: list[str] = []
        """Data sets and files that the method used without the harness."""

    @cached_property
    def experiment(self) -> Experiment:
        dataset = self._dataset(find_data_root(self._dataset.name, self._dataset.makes_itself))
        needs, rules = self.config.needs(), NATIVE.on(self._dataset.name)
        if needs.streams:
            clip = self._load_clip()
            asked, streams = ClipDemand(needs.text), self._streams(dataset, needs.streams[1:])
            provision = provide(
                dataset,
                self.config.rows,
                clip,
                cache_root(),
                rules,
                line=needs.streams[0],
                streams=streams,
                asked=asked,
                needs=needs,
                progress=self._progress,
            )
        else:
            clip = None
            provision = provide_without_features(
                dataset, self.config.rows, needs, cache_root(), rules, progress=self._progress
            )
        return Experiment(
            method_name=self.name,
            load_method=lambda: self.kind,
            version=self.config.version,
            config=self.config,
            dataset=dataset,
            provision=provision,
            clip=clip,
            protocol=rules,
            changed=(),
            device_name="cpu",
            out=Path(),
        )

    def trained(self, seed: int) -> Trained:
        """Return the training under a seed, recording the files that the method opens."""
        if seed not in self._trained:
            experiment = self.experiment
            with ExitStack() as watches:
                watches.enter_context(without_datasets(self.looked_at))
                watches.enter_context(opened_below(experiment.dataset.root, self.looked_at))
                self._trained[seed] = self._run(experiment.provision, seed)
        return self._trained[seed]

    def trained_again(self, seed: int) -> Trained:
        """Return the training under a seed once more, the annotations of the test videos having changed places."""
        provision = self.experiment.provision
        test, frames = provision.videos["test"], provision.frames
        moved = [
            replace(v, labels=other.labels, segments=_within(other.segments, frames[v.name]))
            for v, other in zip(test, test[::-1], strict=True)
        ]
        return self._run(replace(provision, videos={**provision.videos, "test": moved}), seed)

    def shuffled(self, seed: int) -> Trained:
        """Return the training on labels shuffled among the training videos."""
        provision = self.experiment.provision
        train = provision.videos["train"]
        order = np.random.default_rng(seed).permutation(len(train))
        dealt = [replace(v, labels=train[i].labels) for v, i in zip(train, order, strict=True)]
        return self._run(replace(provision, videos={**provision.videos, "train": dealt}), seed)

    def untrained_auc(self, seed: int) -> float:
        """Return the AUC of the method before the first step."""
        experiment = self.experiment
        provision, classes = experiment.provision, experiment.dataset.classes
        method = build(experiment, classes, seed)
        method.prepare(training_data(provision, provision.videos["train"], classes, self.config.rows.crops, seed))
        place(method)
        return auc(score_split(experiment, method, self._progress))

    def _run(self, provision: Provision, seed: int) -> Trained:
        """Train and score as in a run, without its record and pictures: they take as long as a small training."""
        with tempfile.TemporaryDirectory() as folder:
            experiment = replace(self.experiment, provision=provision, out=Path(folder))
            training = open_training(experiment, seed, provision.record(experiment.dataset, "test"))
            make_folder(training.folder.path)
            method = trained_method(experiment, training, Meter(experiment.device, Path(folder)), silent)
            with torch_draws(experiment.device, Purpose.SCORE, seed):
                scores = score_split(experiment, method, silent)
            weights = {name: tensor.clone() for name, tensor in load_file(training.folder.checkpoint).items()}
            return Trained(weights, scores)

    def _streams(self, dataset: Dataset, names: tuple[str, ...]) -> dict[str, GivenStream]:
        """Return noise for the streams beside the first, which ``synthetic`` does not have."""
        folders = {name: cache_root() / "checks" / "noise" / name for name in names}
        for number, folder in enumerate(folders.values()):
            if (folder / STREAM_FILE).is_file():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(number)
            for video in (v for split in dataset.splits for v in dataset.videos(split)):
                assert video.frames is not None  # synthetic states them
                rows = rng.standard_normal((rows_of(video.frames, SPACING), WIDTH), np.float32)
                np.save(folder / f"{video.name}.npy", rows)
            write_text(folder / STREAM_FILE, f"spacing = '{SPACING}f'\nencoder = 'noise'\n")
        return {name: GivenStream(folder) for name, folder in folders.items()}


def _within(segments: Sequence[Segment], frames: int) -> tuple[Segment, ...]:
    """Return the parts of segments that are inside a video of some frames."""
    return tuple(replace(s, end=min(s.end, frames)) for s in segments if s.start < frames)


def auc(split: ScoredSplit) -> float:
    """Return the AUC of a scored split of ``synthetic``."""
    value = evaluate(split.rows)["AUC"].value
    assert value is not None  # synthetic has normal and anomalous frames
    return value
