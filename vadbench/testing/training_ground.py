"""Method on ``synthetic``: trained as in a run, trained on shuffled labels, or untrained."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from vadbench.base.locations import cache_root, find_data_root
from vadbench.base.method_config import MethodConfig
from vadbench.base.types import Progress
from vadbench.clip import Clip
from vadbench.dataset import Dataset
from vadbench.harness.evaluate import score_split
from vadbench.harness.experiment import Experiment
from vadbench.harness.given_features import ClipDemand
from vadbench.harness.provision import provide
from vadbench.harness.run import run
from vadbench.harness.training import build
from vadbench.harness.video_inputs import training_data
from vadbench.method import Method
from vadbench.metrics.ranking import evaluate
from vadbench.records.scores import load_split
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.testing.guards import opened_below, without_datasets


class TrainingGround:
    """Method on ``synthetic``, trained and scored by the harness; each training is made once.

    Args:
        name: name of the method.
        kind: its class.
        config: its settings for ``synthetic``.
        dataset: the data set's class.
        clip: CLIP that makes the features, unless they are in the cache.
        progress: called with the progress.
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
        """Data sets and files that the method used without the harness."""

    @cached_property
    def experiment(self) -> Experiment:
        dataset = self._dataset(find_data_root(self._dataset.name, self._dataset.makes_itself))
        rules = NATIVE.on(self._dataset.name)
        asked = ClipDemand(self.config.needs().text)
        provision = provide(
            dataset, self.config.rows, self._clip, cache_root(), rules, asked=asked, progress=self._progress
        )
        return Experiment(
            method_name=self.name,
            load_method=lambda: self.kind,
            version=self.config.version,
            config=self.config,
            dataset=dataset,
            provision=provision,
            clip=self._clip,
            protocol=rules,
            changed=(),
            device_name="cpu",
            out=Path(),
        )

    def trained(self, seed: int) -> ScoredSplit:
        """Return test scores after training under a seed, recording the files that the method opens."""
        if seed not in self._scored:
            experiment = self.experiment
            with ExitStack() as watches:
                watches.enter_context(without_datasets(self.looked_at))
                watches.enter_context(opened_below(experiment.dataset.root, self.looked_at))
                self._scored[seed] = self._run(experiment, seed)
        return self._scored[seed]

    def shuffled_auc(self, seed: int) -> float:
        """Return the AUC after training on labels shuffled among the training videos."""
        provision = self.experiment.provision
        train = provision.videos["train"]
        order = np.random.default_rng(seed).permutation(len(train))
        dealt = [replace(v, labels=train[i].labels) for v, i in zip(train, order, strict=True)]
        shuffled = replace(provision, videos={**provision.videos, "train": dealt})
        return auc(self._run(replace(self.experiment, provision=shuffled), seed))

    def untrained_auc(self, seed: int) -> float:
        """Return the AUC of the method before the first step."""
        experiment = self.experiment
        provision, classes = experiment.provision, experiment.dataset.classes
        method = build(experiment, classes, seed)
        method.prepare(training_data(provision, provision.videos["train"], classes, self.config.rows.crops, seed))
        return auc(score_split(experiment, method, self._progress))

    def _run(self, experiment: Experiment, seed: int) -> ScoredSplit:
        with tempfile.TemporaryDirectory() as folder:
            return load_split(run(replace(experiment, out=Path(folder)), seed).folder)


def auc(split: ScoredSplit) -> float:
    """Return the AUC of a scored split of ``synthetic``."""
    value = evaluate(split.rows)["AUC"].value
    assert value is not None  # synthetic has normal and anomalous frames
    return value
