"""Running a method over videos: several at once, within bounded memory, its answers checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from vadbench.dataset import Progress, silent
from vadbench.errors import PluginError
from vadbench.features.source import FeatureSource
from vadbench.method import Method, Scores
from vadbench.metrics.keys import is_branch
from vadbench.scored import VideoScores
from vadbench.training import arithmetic, autocast

ROWS_AT_ONCE = 16384


def score_videos(
    method: Method,
    features: FeatureSource,
    crops: Mapping[str, Sequence[str]],
    frames: Mapping[str, int],
    precision: str = "fp32",
    progress: Progress = silent,
) -> list[VideoScores]:
    """Score videos from their features, several at once within a bounded number of rows.

    Args:
        method: scores rows.
        features: where the rows are.
        crops: which crops of each video are scored. The mean over them is its score, of regions the maximum.
        frames: how long each video is.
        precision: arithmetic of the method, as in a recipe.
        progress: told how many videos are done.

    Raises:
        PluginError: the method returned scores of the wrong shape, or not finite.
    """
    method.eval()
    out: list[VideoScores] = []
    together = _highest if features.fingerprint.regions else _mean
    pending: list[VideoScores] = []
    for group in _groups(features, crops):
        progress("scoring", len(out), len(crops))
        rows = [features.crop_rows(name, crop) for name, crop in group]
        tensors = [torch.from_numpy(np.array(r, np.float32)).to(method.task.device) for r in rows]
        with torch.inference_mode(), arithmetic(precision), autocast(precision, method.task.device):
            scores = method.score(tensors)
        if len(scores) != len(group):
            raise PluginError(
                f"{type(method).__name__}.score got {len(group)} videos and returned {len(scores)} scores"
            )
        checked = [
            _checked(method, name, len(r), frames[name], s) for (name, _), r, s in zip(group, rows, scores, strict=True)
        ]
        for name, same in itertools.groupby(checked, key=lambda s: s.name):
            pending += same
            # The crops of a long video come in several groups.
            if len(pending) == len(crops[name]):
                out.append(together(pending))
                pending = []
    progress("scoring", len(crops), len(crops))
    return out


def _groups(features: FeatureSource, crops: Mapping[str, Sequence[str]]) -> Iterator[list[tuple[str, str]]]:
    group: list[tuple[str, str]] = []
    rows = 0
    for name, chosen in crops.items():
        length = len(features.crop_rows(name, chosen[0]))
        for crop in chosen:
            if group and rows + length > ROWS_AT_ONCE:
                yield group
                group, rows = [], 0
            group.append((name, crop))
            rows += length
    if group:
        yield group


def _mean(crops: Sequence[VideoScores]) -> VideoScores:
    """The mean of the scores of a video's crops, which have the same number of rows."""
    first = crops[0]
    if len(crops) == 1:
        return first
    classes = [c.classes for c in crops if c.classes is not None]
    return VideoScores(
        first.name,
        first.frames,
        np.mean([c.anomaly for c in crops], axis=0, dtype=np.float32),
        np.mean(classes, axis=0, dtype=np.float32) if classes else None,
        {branch: np.mean([c.branches[branch] for c in crops], axis=0, dtype=np.float32) for branch in first.branches},
    )


def _highest(regions: Sequence[VideoScores]) -> VideoScores:
    """The maximum of the scores of a video's regions, with the class probabilities of the region that has it."""
    first = regions[0]
    anomaly = np.stack([r.anomaly for r in regions])
    classes = [r.classes for r in regions if r.classes is not None]
    highest = anomaly.argmax(axis=0)
    return VideoScores(
        first.name,
        first.frames,
        anomaly.max(axis=0),
        np.stack(classes)[highest, np.arange(len(highest))] if classes else None,
        {branch: np.max([r.branches[branch] for r in regions], axis=0) for branch in first.branches},
    )


def _checked(method: Method, name: str, rows: int, frames: int, scores: Scores) -> VideoScores:
    anomaly = scores.anomaly.float().cpu().numpy()
    classes = None if scores.classes is None else scores.classes.float().cpu().numpy()
    branches = {branch: s.float().cpu().numpy() for branch, s in scores.branches.items()}
    expected = (rows, len(method.task.classes))
    if wrong := [branch for branch in branches if not is_branch(branch)]:
        raise PluginError(
            f"{type(method).__name__}: a branch is called by letters, digits, '_' and '-', with single blanks between,"
            f" found {wrong[0]!r}; rename it, as its metrics are called AUC(<branch>)"
        )
    every = [("anomaly scores", anomaly, (rows,))]
    every += [(f"scores of branch {branch}", s, (rows,)) for branch, s in branches.items()]
    for what, array, shape in every if classes is None else [*every, ("class scores", classes, expected)]:
        if array.shape != shape:
            raise PluginError(f"{type(method).__name__}: {what} of {name} must be {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise PluginError(f"{type(method).__name__}: {what} of {name} are not all finite")
    return VideoScores(name, frames, anomaly, classes, branches)
