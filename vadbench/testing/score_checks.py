"""Checks of a method's scores."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from vadbench.method import Scores
from vadbench.scoring.windows import windows
from vadbench.testing.conformance import require
from vadbench.testing.tested_method import LENGTHS, TestedMethod, furthest, values

ROUNDING = 1e-5
"""Tolerance for a value outside its range, and for a score that is computed with other videos."""
SUMS = 1e-4
"""Tolerance for the sum of the probabilities of a row."""
HALF = 1e-2
"""Tolerance for the change of a score with features in float16."""
WINDOW = 61
"""Minimum rows of the windows in which a long video is scored to check a method's reach."""
KEPT_PER_ROW = 1.0
"""Bytes that may stay allocated per scored row; a score alone has four."""


def shapes(subject: TestedMethod) -> str:
    """Check that there is a finite score for every row, for any number of rows."""
    table = subject.classes
    low, high, forms = float("inf"), -float("inf"), set()
    for video, length in zip(subject.videos(), LENGTHS, strict=True):
        found = subject.score(subject.trained, [video])
        require(
            len(found) == 1 and isinstance(found[0], Scores),
            f"score() of one video returned {len(found)} results",
            "return a list with one Scores per video, in the order of the videos",
        )
        said = values(found[0])
        forms.add(tuple(said))
        for what, tensor in said.items():
            shape = (length, len(table)) if what == "class probabilities" else (length,)
            require(
                tuple(tensor.shape) == shape,
                f"{what} of a video of {length} rows are {tuple(tensor.shape)}, expected {shape}",
                "give every row of the video its own score, none to padding, and classes as (rows, classes)",
            )
            require(
                bool(torch.isfinite(tensor).all()),
                f"{what} of a video of {length} rows are not all finite",
                "look for a division by a count that can be 0, or a mean of an empty tensor",
            )
        low, high = min(low, float(found[0].anomaly.min())), max(high, float(found[0].anomaly.max()))
        for what, tensor in said.items() if found[0].classes is not None else ():
            require(
                float(tensor.min()) >= -ROUNDING and float(tensor.max()) <= 1 + ROUNDING,
                f"{what} of a video of {length} rows range from {float(tensor.min()):.4g} to {float(tensor.max()):.4g}",
                "a method with class probabilities gives scores between 0 and 1: apply a sigmoid or a softmax",
            )
    require(
        len(forms) == 1,
        f"videos of different lengths get different things: {' or '.join(', '.join(f) for f in sorted(forms))}",
        "give every video the same: classes always or never, and the same branches",
    )
    rows = ", ".join(f"{n:,}" for n in LENGTHS)
    return f"{', '.join(forms.pop())} of {rows} rows; anomaly scores from {low:.3g} to {high:.3g}"


def probabilities(subject: TestedMethod) -> str:
    """Check that class probabilities sum to one, and that the normal class's falls as the anomaly score rises."""
    table = subject.classes
    scores = subject.score(subject.trained, subject.videos())
    pairs = [(s.classes, s.anomaly) for s in scores if s.classes is not None]
    if not pairs:
        raise SkipTest("the method gives no class probabilities")
    joined, anomaly = (torch.cat(parts).double() for parts in zip(*pairs, strict=True))
    gap = float((joined.sum(1) - 1).abs().max())
    require(
        gap <= SUMS,
        f"class probabilities of a row sum to one within {gap:.3g}, expected {SUMS:g}",
        "divide by the sum or take a softmax over all classes, the normal one included",
    )
    if float(anomaly.std()) == 0:
        return f"sums are one within {gap:.1g}; all scores are equal, so the normal class's place shows nothing"
    together = torch.nan_to_num(torch.corrcoef(torch.cat([anomaly[None], joined.T]))[0, 1:])
    lowest = int(together.argmin())
    require(
        lowest == table.normal,
        f"the probability that falls most as the anomaly score rises is that of '{table.names[lowest]}' (column"
        f" {lowest}, correlation {float(together[lowest]):.2f}), not of the normal class (column {table.normal},"
        f" {float(together[table.normal]):.2f})",
        "put the normal class at task.classes.normal, wherever that is, and the abnormal ones at task.classes.abnormal",
    )
    return f"sums are one within {gap:.1g}; normal is column {table.normal} of {len(table)}"


