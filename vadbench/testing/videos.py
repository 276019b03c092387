"""Checks of the videos that a data set lists, which need its files, or files that a test has made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from vadbench.base.errors import listed
from vadbench.dataset import SPLITS, Video
from vadbench.scoring.protocol import protocols
from vadbench.testing.conformance import Failure, require
from vadbench.testing.tested_dataset import TestedDataset

SHOWN = 3
"""Maximum number of videos named in a message."""
VideoRule = tuple[str, Callable[[Video], bool], str]
"""Problem, test for a video that has it, and how to fix it."""


def names(source: TestedDataset) -> str:
    """Check that names are distinct within a split."""
    for split in SPLITS:
        count = Counter(v.name for v in source.videos(split))
        double = [name for name, n in count.items() if n > 1]
        require(
            not double,
            f"{len(double)} names appear more than once among the {split} videos: {listed(double, SHOWN)}",
            "features, truth and scores are found by name; put the folder into the name where file names repeat",
        )
        require("" not in count, f"a {split} video has an empty name", "name it after its file")
    return f"{len(source.both):,} videos, every name once in its split"


def splits(source: TestedDataset) -> str:
    """Check that no split is empty and no video is in both."""
    train, test = ({v.name for v in source.videos(split)} for split in SPLITS)
    for split, found in zip(SPLITS, (train, test), strict=True):
        require(bool(found), f"there is no {split} video", f"expected: {source.kind.files}")
    both = sorted(train & test)
    require(
        not both,
        f"{len(both)} videos are in both splits: {listed(both, SHOWN)}",
        "train and test must not share a video",
    )
    return f"{len(train):,} train and {len(test):,} test videos, none in both"


def labels(source: TestedDataset) -> str:
    """Check that labels are official class names, and the normal class the only label of a video."""
    table = source.kind.classes
    normal = table.names[table.normal]
    rules: tuple[VideoRule, ...] = (
        ("carry no label", lambda v: not v.labels, f"a normal video is labelled '{normal}'"),
        (
            "carry labels that are not names of classes",
            lambda v: not set(v.labels) <= set(table.names),
            "give official names, table.names[table.id(x)] of an alias x",
        ),
        ("carry a label twice", lambda v: len(set(v.labels)) < len(v.labels), "name each class once"),
        (
            f"are '{normal}' and something else",
            lambda v: normal in v.labels and len(v.labels) > 1,
            "a video with an anomaly carries the anomaly's classes alone",
        ),
    )
    for problem, is_bad, fix in rules:
        bad = [f"{v.name} {v.labels}" for _, v in source.both if is_bad(v)]
        require(not bad, f"{len(bad)} videos {problem}: {listed(bad, SHOWN)}", fix)
    present = {label for _, v in source.both for label in v.labels}
    return f"{len(present)} of {len(table)} classes among {len(source.both):,} videos"


def segments(source: TestedDataset) -> str:
    """Check the annotations: their split, their classes and their frames."""
    table = source.kind.classes
    normal = table.names[table.normal]
    shown = [v.name for split, v in source.both if split == "train" and (v.segments or v.binary)]
    require(
        not shown,
        f"{len(shown)} training videos carry segments: {listed(shown, SHOWN)}",
        "give them on the test split only; training is weakly supervised",
    )
    test = [v for split, v in source.both if split == "test"]
    rules: tuple[VideoRule, ...] = (
        ("have segments of no abnormal class", _strange(table.names, normal), "label segments with abnormal classes"),
        (
            "are normal and have anomalous frames",
            lambda v: normal in v.labels and bool(v.runs),
            "label the video with the class, or leave the segment out",
        ),
        (
            "have frames and a segment outside them",
            lambda v: v.frames is not None and any(end > v.frames for _, end in _spans(v)),
            "segments are 0-based and half-open: [first, last + 1) of a 0-based list with both ends inside; cut what"
            " ends past the video and note it in problems",
        ),
        (
            "have binary runs that overlap, touch, are empty or out of order",
            lambda v: v.binary is not None and not _ascending(v.binary),
            "pass them through vadbench.dataset.merged",
        ),
    )
    for problem, is_bad, fix in rules:
        bad = [v.name for v in test if is_bad(v)]
        require(not bad, f"{len(bad)} test videos {problem}: {listed(bad, SHOWN)}", fix)
    annotated = sum(bool(v.runs) for v in test)
    require(annotated > 0, "no test video has an anomalous frame", "read the annotation; there is nothing to measure")
    stated = sum(v.frames is not None for v in test)
    return f"{annotated:,} of {len(test):,} test videos have segments; frame counts are stated for {stated:,}"


def order(source: TestedDataset) -> str:
    """Check that lists are the same when asked twice and from another object."""
    fresh = source.again()
    for split in SPLITS:
        first = list(source.videos(split))
        for how, other in (("asked twice", source.videos(split)), ("of another object", fresh.videos(split))):
            require(
                list(other) == first,
                f"the {split} videos {how} are not the same, or in another order",
                "sort what a folder or a set gives, and change nothing between two calls",
            )
    return "both splits are the same twice and from another object"


def paths(source: TestedDataset) -> str:
    """Check that files are inside the root and exist."""
    root = source.opened.root.resolve()
    given = [(v.name, v.path) for _, v in source.both if v.path is not None]
    outside = [f"{name} at {path}" for name, path in given if not path.resolve().is_relative_to(root)]
    require(
        not outside,
        f"{len(outside)} videos are outside the root {root}: {listed(outside, SHOWN)}",
        "refuse absolute paths and '..' in lists: a list must not make a run read other files",
    )
    absent = [f"{name} at {path}" for name, path in given if not path.exists()]
    require(
        not absent,
        f"{len(absent)} videos have a path and no file: {listed(absent, SHOWN)}",
        "give path=None where there is no file: features may exist",
    )
    return f"{len(given):,} of {len(source.both):,} videos have a file, all inside the root"


def boundaries(source: TestedDataset) -> str:
    """Check that every protocol's reading of the intervals is accepted."""
    readings = list(dict.fromkeys(preset.rules.boundaries for preset in protocols(source.registry).values()))
    for reading in readings:
        for split in SPLITS:
            try:
                found = source.videos(split, reading)
            except (TypeError, ValueError, KeyError) as error:
                raise Failure(
                    f"videos('{split}', '{reading}') raises {type(error).__name__}: {error}",
                    "take a parameter boundaries and ignore it where no paper's code reads the data set otherwise",
                ) from error
            require(
                all(isinstance(v, Video) for v in found),
                f"videos('{split}', '{reading}') returns other things than Video",
                "give the same kind of list whatever the boundaries",
            )
    return f"videos(split, boundaries) takes {', '.join(readings)}"


def counts(source: TestedDataset) -> str:
    """Check the number of videos against the expected one."""
    found = {split: len(source.videos(split)) for split in SPLITS}
    said = ", ".join(f"{found[split]:,} of {source.kind.expected[split]:,} {split} videos" for split in SPLITS)
    whole = source.kind.makes_itself
    require(
        all(found[s] == source.kind.expected[s] if whole else found[s] <= source.kind.expected[s] for s in SPLITS),
        said,
        "correct expected: the number of videos of a complete copy",
    )
    return said


def _strange(known: tuple[str, ...], normal: str) -> Callable[[Video], bool]:
    return lambda v: any(s.label not in known or s.label == normal for s in v.segments)


def _spans(video: Video) -> list[tuple[int, int]]:
    return [*video.runs, *((s.start, s.end) for s in video.segments)]


def _ascending(runs: tuple[tuple[int, int], ...]) -> bool:
    return all(0 <= start < end for start, end in runs) and all(a[1] < b[0] for a, b in pairwise(runs))
