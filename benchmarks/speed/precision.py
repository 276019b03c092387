"""What bfloat16 does to the trained methods: AUC on ``synthetic`` over several seeds, and a training step's seconds.

    python benchmarks/speed/precision.py [METHOD...] [--seeds 5] [--json FILE] [--record]

Each method is trained and evaluated in float32 and with ``--set recipe.precision=bf16``, seed by seed, one thread; runs
that are in ``--out`` already are not repeated. A step has the published batch and is timed in turns with that in
float32, in a process each, as in ``all.py``. ``--record`` writes the figures to
``results/vadbench_results/precision-PROCESSOR-THREADS-bf16.json``, of which ``merged.py`` makes a table.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from machine import environment, file_name
from merged import RESULTS, about, precision
from turns import Turn, in_turns
from works.work import Options

import vadbench
from vadbench.base.files import write_json
from vadbench.plugins.registry import installed

WAYS = ("fp32", "bf16")
DATASET = "synthetic"


def main() -> None:
    """Print the table, and write it where asked."""
    trained = [name for name in installed().specs("method") if _is_trained(name)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"of {', '.join(trained)} (default: all)")
    parser.add_argument("--seeds", type=int, default=5, help="from 0 on (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of a step (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/runs"), help="for run folders (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small steps and trainings of one epoch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--record", action="store_true", help="and to the file of this processor among the results")
    arguments = parser.parse_args()
    if unknown := set(arguments.methods) - set(trained):
        parser.error(f"{', '.join(sorted(unknown))}: not a trained method; there are {', '.join(trained)}")
    began, load = time.perf_counter(), os.getloadavg()
    figures = []
    for name in arguments.methods or trained:
        areas = {way: [_auc(name, way, seed, arguments) for seed in range(arguments.seeds)] for way in WAYS}
        sides = [(begun, (name, way, arguments.quick)) for way in WAYS]
        turns = in_turns(arguments.threads, sides, arguments.quick)
        calls = {way: taken.seconds for way, taken in zip(WAYS, turns, strict=True)}
        figures.append({"method": name, "auc": areas, "calls": calls})
        print(f"[{time.perf_counter() - began:5.0f} s] {name}", file=sys.stderr, flush=True)
    torch.set_num_threads(arguments.threads)
    settings = {"dataset": DATASET, "quick": arguments.quick, "device": "cpu", "precision": "bf16"}
    record: dict[str, Any] = {"settings": settings, "figures": figures}
    record |= {"environment": environment(torch.device("cpu"), load), "seconds": time.perf_counter() - began}
    print(about(record), precision(record), sep="\n\n")
    files = [arguments.json] if arguments.json else []
    if arguments.record:
        files.append(RESULTS / file_name(record["environment"], "bf16").replace("speed-", "precision-"))
    for file in files:
        write_json(file, record)


def _is_trained(name: str) -> bool:
    return installed().method_config(name)().recipe is not None


def _auc(name: str, way: str, seed: int, arguments: argparse.Namespace) -> float:
    settings: dict[str, Any] = {} if way == "fp32" else {"recipe.precision": way}
    if arguments.quick:
        settings["recipe.epochs"] = 1
    torch.set_num_threads(1)
    run = vadbench.run(name, DATASET, seed=seed, settings=settings, device="cpu", out=arguments.out, log=False)
    value = run.record.metrics["AUC"].value
    assert value is not None
    return value


def begun(name: str, way: str, quick: bool) -> Turn:
    """A training step in this process."""
    from works.methods import own_step
    from works.scoring import built

    method = built(name, Options(quick=quick))
    return Turn(own_step(method, 8 if quick else method.config.recipe.batch_size, way))


if __name__ == "__main__":
    main()
