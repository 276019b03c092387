"""Checks of the other divisions and ground truths of a data set, each of which may need files of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from unittest import SkipTest

from vadbench.base.errors import DataError, listed, one_line
from vadbench.dataset import Dataset, Video
from vadbench.testing.conformance import Failure, require
from vadbench.testing.tested_dataset import TestedDataset, says_one_line

SHOWN = 3
"""Maximum number of videos named in a message."""


def partitions(source: TestedDataset) -> str:
    """Check that each division can be followed: no split is empty, none shares a video, none has too many."""
    return _each(source.opened.partitions, "division", lambda name: _division(source, name))


def truths(source: TestedDataset) -> str:
    """Check that each other ground truth lies on the test videos, which stay the same."""
    return _each(source.opened.truths, "ground truth", lambda name: _ground_truth(source, name))


def _each(names: Iterable[str], what: str, look: Callable[[str], str]) -> str:
    """Return what was found of each variant.

    Raises:
        SkipTest: one of them cannot be read in this root; says what was found of the others as well.
    """
    said, absent = [], 0
    for name in names:
        try:
            said.append(f"{name}: {look(name)}")
        except _Absent as error:
            absent += 1
            said.append(f"{name}: not here, {error}")
    if absent:
        raise SkipTest("; ".join(said))
    return "; ".join(said) or f"no other {what}"


class _Absent(Exception):
    """Raised if the files of a variant are not here, with what the data set says about it."""


def _absent(error: DataError) -> _Absent:
    require(
        says_one_line(error),
        f"the message of a missing file has several lines: {one_line(error)}",
        "say in one line which file is missing",
    )
    return _Absent(str(error))


def _division(source: TestedDataset, name: str) -> str:
    dataset = source.again(name)
    sizes = dataset.sizes
    try:
        # Not read_split: the ground truth that was asked for need not have the test videos of this division.
        found = {split: [v.name for v in dataset.videos(split)] for split in dataset.splits}
    except DataError as error:
        raise _absent(error) from error
    for split, own in found.items():
        require(
            len(own) == len(set(own)) and all(isinstance(n, str) and n for n in own),
            f"partition {name}: a {split} video has no name or one of another",
            "name every video of a split once, by text",
        )
        count = f"partition {name} has {len(own):,} {split} videos, expected names {sizes[split]:,}"
        fits = len(own) == sizes[split] if dataset.makes_itself else 0 < len(own) <= sizes[split]
        require(fits, count, "correct its expected, or follow self.partition in videos()")
    shared = sorted({n for a, b in combinations(map(set, found.values()), 2) for n in a & b})
    require(
        not shared,
        f"partition {name}: {len(shared)} videos are in two splits: {listed(shared, SHOWN)}",
        "no two splits may share a video: what is tested on must not be trained or selected on",
    )
    return ", ".join(f"{len(own):,} of {sizes[split]:,} {split}" for split, own in found.items())


def _ground_truth(source: TestedDataset, name: str) -> str:
    own = [v.name for v in source.videos("test")]
    dataset = source.again()
    try:
        truth = dataset.truth(name)
    except DataError as error:
        raise _absent(error) from error
    require(
        truth.name == name,
        f"truth('{name}') is called '{truth.name}'",
        "give it the name that truths has: results of two ground truths are told apart by it",
    )
    dataset.adopt(truth)
    videos = _laid(dataset, name)
    require(
        [v.name for v in videos] == own,
        f"under the ground truth {name} other test videos are listed, or in another order",
        "list the same videos whatever was adopted",
    )
    annotated = sum(bool(v.runs) for v in videos)
    require(annotated > 0, f"by {name} no test video has an anomalous frame", "read the annotation")
    return f"{annotated:,} of {len(videos):,} test videos have segments"


def _laid(dataset: Dataset, name: str) -> Sequence[Video]:
    try:
        return dataset.read_split("test")
    except DataError as error:
        raise Failure(
            f"the ground truth {name} does not lie on the test videos: {one_line(error)}",
            "give an entry for every test video, also where nothing is anomalous, within its frames",
        ) from error
