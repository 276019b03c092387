r"""Everything that is timed, beside a literal version of the same work and the machine's floor, and how cost grows.

    make speed
    python benchmarks/speed/all.py [--full] [--device cuda --precision bf16] [--only WORD ...] \
        [--json FILE] [--plot FILE]

Ours and the literal version have a process each and are called in turns: five pairs of calls after one that does not
count; three, the first among them, where a pair takes over eight CPU seconds; what takes over 120 is done once. Medians
are given, the least and the greatest in brackets; a share is that of a pair. The literal versions in ``literal/`` are
written from the specifications and timed in float32, in which they must give the same numbers as ours: the command
fails where they do not, when all else is measured and written. A floor is the bytes that must be moved over the
bandwidth of memory, or the operations of matrix products and convolutions over the rate of the fastest of them, or a
process that does nothing; each is measured right after the work, in the process of ours. CPU seconds are compared. With
``--device cuda`` training, scoring and extraction are done there, and wall seconds are compared; what has no use for a
GPU stays where it is.

``--full`` scores the whole of a split of UCF-Crime's size and trains on all of it instead of a tenth; ``--quick`` tries
it all in small sizes. ``--record`` writes ``results/vadbench_results/speed-PROCESSOR-THREADS-PRECISION.json``, which
``merged.py`` makes the tables of ``README.md`` of.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import growth
from measuring import alone, gpu_peak_gb, medians, now_gb, peak_gb
from merged import RESULTS, about, compared
from turns import Taken, Turn, in_turns
from works.work import Options, Work

DAY = "score a 24-hour video"
"""The only work without a literal version."""
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
            (DAY, "scoring", "long_video"),
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
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="work whose name has one of these in it, or 'growth'"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--record", action="store_true", help="and to the file of this processor among the results")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the growth there")
    arguments = parser.parse_args()
    options = Options(arguments.full, arguments.quick, arguments.device, arguments.precision)
    words = arguments.only or [""]
    for word in words:
        if not any(word in name for name in (*WORKS, *map("growth, {}".format, growth.CURVES))):
            parser.error(f"no work has '{word}' in its name; there are {', '.join(WORKS)}; growth")
    works = [name for name in WORKS if any(word in name for word in words)]
    curves = [name for name in growth.CURVES if any(word in f"growth, {name}" for word in words)]
    if arguments.record and (arguments.only or arguments.full or arguments.quick):
        parser.error("--record is of everything: leave out --only, --full and --quick, or use --json FILE")
    began, load = time.perf_counter(), os.getloadavg()
    if options.device == "cuda":
        from vadbench.harness import environment

        environment.choose_device(options.device)  # sets what all processes need
    made_on = alone(arguments.threads, described, options.device, load, quick=options.quick)
    record: dict[str, Any] = {"settings": asdict(options), "figures": [], "growth": {}, "environment": made_on}
    failed: list[str] = []
    for name in works:
        try:
            entry = measured(name, options, arguments.threads)
        except Exception as error:
            # What has been measured is worth keeping, it may have taken half an hour.
            failed.append(f"{name}: {type(error).__name__}: {error}")
            continue
        record["figures"].append(entry)
        # Not a number, it would not be greater than 1 either.
        if entry["literal"] and not (times := entry["literal"]["difference_over_tolerance"]) <= 1:
            failed.append(f"{name}: ours and the literal version differ {times:.1f} times what is tolerated")
        told(f"{name}: {entry['wall']:.3g} s, {entry['cpu']:.3g} CPU s", began)
    for name in curves:
        try:
            record["growth"][name] = growth.curve(name, options, arguments.threads)
        except Exception as error:
            failed.append(f"growth, {name}: {type(error).__name__}: {error}")
            continue
        told(f"growth, {name}: {record['growth'][name]['exponent']:.2f}", began)
    record["seconds"] = time.perf_counter() - began
    print(about(record), compared(record), sep="\n\n", end="\n\n")
    if arguments.plot:
        growth.draw(record, arguments.plot)
    write(record, arguments.json, arguments.record)
    if failed:
        sys.exit("\n".join(["failed:", *failed]))


def described(device: str, load: tuple[float, ...]) -> dict[str, Any]:
    """The machine, its rates measured in this process."""
    import machine
    import torch

    return machine.environment(torch.device(device), load)


def told(text: str, began: float) -> None:
    print(f"[{time.perf_counter() - began:5.0f} s] {text}", file=sys.stderr, flush=True)


def measured(name: str, options: Options, threads: int) -> dict[str, Any]:
    """Figures of ours and of the literal version, in turns."""
    ways = ("ours",) if name.endswith(DAY) else ("ours", "literal")
    with tempfile.TemporaryDirectory() as folder:
        own = [Path(folder) / way for way in ways]
        sides = [(begun, (name, way, options, path)) for way, path in zip(ways, own, strict=True)]
        ours, *literal = map(figures, in_turns(threads, sides, options.quick))
    return {"work": name, **ours, "literal": literal[0] if literal else None}


def begun(name: str, way: str, options: Options, folder: Path) -> Turn:
    """Ours or the literal version in this process; peak memory is what is above the imports, loading CLIP included."""
    module, function, arguments = WORKS[name]
    make = getattr(import_module(f"works.{module}"), function)
    before = now_gb()
    folder.mkdir()
    work: Work = make(*arguments, options, folder)

    def memory() -> dict[str, float]:
        return {"peak_gb": max(0.0, peak_gb() - before), "gpu_gb": gpu_peak_gb()}

    def of_literal() -> dict[str, float]:
        return memory() | {"times": work.times, "difference_over_tolerance": work.difference()}

    if work.literal is None or way == "ours":
        work.before()
        return Turn(work.ours, lambda: memory() | work.facts() | {"floor": work.floor()})
    return Turn(work.literal, of_literal)


def figures(taken: Taken) -> dict[str, Any]:
    """Medians and all calls of one side, which may have done only a part of the work."""
    times = taken.facts.pop("times", 1)
    calls = [(times * wall, times * cpu) for wall, cpu in taken.seconds]
    wall, cpu = medians(calls)
    return {"wall": wall, "cpu": cpu, "calls": calls, **taken.facts}


def write(record: dict[str, Any], path: Path | None, keep: bool) -> None:
    from machine import file_name

    from vadbench.base.files import write_json

    files = [path] if path else []
    if keep:
        files.append(RESULTS / file_name(record["environment"], record["settings"]["precision"]))
    for file in files:
        write_json(file, record)


if __name__ == "__main__":
    main()