def together(subject: TestedMethod) -> str:
    """Check that scores are the same one by one, in another order, and once more."""
    rows = subject.videos((*LENGTHS, 40, 300))
    first = subject.score(subject.trained, rows)
    require(
        len(first) == len(rows),
        f"score() of {len(rows)} videos returned {len(first)} results",
        "return one Scores per video, in the order of the videos",
    )
    order = list(np.random.default_rng(0).permutation(len(rows)))
    shuffled = dict(zip(order, subject.score(subject.trained, [rows[i] for i in order]), strict=True))
    others = {
        "once more": subject.score(subject.trained, rows),
        "one by one": [subject.score(subject.trained, [r])[0] for r in rows],
        "in another order": [shuffled[i] for i in range(len(rows))],
    }
    gaps = {how: furthest(first, scores) for how, scores in others.items()}
    for how, (gap, what) in gaps.items():
        require(
            gap <= ROUNDING,
            f"scored {how}, {what} differ by {gap:.3g}, expected {ROUNDING:g} at most",
            "mask padding, take no statistics over a batch, leave dropout off in evaluation, draw nothing from a"
            " generator that others move",
        )
    return f"{len(rows)} videos one by one, in another order, once more: within {max(g for g, _ in gaps.values()):.1g}"


def reach(subject: TestedMethod) -> str:
    """Check that windows cut as ``reach`` declares have the scores of the whole video.

    Two lengths of window are tried, a chunk times neighbouring numbers: if rows are in fact scored in longer chunks
    than declared, some begin in the wrong place with one of the two.
    """
    declared = subject.trained.reach
    if declared.whole:
        return (
            f"all of a video's rows count, so there is nothing to compare; a stream is cut into {declared.chunk:,} rows"
        )
    shortest = -(-WINDOW // declared.chunk)
    lengths = [declared.chunk * count for count in (shortest, shortest + 1)]
    count = 3 * lengths[1] + 2 * declared.margin + declared.chunk // 2 + 7
    (rows,) = subject.videos((count,))
    whole = subject.score(subject.trained, [rows])
    most = 0.0
    for length in lengths:
        cut = list(windows(declared, length, count))
        parts = [subject.score(subject.trained, [rows[w.start : w.stop]])[0] for w in cut]
        gap, what = furthest(whole, [_joined(parts, [w.scored for w in cut])])
        require(
            gap <= ROUNDING,
            f"scored in windows of {length:,} with a margin of {declared.margin:,}, {what} of a video of {count:,} rows"
            f" differ by {gap:.3g} from those of the whole, expected {ROUNDING:g} at most",
            f"reach is {declared}: set chunk to the number of rows that are scored together and margin to how far"
            " before and after them rows still matter, or whole=True; long videos are cut accordingly",
        )
        most = max(most, gap)
    return f"{count:,} rows whole and in windows of {lengths[0]:,} and {lengths[1]:,}: within {most:.1g}"


def _joined(parts: Sequence[Scores], counted: Sequence[slice]) -> Scores:
    """Join the scores of windows, of the rows that count in each, to those of one video."""
    pairs = list(zip(parts, counted, strict=True))
    classes = [s.classes[rows] for s, rows in pairs if s.classes is not None]
    return Scores(
        torch.cat([s.anomaly[rows] for s, rows in pairs]),
        torch.cat(classes) if classes else None,
        {b: torch.cat([s.branches[b][rows] for s, rows in pairs if b in s.branches]) for b in parts[0].branches},
    )


def float16(subject: TestedMethod) -> str:
    """Check that scores hardly change if rows are stored in half precision."""
    if subject.is_floor:
        raise SkipTest(f"'{subject.name}' draws its scores from every bit of a row")
    rows = subject.videos()
    full, half = (subject.score(subject.trained, r) for r in (rows, [r.half().float() for r in rows]))
    gap, what = furthest(full, half)
    require(
        gap < HALF,
        f"with features in float16 {what} change by {gap:.3g}, expected less than {HALF:g}",
        "look for a hard threshold, an exponential or a difference of nearly equal numbers; normalise rows first",
    )
    return f"scores change by {gap:.2g} at most"


def memory(subject: TestedMethod) -> str:
    """Check that scoring leaves no tensors and Python objects behind."""
    length, before, more = 2000, 8, 32
    rng, abnormal = np.random.default_rng(2), subject.classes.abnormal

    def score(count: int) -> None:
        for i in range(count):
            subject.score(subject.trained, [subject.video(length, abnormal[i % len(abnormal)], rng)])

    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        score(before)
        start = _alive()
        score(more)
        grown = _alive() - start
    finally:
        if not tracing:
            tracemalloc.stop()
    require(
        grown <= KEPT_PER_ROW * more * length,
        f"scoring {more} videos of {length:,} rows left {grown / 2**20:.2f} MiB behind",
        "keep no rows, scores or intermediate results of a video on self or in a global; a data set has thousands",
    )
    return f"{more} videos of {length:,} rows left {max(grown, 0) / 1024:.0f} KiB behind"


def _alive() -> int:
    """Return the bytes of all tensors that Python references and of everything that Python has allocated."""
    gc.collect()
    python = tracemalloc.get_traced_memory()[0]
    storages: dict[int, int] = {}
    for thing in gc.get_objects():
        # isinstance would trigger lazy modules.
        if issubclass(type(thing), Tensor) and thing.layout == torch.strided and thing.device.type == "cpu":
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return python + sum(storages.values())
