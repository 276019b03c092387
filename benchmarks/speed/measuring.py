"""Seconds and memory of a piece of work, and what the machine could do at best."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

Seconds = tuple[float, float]
"""Of one call: on the clock, and of all processors together."""

ROUNDS, FEWER = 5, 3
WARM, LONG = 8, 120
"""CPU seconds of a round of calls, which a busy machine does not prolong: of a longer one there are fewer, the first
among them, or just the one."""

PRELOADED = ["torch", "open_clip", "vadbench.harness.experiment"]
"""Modules whose import takes longer than a small piece of work."""


def rounds(call: Callable[[], list[Seconds]], quick: bool = False) -> list[list[Seconds]]:
    """What rounds of calls take: five after one that does not count.

    Three, the first among them, where that took over eight CPU seconds; just the first where it took over 120, or where
    it has to be quick.
    """
    first = call()
    took = sum(cpu for _, cpu in first)
    if quick or took > LONG:
        return [first]
    if took > WARM:
        return [first, *(call() for _ in range(FEWER - 1))]
    return [call() for _ in range(ROUNDS)]


def timed(run: Callable[[], Any], repeats: int = 1) -> Seconds:
    """Median wall and CPU seconds of calls, those of child processes that have ended included."""
    return medians([once(run) for _ in range(repeats)])


def once(run: Callable[[], Any]) -> Seconds:
    """Wall and CPU seconds of a call."""
    _synchronise()
    wall, cpu = time.perf_counter(), _cpu()
    run()
    _synchronise()
    return time.perf_counter() - wall, _cpu() - cpu


def medians(seconds: Sequence[Seconds]) -> Seconds:
    """Median of wall and of CPU seconds."""
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
    """Most memory this process has had since :func:`now_gb`; getrusage would count what its parent had, too."""
    return _status("VmHWM")


def now_gb() -> float:
    """Memory that this process has now, without what it could give back; its peak is counted from here on."""
    gc.collect()
    with suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def gpu_peak_gb() -> float:
    """Most memory that torch has had on the GPU; 0 where this process uses none."""
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() / 2**30 if torch and torch.cuda.is_initialized() else 0.0


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 2**20


def process(threads: int, quick: bool = False) -> ProcessPoolExecutor:
    """Return an executor with one process of its own, in which torch uses a number of threads.

    Where it has to be quick, it is forked from one that has imported what all of them need.
    """
    # Threads that wait by spinning would count as work, several times over where other programs run.
    os.environ |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    if not quick:
        return ProcessPoolExecutor(1, get_context("spawn"))
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return ProcessPoolExecutor(1, context)


def alone(threads: int, work: Callable[..., Any], *arguments: Any, quick: bool = False) -> Any:
    """What ``work`` returns, called in a process of its own."""
    with process(threads, quick) as own:
        return own.submit(work, *arguments).result()


def operations(run: Callable[[], Any]) -> int:
    """Multiplications and additions of the matrix products and convolutions in a call, backward passes included."""
    from torch.utils._python_dispatch import TorchDispatchMode

    formulas = flop_formulas()

    # FlopCounterMode follows modules as well, which it cannot where a gradient is asked for within a forward pass.
    class Counter(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            formula = formulas.get(func._overloadpacket)
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


def flop_formulas() -> dict[Any, Callable[..., int]]:
    """Torch's formulas of multiplications and additions by operation, and that of linear layers by oneDNN."""
    import torch
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    if (linear := torch.ops.mkldnn._linear_pointwise) not in flop_registry:

        @register_flop_formula(linear)
        def of_linear(x: Any, weight: Any, *_: Any, out_shape: Any = None) -> int:
            return 2 * int(np.prod(x)) * int(weight[0])

    return flop_registry


def kernel_rates(device: str, precision: str, quick: bool = False) -> dict[str, float]:
    """Multiplications and additions of a second in a 3 x 3 convolution and in a matrix product, the best of five.

    CPU seconds, on a GPU wall seconds. ``quick`` makes them small: a CPU without instructions for bf16 takes minutes.
    """
    import torch

    from vadbench.base.arithmetic import arithmetic

    made = {"device": device, "dtype": torch.bfloat16 if precision == "bf16" else torch.float32}
    images, side, clock = (32, 2048, 1) if device == "cpu" else (2048, 8192, 0)
    if quick:
        images, side = images // 16, side // 4
    image = torch.randn(images, 256, 32, 16, **made).to(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, **made).to(memory_format=torch.channels_last)
    square = torch.randn(side, side, **made)
    kernels: dict[str, tuple[int, Callable[[], Any]]] = {
        "convolution": (
            2 * 9 * 256 * image.numel(),
            lambda: torch.nn.functional.conv2d(image, weight, padding=1),
        ),
        "matrix product": (2 * side**3, lambda: square @ square),
    }
    with torch.no_grad(), arithmetic(precision, torch.device(device)):
        return {name: work / min(timed(run)[clock] for _ in range(5)) for name, (work, run) in kernels.items()}


def operations_rate(device: str, precision: str, quick: bool = False) -> float:
    """Multiplications and additions of a second where torch is fastest; see :func:`kernel_rates`."""
    return max(kernel_rates(device, precision, quick).values())


def bandwidth() -> float:
    """Bytes read and written in a CPU second by copying 256 MB, the best of five."""
    source = np.ones(2**25)
    target = np.empty_like(source)
    return 2 * source.nbytes / min(timed(lambda: np.copyto(target, source))[1] for _ in range(6))
