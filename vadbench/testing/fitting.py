"""Checks of a method's training: broken off and resumed, served by worker processes, blind to names, bounded memory."""

from __future__ import annotations

import gc
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import SkipTest
from unittest.mock import patch

import numpy as np

from vadbench.base.errors import listed
from vadbench.inputs import TrainingData, TrainingVideo, VideoInput
from vadbench.method import Method
from vadbench.testing.conformance import require
from vadbench.testing.guards import CHECKS_FOLDER
from vadbench.testing.parameters import differences
from vadbench.testing.rehearsal import EPOCHS, Interruption, Rehearsal
from vadbench.testing.tested_method import TestedMethod, furthest
from vadbench.training import stages
from vadbench.training.prefetching import batch_difference

Stop = tuple[str, int]
"""A stage, and the number of the step in it before which a training is broken off."""
SHOWN = 3
"""Maximum number of tensors named in a message."""
COUNTS = (0, 1, 3)
"""Numbers of worker processes whose batches are compared."""
MANY, LONG = 12, 2000
"""Normal videos of the smaller of two sets for the memory of a fit, the other having three times as many, and rows of
each."""
TIMES_STATE = 3
"""How many times the growth of its state a fit may hold: rows that are kept, and joined."""
SOME_VIDEOS = 3
"""Videos that a fit may hold besides."""


def resume(subject: TestedMethod) -> str:
    """Check that a fit that is broken off in each of its stages, and called again, ends with the same bits."""
    whole = subject.rehearse(0, subject.build(0))
    if not whole.stages:
        raise SkipTest("the method's fit runs no stage of the loop, so it begins anew")
    stops = late_stops(whole)
    found = resumed(subject, lambda: subject.build(0), stops)
    differing = differences(whole.method.state_dict(), found.state_dict())
    where = ", ".join(f"stage {name!r} before step {step}" if step else f"{name!r}" for name, step in stops)
    require(
        not differing,
        f"broken off in {where} and resumed, {listed(differing, SHOWN)} differ from a fit in one go",
        "keep what a later step depends on in parameters, buffers and optimisers: a counter, a teacher or an average on"
        " self is lost; what is computed between stages is kept by loop.once()",
    )
    return f"broken off in {where}: the same bits as in one go"


