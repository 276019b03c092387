"""What is done before anything is computed: start-up, tables, the lists and the files of a data set.

Nothing equal stands beside them. Literally, a command imports every method first, a list is split into its lines, and
of each file it is asked whether it is finite: the last two do less than ours.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import datacheck
import numpy as np
from measuring import bandwidth, timed
from works.work import Options, Work

METHODS = ("anomalyclip.method", "baselines.mil", "descriptions.frame", "vadclip.method")


def start(arguments: str, options: Options, folder: Path) -> Work:
    """A command of vadbench; literally, every method is imported, for what it says might depend on them."""
    run = "from vadbench.cli import main; main()"

    def call(program: str) -> None:
        subprocess.run([sys.executable, "-c", program, *arguments.split()], check=True, capture_output=True)

    return Work(
        partial(call, run),
        partial(call, "".join(f"import vadbench_{m}; " for m in METHODS) + run),
        lambda: timed(lambda: call(""), 5)[options.clock],
    )


def listing(options: Options, folder: Path) -> Work:
    """UCF-Crime's lists read and matched with its files."""
    lists = _built(options, folder, "*.txt")
    return Work(
        partial(datacheck.list_both, folder),
        lambda: [line.split() for path in lists for line in path.read_text().splitlines()],
        lambda: sum(p.stat().st_size for p in lists) / bandwidth(),
    )


def checking(options: Options, folder: Path) -> Work:
    """All of UCF-Crime's files read and checked, 64 rows each."""
    arrays = _built(options, folder, "*.npy")
    return Work(
        partial(datacheck.check, folder),
        lambda: [bool(np.isfinite(np.load(path)).all()) for path in arrays],
        lambda: sum(p.stat().st_size for p in arrays) / bandwidth(),
    )


def _built(options: Options, folder: Path, pattern: str) -> list[Path]:
    datacheck.build(folder, 4 if options.quick else 64, 512)
    return sorted(folder.rglob(pattern))
