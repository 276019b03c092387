"""Worker processes that make the views of batches, each every so many of them, in the order of the batches.

A worker gets what it needs through a pipe, makes a twin of the method that has settings and a task and neither
parameters nor text, and calls ``view`` on it. Its batches come through memory that both see, where there is such
memory, and else through its pipe.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Generator, Sequence
from operator import attrgetter
from typing import Any, NoReturn

from vadbench.base.child_process import ChildProcess
from vadbench.base.errors import TrainingError
from vadbench.method import Method
from vadbench.plugins.targets import scratch_files
from vadbench.training.shared_slots import FilledSlot, SlotReader, shared_file
from vadbench.training.views import Allocation, BatchPlan, StackedViews, ViewFunction
from vadbench.training.worker_process import READ, WorkerJob


class WorkerViews:
    """Running workers.

    Args:
        plan: says which videos form the batches.
        jobs: of each, pickled.
        kind: name of the method's class.
    """

    def __init__(self, plan: BatchPlan, jobs: Sequence[bytes], kind: str) -> None:
        self._plan, self._kind = plan, kind
        files = [shared_file() for _ in jobs]
        self._slots = [None if file is None else SlotReader(file) for file in files]
        # Started together, because each takes seconds to import what it needs.
        self._workers = [
            ChildProcess("vadbench.training.worker_process", [] if file is None else [file]) for file in files
        ]
        self._at: list[int | None] = [None] * len(jobs)
        for number, job in enumerate(jobs):
            self._tell(number, job)
            self._tell(number, files[number])

    def ready(self) -> bool:
        """Return True if every worker could import the method; waits for them."""
        return all([self._answer(i) for i in range(len(self._workers))])

    def epoch(self, epoch: int, allocation: Allocation) -> Generator[tuple[list[int], StackedViews]]:
        """Yield the batches of an epoch in order: the indices of the samples, and their views.

        Args:
            epoch: counted from 0.
            allocation: gives the memory of views that come through shared memory.

        Raises:
            TrainingError: a worker ended; names the video.
        """
        for number in range(len(self._workers)):
            self._tell(number, epoch)
        whole = False
        try:
            for number, (_, indices) in enumerate(self._plan.batches(epoch)):
                yield indices, self._views(number % len(self._workers), allocation)
            whole = True
        finally:
            if not whole:
                # What they have made of this epoch is not wanted any more.
                self.close()

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()
        for slots in self._slots:
            if slots is not None:
                slots.close()
        self._slots = []

    def _views(self, number: int, allocation: Allocation) -> StackedViews:
        """Return the next batch of a worker."""
        found, slots = self._answer(number), self._slots[number]
        if slots is None or not isinstance(found, FilledSlot):
            views: StackedViews = found
            return views
        views = slots.read(found, allocation)
        self._tell(number, READ)
        return views

    def _tell(self, number: int, what: Any) -> None:
        try:
            self._workers[number].tell(what)
        except EOFError:
            self._ended(number)

    def _answer(self, number: int) -> Any:
        while True:
            try:
                kind, content = self._workers[number].answer()
            except EOFError:
                self._ended(number)
            if kind == "begun":
                self._at[number] = content
            elif kind == "failed":
                self._failed(number, *content)
            else:
                return content

    def _failed(self, number: int, error: bytes | None, what: str, trace: str) -> NoReturn:
        place = self._place(number)
        found = TrainingError(f"{place}: {what}") if error is None else pickle.loads(error)
        found.add_note(f"In a worker process, {place}:\n{trace}")
        raise found

    def _ended(self, number: int) -> NoReturn:
        how, place = self._workers[number].end(), self._place(number)
        raise TrainingError(
            f"a worker process {how} {place}; look at that video and at the memory that is free, or train"
            " with --workers 0"
        )

    def _place(self, number: int) -> str:
        at = self._at[number]
        if at is None:
            return f"before the first {self._kind}.view()"
        return f"in {self._kind}.view() of video {self._plan.samples[at].key!r}"


def open_workers(method: Method, view: ViewFunction, plan: BatchPlan, count: int) -> WorkerViews | None:
    """Return workers that make views, or ``None`` where another process cannot make the same.

    Args:
        method: whose class and settings they take.
        view: one of its methods.
        plan: says which videos form the batches.
        count: how many workers.
    """
    kind, task = type(method), method.task
    path, config, name = _path(kind), _path(type(method.config)), getattr(view, "__name__", "")
    own = getattr(view, "__self__", None) is method and name not in vars(method)
    if path is None or config is None or not own:
        return None
    try:
        jobs = [
            pickle.dumps(
                WorkerJob(
                    scratch_files(),
                    path,
                    config,
                    method.config.model_dump_json(),
                    task.classes,
                    dict(task.dims),
                    dict(task.spacings),
                    task.known,
                    name,
                    plan,
                    number,
                    count,
                )
            )
            for number in range(count)
        ]
    except (pickle.PicklingError, AttributeError, TypeError):
        return None  # videos of a notebook or a test
    workers = WorkerViews(plan, jobs, kind.__name__)
    try:
        ready = workers.ready()
    except BaseException:
        workers.close()
        raise
    if not ready:
        workers.close()
    return workers if ready else None


def _path(kind: type) -> str | None:
    """Return ``module:name`` of a class that another process can import, else ``None``."""
    module = sys.modules.get(kind.__module__)
    if kind.__module__ == "__main__" or getattr(module, "__file__", None) is None:
        return None
    try:
        found = attrgetter(kind.__qualname__)(module)
    except AttributeError:
        return None
    return f"{kind.__module__}:{kind.__qualname__}" if found is kind else None
