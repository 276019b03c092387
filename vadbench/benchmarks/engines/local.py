"""Local engine: this process alone, or worker processes with a GPU each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from vadbench.base.cores import CORES_VARIABLE, usable_cores
from vadbench.benchmarks.engines import LastResult, LostTask, R, T

TRIES = 2
"""Number of attempts at a task whose worker dies."""
_NO_GPU = 70
"""Exit status of a worker that finds its GPU unusable before it has begun a task."""
_TURN = 0.5
"""Seconds for which results are waited for at a time: a signal that another thread takes does not end a wait."""
_PATIENCE = 10.0
"""Seconds for which a worker that is ended is waited for: the driver of a GPU that failed may hold it."""


class LocalEngine:
    """Engine that runs tasks on this machine.

    Args:
        jobs: worker processes; with one, everything is done in this process. Workers share the cores evenly and take
            turns at the GPUs: worker ``i`` sees only GPU ``i`` modulo their number.
        device: ``auto``, ``cpu`` or ``cuda``, as the tasks use it.
    """

    def __init__(self, jobs: int = 1, device: str = "auto") -> None:
        self._jobs = jobs
        self._device = device
        self._lost = ""

    def run_all(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R | LastResult[R]],
        started: Callable[[T], None],
        ended: Callable[[T, R | LostTask], None],
    ) -> None:
        """See :meth:`vadbench.benchmarks.engines.Engine.run_all`; a task whose worker dies is tried once more.

        The worker whose device failed is replaced. Where this process does the tasks itself, those that are left are
        lost with it, and so are those of later calls; so are they with workers once no GPU can be used any more.
        """
        if self._jobs == 1:
            self._run_here(groups, work, started, ended)
            return
        queue = _Queue(groups)
        count = min(self._jobs, sum(map(len, groups)))
        gpus = visible_gpus(self._device)
        cores = max(1, usable_cores() // max(1, count))
        workers = [_Worker(work, gpus[i % len(gpus)] if gpus else None, cores) for i in range(count)]
        try:
            for worker in workers:
                worker.begin(queue.next(None), started)
            while busy := {worker.pipe: worker for worker in workers if worker.task is not None}:
                for pipe in wait(list(busy), _TURN):
                    worker = busy[pipe]  # type: ignore[index]
                    task, result = worker.task, worker.receive()
                    if worker.gone:
                        queue.put_back(worker.group, task)
                        for other in (w for w in workers if w.task is None and not w.gone):
                            other.begin(queue.next(other.group), started)
                    elif result is not None:
                        ended(task, result)
                        worker.begin(queue.next(worker.group), started)
        finally:
            for worker in workers:
                worker.stop()
        while left := queue.next(None):
            ended(left[1], LostTask("no GPU can be used any more; see vadbench doctor", engine=True))

    def _run_here(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R | LastResult[R]],
        started: Callable[[T], None],
        ended: Callable[[T, R | LostTask], None],
    ) -> None:
        for task in (t for group in groups for t in group):
            if self._lost:
                ended(task, LostTask(self._lost, engine=True))
                continue
            started(task)
            result = work(task)
            if isinstance(result, LastResult):
                self._lost, result = result.reason, result.result
            ended(task, result)


class _Queue:
    """Tasks that no worker has begun, by group."""

    def __init__(self, groups: Sequence[Sequence[Any]]) -> None:
        self._left = [list(group) for group in groups]
        self._begun: set[int] = set()

    def next(self, group: int | None) -> tuple[int, Any] | None:
        """Return the next task and its group: the worker's own group, else an unstarted one, else the longest."""
        left = [i for i, tasks in enumerate(self._left) if tasks]
        if not left:
            return None
        if group not in left:
            group = next((i for i in left if i not in self._begun), max(left, key=lambda i: len(self._left[i])))
        assert group is not None
        self._begun.add(group)
        return group, self._left[group].pop(0)

    def put_back(self, group: int | None, task: Any) -> None:
        """Take back a task of a group that was not done."""
        assert group is not None
        self._left[group].insert(0, task)


