"""The environment of a run: device, versions, commit, threads, time and memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

import vadbench
from vadbench.base.arithmetic import fix_workspace
from vadbench.base.errors import DeviceError, RunError
from vadbench.base.files import read_json, write_json
from vadbench.method import Method
from vadbench.plugins import provenance
from vadbench.records.costs import Amount

PACKAGES = ("vadbench", "torch", "torchvision", "open_clip_torch", "av", "numpy", "scikit-learn", "mlflow")
DRIVER_SECONDS = 20.0
"""Longest wait for ``nvidia-smi``, which may hang beside a broken GPU."""
SPENT = "spent.json"
"""File in the folder of the stages of a training with what the parts of the run before took."""


def choose_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda``, and prepare a GPU for deterministic algorithms.

    Raises:
        DeviceError: CUDA was asked for and cannot be used here.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"--device cuda: torch {torch.__version__} finds no usable GPU; use --device cpu, or see vadbench doctor"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        fix_workspace()
    return torch.device(name)


def describe(device: torch.device) -> dict[str, Any]:
    """Return the entries of a record about the machine; none is part of a key.

    With a GPU these are also the versions of what computes on it, on which its roundings depend: ``cuda`` and ``cudnn``
    are torch's, ``driver`` is the machine's, ``"unknown"`` where ``nvidia-smi`` cannot be asked.
    """
    return {
        "device": _device_name(device),
        **(gpu_versions() if device.type == "cuda" else {}),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": commit(),
        "packages": {name: package_version(name) for name in PACKAGES},
    }


def device_words(device: torch.device) -> str:
    """Return a device and the version of torch, which the bits of a training depend on, in words for notes."""
    return f"{_device_name(device)} with torch {torch.__version__}"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def gpu_versions() -> dict[str, str]:
    """Return the versions of what computes on a GPU, as :func:`describe` records them."""
    cudnn: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {
        "cuda": torch.version.cuda or "absent",
        "cudnn": f"{cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}" if cudnn else "absent",
        "driver": _driver_version(),
    }


@cache
def _driver_version() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=DRIVER_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return "unknown"
    return next(iter(found.split()), "unknown")


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


class _Spent(BaseModel):
    """What the stages of a run took until now, by stage: the content of :data:`SPENT`."""

    model_config = ConfigDict(extra="forbid")
    seconds: dict[str, Amount] = {}
    cpu_seconds: dict[str, Amount] = {}
    peak_memory_mb: dict[str, Amount] = {}
    parts: dict[str, int] = {}


class Meter:
    """Seconds, processor seconds and peak memory of each stage of a run, whose training may have been interrupted.

    ``seconds`` are those on the clock; with a GPU, the clock is read when the device has done all that it was given.
    ``cpu_seconds`` are those of all threads of this process, and of processes that it started and that ended within the
    stage. ``parts`` says in how many parts a stage was done.

    ``parameters`` are those of the method, ``trainable`` those of them that are trained.

    Args:
        device: where the method computes.
        folder: for what must be known after an interruption; what is there already counts as done before.
    """

    def __init__(self, device: torch.device, folder: Path) -> None:
        self.device, self._file = device, folder / SPENT
        before = _spent(self._file)
        self.seconds, self.cpu_seconds = before.seconds, before.cpu_seconds
        self.peak_memory_mb, self.parts = before.peak_memory_mb, before.parts
        self.parameters = self.trainable = 0
        self._running: Callable[[], None] | None = None

    def count_parameters(self, method: Method) -> None:
        """Count the parameters of a method as it was built: a training may freeze what it has trained."""
        every = list(method.parameters())
        self.parameters = sum(p.numel() for p in every)
        learns = method.config.needs().learns
        self.trainable = sum(p.numel() for p in every if p.requires_grad) if learns else 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; the memory is the process's peak so far, or the GPU's peak within the stage."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        before, cpu_before = self.seconds.get(name, 0.0), self.cpu_seconds.get(name, 0.0)
        self.parts[name] = self.parts.get(name, 0) + 1
        start, cpu_start = self._clock(), _cpu_clock()

        def read() -> None:
            self.seconds[name] = round(before + self._clock() - start, 3)
            self.cpu_seconds[name] = round(cpu_before + _cpu_clock() - cpu_start, 3)
            self._raise_peak(name, peak_memory_mb())
            if self.device.type == "cuda":
                self._raise_peak(f"{name} (GPU)", torch.cuda.max_memory_allocated(self.device) / 2**20)

        self._running = read
        try:
            yield
        finally:
            read()
            self._running = None

    def keep(self) -> None:
        """Write down what was measured until now; called whenever an interruption would not undo it any more."""
        if self._running is not None:
            self._running()
        names = ("seconds", "cpu_seconds", "peak_memory_mb", "parts")
        write_json(self._file, {name: getattr(self, name) for name in names})

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _raise_peak(self, name: str, found: float) -> None:
        self.peak_memory_mb[name] = max(round(found, 1), self.peak_memory_mb.get(name, 0.0))


def _spent(path: Path) -> _Spent:
    """Return what a run took before it was interrupted; nothing where that is not known, which stops no run."""
    try:
        return _Spent.model_validate(read_json(path)) if path.is_file() else _Spent()
    except (RunError, ValidationError):
        return _Spent()


def _cpu_clock() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


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
