"""The environment of a run: device, versions, commit, threads, time and memory."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import vadbench
from vadbench.base.errors import DeviceError
from vadbench.plugins import provenance

PACKAGES = ("vadbench", "torch", "torchvision", "open_clip_torch", "av", "numpy", "scikit-learn", "mlflow")


def choose_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DeviceError: CUDA was asked for and cannot be used here.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"--device cuda: torch {torch.__version__} finds no usable GPU; use --device cpu, or see vadbench doctor"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def describe(device: torch.device) -> dict[str, Any]:
    """Return the entries of a record about the machine; none is part of a key."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": commit(),
        "packages": {name: package_version(name) for name in PACKAGES},
    }


def package_version(name: str) -> str:
    """Return the installed version of a distribution, or ``"absent"``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def commit() -> str:
    """Return the git commit of vadbench's own checkout, with ``+changes`` where files differ, or ``"unknown"``."""
    folder = Path(vadbench.__file__).resolve().parent.parent
    # An installed copy may be below another project's checkout.
    return (provenance.commit(folder) if (folder / ".git").exists() else "") or "unknown"


class Meter:
    """Seconds and peak memory of each stage of a run."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.peak_memory_mb: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; the memory is the process's peak so far, or the GPU's peak within the stage."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)
            self.peak_memory_mb[name] = round(peak_memory_mb(), 1)
            if self.device.type == "cuda":
                self.peak_memory_mb[f"{name} (GPU)"] = round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux's getrusage starts with what the parent process had.
        return next(int(n.split()[1]) for n in status.read_text().splitlines() if n.startswith("VmHWM")) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} threads"
    except OSError:
        pass
    return f"{platform.machine()}, {os.cpu_count()} threads"
