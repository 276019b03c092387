"""Worker processes that make the views of batches, each every so many of them, in the order of the batches.

A worker is started afresh, never forked: it gets what it needs through a pipe, makes a twin of the method that has
settings and a task and neither parameters nor text, and calls ``view`` on it. It ends when its pipe is closed, so it
does not outlive this process, however that ends.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, NoReturn, cast

import torch

from vadbench.base.errors import PluginError, TrainingError, one_line
from vadbench.base.method_config import MethodConfig
from vadbench.dataset import ClassTable
from vadbench.method import Method, Task
from vadbench.plugins.targets import import_scratch, scratch_files
from vadbench.training.views import KEPT_BYTES, BatchPlan, StackedViews, ViewFunction, ViewMaker

_BEGIN = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    " from vadbench.training.workers import serve; serve()"
)


@dataclass(frozen=True)
class WorkerJob:
    """What a worker is told: how to make the method's twin, and which batches to make.

    Args:
        files: scratch plugins to import first.
        method, config: paths of the classes, ``module:name``.
        settings: as JSON.
        classes, dims, spacings, known: of the task.
        view: name of the method that makes a view.
        plan: says which videos form the batches.
        number, count: it makes the batches ``number``, ``number + count`` and so on of an epoch.
    """

    files: Sequence[Path]
    method: str
    config: str
    settings: str
    classes: ClassTable
    dims: Mapping[str, int]
    spacings: Mapping[str, float]
    known: Sequence[str]
    view: str
    plan: BatchPlan
    number: int
    count: int

    def twin(self) -> Method:
        """Return an object of the method's class on which only the settings and the task are set.

        Raises:
            PluginError: a class cannot be imported here.
        """
        for file in self.files:
            with suppress(Exception):  # one that is of no use here may be gone by now
                import_scratch(file)
        kind, config = cast(type[Method], _imported(self.method)), cast(type[MethodConfig], _imported(self.config))
        task = Task(self.classes, self.dims, torch.device("cpu"), _no_text, spacings=self.spacings, known=self.known)
        twin = kind.__new__(kind)
        Method.__init__(twin, config.model_validate_json(self.settings), task)
        return twin


class WorkerViews:
    """Running workers.

    Args:
        plan: says which videos form the batches.
        jobs: of each, pickled.
        kind: name of the method's class.
    """

    def __init__(self, plan: BatchPlan, jobs: Sequence[bytes], kind: str) -> None:
        self._plan, self._kind = plan, kind
        # Started together, because each takes seconds to import what it needs.
        self._workers = [
            subprocess.Popen([sys.executable, "-c", _BEGIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in jobs
        ]
        self._at: list[int | None] = [None] * len(jobs)
        for number, job in enumerate(jobs):
            self._tell(number, list(sys.path))
            self._tell(number, job)

    def ready(self) -> bool:
        """Return True if every worker could import the method; waits for them."""
        return all([self._answer(i) for i in range(len(self._workers))])

    def epoch(self, epoch: int) -> Generator[tuple[list[int], StackedViews]]:
        """Yield the batches of an epoch in order: the indices of the samples, and their views.

        Raises:
            TrainingError: a worker ended; names the video.
        """
        for number in range(len(self._workers)):
            self._tell(number, epoch)
        whole = False
        try:
            for number, (_, indices) in enumerate(self._plan.batches(epoch)):
                yield indices, self._answer(number % len(self._workers))
            whole = True
        finally:
            if not whole:
                # What they have made of this epoch is not wanted any more.
                self.close()

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                assert pipe is not None
                with suppress(OSError):  # it was told something that it never read
                    pipe.close()

    def _tell(self, number: int, what: Any) -> None:
        pipe = self._workers[number].stdin
        assert pipe is not None
        try:
            pipe.write(what if isinstance(what, bytes) else pickle.dumps(what))
            pipe.flush()
        except OSError:
            self._ended(number)

    def _answer(self, number: int) -> Any:
        pipe = self._workers[number].stdout
        assert pipe is not None
        while True:
            try:
                kind, content = pickle.load(pipe)
            except (EOFError, pickle.UnpicklingError):
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
        code = self._workers[number].wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        raise TrainingError(
            f"a worker process {how} {self._place(number)}; look at that video and at the memory that is free, or train"
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


def _imported(path: str) -> type:
    module, _, name = path.partition(":")
    found: type = attrgetter(name)(importlib.import_module(module))
    return found


def _no_text() -> NoReturn:
    raise PluginError("view() may read the classes and widths of self.task, and no text; use it in loss() and score()")


def serve() -> None:
    """Make views as the process that started this one asks, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a view prints must not get between the answers.
    os.dup2(2, 1)
    torch.set_num_threads(1)
    try:
        job: WorkerJob = pickle.load(asked)
        maker = ViewMaker(job.plan, getattr(job.twin(), job.view), KEPT_BYTES // job.count)
    except Exception:
        _send(answers, "ready", False)
        return
    _send(answers, "ready", True)
    while True:
        try:
            epoch = pickle.load(asked)
            for number, (place, indices) in enumerate(job.plan.batches(epoch)):
                if number % job.count == job.number:
                    made = maker.batch(epoch, place, indices, lambda index: _send(answers, "begun", index))
                    _send(answers, "views", made)
        except (EOFError, BrokenPipeError):
            return
        except Exception as error:
            _send(answers, "failed", _packed(error, job))


def _send(answers: IO[bytes], kind: str, content: Any) -> None:
    pickle.dump((kind, content), answers, protocol=5)
    answers.flush()


def _packed(error: Exception, job: WorkerJob) -> tuple[bytes | None, str, str]:
    """Return an exception for another process: pickled, where that can be, in a line, and with its traceback."""
    name = job.method.rpartition(":")[2].rpartition(".")[2]
    if isinstance(error, AttributeError) and f"'{name}' object" in str(error):
        error = PluginError(
            f"{name}.{job.view}() reads an attribute that only the trained method has ({error}); in a worker process it"
            " may read self.config, the classes and widths of self.task, the video and rng; or train with --workers 0"
        )
    try:
        made = pickle.dumps(error)
        pickle.loads(made)
    except Exception:
        made = None
    return made, one_line(f"{type(error).__name__}: {error}"), traceback.format_exc()
