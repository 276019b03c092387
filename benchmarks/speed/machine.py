"""Which processor seconds were measured on, with which build of torch, and how fast it is there.

Seconds of two machines are never compared: even those of one name differ. A processor is known by vendor, family and
model, since virtual machines hide its name. Nothing here names the machine itself.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import torch
from measuring import bandwidth, kernel_rates, timed

from vadbench.harness import environment as of_runs
from vadbench.nn.linear import linear

FLAGS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"),
    *("asimd", "sve", "bf16"),
)
"""Instructions that decide how fast torch is; the last three are those of Arm."""
VENDORS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel", "0x41": "Arm", "0xc0": "Ampere"}
ROWS, INPUTS, OUTPUTS = 4096, 512, 2048
"""Of the linear layer that is timed."""


def environment(device: torch.device, load: tuple[float, ...] | None = None) -> dict[str, Any]:
    """Return the entries of a record about the machine, with the rates that it reaches with this process's threads.

    Args:
        device: where work was done.
        load: of the machine before the work, by default now.
    """
    return {
        **of_runs.describe(device),
        "machine": processor(),
        "torch_build": build(),
        "rates": rates(),
        "load": load or os.getloadavg(),
    }


def processor(
    described: Path = Path("/proc/cpuinfo"), devices: Path = Path("/sys/devices/system/cpu")
) -> dict[str, Any]:
    """Return vendor, family, model, stepping, name, flags, number of cores and sizes of caches in KiB of the processor.

    Args:
        described: Linux's description; without it all but the cores is unknown.
        devices: folder with the caches.
    """
    lines = described.read_text(encoding="utf-8").splitlines() if described.is_file() else []
    # All cores are described alike; the first of each name counts.
    fields = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    given = fields.get("flags", fields.get("Features", "")).split()
    vendor = fields.get("vendor_id", fields.get("CPU implementer", "unknown"))
    return {
        "vendor": VENDORS.get(vendor, vendor),
        "family": fields.get("cpu family", fields.get("CPU architecture", "unknown")),
        "model": fields.get("model", fields.get("CPU part", "unknown")),
        "stepping": fields.get("stepping", fields.get("CPU revision", "unknown")),
        "name": fields.get("model name", "unknown"),
        "flags": [flag for flag in FLAGS if flag in given],
        "cores": os.cpu_count(),
        "caches_kib": _caches(devices / "cpu0" / "cache"),
    }


def _caches(folder: Path) -> dict[str, int]:
    found = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        found[f"L{level}" + {"Data": "d", "Instruction": "i"}.get(kind, "")] = int(size.removesuffix("K"))
    return found


def build() -> dict[str, str]:
    """Return the versions of the libraries that torch computes with, and the instructions that it chose."""
    shown = torch.__config__.show()
    libraries = {"MKL": r"Math Kernel Library Version (\S+?)-", "oneDNN": r"(?:MKL-DNN|oneDNN) v(\S+)"}
    found = {name: re.search(pattern, shown) for name, pattern in libraries.items()}
    versions = {name: match[1] if match else "absent" for name, match in found.items()}
    return versions | {"instructions": torch.backends.cpu.get_cpu_capability()}


@cache
def rates() -> dict[str, float | None]:
    """Return thousand millions of operations a CPU second of convolutions, matrix products, linear layers as vadbench
    trains them, and the faster of the first two in bfloat16 (``None`` without instructions for it); and GB a second of
    memory."""
    found: dict[str, float | None] = {name: rate / 1e9 for name, rate in kernel_rates("cpu", "fp32").items()}
    has_bf16 = {"avx512_bf16", "amx_bf16", "bf16"} & set(processor()["flags"])
    found["linear layer"] = _linear_rate() / 1e9
    found["bf16"] = max(kernel_rates("cpu", "bf16").values()) / 1e9 if has_bf16 else None
    return found | {"GB/s": bandwidth() / 1e9}


def _linear_rate() -> float:
    rows = torch.randn(ROWS, INPUTS, requires_grad=True)
    weight = torch.randn(OUTPUTS, INPUTS, requires_grad=True)
    outer = torch.randn(ROWS, OUTPUTS)
    seconds = min(timed(lambda: linear(rows, weight).backward(outer))[1] for _ in range(4))
    return 6 * ROWS * INPUTS * OUTPUTS / seconds


def title(environment: dict[str, Any]) -> str:
    """Return a processor and the number of its threads that were used, in words."""
    machine = environment["machine"]
    name = f"{machine['vendor']} family {machine['family']} model {machine['model']}"
    return f"{name}, {environment['threads']} thread{'s' if environment['threads'] > 1 else ''}"


def words(environment: dict[str, Any]) -> str:
    """Return the line that stands above a table of seconds."""
    machine, built = environment["machine"], environment["torch_build"]
    rates = {name: f"{rate:.0f}" for name, rate in environment["rates"].items() if rate is not None}
    memory = rates.pop("GB/s")
    caches = ", ".join(f"{name} {size:,} KiB" for name, size in machine["caches_kib"].items())
    return (
        f"{title(environment)} ({machine['name']}, stepping {machine['stepping']}, {machine['cores']} cores, {caches}; "
        f"{' '.join(machine['flags'])}); torch {environment['packages']['torch']}, MKL {built['MKL']}, oneDNN "
        f"{built['oneDNN']}; thousand million operations a CPU second: "
        f"{', '.join(f'{name} {rate}' for name, rate in rates.items())}; memory {memory} GB/s; "
        f"load {environment['load'][0]:.1f}"
    )


def file_name(environment: dict[str, Any], precision: str) -> str:
    """Return the name of the file of figures of this processor, without a folder."""
    machine = environment["machine"]
    parts = [machine["vendor"], f"family{machine['family']}", f"model{machine['model']}"]
    parts[:0] = [] if environment["device"] == "cpu" else [environment["device"]]
    return f"speed-{'-'.join(map(_slug, parts))}-{environment['threads']}threads-{precision}.json"


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
