"""``vadbench doctor``: check that this machine is ready, and show its folders and stores."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from vadbench.base.errors import VadbenchError
from vadbench.cli import options
from vadbench.cli.output import print_json, print_table

LOW_DISK_GB = 5


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

    The exit status is 1 if something failed that every run needs.
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
        yield SystemCheck(name, "failed" if version == "absent" else "ok", version)
    import torch

    if torch.cuda.is_available():
        yield SystemCheck(
            "CUDA", "ok", ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        )
    else:
        yield SystemCheck("CUDA", "absent", f"no usable GPU; runs use the CPU with {torch.get_num_threads()} threads")


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