def late_stops(whole: Rehearsal) -> list[Stop]:
    """Return a place in each stage of a training: late in it, so that epochs were stored, or before what is kept."""
    return [(stage.name, 2 * stage.steps // 3) for stage in whole.stages]


def resumed(
    subject: TestedMethod, build: Callable[[], Method], stops: Sequence[Stop], epochs: int = EPOCHS, seed: int = 0
) -> Method:
    """Return a new method after a fit that was broken off at places in turn, and called again each time.

    Args:
        subject: says on what it is fitted.
        build: returns it anew.
        stops: the places.
        epochs: of a stage at most.
        seed: of the run.

    Raises:
        Failure: a fit that is called again does not come to a place.
    """
    with tempfile.TemporaryDirectory(prefix=CHECKS_FOLDER) as folder, patch.object(stages, "SAVE_SECONDS", 0.0):
        for stop in [*stops, None]:
            # As after a kill, nothing is left of the method but what was stored.
            method = build()
            rehearsal = Rehearsal(method, seed, Path(folder), subject.precision, stop, epochs)
            broken_off = False
            try:
                method.fit(subject.data, rehearsal)
            except Interruption:
                broken_off = True
            require(
                broken_off or stop is None,
                f"called again after an interruption, fit() did not come to stage {stop and stop[0]!r} any more",
                "run the same stages at every call, whatever was there before: the loop knows which are finished",
            )
    return method


def workers(subject: TestedMethod) -> str:
    """Check that any number of worker processes makes the same batches as this one, bit for bit."""
    method = subject.build(0)
    trained = subject.rehearse(0, method).trained
    if not trained:
        raise SkipTest("the method is trained on no batches")
    for stage in {getattr(stage.view, "__name__", ""): stage for stage in trained}.values():
        assert stage.plan is not None and stage.view is not None
        found = batch_difference(method, stage.plan, COUNTS, view=stage.view)
        if found is None:
            return (
                "another process cannot make the views: the class or its Config is not in a module that it can import,"
                " or the view is no method of it; so this one makes them whatever --workers says"
            )
        require(
            not found,
            found,
            "let view() depend on self.config, the classes and widths of self.task, its video and rng alone: a worker's"
            " method has no state, and sees every so many batches",
        )
    return f"the batches of an epoch are the same bit for bit with {', '.join(map(str, COUNTS))} workers"


def names(subject: TestedMethod) -> str:
    """Check that what videos are called matters for nothing: many data sets name them after their class.

    Videos get telling names, then those of each other; generators stay those of the first names.
    """
    samples, table = subject.data.videos, subject.classes
    kinds = [table.names[sample.first_class] for sample in samples]
    told = [_renamed(s, _told(kind, i), s.name) for i, (s, kind) in enumerate(zip(samples, kinds, strict=True))]
    swapped = [_renamed(s, other.name, s.name) for s, other in zip(samples, told[::-1], strict=True)]
    videos = subject.videos((40, 17, 16))
    method, other = (subject.train(0, TrainingData(own, table)) for own in (told, swapped))
    abnormal, normal = (
        subject.score(method, [_renamed(v, _told(table.names[kind], i), v.name) for i, v in enumerate(videos)])
        for kind in (table.abnormal[0], table.normal)
    )
    differing = differences(method.state_dict(), other.state_dict())
    fix = (
        "use names only to find what belongs to a video, as in batch.keys: they tell the class in many data sets; draw"
        " from video.rng() and keep the videos' order"
    )
    require(not differing, f"with other names of the videos, training ends with other {listed(differing, SHOWN)}", fix)
    gap, what = furthest(abnormal, normal)
    require(gap == 0, f"with other names of the videos, {what} differ by {gap:.3g}", fix)
    return (
        f"{len(samples)} training videos and {len(videos)} others under telling names and swapped ones: the same bits"
    )


def _told(kind: str, number: int) -> str:
    """Return a name that tells the class of a video, as those of published data sets do."""
    return f"{kind.replace(' ', '_')}{number:03d}_x264"


@dataclass(frozen=True, kw_only=True)
class _Renamed(VideoInput):
    """A video under another name, with the generator of its own."""

    known_as: str

    def rng(self) -> np.random.Generator:
        return super().rng() if self.name == self.known_as else replace(self, name=self.known_as).rng()


@dataclass(frozen=True, kw_only=True)
class _RenamedSample(TrainingVideo, _Renamed):
    """A training video under another name, with the generator of its own."""


def _renamed(video: VideoInput, name: str, known_as: str) -> Any:
    kind: Any = _RenamedSample if isinstance(video, TrainingVideo) else _Renamed
    return kind(**vars(video) | {"name": name, "known_as": known_as})


def bounded(subject: TestedMethod) -> str:
    """Check that a fit holds a few videos at a time, besides what it keeps in its state: a data set has thousands."""
    kind = subject.kind
    if kind.fit is Method.fit and kind.prepare is Method.prepare:
        raise SkipTest("the method leaves the fit to the loop, which holds a batch at a time")
    if not subject.needs.streams:
        raise SkipTest("the method reads no features")
    subject.train(0)  # what is imported and cached at the first call does not count
    (few, kept_of_few), (many, kept_of_many) = (_most_held(subject, MANY), _most_held(subject, 3 * MANY))
    video = sum(own.read().nbytes for own in _long(subject).streams.values())
    held, allowed = many - few, TIMES_STATE * (kept_of_many - kept_of_few) + SOME_VIDEOS * video
    require(
        held <= allowed,
        f"with {2 * MANY} more normal videos of {LONG:,} rows ({2 * MANY * video / 2**20:.0f} MiB) a fit holds"
        f" {held / 2**20:.1f} MiB more at a time, its state having grown by"
        f" {(kept_of_many - kept_of_few) / 2**20:.1f} MiB",
        "go through the videos once, one after the other, and keep sums or a chosen part of the rows",
    )
    return (
        f"with {2 * MANY} more videos of {LONG:,} rows it holds {max(held, 0) / 2**20:.1f} MiB more at a time and keeps"
        f" {(kept_of_many - kept_of_few) / 2**20:.1f} MiB more"
    )


def _long(subject: TestedMethod) -> VideoInput:
    return subject.footage.video(LONG, subject.classes.normal, 0)


def _most_held(subject: TestedMethod, count: int) -> tuple[int, int]:
    """Return the most bytes of arrays that a fit on the usual videos and some long normal ones holds, and those of the
    state that it ends with."""
    samples = [*subject.samples, *_virtual(subject, count)]
    method = subject.build(0)
    gc.collect()
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        subject.rehearse(0, method, subject.learnt(samples))
        most = tracemalloc.get_traced_memory()[1] - start
    finally:
        if not tracing:
            tracemalloc.stop()
    return most, sum(tensor.nbytes for tensor in method.state_dict().values())


def _virtual(subject: TestedMethod, count: int) -> list[TrainingVideo]:
    """Return normal videos whose rows are made when they are read, as those of files are."""
    table = subject.classes
    made = _long(subject)
    template = subject.footage.sample(made, [table.names[table.normal]])
    streams: dict[str, Sequence[int]] = {name: own.read().shape for name, own in made.streams.items()}

    def reading(number: int, shape: Sequence[int]) -> Callable[[], Any]:
        return lambda: np.random.default_rng(number).standard_normal(shape, np.float32)

    return [
        replace(
            template,
            name=f"long-{number}",
            streams={n: replace(own, read=reading(number, streams[n])) for n, own in template.streams.items()},
        )
        for number in range(count)
    ]
