"""A ground truth on the test videos of a data set, and what two of them make of a run's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vadbench.base.errors import RunError, UnknownNameError, shortened
from vadbench.base.ground_truth import under
from vadbench.base.types import Progress
from vadbench.dataset import Dataset, Video
from vadbench.harness.rules import open_dataset, under_truth
from vadbench.metrics.definitions import HEADLINES, MetricValue
from vadbench.metrics.measurement import point_values
from vadbench.records.folders import read_record
from vadbench.records.scores import load_split

NATIVE = "native"
"""What stands for the data set's own ground truth where one is asked for."""


@dataclass(frozen=True)
class OpenedTruth:
    """A ground truth on the test videos of a data set.

    Args:
        name: ``native``, that of a variant, or that of a file with a digest of what is in it.
        dataset: with the ground truth in place.
        videos: the test videos that it has, by name.
        others: the names in it that no test video has.
    """

    name: str
    dataset: Dataset
    videos: Mapping[str, Video]
    others: Sequence[str]


@dataclass(frozen=True)
class RunUnderTwo:
    """A run's metrics under both ground truths, without intervals.

    Args:
        folder: of the run.
        label: method with its settings, seed and key.
        own: name of the ground truth that the run was measured under.
        videos: number of its videos that are measured, those in both ground truths.
        left_out: number of its other videos.
        metrics: by key, under A and under B.
    """

    folder: Path
    label: str
    own: str
    videos: int
    left_out: int
    metrics: Mapping[str, tuple[MetricValue, MetricValue]]


def open_truth(kind: type[Dataset], root: Path | None, partition: str, asked: str, progress: Progress) -> OpenedTruth:
    """Return a ground truth on those of the test videos that it has, so that others can be named.

    Raises:
        UnknownNameError: there is no such ground truth, or no such partition.
        DataError: it cannot be read, or contradicts the data set.
    """
    try:
        dataset = open_dataset(kind, root, partition, "" if asked == NATIVE else asked)
    except UnknownNameError as error:
        if error.name != asked:
            raise
        raise UnknownNameError(error.kind, asked, [NATIVE, *error.known]) from None
    dataset.prepare(progress)
    truth = dataset.other_truth
    if truth is None:
        return OpenedTruth(NATIVE, dataset, {v.name: v for v in dataset.read_split("test")}, [])
    tested = dataset.videos("test")
    known = [v for v in tested if v.name in truth.videos]
    laid = under(truth, known, dataset.classes, dataset.share_reading)
    dataset.problems += [note for note in laid.notes if note not in dataset.problems]
    if tail := kind.truths[asked].tail if asked in kind.truths else "":
        dataset.problems.append(
            f"frames are compared as they are annotated; runs are measured under its rule tail={tail} as well"
        )
    names = {v.name for v in tested}
    return OpenedTruth(truth.name, dataset, {v.name: v for v in laid.videos}, sorted(truth.videos.keys() - names))


def measured_under(folder: Path, a: OpenedTruth, b: OpenedTruth) -> RunUnderTwo:
    """Return the metrics of a run's stored scores, of the lengths that its videos had, under both ground truths.

    Raises:
        RunError: it is not finished, is damaged, or is one on another data set.
        DataError: a ground truth contradicts it.
    """
    record = read_record(folder)
    if record.status != "finished" or record.dataset != a.dataset.name:
        found = f"a run on {shortened(record.dataset)} that is {record.status}"
        raise RunError(f"{folder}: expected a finished run on {a.dataset.name}, found {found}; name another --run")
    split = load_split(folder)
    measured = [s.without_classes() for s in split.given if s.name in a.videos and s.name in b.videos]
    if not measured:
        raise RunError(
            f"{folder}: none of its {len(split.given)} videos is in both ground truths; name another --run or partition"
        )
    # A rule that its own ground truth demanded is not one of the others'.
    demanded = split.rules.truth in a.dataset.truths and a.dataset.truths[split.rules.truth].tail
    rules = split.rules.model_copy(update={"truth": "", **({"tail": "hold"} if demanded else {})})
    values = [
        point_values(
            replace(
                split,
                given=measured,
                videos=[opened.videos[s.name] for s in measured],
                classes=opened.dataset.classes,
                rules=under_truth(rules, opened.dataset),
            ),
            HEADLINES,
        )
        for opened in (a, b)
    ]
    return RunUnderTwo(
        folder,
        f"{record.title}, seed {record.seed} ({record.key})",
        split.rules.truth or NATIVE,
        len(measured),
        len(split.given) - len(measured),
        {key: (values[0][key], values[1][key]) for key in HEADLINES},
    )