class _Worker:
    """Process that runs one task after the other, and is started again if it dies."""

    def __init__(self, work: Callable[[Any], Any], gpu: str | None, cores: int) -> None:
        self._arguments = (work, gpu, cores)
        self._tries = 0
        self._failed = False
        self.gone = False
        """True once the worker's GPU cannot be used any more; its last task was not begun."""
        self.group: int | None = None
        self.task: Any = None
        self._start()

    def begin(self, chosen: tuple[int, Any] | None, started: Callable[[Any], None]) -> None:
        """Send the worker a task; ``None`` means that no task is left."""
        self.task = None
        if chosen is not None:
            self.group, self.task = chosen
            started(self.task)
            self._tries = 0
            self._send()

    def receive(self) -> Any:
        """Return the result of the task, ``None`` if the worker died and the task is tried again, or is ``gone``."""
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self._end()
            code = self._process.exitcode or 0
            if code == _NO_GPU and self._failed:
                self.task, self.gone = None, True
                return None
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            self._start()
            if self._tries < TRIES:
                self._send()
                return None
            return LostTask(f"its worker process {how}, {TRIES} times; a common cause is too little memory")
        if isinstance(result, LastResult):
            self._failed = True
            self._process.kill()
            self._process.join(_PATIENCE)
            self.pipe.close()
            self._start()
            return result.result
        return result

    def stop(self) -> None:
        """End the process, in the middle of a task if need be."""
        self.pipe.close()
        if self.task is not None:
            self._process.terminate()
        self._end()

    def _end(self) -> None:
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_PATIENCE)

    def _start(self) -> None:
        # A forked process would share CUDA and the threads of torch, and neither works after a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, *self._arguments, self._failed), daemon=True)
        self._process.start()
        end.close()

    def _send(self) -> None:
        self._tries += 1
        try:
            self.pipe.send(self.task)
        except OSError:
            return  # it died already; receive() reports it


def _serve(pipe: Connection, work: Callable[[Any], Any], gpu: str | None, cores: int, failed: bool) -> None:
    """Run tasks from a pipe until it closes: the main function of a worker process.

    Args:
        pipe: tasks in, results out.
        work: does one task.
        gpu: the only GPU to see; ``None``: those of the parent.
        cores: share of this worker.
        failed: an earlier process saw this GPU fail: end at once if it cannot be used.
    """
    # Ctrl-C also reaches the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    os.environ[CORES_VARIABLE] = str(cores)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores))
    if gpu is not None and failed and not _computes():
        os._exit(_NO_GPU)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(work(task))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _computes() -> bool:
    """Return whether the GPU that this process sees can be used, so that nobody falls back to the CPU unawares."""
    import torch

    try:
        return bool(torch.ones(2, device="cuda").sum().item() == 2)
    except Exception:  # no GPU, no driver, or one of the errors of CUDA
        return False


def visible_gpus(device: str) -> list[str]:
    """Return the GPUs that this process may use for a device ``auto``, ``cpu`` or ``cuda``, as CUDA names them."""
    if device == "cpu":
        return []
    import torch

    visible = [g for g in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if g]
    return visible or [str(i) for i in range(torch.cuda.device_count())]


def crowding(jobs: int, device: str, tasks: int) -> str:
    """Return what to tell a user whose jobs would share a GPU, empty where each has one of its own, or there is none.

    Args:
        jobs: workers asked for.
        device: as for :func:`visible_gpus`.
        tasks: number of tasks; there are no more workers.
    """
    workers = min(jobs, tasks)
    gpus = len(visible_gpus(device)) if workers > 1 else 0
    if not 0 < gpus < workers:
        return ""
    return (
        f"{workers} jobs share {gpus} GPU{'s' * (gpus > 1)}, and their memory: each has what the others on its GPU"
        f" leave; with --jobs {gpus} each has a GPU of its own"
    )
