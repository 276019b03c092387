"""Seconds and memory of a piece of work, and what the machine could do at best."""

from __future__ import annotations

import os
import resource
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


def timed(run: Callable[[], Any], repeats: int = 1) -> tuple[float, float]:
    """Median wall and CPU seconds of calls, those of child processes that have ended included."""
    seconds = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), _cpu()
        run()
        seconds.append((time.perf_counter() - wall, _cpu() - cpu))
    return median(wall for wall, _ in seconds), median(cpu for _, cpu in seconds)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def peak_gb() -> float:
    """Most memory this process has had; getrusage would count what its parent had when it was started, too."""
    return _status("VmHWM")


def now_gb() -> float:
    """Memory that this process has now."""
    return _status("VmRSS")


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


def operations_rate() -> float:
    """Multiplications and additions of a CPU second, where torch is fastest: a 3 x 3 convolution, the best of five."""
    import torch

    image = torch.randn(32, 256, 32, 16).to(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).to(memory_format=torch.channels_last)
    with torch.no_grad():
        best = min(timed(lambda: torch.nn.functional.conv2d(image, weight, padding=1))[1] for _ in range(5))
    return 2 * 9 * 256 * image.numel() / best


def bandwidth() -> float:
    """Bytes read and written in a CPU second by copying 256 MB, the best of five."""
    source = np.ones(2**25)
    target = np.empty_like(source)
    return 2 * source.nbytes / min(timed(lambda: np.copyto(target, source))[1] for _ in range(6))
