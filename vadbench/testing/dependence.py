"""Checks of what a score depends on: other videos, rows before and after it, the generator of its video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest import SkipTest

import numpy as np
import torch
from numpy.typing import NDArray

from vadbench.base.needs import Needs
from vadbench.inputs import StreamInput, VideoInput
from vadbench.method import Reach, Scores
from vadbench.scoring.windows import windows
from vadbench.testing.conformance import require
from vadbench.testing.tested_method import LENGTHS, TestedMethod, furthest

ROUNDING = 1e-5
"""Tolerance for a score that is computed with other videos, or with other rows that do not count; of scores above 1 a
share."""
ALMOST = 1e-7
"""How far the rows of a near-tie are apart, as a share: about the last bit of a float32."""
TIED, TIE = 300, 113
"""Rows of a video full of near-ties, and of each tie: no usual share of the rows ends with one."""
WINDOW = 61
"""Minimum rows of the windows in which a long video is scored to check a method's reach."""
CUT = 40
"""Rows of the video that is cut to check a look-ahead, beside those that are looked ahead."""


def together(subject: TestedMethod) -> str:
    """Check that scores are the same one by one, in another order, and once more.

    One of the videos is full of near-ties: what a hard choice among its rows depends on must be computed in shapes of
    that video alone, as products in other shapes differ by the last bit.
    """
    videos = [*subject.videos((*LENGTHS, 40, 300)), near_ties(subject)]
    first = subject.score(subject.trained, videos)
    require(
        len(first) == len(videos),
        f"score() of {len(videos)} videos returned {len(first)} results",
        "return one Scores per video, in the order of the videos",
    )
    order = list(np.random.default_rng(0).permutation(len(videos)))
    shuffled = dict(zip(order, subject.score(subject.trained, [videos[i] for i in order]), strict=True))
    others = {
        "once more": subject.score(subject.trained, videos),
        "one by one": [subject.score(subject.trained, [v])[0] for v in videos],
        "in another order": [shuffled[i] for i in range(len(videos))],
    }
    gaps = {how: furthest(first, scores) for how, scores in others.items()}
    declared = subject.needs.company == "split"
    for how, (gap, what) in gaps.items():
        if declared and how != "once more":
            continue
        require(
            gap <= ROUNDING,
            f"scored {how}, {what} differ by {gap:.3g}, expected {ROUNDING:g} at most",
            "mask padding, take no statistics over a batch, leave dropout off in evaluation, draw from video.rng() and"
            " from nothing that others move, and choose rows by values that were computed video by video; a method"
            " that cannot says company='split' in needs()",
        )
    if declared:
        alone, elsewhere = gaps["one by one"][0], gaps["in another order"][0]
        useless = "; alone they are the same here, so look whether company='split' is needed" if not alone else ""
        return (
            f"declared company='split', the same once more: one by one scores differ by {alone:.2g}, in another order"
            f" by {elsewhere:.2g}{useless}"
        )
    return (
        f"{len(videos)} videos one by one, in another order, once more: within {max(g for g, _ in gaps.values()):.1g}"
    )


