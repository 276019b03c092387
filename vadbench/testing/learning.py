"""Checks of what a method learns on ``synthetic``, and from what."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING
from unittest import SkipTest

import numpy as np
import torch

from vadbench.base.config import MethodConfig
from vadbench.base.errors import listed
from vadbench.base.locations import cache_root, find_data_root
from vadbench.base.types import Progress
from vadbench.clip import Clip
from vadbench.dataset import Dataset
from vadbench.features.crops import training_crops
from vadbench.harness.evaluate import score_split
from vadbench.harness.experiment import Experiment
from vadbench.harness.provision import provide
from vadbench.harness.run import build, run
from vadbench.method import Method
from vadbench.metrics.bootstrap import LEVEL, draw_videos
from vadbench.metrics.measurement import resampled
from vadbench.metrics.ranking import evaluate
from vadbench.records.scores import load_split
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.testing.check import require
from vadbench.testing.conduct import opened_below, without_datasets

if TYPE_CHECKING:
    from vadbench.testing.tested_method import TestedMethod

SEEDS = range(3)
LEAK_SEEDS = range(10)
ALLOWED = 0.05
"""By how much training on shuffled labels may raise the mean AUC over that of the untrained method, or over chance
where that is higher."""
CHANCE = 0.5
ERRORS = 2
"""Standard errors of the mean of the seeds' differences by which :data:`ALLOWED` must be exceeded to be sure."""


class TrainingGround:
    """A method on ``synthetic``, trained and scored by the harness; each training is made once.

    Args:
        name: of the method.
        kind: its class.
        config: its settings there.
        dataset: the data set's class.
        clip: what makes the features, unless they are in the cache.
        progress: told how far it is.
    """

    def __init__(
        self,
        name: str,
        kind: type[Method],
        config: MethodConfig,
        dataset: type[Dataset],
        clip: Clip,
        progress: Progress,
    ) -> None:
        self.name, self.kind, self.config = name, kind, config
        self._dataset, self._clip, self._progress = dataset, clip, progress
        self._scored: dict[int, ScoredSplit] = {}
        self.looked_at: list[str] = []
        """What the method asked of the data set behind the harness's back."""

    @cached_property
    def experiment(self) -> Experiment:
        dataset = self._dataset(find_data_root(self._dataset.name, self._dataset.makes_itself))
        rules = NATIVE.on(self._dataset.name)
        provision = provide(dataset, self.config.rows, self._clip, cache_root(), rules, progress=self._progress)
        return Experiment(
            method_name=self.name,
            method=self.kind,
            version=self.kind.version,
            config=self.config,
            dataset=dataset,
            provision=provision,
            clip=self._clip,
            protocol=rules,
            changed=(),
            device=torch.device("cpu"),
            out=Path(),
        )

    def trained(self, seed: int) -> ScoredSplit:
        """Test scores after training under a seed, while it is watched what the method looks at."""
        if seed not in self._scored:
            experiment = self.experiment
            with ExitStack() as watches:
                watches.enter_context(without_datasets(self.looked_at))
                watches.enter_context(opened_below(experiment.dataset.root, self.looked_at))
                self._scored[seed] = self._run(experiment, seed)
        return self._scored[seed]

    def shuffled_auc(self, seed: int) -> float:
        """AUC after training on labels that were dealt out among the training videos anew."""
        provision = self.experiment.provision
        train = provision.videos["train"]
        order = np.random.default_rng(seed).permutation(len(train))
        dealt = [replace(v, labels=train[i].labels) for v, i in zip(train, order, strict=True)]
        shuffled = replace(provision, videos={**provision.videos, "train": dealt})
        return _auc(self._run(replace(self.experiment, provision=shuffled), seed))

    def untrained_auc(self, seed: int) -> float:
        """AUC of the method as it is before the first step."""
        experiment = self.experiment
        features, normal = experiment.provision.features, experiment.dataset.is_normal
        method = build(experiment, experiment.dataset.classes, seed)
        videos = [v for v in experiment.provision.videos["train"] if normal(v)]
        crops = [(v.name, c) for v in videos for c in training_crops(features, v.name, self.config.rows.crops)]
        method.prepare(features.crop_rows(name, crop) for name, crop in crops)
        return _auc(score_split(experiment, method, self._progress))

    def _run(self, experiment: Experiment, seed: int) -> ScoredSplit:
        with tempfile.TemporaryDirectory() as folder:
            return load_split(run(replace(experiment, out=Path(folder)), seed).folder)


