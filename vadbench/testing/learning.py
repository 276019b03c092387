"""Checks that a method learns what it says: on ``synthetic``, and only from the labels it is given."""

from __future__ import annotations

from statistics import fmean, stdev
from unittest import SkipTest

import numpy as np
import torch

from vadbench.base.errors import listed
from vadbench.metrics.bootstrap import LEVEL, draw_videos
from vadbench.metrics.measurement import resampled
from vadbench.testing.conformance import require
from vadbench.testing.tested_method import TestedMethod
from vadbench.testing.training_ground import auc

SEEDS = range(3)
LEAK_SEEDS = range(10)
ALLOWED = 0.05
"""Allowed gain in mean AUC by training on shuffled labels, over the untrained method or over chance, whichever is
higher."""
CHANCE = 0.5
ERRORS = 2
"""Standard errors of the mean of the seeds' differences by which :data:`ALLOWED` must be exceeded to fail."""


def supervision(subject: TestedMethod) -> str:
    """Check that a method that says it learns nothing keeps nothing of the training videos that it is given."""
    needs = subject.config.needs()
    if needs.learns:
        return f"it says that it learns: {needs.supervision}"
    fix = "name what it learns from in needs(): supervision='weak', or 'one-class' for normal videos alone"
    require(not subject.config.trains, f"it says '{needs.supervision}' and has a recipe to train with", fix)
    states = [subject.fitted(samples).state_dict() for samples in (subject.samples, [])]
    changed = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    require(
        not changed,
        f"it says '{needs.supervision}', and {listed(changed, 3)} differ with and without training videos",
        fix,
    )
    return f"it says '{needs.supervision}', and its state is the same with and without training videos"


def learns(subject: TestedMethod) -> str:
    """Check that the 95 % interval of the difference from ``random``, resampling test videos, is above zero."""
    if subject.is_floor:
        raise SkipTest(f"'{subject.name}' is what the others must beat")
    seeds = len(SEEDS)
    draws = draw_videos(len(subject.floor.experiment.provision.videos["test"]))
    differences = np.zeros(len(draws))
    means = {}
    for sign, ground in ((1, subject.ground), (-1, subject.floor)):
        values = []
        for seed in SEEDS:
            subject.progress(f"{ground.name} on synthetic", seed, seeds)
            split = ground.trained(seed)
            values.append(auc(split))
            differences += sign * resampled(split, ["AUC"], draws)["AUC"] / seeds
        subject.progress(f"{ground.name} on synthetic", seeds, seeds)
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
    """Check that training on shuffled labels is no better than no training, with ten seeds each.

    The mean of the seeds' differences in AUC may be 0.05 plus two standard errors of that mean, the precision of ten
    seeds. Chance is the reference if untrained scores happen to be below it: a method that ends at chance has learnt
    nothing (our decision; VadCLIP's untrained scores average 0.475 over ten seeds).
    """
    if subject.recipe is None:
        raise SkipTest("the method is not trained")
    seeds = len(LEAK_SEEDS)
    shuffled, untrained = [], []
    for seed in LEAK_SEEDS:
        subject.progress("training on shuffled labels", seed, seeds)
        shuffled.append(subject.ground.shuffled_auc(seed))
        untrained.append(subject.ground.untrained_auc(seed))
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
        "find what reaches the weights besides the labels: test videos, files, or prompts that select what is learnt"
        " independently of the labels; if the method works like this by design, declare it in known_failures",
    )
    return found


def blind(subject: TestedMethod) -> str:
    """Check that the method reads no data set or file of it while it is built, trained and scored under seed 0."""
    subject.ground.trained(SEEDS[0])
    seen = list(dict.fromkeys(subject.ground.looked_at))
    require(
        not seen,
        f"while it trained and scored, the method looked at {listed(seen, 3)}",
        "use only what prepare(), view(), loss() and score() are given: test annotations must never reach a method",
    )
    return "the method asked for no data set and opened none of its files"
