"""Whether vadbench is right and fast on the GPU of this machine, in less than eight minutes.

    python benchmarks/gpu_check.py
    python benchmarks/gpu_check.py --only steps --only extraction --no-file
    python benchmarks/gpu_check.py --pretend

What is done, each in a process of its own and within its time; what fails is said, and the rest goes on:

    machine     the GPU, and whether a product and a convolution are the CPU's
    parity      every method: scores of the same weights, and gradients of a step, within 1e-3 of the CPU's
    bits        every trained method fitted twice, and once broken off and resumed: the same bits
    waits       where a training step makes the processor wait for the GPU: to read its losses, once
    steps       seconds and memory of a training step at the published batch, in fp32, TF32 and bf16, beside what was
                estimated before any GPU had been measured
    extraction  frames in a second from file to feature, as a share of the encoder alone
    tests       the tests of this repository that a GPU is for

The figures go to results/vadbench_results/speed-<device>.json, in the form of the other files of speed there. With
--pretend everything is done in small sizes on a device that is not there, to see that it runs: nothing is written, and
no figure means anything. The exit status is 1 if something failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "speed"))

from gpu.sections import PARTS, Findings, load, run
from tabulate import tabulate

from vadbench.base.errors import DeviceError, UnknownNameError
from vadbench.base.files import write_json
from vadbench.plugins.registry import installed

RESULTS = Path(__file__).resolve().parent.parent / "results" / "vadbench_results"
MINUTES = 7.75
"""Of everything together."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="do this section; may be repeated")
    parser.add_argument("--method", action="append", metavar="NAME", help="of all methods this; may be repeated")
    parser.add_argument("--pretend", action="store_true", help="small sizes on a pretended device; nothing is written")
    parser.add_argument("--no-file", action="store_true", help="write no file")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the file (default: %(default)s)")
    options = parser.parse_args()
    for name in options.method or []:
        try:
            installed().spec("method", name)
        except UnknownNameError as error:
            parser.error(str(error))
    if not options.pretend:
        from vadbench.harness import environment

        try:
            environment.choose_device("cuda")
        except DeviceError as error:
            print(f"gpu_check: {error}; --pretend needs no GPU", file=sys.stderr)
            return 2
    began, methods = time.monotonic(), options.method or []

    def show(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    show("loading")
    load()
    found: dict[str, Findings] = {}
    for name in options.only or PARTS:
        seconds = max(0.0, min(PARTS[name][2], 60 * MINUTES - (time.monotonic() - began)))
        show(f"{name}: at most {seconds:.0f} s")
        found[name] = run(name, options.pretend, methods, seconds, lambda text, name=name: show(f"{name}: {text}"))
        if not options.pretend and not options.no_file:
            show(f"written to {write(found, options.out)}")  # after each section: what is known stays
    print(table(found))
    failures = [f"{name}: {text}" for name, own in found.items() for text in own.failures]
    print("\n".join(["", "failed:", *failures]) if failures else f"\nnothing failed in {', '.join(found)}")
    return int(bool(failures))


def table(found: dict[str, Findings]) -> str:
    """Return the figures of all that was timed, milliseconds."""
    rows = []
    for entry in (e for own in found.values() for e in own.figures if "wall" in e):
        loop = entry.get("loop_wall")
        estimate = entry.get("estimate_ms") or entry.get("estimate") or ""
        count = entry.get("frames") or entry.get("images")
        gpu = entry.get("gpu_gb")
        expected = f" ({entry['estimate_gib']})" if "estimate_gib" in entry else ""
        rows.append(
            [
                entry["work"],
                f"{1000 * entry['wall']:.1f}",
                "" if loop is None else f"{1000 * loop:.1f}",
                f"{1000 * entry['cpu']:.0f}",
                f"{count / entry['wall']:,.0f}" if count else "",
                f"{entry['share_of_encoder']:.0%}" if entry.get("share_of_encoder") else "",
                estimate,
                "" if not entry.get("floor") else f"{1000 * entry['floor']:.1f}",
                "" if gpu is None else f"{gpu:.2f}{expected}",
            ]
        )
    heads = ["work", "ms", "ms in the loop", "CPU ms", "a second", "of the encoder", "estimated", "floor ms", "GPU GiB"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


def write(found: dict[str, Findings], folder: Path) -> Path:
    """Write the figures, and return the file; wall and CPU seconds, as in the other files of speed."""
    from machine import environment

    from vadbench.harness.environment import choose_device

    made_on = environment(choose_device("cuda"))
    figures: list[dict[str, Any]] = [e for own in found.values() for e in own.figures]
    path = folder / f"speed-{re.sub('[^a-z0-9]+', '-', made_on['device'].lower()).strip('-')}.json"
    record = {
        "settings": {"full": False, "quick": False, "device": "cuda", "precision": "all"},
        "figures": [{"literal": None, "floor": None, **e} for e in figures],
        "growth": {},
        "sections": {n: {"seconds": round(f.seconds, 1), "failures": f.failures} for n, f in found.items()},
        "environment": made_on,
    }
    write_json(path, record)
    return path


if __name__ == "__main__":
    sys.exit(main())
