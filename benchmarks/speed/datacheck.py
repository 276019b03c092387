"""How long ``vadbench data check`` takes on a data set of UCF-Crime's size: 1,900 videos as .npy files.

    python benchmarks/speed/datacheck.py [--rows 64] [--dim 512]

builds a root in a temporary folder (AnomalyCLIP's layout, ``--rows`` rows a video), prints the seconds of listing both
splits and of the whole check with every value read, medians of three, and removes the root. Targets: 1 s and
10 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from vadbench_ucfcrime.dataset import UcfCrime

from vadbench.harness.given_features import GivenFeatures
from vadbench.inspect import Report, inspect

REPEATS = 3
TEMPORAL = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
NORMAL = {"train": ("Training_Normal_Videos_Anomaly", 800), "test": ("Testing_Normal_Videos_Anomaly", 150)}
ABNORMAL = {"train": 810, "test": 140}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64, help="rows of a video (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=512, help="width of a row (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        build(root, options.rows, options.dim)
        listing = median(_seconds(lambda: list_both(root))[0] for _ in range(REPEATS))
        checks = [_seconds(lambda: check(root)) for _ in range(REPEATS)]
    print(_machine())
    print(f"listing 1,900 videos: {listing:.2f} s")
    took = median(seconds for seconds, _ in checks)
    print(f"checking 1,900 files of ({options.rows}, {options.dim}): {took:.2f} s, {checks[0][1].status}")


def _machine() -> str:
    import torch
    from machine import environment, words

    return words(environment(torch.device("cpu")))


def build(root: Path, rows: int, dim: int) -> None:
    """A root with UCF-Crime's numbers of videos and features of every frame, ``rows`` of them a video."""
    classes = [name for name in UcfCrime.classes.names if name != "Normal"]
    rng = np.random.default_rng(0)
    temporal = []
    for split in NORMAL:
        folder, normal = NORMAL[split]
        paths = [f"{folder}/Normal_{split}_{i:03d}_x264" for i in range(normal)]
        for i in range(ABNORMAL[split]):
            label = classes[i % len(classes)]
            paths.append(f"{label}/{label}_{split}_{i:03d}_x264")
            temporal += [f"{label}_{split}_{i:03d}_x264.mp4  {label}  2  {rows}  -1  -1"] if split == "test" else []
        for path in paths:
            (root / path).parent.mkdir(exist_ok=True)
            np.save(root / f"{path}.npy", rng.standard_normal((rows, dim), np.float32))
        (root / f"Anomaly_{split.title()}.txt").write_text("\n".join(f"{p}.mp4" for p in paths))
        (root / f"{split.title()}_Annotation.txt").write_text("\n".join(f"{p}.mp4 {rows} x" for p in paths))
    (root / TEMPORAL).write_text("\n".join(temporal))


def list_both(root: Path) -> int:
    """Read the lists from their files, as a new process does; returns the number of videos."""
    dataset = UcfCrime(root)
    return sum(len(dataset.videos(split)) for split in dataset.splits)


def check(root: Path) -> Report:
    """The whole check, every value of every file."""
    return inspect(UcfCrime(root), GivenFeatures(root))


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


if __name__ == "__main__":
    main()
