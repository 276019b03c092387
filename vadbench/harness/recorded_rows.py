"""Rows of recorded scores laid on the videos of a data set: which belong together, and how far apart the rows are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vadbench.base.errors import DataError, cut, did_you_mean, listed, shortened
from vadbench.base.ground_truth import OVERRUN
from vadbench.base.text import spaced
from vadbench.data.lengths import rows_fit
from vadbench.dataset import ClassTable, Video
from vadbench.records.record import INCOMPLETE
from vadbench.scoring.given_scores import GivenScores
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.video_scores import VideoScores

COMMON = (1, 16, 8, 4, 24, 30, 32, 64)
"""Distances of rows that are tried beside those that the lengths suggest."""
_AROUND = 0.25
"""How far from their average a distance of rows is looked for, as a share of it."""
_SHARE = 0.75
"""Share of all frames whose videos a distance of rows must fit (our decision)."""
_RULES: Sequence[Callable[[int, int], int]] = (
    lambda frames, stride: max(frames // stride, 1),
    lambda frames, stride: -(-frames // stride),
)
"""How many rows a video has: one for each full distance, or one for each begun distance."""
NAMED = 3
"""Videos that a note names."""


@dataclass(frozen=True)
class LaidScores:
    """Scores of videos, one row every ``stride`` frames, and notes for readers of the results."""

    scores: Sequence[VideoScores]
    videos: Sequence[Video]
    stride: int
    notes: Sequence[str]


def aliases(videos: Sequence[Video]) -> dict[str, str]:
    """Return the names of videos by the others that their files circulate under."""
    return {other: v.name for v in videos for other in v.aliases}


def matched(
    given: Mapping[str, GivenScores], videos: Sequence[Video], dataset: str, allow_incomplete: bool
) -> tuple[list[Video], list[str]]:
    """Return the videos that have scores, and a note on the others.

    Raises:
        DataError: there are scores of a video that is none of these, or a video lacks scores and must not.
    """
    names = {v.name: v for v in videos}
    if unknown := [name for name in given if name not in names]:
        if len(unknown) == len(given):
            raise DataError(
                f"none of the {len(given)} scored names is a test video of {dataset}, the first are"
                f" {shortened(unknown[0])} and, there, {videos[0].name!r}; name the data set and the partition that"
                " were scored"
            )
        raise DataError(
            f"{given[unknown[0]].where}: {len(unknown)} of {len(given)} scored names are no test videos of {dataset},"
            f" the first is {shortened(unknown[0])}{cut(did_you_mean(unknown[0][:300], names), 300)}; name the data set"
            " and the partition that were scored, or leave them out"
        )
    missing = [name for name in names if name not in given]
    if missing and not allow_incomplete:
        raise DataError(
            f"{len(missing)} of {len(videos)} test videos of {dataset} have no scores: {listed(missing, NAMED)}; add"
            " them, or go on without them with --allow-incomplete"
        )
    note = f"{INCOMPLETE}: {len(videos) - len(missing)} of {len(videos)} test videos, the others lack scores"
    return [v for v in videos if v.name in given], [note] if missing else []


def find_stride(given: Mapping[str, GivenScores], videos: Sequence[Video], stated: int | None) -> tuple[int, str]:
    """Return the frames from one row to the next, and how they are known.

    Lengths tell it where one distance fits more than any other. Of several that fit as much, it is the one by which all
    videos that it fits have a row for each full or each begun distance, if there is only one such.

    Args:
        given: scores by video.
        videos: those that have some.
        stated: what the user says; ``None`` to find it out.

    Raises:
        DataError: the files say different things, no distance fits the lengths, or several fit.
    """
    said = {own.stride for own in given.values()} - {None}
    if len(said) > 1:
        first = {own.stride: own.where for own in given.values() if own.stride is not None}
        raise DataError(
            f"scores must have one distance of rows, found {listed(sorted(first), 5)}, as in"
            f" {listed(list(first.values()), 2)}"
        )
    if stated is not None or said:
        (only,) = said or {stated}
        assert only is not None
        if stated is not None and stated != only:
            raise DataError(f"the files have a score {spaced(only)}, --stride says {stated}; leave it out")
        return only, "as the files say" if said else "as was said"
    lengths = [(len(given[v.name].values), v.frames) for v in videos if v.frames is not None]
    if not lengths:
        raise DataError("the distance of rows cannot be found out: no length of a video is known; give --stride FRAMES")
    every = sum(frames for _, frames in lengths)
    about = every / sum(rows for rows, _ in lengths)
    tried = dict.fromkeys([*COMMON, *range(max(int(about * (1 - _AROUND)), 1), int(about * (1 + _AROUND)) + 2)])
    # However much the user accepts, the usual tolerance is asked of most videos: with a large one anything fits. Long
    # videos count more: in short ones several distances have as many rows.
    fitting = {s: [(rows, frames) for rows, frames in lengths if rows_fit(rows, s, frames, OVERRUN)] for s in tried}
    weights = {s: sum(frames for _, frames in own) for s, own in fitting.items()}
    most = max(weights.values())
    best = [s for s in tried if weights[s] == most]
    exact = [s for s in best if any(all(rows == rule(frames, s) for rows, frames in fitting[s]) for rule in _RULES)]
    best = exact if len(exact) == 1 else best
    if most < _SHARE * every or 2 * len(fitting[best[0]]) <= len(lengths) or len(best) > 1:
        raise DataError(
            f"the distance of rows cannot be found out: there is a score every {about:.2f} frames on average,"
            f" {listed(sorted(best), 5)} fit {len(fitting[best[0]])} of {len(lengths)} videos; these may be scores of"
            " another data set, else give --stride FRAMES"
        )
    return best[0], f"found from the lengths of {len(lengths)} videos"


def lay(
    given: Mapping[str, GivenScores],
    videos: Sequence[Video],
    classes: ClassTable,
    stride: int,
    rules: Protocol,
    tolerance: int | None,
) -> LaidScores:
    """Return the scores as rows of the videos.

    Rows past the end of a video stay, for post-processing that looks at them; they count no frame.

    Args:
        given: scores by video.
        videos: those that have some.
        classes: the class table of the data set.
        stride: frames from one row to the next.
        rules: how many frames a video has, and by how much a length may be off.
        tolerance: frames by which a length may be off, where the user accepts more than these rules do.

    Raises:
        DataError: a length is unknown or does not fit, or only some videos have class probabilities.
    """
    allowed = rules.tolerance if tolerance is None else tolerance
    with_classes = [given[v.name].classes is not None for v in videos]
    if any(with_classes) and not all(with_classes):
        bare = given[videos[with_classes.index(False)].name]
        raise DataError(f"{bare.where}: no class probabilities, which other videos have; add them, or leave all out")
    scores, unknown, misfits, accepted, beyond = [], [], [], [], []
    furthest = 0
    for video in videos:
        own = given[video.name]
        if own.unfinished and own.classes is None and video.frames is not None and len(own.values) < video.frames:
            own = replace(own, values=np.pad(own.values, (0, video.frames - len(own.values))))
        rows, frames = len(own.values), video.frames if video.frames is not None else own.frames
        if video.frames is not None and own.frames is not None and abs(own.frames - video.frames) > allowed:
            raise DataError(
                f"{own.where}: {video.name!r} has {own.frames} frames there, {video.frames} by the ground truth; the"
                " two do not belong together (--tolerance FRAMES accepts more)"
            )
        if frames is None:
            if not rules.counts_rows:
                unknown.append(video.name)
            frames = rows * stride
        elif not rows_fit(rows, stride, frames, allowed):
            misfits.append(f"{own.where} has {rows} scores of {stride} frames each for {frames} frames")
            furthest = max(furthest, abs(frames - rows * stride))
        elif not rows_fit(rows, stride, frames, OVERRUN):
            accepted.append(f"{video.name} ({rows} rows for {frames} frames)")
        if not rules.counts_rows and rows > -(-frames // stride):
            beyond.append(video.name)
        scores.append(_scores(own, video.name, frames, classes))
    if misfits:
        raise DataError(
            f"the scores of {len(misfits)} of {len(videos)} videos do not fit their lengths, the first: {misfits[0]};"
            f" they do not belong together, or accept them with --tolerance {furthest}"
        )
    if unknown:
        raise DataError(
            f"the number of frames of {len(unknown)} videos is not known, the first is {unknown[0]!r}; add frame counts"
            f" to the data set, or count {stride} frames a row with --set protocol.tail=rows"
        )
    notes = []
    if accepted:
        notes = [f"lengths further off than usual were accepted, {len(accepted)} videos: {', '.join(accepted)}"]
    if beyond:
        notes.append(f"rows past the end of their video count no frame, {len(beyond)} videos: {listed(beyond, NAMED)}")
    return LaidScores(scores, videos, stride, notes)


def _scores(own: GivenScores, name: str, frames: int, classes: ClassTable) -> VideoScores:
    columns = None
    if own.classes is not None:
        columns = np.zeros((len(own.values), len(classes)))
        spelling = {n.casefold(): i for i, c in enumerate(classes.classes) for n in (c.name, c.words, *c.aliases)}
        for label, values in own.classes.items():
            if (found := spelling.get(label.casefold())) is None:
                unknown = f"{shortened(label)}{did_you_mean(label[:300], classes.names)}"
                raise DataError(f"{own.where}: no class is called {unknown}")
            if columns[:, found].any():
                raise DataError(f"{own.where}: {classes.names[found]!r} is there under two names; keep one of them")
            columns[:, found] = values
        if not any(spelling[label.casefold()] == classes.normal for label in own.classes):
            columns[:, classes.normal] = np.clip(1 - columns.sum(1), 0, 1)
    return VideoScores(name, frames, own.values, columns)


def truth_agreement(given: Mapping[str, GivenScores], videos: Sequence[Video], stride: int) -> list[str]:
    """Return a note on how far ground truth that the files carry agrees with that of the videos; none without any.

    Labels of rows are compared at the first frame of each.
    """
    differing: dict[str, int] = {}
    compared, unit = 0, "frames"
    for video in videos:
        own = given[video.name]
        frames = len(own.values) * stride if video.frames is None else video.frames
        inside = np.zeros(frames + OVERRUN + 1, bool)
        for start, end in video.runs:
            inside[start:end] = True
        if own.truth is not None:
            there = np.zeros_like(inside)
            for _, start, end in own.truth.segments:
                there[start:end] = True
            count = int((there != inside)[:frames].sum())
        elif own.labels is not None:
            unit = "rows"
            first = inside[: len(own.labels) * stride : stride]
            count = int((own.labels[: len(first)] != first).sum())
        else:
            continue
        compared += 1
        if count:
            differing[video.name] = count
    if not compared:
        return []
    if not differing:
        return [f"the ground truth in the files agrees with this one in all {compared} videos"]
    shown = ", ".join(f"{name} ({count})" for name, count in list(differing.items())[:NAMED])
    total = sum(differing.values())
    return [
        f"the ground truth in the files differs in {total} {unit} of {len(differing)} of {compared} videos: {shown};"
        " --truth with that file uses it"
    ]
