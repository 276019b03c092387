"""Seconds and memory of a piece of work, and what the machine could do at best."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Figures:
    """Seconds of a piece of work, on the clock and on all processors together, and the process's peak memory."""

    wall: float
    cpu: float
    peak_gb: float


REPEATS = 5
WARM, LONG = 10, 60
"""Wall seconds of a call: one that takes longer is not done once more to warm up, or not done again at all."""


def timed(run: Callable[[], Any], repeats: int = 1) -> tuple[float, float]:
    """Median wall and CPU seconds of calls, those of child processes that have ended included."""
    return _medians([_once(run) for _ in range(repeats)])


def repeated(run: Callable[[], Any], quick: bool = False) -> tuple[float, float]:
    """Median wall and CPU seconds of five calls after one that does not count.

    The first counts where it took over ten seconds, and stays the only one where it took over a minute or is quick.
    """
    first = _once(run)
    if quick or first[0] > LONG:
        return first
    seconds = [first] if first[0] > WARM else []
    return _medians(seconds + [_once(run) for _ in range(REPEATS - len(seconds))])


def _once(run: Callable[[], Any]) -> tuple[float, float]:
    _synchronise()
    wall, cpu = time.perf_counter(), _cpu()
    run()
    _synchronise()
    return time.perf_counter() - wall, _cpu() - cpu


def _medians(seconds: list[tuple[float, float]]) -> tuple[float, float]:
    return median(wall for wall, _ in seconds), median(cpu for _, cpu in seconds)


def _synchronise() -> None:
    """Wait for the GPU, where this process uses one."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def peak_gb() -> float:
    """Most memory this process has had; getrusage would count what its parent had when it was started, too."""
    return _status("VmHWM")


def now_gb() -> float:
    """Memory that this process has now."""
    return _status("VmRSS")


def gpu_peak_gb() -> float:
    """Most memory that torch has had on the GPU; 0 where this process uses none."""
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() / 2**30 if torch and torch.cuda.is_initialized() else 0.0


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 2**20


def alone(threads: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns, called in a process of its own."""
    # Threads that wait by spinning would count as work, several times over where other programs run.
    os.environ |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def operations(run: Callable[[], Any]) -> int:
    """Multiplications and additions of the matrix products and convolutions in a call, backward passes included."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    # FlopCounterMode follows modules as well, which it cannot where a gradient is asked for within a forward pass.
    class Counter(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            formula = flop_registry.get(func._overloadpacket)
            if formula is None:
                # In inference mode a linear layer arrives whole.
                with self:
                    result = func.decompose(*args, **kwargs)
                return func(*args, **kwargs) if result is NotImplemented else result
            result = func(*args, **kwargs)
            self.total += formula(*args, **kwargs, out_val=result)
            return result

    with Counter() as counter:
        run()
    return counter.total


def operations_rate(device: str, precision: str) -> float:
    """Multiplications and additions of a second where torch is fastest, the best of five: a 3 x 3 convolution or a
    matrix product. CPU seconds, on a GPU wall seconds."""
    import torch

    from vadbench.base.arithmetic import arithmetic

    made = {"device": device, "dtype": torch.bfloat16 if precision == "bf16" else torch.float32}
    images, side, clock = (32, 2048, 1) if device == "cpu" else (2048, 8192, 0)
    image = torch.randn(images, 256, 32, 16, **made).to(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, **made).to(memory_format=torch.channels_last)
    square = torch.randn(side, side, **made)
    kernels: list[tuple[int, Callable[[], Any]]] = [
        (2 * 9 * 256 * image.numel(), lambda: torch.nn.functional.conv2d(image, weight, padding=1)),
        (2 * side**3, lambda: square @ square),
    ]
    with torch.no_grad(), arithmetic(precision, torch.device(device)):
        return max(work / min(timed(run)[clock] for _ in range(5)) for work, run in kernels)


def bandwidth() -> float:
    """Bytes read and written in a CPU second by copying 256 MB, the best of five."""
    source = np.ones(2**25)
    target = np.empty_like(source)
    return 2 * source.nbytes / min(timed(lambda: np.copyto(target, source))[1] for _ in range(6))
