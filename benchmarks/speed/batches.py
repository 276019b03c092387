"""CPU time of this process for the batches of a training, as its loop is given them, epoch by epoch.

    python benchmarks/speed/batches.py [METHOD...] [--rows 456] [--dtype float16] [--workers 2]

Batches have the published size and videos of UCF-Crime's mean length, from 16 mapped files that all videos share.
Nothing is trained on them. The time of worker processes is not counted. To compare two commits run it in both, in turn.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
import torch
from machine import environment, words
from tabulate import tabulate

from vadbench.base.config import resolve
from vadbench.inputs import StreamInput, TrainingVideo, VideoInput
from vadbench.method import Method, Task
from vadbench.plugins.registry import Registry
from vadbench.training.prefetching import BatchLoader
from vadbench.training.views import BatchPlan

METHODS = ("anomalyclip", "vadclip", "rtfm", "urdmu", "mil", "clip-linear")
DATASET, FRAMES, DIM = "ucfcrime", 7300, 512
FILES, BATCHES, EPOCHS = 16, 3, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS, metavar="METHOD")
    parser.add_argument("--rows", type=int, help="of a video (default: as many as the method's stride leaves)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16"], help="of the stored rows")
    parser.add_argument("--workers", type=int, default=0, help="processes that make views (default: a thread)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [[name, *measured(name, arguments)] for name in arguments.methods]
    print(words(environment(torch.device("cpu"))), end="\n\n")
    heads = ["method", "batch", "rows", *(f"epoch {i + 1}, CPU ms a batch" for i in range(EPOCHS))]
    print(tabulate(rows, heads, tablefmt="github", floatfmt=".1f"))


def measured(name: str, arguments: argparse.Namespace) -> list[float]:
    """The size of a batch, the rows of a video, and CPU milliseconds of a batch in each epoch."""
    registry = Registry()
    kind, classes = registry.method(name), registry.dataset(DATASET).classes
    config = resolve(kind.Config, dict(kind.Config.dataset_defaults.get(DATASET, {})), environment={})
    # As in a worker process: views need neither weights nor text.
    method = kind.__new__(kind)
    Method.__init__(method, config, Task(classes, {"clip": DIM}, torch.device("cpu"), lambda: None))
    size, rows = config.recipe.batch_size, arguments.rows or -(-FRAMES // config.rows.stride)
    recipe = config.recipe.model_copy(update={"sampler": "mixed", "steps": 0, "epochs": EPOCHS})
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.npy" for i in range(FILES)]
        for i, file in enumerate(files):
            np.save(file, np.random.default_rng(i).standard_normal((rows, DIM)).astype(arguments.dtype))
        labels = np.eye(len(classes), dtype=np.float32)
        videos = []
        for i in range(BATCHES * size):
            stream = StreamInput(partial(np.load, files[i % FILES], "r"), rows, config.rows.stride)
            video = replace(VideoInput.of_rows(stream.rows), name=f"v{i}", streams={"clip": stream})
            first = i % len(classes)
            videos.append(TrainingVideo(**vars(video), labels=labels[first], first_class=first))
        plan = BatchPlan(videos, classes.normal, recipe, seed=0)
        times = []
        with BatchLoader(method, plan, workers=arguments.workers) as loader:
            for epoch in range(EPOCHS):
                before = spent()
                count = sum(1 for _ in loader.epoch(epoch))
                times.append((spent() - before) / count * 1000)
    return [size, rows, *times]


def spent() -> float:
    """CPU seconds of this process without its children."""
    usage = getrusage(RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
