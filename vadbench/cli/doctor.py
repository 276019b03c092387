"""``vadbench doctor``: check that this machine is ready, and show its folders and stores."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vadbench.base.errors import VadbenchError, first_line
from vadbench.base.text import counted
from vadbench.cli import options
from vadbench.cli.output import print_json, print_table

if TYPE_CHECKING:
    import torch

LOW_DISK_GB = 5
TOLERANCE = 1e-4
"""Largest difference of a GPU's float32 numbers from the CPU's, as a share of the largest value (our decision):
rounding makes 1e-6, TF32 would make 1e-3."""


@dataclass(frozen=True)
class SystemCheck:
    """Line of the report; ``failed`` means that runs will not work until it is fixed."""

    name: str
    status: Literal["ok", "absent", "failed"]
    found: str


@click.command("doctor", short_help="Check this machine: Python, torch, CUDA, codecs, MLflow, data, disk.")
@options.out
@options.as_json
def command(out: Path, as_json: bool) -> None:
    """Check this machine: Python, torch, CUDA, codecs, the MLflow store, data roots and free disk.

    Each GPU computes a small matrix product and a convolution, which must be the CPU's. The exit status is 1 if
    something failed that every run needs, or every run on a GPU that is there.
    """
    checks = [*_software(), *_codecs(), _mlflow(out), *_data(), *_disk(out)]
    if as_json:
        print_json([asdict(c) for c in checks])
    else:
        print_table([[c.status, c.name, c.found] for c in checks], ["", "what", "found"])
    if any(c.status == "failed" for c in checks):
        click.get_current_context().exit(1)


def _software() -> Iterator[SystemCheck]:
    from vadbench.harness.environment import PACKAGES, package_version

    yield SystemCheck("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        version = package_version(name)
        problem = _torchvision_problem() if name == "torchvision" and version != "absent" else ""
        yield SystemCheck(name, "failed" if problem or version == "absent" else "ok", version + problem)
    yield from _gpus()


def _torchvision_problem() -> str:
    """Return why torchvision does not load, as one that was built for another torch; empty where it does."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        return f" does not load ({first_line(error)}); install torch and torchvision from the same index"
    return ""


def _gpus() -> Iterator[SystemCheck]:
    """Yield the versions of CUDA, and what each GPU computes beside the CPU."""
    import torch

    from vadbench.harness.environment import gpu_versions

    versions = gpu_versions()
    if not torch.cuda.is_available():
        unused = f", though there is a driver {versions['driver']}" if versions["driver"] != "unknown" else ""
        threads = torch.get_num_threads()
        yield SystemCheck(
            "CUDA", "absent", f"no GPU that torch can use{unused}; runs use the CPU with {counted(threads, 'thread')}"
        )
        return
    yield SystemCheck("CUDA", "ok", f"{versions['cuda']}, cuDNN {versions['cudnn']}, driver {versions['driver']}")
    for number in range(torch.cuda.device_count()):
        yield _gpu(torch.device("cuda", number))


def _gpu(device: torch.device) -> SystemCheck:
    """Return whether a GPU computes a product and a convolution as the CPU does, and its free memory."""
    import torch

    from vadbench.base.arithmetic import arithmetic

    name = f"GPU {device.index}"
    rng = torch.Generator().manual_seed(0)
    rows, columns, images, kernels = (
        torch.randn(*shape, generator=rng) for shape in ((128, 96), (96, 64), (2, 8, 20, 20), (16, 8, 3, 3))
    )
    operations: dict[str, tuple[Callable[..., torch.Tensor], torch.Tensor, torch.Tensor]] = {
        "a matrix product": (torch.mm, rows, columns),
        "a convolution": (torch.nn.functional.conv2d, images, kernels),
    }
    wrong = []
    try:
        free, total = (amount / 2**30 for amount in torch.cuda.mem_get_info(device))
        has = f"{torch.cuda.get_device_name(device)}, {free:.1f} of {total:.1f} GiB free"
        with arithmetic("fp32", device):
            for operation, (compute, one, other) in operations.items():
                expected, found = compute(one, other), compute(one.to(device), other.to(device)).cpu()
                difference = float((found - expected).abs().max() / expected.abs().max())
                if not difference <= TOLERANCE:
                    wrong.append(f"{operation} differs from the CPU's by {difference:.2g} of its largest value")
    except RuntimeError as error:  # torch's errors of CUDA are of this kind
        return SystemCheck(name, "failed", f"cannot compute: {first_line(error)}; use --device cpu until it can")
    if wrong:
        return SystemCheck(name, "failed", f"{has}: {' and '.join(wrong)}; use --device cpu, and look at the driver")
    return SystemCheck(name, "ok", f"{has}; computes as the CPU does")


def _codecs() -> Iterator[SystemCheck]:
    import av

    for name, purpose in (("h264", "mp4"), ("mpeg4", "avi"), ("vp9", "webm"), ("libx264", "writing mp4")):
        present = name in av.codecs_available
        yield SystemCheck(
            f"codec {name}", "ok" if present else "failed", f"for {purpose}" + ("" if present else ": missing")
        )


def _mlflow(out: Path) -> SystemCheck:
    from vadbench.base.locations import SWITCH_VARIABLE, tracks
    from vadbench.tracking.database import check_store

    try:
        if not tracks():
            return SystemCheck(
                "MLflow store", "absent", f"{SWITCH_VARIABLE} is off; runs are kept and can be logged later"
            )
        return SystemCheck("MLflow store", "ok", check_store(out))
    except VadbenchError as error:
        return SystemCheck("MLflow store", "absent", f"{error}; runs are kept and can be logged later")


def _data() -> Iterator[SystemCheck]:
    from vadbench.base.locations import find_data_root
    from vadbench.plugins.registry import Registry

    registry = Registry()
    for name in registry.specs("dataset"):
        try:
            dataset = registry.dataset(name)
            root = find_data_root(name, dataset.makes_itself)
        except VadbenchError as error:
            yield SystemCheck(f"data {name}", "absent", str(error))
            continue
        if dataset.makes_itself:
            yield SystemCheck(f"data {name}", "ok", f"{root} (makes its own files)")
        else:
            yield SystemCheck(f"data {name}", "ok" if root.is_dir() else "absent", str(root))


def _disk(out: Path) -> Iterator[SystemCheck]:
    from vadbench.base.locations import cache_root

    for name, folder in (("runs", out), ("cache", cache_root())):
        existing = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
        free = shutil.disk_usage(existing).free / 2**30
        yield SystemCheck(
            f"disk for {name}", "ok" if free > LOW_DISK_GB else "absent", f"{free:.0f} GB free at {folder}"
        )
