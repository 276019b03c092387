"""Batches on the device, made while the model is at work: by a thread of this process, or by processes of their own."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vadbench.inputs import Batch
from vadbench.method import Method
from vadbench.training.views import BatchPlan, StackedViews, ViewFunction, ViewMaker
from vadbench.training.workers import WorkerViews, open_workers


class BatchLoader:
    """The batches of a stage, each assembled while the one before is trained on; a context manager.

    Every view has a generator of its own, so it does not matter who makes it: any number of workers gives the same
    bits. On a GPU they come in pinned memory, for whose copy the processor does not wait.

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
        made = self._made_here(epoch) if self._workers is None else self._workers.epoch(epoch)
        batches = (self._batch(found, views, step + i, epoch) for i, (found, views) in enumerate(made))
        try:
            with _one_thread() as thread:
                coming = thread.submit(next, batches, None)
                while (batch := coming.result()) is not None:
                    coming = thread.submit(next, batches, None)
                    yield batch
        finally:
            made.close()

    def _made_here(self, epoch: int) -> Generator[tuple[Sequence[int], StackedViews]]:
        for place, indices in self._plan.batches(epoch):
            yield indices, self._maker.batch(epoch, place, indices)

    def _batch(self, indices: Sequence[int], views: StackedViews, step: int, epoch: int) -> Batch:
        chosen = [self._plan.samples[i] for i in indices]
        return Batch(
            {name: self._placed(array) for name, array in views.items()},
            self._placed(np.stack([s.labels for s in chosen])),
            self._placed(np.array([s.first_class for s in chosen], np.int64)),
            names=tuple(s.name for s in chosen),
            keys=tuple(s.key for s in chosen),
            step=step,
            epoch=epoch,
        )

    def _placed(self, array: NDArray[Any]) -> torch.Tensor:
        device, tensor = self._method.task.device, torch.from_numpy(array)
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        tensor = tensor.to(device, non_blocking=True)
        # Features may be stored in float16; weights are float32.
        return tensor.float() if tensor.dtype == torch.float16 else tensor


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
) -> str:
    """Return the first difference between the batches that several numbers of workers make, in words.

    Args:
        method, plan, view: as for :class:`BatchLoader`.
        counts: numbers of workers, each compared with the first.
        epochs: how many to compare.

    Returns:
        an empty string where all batches are equal to the bit.
    """
    first, *others = counts
    for count in others:
        with BatchLoader(method, plan, view, first) as one, BatchLoader(method, plan, view, count) as two:
            for epoch in range(epochs):
                for number, pair in enumerate(zip_longest(one.epoch(epoch), two.epoch(epoch))):
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
