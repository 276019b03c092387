"""Checks of the videos that a data set lists, which need its files, or files that a test has made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations, pairwise

from vadbench.base.errors import listed
from vadbench.dataset import Video
from vadbench.scoring.protocol import protocols
from vadbench.testing.conformance import Failure, require
from vadbench.testing.tested_dataset import TestedDataset

SHOWN = 3
"""Maximum number of videos named in a message."""
VideoRule = tuple[str, Callable[[Video], bool], str]
"""Problem, test for a video that has it, and how to fix it."""


def names(source: TestedDataset) -> str:
    """Check that names are texts and distinct within a split."""
    for split in source.opened.splits:
        odd = [repr(v.name) for v in source.videos(split) if not isinstance(v.name, str)]
        require(not odd, f"{len(odd)} names of {split} videos are no text: {listed(odd, SHOWN)}", "name it by a text")
        count = Counter(v.name for v in source.videos(split))
        double = [name for name, n in count.items() if n > 1]
        require(
            not double,
            f"{len(double)} names appear more than once among the {split} videos: {listed(double, SHOWN)}",
            "features, truth and scores are found by name; put the folder into the name where file names repeat",
        )
        require("" not in count, f"a {split} video has an empty name", "name it after its file")
    return f"{len(source.every_video):,} videos, every name once in its split"


def splits(source: TestedDataset) -> str:
    """Check that no split is empty and no video is in two of them."""
    found = {split: {v.name for v in source.videos(split)} for split in source.opened.splits}
    for split, own in found.items():
        require(bool(own), f"there is no {split} video", f"expected: {source.kind.files}")
    shared = sorted({name for a, b in combinations(found.values(), 2) for name in a & b})
    require(
        not shared,
        f"{len(shared)} videos are in two splits: {listed(shared, SHOWN)}",
        "no two splits may share a video: what is tested on must not be trained or selected on",
    )
    counts = [f"{len(own):,} {split}" for split, own in found.items()]
    return f"{', '.join(counts)} videos, none in two splits"


def labels(source: TestedDataset) -> str:
    """Check that labels are official class names, the normal class the only label of a video, and scenarios text."""
    table = source.classes
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
        (
            "have a scenario that is no text",
            lambda v: not isinstance(v.scenario, str),
            "say in a word where it was filmed, or leave it empty: results are broken down by it",
        ),
    )
    for problem, is_bad, fix in rules:
        bad = [f"{v.name} {v.labels}" for _, v in source.every_video if is_bad(v)]
        require(not bad, f"{len(bad)} videos {problem}: {listed(bad, SHOWN)}", fix)
    present = {label for _, v in source.every_video for label in v.labels}
    return f"{len(present)} of {len(table)} classes among {len(source.every_video):,} videos"


def segments(source: TestedDataset) -> str:
    """Check the annotations: their splits, their classes and their frames.

    Validation videos may be annotated; then all abnormal ones are, or frames of the others would count as normal.
    """
    table = source.classes
    normal = table.names[table.normal]
    shown = [v.name for split, v in source.every_video if split == "train" and (v.segments or v.binary)]
    require(
        not shown,
        f"{len(shown)} training videos carry segments: {listed(shown, SHOWN)}",
        "give them on the test and the validation split only; training is weakly supervised",
    )
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
    said = []
    for split in source.opened.splits:
        if split == "train":
            continue
        videos = source.videos(split)
        for problem, is_bad, fix in rules:
            bad = [v.name for v in videos if is_bad(v)]
            require(not bad, f"{len(bad)} {split} videos {problem}: {listed(bad, SHOWN)}", fix)
        annotated, stated = (sum(map(bool, found)) for found in ([v.runs for v in videos], [v.frames for v in videos]))
        said.append(f"{annotated:,} of {len(videos):,} {split} videos have segments, {stated:,} a stated frame count")
        if split == "validation" and annotated:
            without = [v.name for v in videos if normal not in v.labels and not v.runs]
            require(
                not without,
                f"{len(without)} abnormal validation videos have no segment, others have: {listed(without, SHOWN)}",
                "annotate all of them or none: only where all are, weights are selected by frames",
            )
    require(
        any(v.runs for v in source.videos("test")),
        "no test video has an anomalous frame",
        "read the annotation; there is nothing to measure",
    )
    return "; ".join(said)


def order(source: TestedDataset) -> str:
    """Check that lists are the same when asked twice and from another object."""
    fresh = source.again()
    for split in source.opened.splits:
        first = list(source.videos(split))
        for how, other in (("asked twice", source.videos(split)), ("of another object", fresh.read_split(split))):
            require(
                list(other) == first,
                f"the {split} videos {how} are not the same, or in another order",
                "sort what a folder or a set gives, and change nothing between two calls",
            )
    return "every split is the same twice and from another object"


def paths(source: TestedDataset) -> str:
    """Check that files are inside the root and exist."""
    root = source.opened.root.resolve()
    given = [(v.name, v.path) for _, v in source.every_video if v.path is not None]
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
    return f"{len(given):,} of {len(source.every_video):,} videos have a file, all inside the root"


def boundaries(source: TestedDataset) -> str:
    """Check that every protocol's reading of the intervals is accepted."""
    readings = list(dict.fromkeys(preset.rules.boundaries for preset in protocols(source.registry).values()))
    for reading in readings:
        for split in source.opened.splits:
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
    expected = source.opened.sizes
    found = {split: len(source.videos(split)) for split in source.opened.splits}
    said = ", ".join(f"{count:,} of {expected[split]:,} {split} videos" for split, count in found.items())
    whole = source.kind.makes_itself
    require(
        all(count == expected[split] if whole else count <= expected[split] for split, count in found.items()),
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
