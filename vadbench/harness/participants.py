"""The videos of a data set that take part in a run, and the features that were found for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vadbench.base.errors import DataError
from vadbench.dataset import SPLITS, Dataset, Split, Video
from vadbench.features.source import FeatureSource
from vadbench.records.record import INCOMPLETE
from vadbench.scoring.protocol import Protocol


class Participants(NamedTuple):
    """The videos that take part by split, in the order of the splits, what the protocol leaves out, and the problems in
    the data set's lists."""

    videos: Mapping[Split, Sequence[Video]]
    notes: Sequence[str]
    problems: Sequence[str]


def participants(dataset: Dataset, rules: Protocol, splits: Collection[Split] = SPLITS) -> Participants:
    """Return the videos of each split that take part under a protocol.

    Args:
        dataset: the data set; the lists of all its splits are read.
        rules: how annotated intervals are read, and which videos take part.
        splits: those that take part, where the data set has them.

    Raises:
        DataError: a list cannot be read, a split has no video, or one is in it twice.
    """
    listing = dataset.read(rules.boundaries)
    for split, listed in listing.videos.items():
        if not listed:
            raise DataError(f"{dataset.name} has no {split} videos under {dataset.root}; expected: {dataset.files}")
    videos: dict[Split, Sequence[Video]] = {
        split: [v for v in listed if rules.subset == "all" or dataset.is_single(v)]
        for split, listed in listing.videos.items()
    }
    # Of all splits: a video that weights are chosen on must not be one that they are tested on either.
    repeated = [name for name, count in Counter(v.name for v in every_video(videos)).items() if count > 1]
    if repeated:
        raise DataError(
            f"{dataset.name}: each video must appear once in one split, found {repeated[0]} more than once; keep one"
            " line of the lists"
        )
    videos = {split: own for split, own in videos.items() if split in splits}
    notes = []
    for split, own in videos.items():
        listed = listing.videos[split]
        taking_part = {} if rules.subset == "all" or dataset.partition else dataset.single_anomaly
        # Lists of the subset alone are complete under it.
        found, whole = (len(own), taking_part[split]) if split in taking_part else (len(listed), dataset.sizes[split])
        if found != whole:
            other = f"{INCOMPLETE}: other lists, {found} {split} videos instead of {whole}"
            notes.append(other if found > whole else f"{INCOMPLETE}: {found} of {whole} {split} videos")
        if len(own) != len(listed):
            notes.append(f"subset {rules.subset}: {len(own)} of {len(listed)} {split} videos")
    return Participants(videos, notes, listing.problems)


def every_video(videos: Mapping[Split, Sequence[Video]]) -> list[Video]:
    """Return the videos of all splits, one split after the other."""
    return [v for own in videos.values() for v in own]


def other_names(videos: Iterable[Video]) -> dict[str, str]:
    """Return the names of videos by the other names that their files and features circulate under."""
    return {alias: v.name for v in videos for alias in v.aliases}


def origin_videos(videos: Mapping[Split, Sequence[Video]]) -> Sequence[Video]:
    """Return the videos whose values stand for features of unknown origin: the training videos, or the test videos of a
    data set for testing alone."""
    return videos.get("train", videos["test"])


def require_present(
    dataset: Dataset, videos: Mapping[Split, Sequence[Video]], present: Collection[str], what: str, allowed: bool
) -> tuple[dict[Split, list[Video]], list[str]]:
    """Return the videos that can be used, and notes on the others, which stop the run unless they are allowed to be
    missing.

    Args:
        dataset: whose videos they are.
        videos: of each split.
        present: names of those that can be used.
        what: the thing that the others lack, in words.
        allowed: whether they may be missing.

    Raises:
        DataError: some are missing and must not, or none would be left.
    """
    kept = {split: [v for v in own if v.name in present] for split, own in videos.items()}
    every = [v.name for v in every_video(videos)]
    missing = [name for name in every if name not in present]
    empty = [split for split, own in kept.items() if not own]
    if missing and (not allowed or empty):
        go_on = ", or go on without them with --allow-incomplete"
        if empty:
            go_on = f"; no {empty[0]} video would be left without them"
        raise DataError(
            f"{dataset.name}: {len(missing)} of {len(every)} videos lack {what}, the first is {missing[0]!r};"
            f" add them{go_on} (vadbench data check, with the same options, lists them all)"
        )
    notes = [
        f"{INCOMPLETE}: {len(kept[split])} of {dataset.sizes[split]} {split} videos, the others lack {what}"
        for split, own in videos.items()
        if len(kept[split]) < len(own)
    ]
    return kept, notes


@dataclass(frozen=True)
class FoundFeatures:
    """Features as they were extracted or given, and the videos that have them.

    Args:
        videos: of each split.
        source: the features.
        weights: hash of the encoder's weights, or its substitute where they are unknown.
        identity: the source of each video's features.
        rows: how many each video has.
        notes: remarks for readers of the results.
        foreign: they are of another encoder than the CLIP of the run, which has no part in it then.
    """

    videos: Mapping[Split, Sequence[Video]]
    source: FeatureSource
    weights: str
    identity: Mapping[str, str]
    rows: Mapping[str, int]
    notes: Sequence[str]
    foreign: bool = False
