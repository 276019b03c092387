"""Local engine: this process alone, or worker processes with a GPU each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from vadbench.base.cores import cores
from vadbench.benchmarks.engines import LostTask, R, T

TRIES = 2
"""Number of attempts at a task whose worker dies."""


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

    def run_all(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R],
        started: Callable[[T], None],
        ended: Callable[[T, R | LostTask], None],
    ) -> None:
        """See :meth:`vadbench.benchmarks.engines.Engine.run_all`; a task whose worker dies is tried once more."""
        if self._jobs == 1:
            for task in (t for group in groups for t in group):
                started(task)
                ended(task, work(task))
            return
        queue = _Queue(groups)
        count = min(self._jobs, sum(map(len, groups)))
        gpus = [] if self._device == "cpu" else _gpus()
        threads = max(1, cores() // max(1, count))
        workers = [_Worker(work, gpus[i % len(gpus)] if gpus else None, threads) for i in range(count)]
        try:
            for worker in workers:
                worker.begin(queue.next(None), started)
            while busy := {worker.pipe: worker for worker in workers if worker.task is not None}:
                for pipe in wait(list(busy)):
                    worker = busy[pipe]  # type: ignore[index]
                    task, result = worker.task, worker.receive()
                    if result is not None:
                        ended(task, result)
                        worker.begin(queue.next(worker.group), started)
        finally:
            for worker in workers:
                worker.stop()


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


class _Worker:
    """Process that runs one task after the other, and is started again if it dies."""

    def __init__(self, work: Callable[[Any], Any], gpu: str | None, threads: int) -> None:
        self._arguments = (work, gpu, threads)
        self._tries = 0
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
        """Return the result of the task, ``None`` if the worker died and the task is tried again."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            self._start()
            if self._tries < TRIES:
                self._send()
                return None
            return LostTask(f"its worker process {how}, {TRIES} times; a common cause is too little memory")

    def stop(self) -> None:
        """End the process, in the middle of a task if need be."""
        self.pipe.close()
        if self.task is not None:
            self._process.terminate()
        self._process.join()

    def _start(self) -> None:
        # A forked process would share CUDA and the threads of torch, and neither works after a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, *self._arguments), daemon=True)
        self._process.start()
        end.close()

    def _send(self) -> None:
        self._tries += 1
        try:
            self.pipe.send(self.task)
        except OSError:
            return  # it died already; receive() reports it


def _serve(pipe: Connection, work: Callable[[Any], Any], gpu: str | None, threads: int) -> None:
    """Run tasks from a pipe until it closes: the main function of a worker process."""
    # Ctrl-C also reaches the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
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


def _gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA names them."""
    import torch

    visible = [g for g in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if g]
    return visible or [str(i) for i in range(torch.cuda.device_count())]
