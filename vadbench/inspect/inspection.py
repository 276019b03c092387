"""Check a data set against its lists and collect the findings in a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from vadbench.base.errors import DataError, one_line
from vadbench.base.ground_truth import OVERRUN
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip
from vadbench.dataset import Dataset, Split, Video
from vadbench.harness.given_features import GivenFeatures, choose_features, open_of_videos
from vadbench.inspect.file_checks import Length, look_at_features, look_at_videos
from vadbench.inspect.findings import MEANINGS, DuplicateCount, Problem, ProblemKind, Report, SplitReport, Tally
from vadbench.inspect.near_duplicates import find_duplicates


def inspect(
    dataset: Dataset,
    given: GivenFeatures | None = None,
    clip: Clip | None = None,
    progress: Progress = silent,
    duplicates: bool = True,
) -> Report:
    """Check every file of a data set. A damaged file is reported and the check continues.

    Only the container of a video is opened: damage inside shows when it is decoded. Every value of features is read.

    Args:
        dataset: the data set at its root on disk. A data set that generates its files makes missing ones.
        given: features to check instead of videos. By default, as in a run, those in the root if it has no video.
        clip: the CLIP that should have made the features.
        progress: called with the progress of the check.
        duplicates: look for near-duplicates among the videos whose features can be used.
    """
    report = Report(dataset.name, str(dataset.root), partition=dataset.partition)
    listed = _listed(dataset, report.problems, progress)
    if listed and dataset.other_truth is not None:
        report.truth = dataset.other_truth.name
    videos = [v for own in listed.values() for v in own]
    given = choose_features(dataset, videos, given)
    lengths: dict[str, Length] = {}
    if videos and given is not None:
        report.source = "features"
        lengths = look_at_features(given, videos, dataset.classes, clip, report, progress)
    elif videos:
        report.source = "videos"
        lengths = look_at_videos(dataset.root, videos, report, progress)
    if duplicates and given is not None and report.features is not None:
        _count_duplicates(given, listed, lengths, report, progress)
    opened = report.source == "videos" or report.features is not None
    found = {v.name for v in videos if opened} - {p.name for p in report.problems if p.kind == "missing"}
    for split, members in listed.items():
        report.splits[split] = _counted(dataset, split, members, found, lengths)
        report.problems += _shortages(split, report.splits[split]) if opened else []
    report.problems += _overruns(videos, lengths)
    report.problems += [Problem("annotation", "", text) for text in dataset.problems]
    order = list(MEANINGS)
    report.problems.sort(key=lambda p: order.index(p.kind))
    return report


def _listed(dataset: Dataset, problems: list[Problem], progress: Progress) -> dict[Split, Sequence[Video]]:
    """Return the videos of each split whose lists and annotation can be read."""
    listed: dict[Split, Sequence[Video]] = {}
    errors = []
    try:
        dataset.prepare(progress)
    except DataError as error:
        errors.append(one_line(error))
    for split in dataset.splits if dataset.root.is_dir() else ():
        try:
            listed[split] = dataset.read_split(split)
        except DataError as error:
            errors.append(one_line(error))
    names = Counter(v.name for videos in listed.values() for v in videos)
    twice = [name for name, count in names.items() if count > 1]
    errors += [f"{name!r} is listed more than once; keep one line of the lists" for name in twice]
    problems += [Problem("list", "", text) for text in dict.fromkeys(errors)]
    return listed


def _count_duplicates(
    given: GivenFeatures,
    listed: Mapping[Split, Sequence[Video]],
    usable: Collection[str],
    report: Report,
    progress: Progress,
) -> None:
    videos = {split: [v for v in members if v.name in usable] for split, members in listed.items()}
    found = find_duplicates(
        open_of_videos(given, [v for own in listed.values() for v in own]), videos, progress=progress
    )
    report.duplicates = DuplicateCount(len(found.pairs), found.across)
    for pair in found.pairs:
        where = f"{pair.a!r} ({pair.splits[0]}) and {pair.b!r} ({pair.splits[1]})"
        report.problems.append(Problem("duplicate", pair.a, f"{where} show the same, cosine {pair.cosine:.3f}"))


def _counted(
    dataset: Dataset, split: Split, videos: Sequence[Video], found: Collection[str], lengths: Mapping[str, Length]
) -> SplitReport:
    counted = SplitReport(Tally(expected=dataset.sizes[split]), len(videos))
    counted.classes = {name: Tally() for name in dataset.classes.names}
    for v in videos:
        kind = counted.normal if dataset.is_normal(v) else counted.abnormal
        tallies = [kind, *(counted.classes[dataset.classes.names[i]] for i in dataset.classes.ids(v.labels))]
        for tally in tallies:
            tally.expected += 1
        for tally in (counted.videos, *tallies):
            tally.found += v.name in found
            tally.usable += v.name in lengths
        counted.frames_stated += v.frames or 0
        counted.stating += v.frames is not None
        counted.frames_found += (lengths[v.name].frames or 0) if v.name in lengths else 0
        counted.positive_frames += sum(end - start for start, end in v.runs)
    return counted


def _shortages(split: Split, counted: SplitReport) -> Iterator[Problem]:
    expected, usable = counted.videos.expected, counted.videos.usable
    if counted.listed != expected:
        yield Problem(
            "count",
            "",
            f"the {split} list names {counted.listed} videos, a complete copy's {expected}; fetch the official lists",
        )
    kinds = {"normal": counted.normal, "abnormal": counted.abnormal}
    # Without validation videos there are runs all the same, with other rules of selection.
    problem: ProblemKind = "missing" if split == "validation" else "nothing"
    for kind in [k for k, tally in kinds.items() if usable and tally.expected and not tally.usable]:
        text = f"none of {kinds[kind].expected} {kind} {split} videos can be used; add some of them"
        yield Problem(problem, "", text)
    if not usable:
        yield Problem(problem, "", f"none of {counted.listed} {split} videos can be used; add some of them")


def _overruns(videos: Sequence[Video], lengths: Mapping[str, Length]) -> Iterator[Problem]:
    """Yield annotated intervals that end past the last frame of a file, if the annotation does not give a length."""
    for v in videos:
        most = lengths[v.name].most if v.name in lengths else None
        end = max((end for _, end in v.runs), default=0)
        if v.frames is None and most is not None and end > most:
            text = f"an interval of {v.name!r} ends at frame {end}, past its {most} frames"
            if end - most > OVERRUN:
                yield Problem("frames", v.name, f"{text}; fetch the video and the annotation again")
            else:
                yield Problem("annotation", v.name, f"{text}; cut there")