def near_ties(subject: TestedMethod) -> VideoInput:
    """Return a video whose rows are repeated with the last bit changed, in every stream."""
    (length,) = subject.footage.lengths([TIED])
    video = subject.footage.video(length, subject.classes.abnormal[0], 2000, "video-of-ties")

    def tied(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        repeated = rows[..., np.arange(rows.shape[-2]) // TIE * TIE, :]
        change = np.random.default_rng(5).normal(0, ALMOST, repeated.shape)
        return np.asarray(repeated * (1 + change), np.float32)

    streams = {name: _holding(own, tied(own.read())) for name, own in video.streams.items()}
    return replace(video, streams=streams)


def _holding(stream: StreamInput, rows: NDArray[np.float32]) -> StreamInput:
    return replace(stream, read=lambda: rows)


def reach(subject: TestedMethod) -> str:
    """Check that windows cut as ``reach`` declares have the scores of the whole video.

    Two lengths of window are tried, a chunk times neighbouring numbers: if rows are in fact scored in longer chunks
    than declared, some begin in the wrong place with one of the two.
    """
    if subject.needs.company == "split":
        return "the split counts, as needs() say; no video is cut"
    declared = subject.trained.reach
    if declared.whole:
        chunk = f"a stream is cut into {declared.chunk:,} rows"
        gap = _gap_in_windows(subject, replace(declared, whole=False), 1)[0] if not subject.needs.frames else 1.0
        if gap <= ROUNDING:
            return f"declared: all of a video's rows count; here rows in chunks gave the same within {gap:.1g}; {chunk}"
        return f"all of a video's rows count, so there is nothing to compare; {chunk}"
    shortest = -(-_shortest(subject) // declared.chunk)
    most, lengths, count = 0.0, [], 0
    for chunks in (shortest, shortest + 1):
        gap, what, count = _gap_in_windows(subject, declared, chunks)
        lengths.append(chunks * declared.chunk)
        require(
            gap <= ROUNDING,
            f"scored in windows of {lengths[-1]:,} with a margin of {declared.margin:,}, {what} of a video of"
            f" {count:,} rows differ by {gap:.3g} from those of the whole, expected {ROUNDING:g} at most",
            f"reach is {declared}: set chunk to the number of rows that are scored together and margin to how far"
            " before and after them rows still matter, or whole=True; long videos are cut accordingly",
        )
        most = max(most, gap)
    (video,) = subject.videos((17,))
    require(
        subject.score(subject.trained, [video])[0].video is None,
        "the method gives scores of a whole video (Scores.video), and its reach is less than the whole",
        "set whole=True in reach, or leave Scores.video out: those of windows cannot be joined",
    )
    return f"{count:,} rows whole and in windows of {lengths[0]:,} and {lengths[1]:,}: within {most:.1g}"


def _shortest(subject: TestedMethod) -> int:
    """Return the minimum rows of a window: fewer of videos that are decoded."""
    return min(WINDOW, subject.footage.lengths([10 * WINDOW])[0] // 6) or 1


def _gap_in_windows(subject: TestedMethod, declared: Reach, chunks: int) -> tuple[float, str, int]:
    """Return how far scores in windows are from those of the whole, what differs, and of how many rows it is."""
    length = declared.chunk * chunks
    count = 3 * (length + declared.chunk) + 2 * declared.margin + declared.chunk // 2 + 7
    video = subject.footage.video(count, subject.classes.abnormal[0], 1000)
    whole = subject.score(subject.trained, [video])
    cut = list(windows(declared, length, count))
    parts = [subject.score(subject.trained, [video.window(w.start, w.stop)])[0] for w in cut]
    gap, what = furthest([replace(s, video=None) for s in whole], [_joined(parts, [w.scored for w in cut])])
    return gap, what, count


def _joined(parts: Sequence[Scores], counted: Sequence[slice]) -> Scores:
    """Join the scores of windows, of the rows that count in each, to those of one video."""
    pairs = list(zip(parts, counted, strict=True))
    classes = [s.classes[rows] for s, rows in pairs if s.classes is not None]
    return Scores(
        torch.cat([s.anomaly[rows] for s, rows in pairs]),
        torch.cat(classes) if classes else None,
        {b: torch.cat([s.branches[b][rows] for s, rows in pairs if b in s.branches]) for b in parts[0].branches},
        extras={e: torch.cat([s.extras[e][rows] for s, rows in pairs if e in s.extras]) for e in parts[0].extras},
    )


def lookahead(subject: TestedMethod) -> str:
    """Check a declared look-ahead: of a video that is cut some rows after a row, its score is that of the whole."""
    ahead = subject.needs.lookahead
    if ahead is None:
        raise SkipTest("the method does not say that it is causal")
    count = subject.footage.lengths([CUT])[0] + ahead
    video = subject.footage.video(count, subject.classes.abnormal[0], 1000)
    (whole,) = subject.score(subject.trained, [video])
    most = 0.0
    for row in sorted({0, 1, 7, (count - ahead) // 2, count - ahead - 2} & set(range(count - ahead - 1))):
        (part,) = subject.score(subject.trained, [subject.footage.cut(video, row + ahead + 1)])
        gap, what = furthest([_until(part, row)], [_until(whole, row)])
        require(
            gap <= ROUNDING,
            f"cut after row {row + ahead}, {what} up to row {row} differ by {gap:.3g} from those of the whole video,"
            f" expected {ROUNDING:g} at most",
            f"its needs() say that a score depends on {ahead} rows after its own; raise lookahead, take nothing from"
            f" the length of the video, or leave {Needs.__name__}.lookahead at None",
        )
        most = max(most, gap)
    return f"declared: {ahead} rows ahead; scores up to a cut are those of the whole video within {most:.1g}"


def _until(scores: Scores, row: int) -> Scores:
    """Return the scores of the rows up to one, which do not say anything of the video as a whole."""
    rows = slice(0, row + 1)
    return Scores(
        scores.anomaly[rows],
        None if scores.classes is None else scores.classes[rows],
        {name: branch[rows] for name, branch in scores.branches.items()},
        extras={name: extra[rows] for name, extra in scores.extras.items()},
    )
