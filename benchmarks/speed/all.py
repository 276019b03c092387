"""Everything that is timed, beside a literal version of the same work and the machine's floor, and how cost grows.

    make speed
    python benchmarks/speed/all.py [--full] [--device cuda --precision bf16] [--only WORD] [--json FILE] [--plot FILE]

Each measurement is in a process of its own, a median of five calls after one that does not count; the first counts
where it takes over ten seconds, and what takes over a minute is done once. The literal versions in ``literal/`` are
written from the specifications and timed in float32, in which they must give the same numbers as ours: the command
fails where they do not, when all else is measured and written. A floor is the bytes that must be moved over the
bandwidth of memory, or the operations of matrix products and convolutions over the rate of the fastest of them, or a
process that does nothing; each is measured next to the work, in the same process. CPU seconds are compared. With
``--device cuda`` training, scoring and extraction are done there, and wall seconds are compared; what has no use for a
GPU stays where it is.

``--full`` scores the whole of a split of UCF-Crime's size and trains on all of it instead of a tenth; ``--quick`` tries
it all in small sizes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import growth
from measuring import Figures, alone, gpu_peak_gb, now_gb, peak_gb, repeated
from tabulate import tabulate
from works.work import Options, Work

WORKS: dict[str, tuple[str, str, list[Any]]] = {
    "vadbench --help": ("commands", "start", ["--help"]),
    "vadbench list methods": ("commands", "start", ["list methods"]),
    "a table of published numbers": ("commands", "start", ["table vadclip/1 --out no-runs"]),
    "list UCF-Crime's videos": ("commands", "listing", []),
    "check UCF-Crime's files": ("commands", "checking", []),
    "decode 608 frames": ("frames", "decoding", []),
    "prepare 608 frames": ("frames", "preparing", []),
    "extract 608 frames, small CLIP": ("frames", "extracting", [False]),
    "extract frames, ViT-B/16": ("frames", "extracting", [True]),
    **{
        f"{method}: {what}": (module, function, [*arguments, method])
        for method in ("anomalyclip", "vadclip")
        for what, module, function, *arguments in (
            ("training step", "training", "step"),
            ("16 videos from files", "training", "assembling"),
            ("training epoch", "training", "epoch"),
            ("score 5,000 frames", "scoring", "videos", False),
            ("score a test split", "scoring", "videos", True),
            ("score a 24-hour video", "scoring", "long_video"),
        )
    },
    "urdmu: training step": ("training", "step", ["urdmu"]),
    "rtfm: training step": ("training", "step", ["rtfm"]),
    "clip-tsa: training step": ("training", "step", ["clip-tsa"]),
    "all metrics": ("evaluation", "metrics", []),
    "1,000 resamples": ("evaluation", "resamples", []),
}
"""Module and function in ``works/`` that make a piece of work, and its arguments before the options. Named and not
imported: a process imports what its own work needs, and little else counts as the start of its memory."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the whole split")
    parser.add_argument("--quick", action="store_true", help="small sizes, not to be compared")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"], help="of ours")
    parser.add_argument("--only", default="", metavar="WORD", help="work whose name has this in it, or 'growth'")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the growth there")
    arguments = parser.parse_args()
    options = Options(arguments.full, arguments.quick, arguments.device, arguments.precision)
    works = [name for name in WORKS if arguments.only in name]
    curves = [name for name in growth.CURVES if arguments.only in f"growth, {name}"]
    if not works and not curves:
        parser.error(f"no work has '{arguments.only}' in its name; there are {', '.join(WORKS)}; growth")
    if options.device == "cuda":
        from vadbench.harness import environment

        environment.choose_device(options.device)
    record: dict[str, Any] = {"settings": asdict(options), "figures": [], "growth": {}}
    failed: list[str] = []
    for name in works:
        try:
            found = {way: alone(arguments.threads, measure, name, way, options) for way in ("ours", "literal")}
        except Exception as error:
            # What has been measured is worth keeping, it may have taken half an hour.
            failed.append(f"{name}: {type(error).__name__}: {error}")
            continue
        record["figures"].append({"work": name, **found["ours"], "literal": found["literal"]})
        # Not a number, it would not be greater than 1 either.
        if found["literal"] and not (times := found["literal"]["difference_over_tolerance"]) <= 1:
            failed.append(f"{name}: ours and the literal version differ {times:.1f} times what is tolerated")
        print(f"{name}: {found['ours']['wall']:.3g} s, {found['ours']['cpu']:.3g} CPU s", file=sys.stderr)
    for name in curves:
        try:
            record["growth"][name] = growth.curve(name, options, arguments.threads)
        except Exception as error:
            failed.append(f"growth, {name}: {type(error).__name__}: {error}")
    for table in (compared(record["figures"], options), growth.table(record["growth"], options)):
        if table:
            print(table, end="\n\n")
    if arguments.plot:
        growth.draw(record["growth"], options, arguments.plot)
    if arguments.json:
        write(record, arguments.json, arguments.threads)
    if failed:
        sys.exit("\n".join(["failed:", *failed]))


def measure(name: str, way: str, options: Options) -> dict[str, Any] | None:
    """Figures of ours or the literal version; peak memory is what is above the imports, loading CLIP included."""
    module, function, arguments = WORKS[name]
    make = getattr(import_module(f"works.{module}"), function)
    before = now_gb()
    with tempfile.TemporaryDirectory() as folder:
        work: Work = make(*arguments, options, Path(folder))
        if way == "ours":
            work.before()
            found = figures(*repeated(work.ours, options.quick), before)
            return found | work.facts() | {"floor": work.floor()}
        if work.literal is None:
            return None
        wall, cpu = repeated(work.literal, options.quick)
        found = figures(work.times * wall, work.times * cpu, before)
        return found | {"difference_over_tolerance": work.difference()}


def figures(wall: float, cpu: float, before: float) -> dict[str, float]:
    return asdict(Figures(wall, cpu, max(0.0, peak_gb() - before))) | {"gpu_gb": gpu_peak_gb()}


def compared(record: list[dict[str, Any]], options: Options) -> str:
    """The table of the works; nothing where there are none."""
    clock, shown = ("wall", "wall s") if options.clock == 0 else ("cpu", "CPU s")
    rows = []
    for entry in record:
        literal, gpu = entry["literal"], [] if options.device == "cpu" else [entry["gpu_gb"]]
        share = [f"{literal[clock]:.3g}", f"{entry[clock] / literal[clock]:.1%}"] if literal else ["-", "-"]
        times = f"{entry[clock] / entry['floor']:.3g}"
        rows.append([entry["work"], entry["wall"], entry["cpu"], entry["peak_gb"], *gpu, *share, entry["floor"], times])
    memory = ["peak GB"] if options.device == "cpu" else ["peak GB", "GPU GB"]
    headers = ["work", "wall s", "CPU s", *memory, f"literal {shown}", "share", f"floor {shown}", "times floor"]
    as_given = [3 + len(memory), 4 + len(memory), 6 + len(memory)]
    return tabulate(rows, headers, tablefmt="github", floatfmt=".3g", disable_numparse=as_given) if rows else ""


def write(record: dict[str, Any], path: Path, threads: int) -> None:
    import torch

    from vadbench.base.files import write_json
    from vadbench.harness import environment

    machine = environment.describe(torch.device(record["settings"]["device"]))
    write_json(path, record | {"environment": machine | {"threads": threads, "load": os.getloadavg()}})


if __name__ == "__main__":
    main()
