"""What the workers of test_engines.py do; they import it by name."""

import os
import signal
import time
from pathlib import Path

from vadbench.benchmarks.engines import LastResult


def double(task):
    return 2 * task


def told(task):
    """The worker, and what it was told to use."""
    return os.getpid(), *map(os.environ.get, ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "VADBENCH_CORES"))


def die_once(folder, task):
    """The first attempt at task 1 is killed."""
    mark = Path(folder) / f"begun-{task}"
    begun = mark.exists()
    mark.touch()
    if task == 1 and not begun:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def die(task):
    """Task 1 always is."""
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def note_and_wait(folder, task):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(0.2 if task == 0 else 600)
    return task


BROKEN = []


def break_device(folder, task):
    """The device fails under task 1, and every later task of the process says so."""
    if task == 1:
        (Path(folder) / str(time.monotonic_ns())).touch()
        BROKEN.append(task)
    result = (task, bool(BROKEN))
    return LastResult(result, "the GPU failed") if task == 1 else result


def break_gpu(gpus, task):
    """A GPU of those named fails under every task."""
    here = os.environ["CUDA_VISIBLE_DEVICES"]
    return LastResult("broken", "the GPU failed") if here in gpus.split() else f"done on {here}"
