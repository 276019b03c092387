"""Batches on the device, made while the model is at work: by a thread of this process, or by processes of their own."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from vadbench.inputs import Batch
from vadbench.method import Method
from vadbench.training.placement import Placement
from vadbench.training.views import BatchPlan, StackedViews, ViewFunction, ViewMaker
from vadbench.training.workers import WorkerViews, open_workers


class BatchLoader:
    """The batches of a stage, each assembled while the one before is trained on; a context manager.

    Every view has a generator of its own, so it does not matter who makes it: any number of workers gives the same
    bits. For a GPU two batches are made ahead, and copied there beside the work on those before.

    Args:
        method: makes the views.
        plan: says which videos form the batches.
        view: by default ``method.view``.
        workers: processes that make views. Without, a thread makes them, and so it does where another process could
            not: the class is defined in a notebook, the videos are not in files.
    """

    def __init__(self, method: Method, plan: BatchPlan, view: ViewFunction | None = None, workers: int = 0) -> None:
        self._method, self._plan, self._view, self._count = method, plan, view or method.view, workers
        self._maker = ViewMaker(plan, self._view)
        self._placement = Placement(method.task.device)
        self._workers: WorkerViews | None = None

    def __enter__(self) -> BatchLoader:
        if self._count:
            self._workers = open_workers(self._method, self._view, self._plan, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        if self._workers is not None:
            self._workers.close()

    def epoch(self, epoch: int, step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Args:
            epoch: counted from 0.
            step: finished optimiser steps of the stage when it begins.

        Raises:
            ConfigError: the videos do not fill a batch.
            PluginError: two views differ in their names, shapes or dtypes.
            TrainingError: a worker ended; names the video.
        """
        workers = self._workers
        made = self._made_here(epoch) if workers is None else workers.epoch(epoch, self._placement.array)
        batches = self._placed(made, step, epoch)
        ahead = 1 if self._method.task.device.type == "cpu" else 2
        try:
            with _one_thread() as thread:
                coming = deque(thread.submit(next, batches, None) for _ in range(ahead))
                while (found := coming.popleft().result()) is not None:
                    coming.append(thread.submit(next, batches, None))
                    batch, copied = found
                    self._placement.wait(copied, itertools.chain(batch.views.values(), (batch.labels, batch.first)))
                    yield batch
        finally:
            made.close()

    def _made_here(self, epoch: int) -> Generator[tuple[Sequence[int], StackedViews]]:
        for place, indices in self._plan.batches(epoch):
            yield indices, self._maker.batch(epoch, place, indices, allocation=self._placement.array)

    def _placed(
        self, made: Generator[tuple[Sequence[int], StackedViews]], step: int, epoch: int
    ) -> Iterator[tuple[Batch, torch.cuda.Event | None]]:
        """Yield batches on the device, and what says when all of their copies are done."""
        place = self._placement.placed
        for number in itertools.count(step):
            self._placement.begin()
            if (found := next(made, None)) is None:
                return
            indices, views = found
            chosen = [self._plan.samples[i] for i in indices]
            batch = Batch(
                {name: place(f"view {name}", array) for name, array in views.items()},
                place("labels", np.stack([s.labels for s in chosen])),
                place("first", np.array([s.first_class for s in chosen], np.int64)),
                names=tuple(s.name for s in chosen),
                keys=tuple(s.key for s in chosen),
                step=number,
                epoch=epoch,
            )
            yield batch, self._placement.end()


@contextmanager
def _one_thread() -> Iterator[ThreadPoolExecutor]:
    """Give a thread in which torch computes as a worker does: the last digits of a view must not depend on cores."""
    usual = torch.get_num_threads()
    with ThreadPoolExecutor(1, "vadbench-batches", _compute_alone) as thread:
        thread.submit(int).result()
        # Each thread keeps its own number, but the next new one would begin with the one that was set last.
        torch.set_num_threads(usual)
        yield thread


def _compute_alone() -> None:
    torch.set_num_threads(1)
    # A thread takes the number over when it first needs it.
    torch.get_num_threads()


def batch_difference(
    method: Method,
    plan: BatchPlan,
    counts: Sequence[int] = (0, 1, 3),
    epochs: int = 1,
    view: ViewFunction | None = None,
) -> str | None:
    """Return the first difference between the batches that several numbers of workers make, in words.

    Args:
        method, plan, view: as for :class:`BatchLoader`.
        counts: numbers of workers, each compared with the first.
        epochs: how many to compare.

    Returns:
        an empty string where all batches are equal to the bit, ``None`` where another process cannot make them.
    """
    first, *others = counts
    for count in others:
        with BatchLoader(method, plan, view, first) as one, BatchLoader(method, plan, view, count) as two:
            if count and two._workers is None:
                return None
            for epoch in range(epochs):
                for number, pair in enumerate(itertools.zip_longest(one.epoch(epoch), two.epoch(epoch))):
                    if what := _difference(*pair):
                        return f"batch {number} of epoch {epoch} differs in {what} between {first} and {count} workers"
    return ""


def _difference(one: Batch | None, two: Batch | None) -> str:
    """Return the first field in which two batches differ, empty where they are equal to the bit."""
    if one is None or two is None:
        return "being there" if one is not two else ""
    for field in fields(Batch):
        if _content(getattr(one, field.name)) != _content(getattr(two, field.name)):
            return field.name
    return ""


def _content(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [(name, _content(part)) for name, part in value.items()]
    if not isinstance(value, torch.Tensor):
        return value
    return str(value.dtype), value.shape, value.cpu().contiguous().view(torch.uint8).numpy().tobytes()
