"""The videos that a selection rule looks at: whether there are such, and training videos held out to be them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from vadbench.base.errors import MisfitError
from vadbench.base.seeds import Purpose, generator
from vadbench.dataset import Dataset, Split, Video
from vadbench.scoring.protocol import Selection

HELD_OUT = 0.2
"""Share of each class's training videos that ``validation`` holds out (our decision)."""


def require_watchable(dataset: Dataset, rule: Selection, videos: Mapping[Split, Sequence[Video]]) -> None:
    """Raise if the videos of a data set do not allow a selection rule to judge weights by them.

    Args:
        dataset: says which videos are normal.
        rule: which weights are evaluated.
        videos: of each split that takes part.

    Raises:
        MisfitError: they are all of one kind, or too few.
    """
    if rule == "best-on-test" and not any(v.runs for v in videos["test"]):
        raise MisfitError(
            f"selection '{rule}' needs normal and anomalous test frames, {dataset.name} has one kind; choose another"
            " rule"
        )
    if rule != "validation":
        return
    watched = videos.get("validation")
    if watched is None:
        hold_out(dataset, videos.get("train", ()), seed=0)
    elif len({dataset.is_normal(v) for v in watched}) < 2 and not are_annotated(dataset, watched):
        raise MisfitError(
            f"selection '{rule}' needs normal and abnormal validation videos, {dataset.name} has one kind; choose"
            " another rule"
        )


def are_annotated(dataset: Dataset, videos: Sequence[Video]) -> bool:
    """Return True if abnormal videos are there and all have segments: frames of the others would count as normal."""
    abnormal = [v for v in videos if not dataset.is_normal(v)]
    return bool(abnormal) and all(v.runs for v in abnormal)


def hold_out(dataset: Dataset, videos: Sequence[Video], seed: int) -> tuple[list[Video], list[Video]]:
    """Split training videos into those trained on and those held out, the same share of every class.

    A video counts for the class it names first; of a class with a single video none is held out.

    Raises:
        MisfitError: normal or abnormal videos are too few to hold one out.
    """
    groups: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        groups[dataset.classes.names[dataset.classes.id(video.labels[0])]].append(video)
    rng = generator(Purpose.HOLD_OUT, seed)
    held: set[str] = set()
    for label in sorted(groups):
        members = groups[label]
        count = min(max(1, round(HELD_OUT * len(members))), len(members) - 1)
        held |= {members[i].name for i in rng.permutation(len(members))[:count]}
    kinds = {dataset.is_normal(v) for v in videos if v.name in held}
    if len(kinds) < 2:
        raise MisfitError(
            "selection 'validation' holds out normal and abnormal training videos and needs two of a class for that;"
            f" {dataset.name} has {', '.join(f'{len(m)} {label}' for label, m in sorted(groups.items()))};"
            " choose another rule"
        )
    return [v for v in videos if v.name not in held], [v for v in videos if v.name in held]
