"""Ground truth that files of recorded scores carry beside the scores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vadbench.base.errors import ConfigError
from vadbench.base.ground_truth import Truth, VideoTruth
from vadbench.data.annotations.truth_files import truth_digest
from vadbench.dataset import Dataset
from vadbench.harness.recorded_rows import aliases, find_stride
from vadbench.harness.rules import open_dataset
from vadbench.scoring.given_scores import GivenScores, runs_of
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.score_files import read_scores


def is_carried(truth: str, paths: Sequence[Path]) -> bool:
    """Return True if a ground truth is asked for by the path of files of scores."""
    return bool(truth) and any(_same_file(truth, path) for path in paths)


def _same_file(truth: str, path: Path) -> bool:
    return os.path.exists(truth) and os.path.realpath(truth) == os.path.realpath(path)


def under_carried(
    paths: Sequence[Path], kind: type[Dataset], root: Path | None, rules: Protocol, stride: int | None
) -> Dataset:
    """Return a data set under the ground truth that files of scores carry.

    Videos without scores are normal in it, until they are found to be missing.

    Args:
        paths: the files.
        kind: class of the data set.
        root: the folder that the user names, if any.
        rules: name the ground truth, and the division of the data set.
        stride: frames from one row to the next, as the user says; ``None`` to find it out.

    Raises:
        ConfigError: they carry none.
        DataError: they cannot be read, or have a label a row and nothing says how far apart rows are.
    """
    path = Path(rules.truth)
    # A data set may know its videos by this ground truth alone; then names are those of the files.
    first = _truth_of(read_scores(paths, []), path, 1)
    dataset = open_dataset(kind, root, rules.partition, first)
    videos = dataset.videos("test", rules.boundaries)
    given = read_scores(paths, [v.name for v in videos], aliases(videos))
    of_rows = any(own.truth is None for own in given.values())
    spacing = find_stride(given, [v for v in videos if v.name in given], stride)[0] if of_rows else 1
    truth = _truth_of(given, path, spacing)
    missing = {v.name: VideoTruth() for v in videos if v.name not in given}
    dataset.adopt(replace(truth, videos={**truth.videos, **missing}))
    return dataset


def _truth_of(given: Mapping[str, GivenScores], path: Path, stride: int) -> Truth:
    """Return the ground truth that scores carry, under the name of their file.

    Raises:
        ConfigError: they carry none.
    """
    videos = {}
    for name, own in given.items():
        if own.truth is None and own.labels is None:
            raise ConfigError(f"{own.where} carries no ground truth; name another file with --truth, or leave it out")
        if own.truth is not None:
            videos[name] = own.truth
        elif own.labels is not None:
            segments = runs_of(own.labels.repeat(stride))
            videos[name] = VideoTruth(segments, own.frames, own.where)
    return Truth(f"{path.name}@{truth_digest(videos)}", videos)
