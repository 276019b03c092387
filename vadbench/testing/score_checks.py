"""Checks of a method's scores: their shapes and values, and what they may not depend on."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from vadbench.inputs import VideoInput
from vadbench.method import Scores
from vadbench.scoring.checks import checked
from vadbench.testing.conformance import require
from vadbench.testing.footage import Footage
from vadbench.testing.tested_method import LENGTHS, TestedMethod, furthest, values

ROUNDING = 1e-5
"""Tolerance for a value outside its range."""
SUMS = 1e-4
"""Tolerance for the sum of the probabilities of a row."""
HALF = 1e-2
"""Tolerance for the change of a score with features in float16."""
OTHER_WIDTH = 32
"""How much wider the streams are made to see that no width is built in."""
KEPT_PER_ROW = 1.0
"""Bytes that may stay allocated per scored row; a score alone has four."""
KEPT_AT_ALL = 2**16
"""The same of videos that are decoded, of which a single frame has more."""


def shapes(subject: TestedMethod) -> str:
    """Check that there is a finite score for every row, for any number of rows, and what else there is fits them."""
    table, needs = subject.classes, subject.needs
    low, high, forms = float("inf"), -float("inf"), {}
    for video in subject.videos():
        length = video.row_count
        found = subject.score(subject.trained, [video])
        require(
            len(found) == 1 and isinstance(found[0], Scores),
            f"score() of one video returned {len(found)} results",
            "return a list with one Scores per video, in the order of the videos",
        )
        said = values(found[0])
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
        for what, tensor in said.items():
            least, most = float(tensor.min()), float(tensor.max())
            require(
                (least >= -ROUNDING and most <= 1 + ROUNDING)
                or not (needs.unit_scores or what == "class probabilities"),
                f"{what} of a video of {length} rows range from {least:.4g} to {most:.4g}",
                "give scores between 0 and 1, by a sigmoid or a softmax, or say unit_scores=False in needs(): metrics"
                " with a fixed threshold are then undefined",
            )
        # What else there is: branches, extras, scores of the video, costs, remarks.
        kept = checked(subject.trained, video, found[0])
        forms[kept.form] = ", ".join([*said, *_others(found[0])])
    require(
        len(forms) == 1,
        f"videos of different lengths get different things: {' or '.join(sorted(forms.values()))}",
        "give every video the same: classes always or never, and the same branches, extras and rules",
    )
    rows = ", ".join(f"{n:,}" for n in subject.footage.lengths(LENGTHS))
    outside = "" if needs.unit_scores else ", as needs() say not between 0 and 1"
    return f"{forms.popitem()[1]} of {rows} rows; anomaly scores from {low:.3g} to {high:.3g}{outside}"


def _others(scores: Scores) -> list[str]:
    """Return what a method gives beside scores of rows, in words."""
    there = {
        "values of " + ", ".join(scores.extras): scores.extras,
        "scores of the video": scores.video is not None,
        "costs": scores.costs,
        "remarks": scores.remarks is not None,
    }
    return [what for what, some in there.items() if some]


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


def width(subject: TestedMethod) -> str:
    """Check that a method that uses no text takes rows of any width: those of any encoder."""
    if not subject.needs.streams:
        raise SkipTest("the method reads no features")
    if subject.needs.text:
        raise SkipTest("the method compares rows with CLIP's texts, which have one width")
    widths = {name: dim + OTHER_WIDTH for name, dim in subject.widths.items()}
    footage = Footage(subject.config, subject.classes, subject.anchors(subject.classes, widths))
    method = subject.rehearse(0, subject.build(0, widths), subject.learnt(subject.made_samples(footage))).method
    (usual,), (found,) = (
        subject.score(made, [own.video(40, subject.classes.abnormal[0], 0)])
        for made, own in ((subject.trained, subject.footage), (method, footage))
    )
    require(
        found.anomaly.shape == usual.anomaly.shape,
        f"with rows {_listed(widths)} wide the anomaly scores of 40 rows are {tuple(found.anomaly.shape)}",
        "take widths from task.dims, or task.dim for the first stream",
    )
    return f"trained and scored with rows {_listed(widths)} wide as well as {_listed(subject.widths)}"


def _listed(widths: dict[str, int]) -> str:
    return " and ".join(f"{dim:,}" for dim in widths.values())


def float16(subject: TestedMethod) -> str:
    """Check that scores hardly change if rows are stored in half precision."""
    if subject.is_floor:
        raise SkipTest(f"'{subject.name}' draws its scores from every bit of a row")
    if not subject.needs.streams:
        raise SkipTest("the method reads no features")
    videos = subject.videos()
    full, half = (subject.score(subject.trained, v) for v in (videos, [_halved(v) for v in videos]))
    gap, what = furthest(full, half, values)
    require(
        gap < HALF,
        f"with features in float16 {what} change by {gap:.3g}, expected less than {HALF:g}",
        "look for a hard threshold, an exponential or a difference of nearly equal numbers; normalise rows first",
    )
    return f"scores change by {gap:.2g} at most"


def _halved(video: VideoInput) -> VideoInput:
    def half(read: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: np.asarray(read(), np.float16)

    return replace(video, streams={name: replace(own, read=half(own.read)) for name, own in video.streams.items()})


def memory(subject: TestedMethod) -> str:
    """Check that scoring leaves no tensors and Python objects behind."""
    decodes = subject.needs.frames
    (length,) = subject.footage.lengths([2000])
    before, more = (2, 8) if decodes else (8, 32)
    abnormal = subject.classes.abnormal

    def score(count: int, seed: int) -> None:
        for i in range(count):
            video = subject.footage.video(length, abnormal[i % len(abnormal)], seed if decodes else seed + i)
            subject.score(subject.trained, [video])

    tracing, frozen = tracemalloc.is_tracing(), gc.get_freeze_count()
    if not tracing:
        tracemalloc.start()
    # What is there already need not be walked over twice: a process with many imports has millions of objects.
    gc.collect()
    gc.freeze()
    try:
        score(before, 0)
        start = _alive()
        score(more, 0 if decodes else before)
        grown = _alive() - start
    finally:
        if not frozen:
            gc.unfreeze()
        if not tracing:
            tracemalloc.stop()
    require(
        grown <= max(KEPT_PER_ROW * more * length, KEPT_AT_ALL * decodes),
        f"scoring {more} videos of {length:,} rows left {grown / 2**20:.2f} MiB behind",
        "keep no rows, frames, scores or intermediate results of a video on self or in a global; a data set has"
        " thousands",
    )
    return f"{more} videos of {length:,} rows left {max(grown, 0) / 1024:.0f} KiB behind"


def _alive() -> int:
    """Return the bytes of all tensors that Python references, but for frozen ones, and of all that it has allocated."""
    gc.collect()
    storages: dict[int, int] = {}
    for thing in gc.get_objects():
        # isinstance would trigger lazy modules.
        if issubclass(type(thing), Tensor) and thing.layout == torch.strided and thing.device.type == "cpu":
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    tensors = sum(storages.values())
    del storages
    # Asked for last: the first look at a tensor's storage makes a Python object that stays, 64 bytes for each tensor.
    return tensors + tracemalloc.get_traced_memory()[0]
