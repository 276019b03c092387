"""Checks that a method learns what it says: on ``synthetic``, and only from the labels it is given."""

from __future__ import annotations

from statistics import fmean
from unittest import SkipTest

import numpy as np

from vadbench.base.errors import listed
from vadbench.inputs import TrainingData
from vadbench.metrics.bootstrap import LEVEL, draw_videos
from vadbench.metrics.measurement import resampled
from vadbench.testing.conformance import require
from vadbench.testing.parameters import differences
from vadbench.testing.tested_method import HOME, TestedMethod
from vadbench.testing.training_ground import Trained, auc

SEEDS = range(3)
SHOWN = 3
"""Maximum number of tensors and files named in a message."""


def supervision(subject: TestedMethod) -> str:
    """Check that a method that says it learns nothing keeps nothing of the training videos that it is given."""
    needs = subject.needs
    if needs.learns:
        return f"it says that it learns: {needs.supervision}"
    fix = "name what it learns from in needs(): supervision='weak', or 'one-class' for normal videos alone"
    require(not subject.config.trains, f"it says '{needs.supervision}' and has a recipe to train with", fix)
    nothing = TrainingData([], subject.classes)
    changed = differences(*(subject.train(0, data).state_dict() for data in (subject.data, nothing)))
    require(
        not changed,
        f"it says '{needs.supervision}', and {listed(changed, SHOWN)} differ with and without training videos",
        fix,
    )
    return f"it says '{needs.supervision}', and its state is the same with and without training videos"


def learns(subject: TestedMethod) -> str:
    """Check that the 95 % interval of the difference from ``random``, resampling test videos, is above zero."""
    if subject.is_floor:
        raise SkipTest(f"'{subject.name}' is what the others must beat")
    if subject.needs.reads == "none" and subject.needs.supervision != "oracle":
        raise SkipTest("the method reads nothing of a video, so it shows what a data set gives away, and cannot learn")
    _require_fit(subject)
    seeds = len(SEEDS)
    draws = draw_videos(len(subject.floor.experiment.provision.videos["test"]))
    differences = np.zeros(len(draws))
    means = {}
    for sign, ground in ((1, subject.ground), (-1, subject.floor)):
        values = []
        for seed in SEEDS:
            subject.progress(f"{ground.name} on synthetic", seed, seeds)
            split = ground.trained(seed).scores
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
    """Check that nothing of the test annotations reaches weights or scores, and that the training labels decide them.

    The training under seed 0 is made once more, in a process that has scored the test videos and with their
    annotations in other places: not a bit may differ. Training on shuffled labels must end with other weights. What
    these are worth is told, and proves nothing: rows that stand out, or that resemble a prompt, can be found whatever
    the labels say.
    """
    _require_not_oracle(subject)
    _require_fit(subject)
    first, again = subject.ground.trained(SEEDS[0]), subject.ground.trained_again(SEEDS[0])
    fix = (
        "find what reaches the method besides the videos and labels it is given: files, a data set, the caller's"
        " variables, or what a class or a module keeps of videos that were scored before (where the check seeds fails"
        " too, begin there)"
    )
    what = f"{HOME} was scored and the annotations of its test videos changed places"
    other = differences(dict(first.weights), dict(again.weights))
    require(not other, f"after {what}, the same training ends with other {listed(other, SHOWN)}", fix)
    odd = _rescored(first, again)
    require(not odd, f"after {what}, the scores of {listed(odd, SHOWN)} differ", fix)
    told = "weights and scores are the same bit for bit where the test annotations changed places"
    if subject.recipe is None or subject.needs.supervision != "weak":
        return f"{told}; it learns from no labels"
    shuffled = []
    for seed in SEEDS:
        subject.progress("training on shuffled labels", seed, len(SEEDS))
        shuffled.append(subject.ground.shuffled(seed))
    subject.progress("training on shuffled labels", len(SEEDS), len(SEEDS))
    require(
        bool(differences(dict(first.weights), dict(shuffled[0].weights))),
        "training on shuffled labels ends with the same weights: they do not come from the labels",
        "use batch.labels in loss(); what is learnt without them belongs into the settings, or is no training",
    )
    usual = [subject.ground.trained(seed) for seed in SEEDS]
    trained = [fmean(auc(made.scores) for made in several) for several in (shuffled, usual)]
    untrained = fmean(subject.ground.untrained_auc(seed) for seed in SEEDS)
    return (
        f"{told}; with shuffled labels the weights are others, and their AUC is {trained[0]:.3f},"
        f" untrained {untrained:.3f}, with the true labels {trained[1]:.3f} (means of {len(SEEDS)} seeds; what stays"
        " above chance is won without labels, such as from prompts or from rows that stand out)"
    )


def _rescored(one: Trained, other: Trained) -> list[str]:
    """Return the names of the videos whose scores differ."""
    pairs = zip(one.scores.scores, other.scores.scores, strict=True)
    return [
        a.name
        for a, b in pairs
        if a.anomaly.tobytes() != b.anomaly.tobytes()
        or (a.classes is not None and b.classes is not None and a.classes.tobytes() != b.classes.tobytes())
    ]


def blind(subject: TestedMethod) -> str:
    """Check that the method reads no data set or file of it while it is built, trained and scored under seed 0."""
    _require_not_oracle(subject)
    _require_fit(subject)
    subject.ground.trained(SEEDS[0])
    seen = list(dict.fromkeys(subject.ground.looked_at))
    require(
        not seen,
        f"while it trained and scored, the method looked at {listed(seen, SHOWN)}",
        "use only what prepare(), view(), loss() and score() are given: test annotations must never reach a method",
    )
    return "the method asked for no data set and opened none of its files"


def _require_not_oracle(subject: TestedMethod) -> None:
    if subject.needs.supervision == "oracle":
        raise SkipTest("exempt: it says that it is an oracle, which is handed the truth, shown apart and never ranked")


def _require_fit(subject: TestedMethod) -> None:
    if subject.unfit:
        raise SkipTest(f"it cannot run on {HOME}: {subject.unfit}")