def _auc(split: ScoredSplit) -> float:
    value = evaluate(split.rows)["AUC"].value
    assert value is not None  # synthetic has normal and anomalous frames
    return value


def learns(subject: TestedMethod) -> str:
    """The 95 % interval of the difference from ``random``, resampling test videos, lies above zero."""
    if subject.is_floor:
        raise SkipTest(f"'{subject.name}' is what the others must beat")
    seeds = len(SEEDS)
    draws = draw_videos(len(subject.floor.experiment.provision.videos["test"]))
    differences = np.zeros(len(draws))
    means = {}
    for sign, arena in ((1, subject.arena), (-1, subject.floor)):
        values = []
        for seed in SEEDS:
            subject.progress(f"{arena.name} on synthetic", seed, seeds)
            split = arena.trained(seed)
            values.append(_auc(split))
            differences += sign * resampled(split, ["AUC"], draws)["AUC"] / seeds
        subject.progress(f"{arena.name} on synthetic", seeds, seeds)
        means[sign] = fmean(values)
    low, high = np.nanquantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    found = (
        f"AUC {means[1]:.3f} on synthetic (mean of {seeds} seeds) against {means[-1]:.3f} at random, the difference"
        f" within [{low:.3f}, {high:.3f}] at {LEVEL:.0%}"
    )
    require(
        low > 0,
        found,
        "name settings that learn on 120 short videos in dataset_defaults['synthetic'] (recipe.learning_rate,"
        " recipe.batch_size, rows.stride), and make sure that larger scores mean more anomalous",
    )
    return found


def leak(subject: TestedMethod) -> str:
    """Training on shuffled labels against no training, ten seeds each.

    The mean of the seeds' differences in AUC may be 0.05, and two standard errors of that mean more: ten seeds tell it
    no better. Untrained scores that happen to lie below chance are no reference: what ends at chance has learnt nothing
    (our decision; VadCLIP's untrained scores average 0.475 over ten seeds).
    """
    if subject.recipe is None:
        raise SkipTest("the method is not trained")
    seeds = len(LEAK_SEEDS)
    shuffled, untrained = [], []
    for seed in LEAK_SEEDS:
        subject.progress("training on shuffled labels", seed, seeds)
        shuffled.append(subject.arena.shuffled_auc(seed))
        untrained.append(subject.arena.untrained_auc(seed))
    subject.progress("training on shuffled labels", seeds, seeds)
    below = fmean(untrained) < CHANCE
    gains = [a - (CHANCE if below else b) for a, b in zip(shuffled, untrained, strict=True)]
    gain, error = fmean(gains), stdev(gains) / seeds**0.5
    found = (
        f"labels shuffled, the AUC on synthetic is {fmean(shuffled):.3f}, untrained {fmean(untrained):.3f} (means of"
        f" {seeds} seeds): {gain:+.3f}{' over chance' if below else ''}, standard error {error:.3f}"
    )
    require(
        gain <= ALLOWED + ERRORS * error,
        f"{found}; allowed are {ALLOWED} and {ERRORS} standard errors",
        "find what reaches the weights besides the labels: test videos, files, or prompts that choose what is learnt"
        " whatever the labels say; if it is the method's nature, say so in known_failures",
    )
    return found


def blind(subject: TestedMethod) -> str:
    """What the method looked at while it was built, trained and scored under seed 0."""
    subject.arena.trained(SEEDS[0])
    seen = list(dict.fromkeys(subject.arena.looked_at))
    require(
        not seen,
        f"while it trained and scored, the method looked at {listed(seen, 3)}",
        "use only what prepare(), view(), loss() and score() are given: test annotations must never reach a method",
    )
    return "the method asked for no data set and opened none of its files"
