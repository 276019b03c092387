"""What torch raises where memory is short or a device has failed, told as errors of vadbench."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import clear_frames
from typing import Any

from vadbench.base.errors import DeviceFailedError, MemoryShortageError, VadbenchError, first_line

_GIB = 2**30
_SHORT = re.compile(r"can't allocate memory|not enough memory|_ALLOC_FAILED|CUDA error: out of memory")
"""Words of torch for too little memory where it raises no class of its own: of its allocator on the CPU (Linux and
Windows), of the libraries of CUDA, and of CUDA itself where an allocation is not torch's own, as of pinned memory."""
_ASKED = re.compile(r"[Tt]ried to allocate (\d+) bytes|Tried to allocate ([\d.]+ [KMGT]?i?B)")
_GPU_FREE = re.compile(r"total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free")
_OWN = re.compile(r"this process has ([\d.]+ \w+) memory in use")


@contextmanager
def device_errors(advice: str) -> Iterator[None]:
    """Within the block, raise what torch says of memory and of a failed device as an error of vadbench.

    Args:
        advice: what to do where memory is short, such as which setting takes less.

    Raises:
        MemoryShortageError: the memory of a GPU or of the machine did not suffice.
        DeviceFailedError: the GPU failed in such a way that this process can compute nothing more on it.
    """
    try:
        yield
    except VadbenchError:
        raise
    except Exception as error:
        if (told := device_error(error, advice)) is None:
            raise
        raise told from error


def device_error(error: Exception, advice: str) -> VadbenchError | None:
    """Return the error of vadbench that an error stands for, ``None`` where it is about no device and no memory."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError):
        return _shortage(error, advice, on_gpu=False)
    if torch is None or not isinstance(error, RuntimeError):
        return None
    if isinstance(error, torch.OutOfMemoryError) or _SHORT.search(str(error)):
        return _shortage(error, advice, on_gpu="DefaultCPUAllocator" not in str(error))
    if isinstance(error, torch.AcceleratorError):
        return _failure(error)
    # After a failed kernel, a library of CUDA may be the first to notice, and its errors have no class of their own.
    if torch.cuda.is_initialized():
        try:
            torch.cuda.synchronize()
        except torch.AcceleratorError as found:
            return _failure(found)
    return None


def release_memory(error: BaseException | None = None) -> None:
    """Return to the GPU what torch keeps of its memory without using it: other processes may share the GPU.

    Nothing is returned where this process uses no GPU.

    Args:
        error: an error that is kept: the variables of the calls that it went through, which hold a method and its
            tensors, are cleared first.
    """
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        import gc

        gc.collect()  # methods refer to themselves in circles
        torch.cuda.empty_cache()


def _failure(error: Exception) -> DeviceFailedError:
    return DeviceFailedError(
        f"the GPU failed: {first_line(error)}; this process can compute nothing more on it: start again, with"
        " CUDA_LAUNCH_BLOCKING=1 to see which operation it was"
    )


def _shortage(error: Exception, advice: str, on_gpu: bool) -> MemoryShortageError:
    text = str(error)
    asked, own = _ASKED.search(text), _OWN.search(text)
    facts = []
    if asked:
        facts.append(f"tried to allocate {asked[2] or _amount(int(asked[1]))}")
    # What torch wrote down when it failed is better than what is free by now.
    if found := _GPU_FREE.search(text):
        facts.append(f"{found[2]} of {found[1]} free")
    elif left := _gpu_memory() if on_gpu else _memory():
        facts.append(f"{_amount(left[0])} of {_amount(left[1])} free")
    if own:
        facts.append(f"this process has {own[1]}")
    told = f" ({', '.join(facts)})" if facts else ""
    where = "the GPU's memory" if on_gpu else "the memory of this machine"
    return MemoryShortageError(f"{where} does not suffice{told}; {advice}")


def _gpu_memory() -> tuple[int, int] | None:
    """Return the bytes that are free on the GPU and those that it has, ``None`` where they are not known."""
    torch: Any = sys.modules["torch"]
    try:
        free, total = torch.cuda.mem_get_info()
    except Exception:  # no GPU after all, or one that no longer answers
        return None
    return int(free), int(total)


def _memory() -> tuple[int, int] | None:
    """Return the bytes of memory that are free on this machine and those that it has, ``None`` except on Linux."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return (sizes["MemAvailable"], sizes["MemTotal"]) if {"MemAvailable", "MemTotal"} <= sizes.keys() else None


def _amount(size: int) -> str:
    return f"{size / _GIB:.2f} GiB" if size >= _GIB / 10 else f"{size / 2**20:.2f} MiB"
