"""How cost grows: seconds against the number of frames, rows, videos, classes, resamples and seeds, each curve with its
exponent.

Methods have their published settings, but their CLIP is the small one, and VadCLIP is as wide as that, 64; scores are
drawn. The exponent is the slope between the logarithms of size and seconds over the upper half of the sizes, where what
is done once no longer counts: 1 says that twice the work takes twice as long. Sorting alone, which is ``n log n``, came
out as 1.15.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alone, gpu_peak_gb, now_gb, peak_gb, repeated
from tabulate import tabulate
from works.work import Options

RESAMPLES = 1000
"""Of a curve over seeds."""


def curve(name: str, options: Options, threads: int) -> dict[str, Any]:
    """Sizes, seconds, memory and exponent; only the smaller half of the sizes when it has to be quick."""
    sizes, make = CURVES[name]
    kept = sizes[: len(sizes) // 2 + 1] if options.quick else sizes
    points = [alone(threads, measure, make, size, options) for size in kept]
    wall, cpu, peak, gpu = map(list, zip(*points, strict=True))
    seconds, upper = (wall, cpu)[options.clock], slice(len(kept) // 2, None)
    exponent = float(np.polyfit(np.log(kept[upper]), np.log(seconds[upper]), 1)[0])
    print(f"growth, {name}: {exponent:.2f}", file=sys.stderr)
    return {"sizes": kept, "wall": wall, "cpu": cpu, "peak_gb": peak, "gpu_gb": gpu, "exponent": exponent}


def measure(
    make: Callable[[int, Options], Callable[[], Any]], size: int, options: Options
) -> tuple[float, float, float, float]:
    """Median wall and CPU seconds, peak memory above what the inputs take, and that of the GPU."""
    run = make(size, options)
    before = now_gb()
    seconds = repeated(run, options.quick)
    return *seconds, max(0.0, peak_gb() - before), gpu_peak_gb()


def table(record: dict[str, dict[str, Any]], options: Options) -> str:
    """The curves; nothing where there are none."""
    clock, shown = ("wall", "Wall") if options.clock == 0 else ("cpu", "CPU")
    rows = [
        [name, f"{c['sizes'][0]:,} to {c['sizes'][-1]:,}", f"{c['exponent']:.2f}", c[clock][-1], c["peak_gb"][-1]]
        for name, c in record.items()
    ]
    headers = [f"{shown} seconds against", "sizes", "exponent", "at the largest", "peak GB above inputs"]
    return tabulate(rows, headers, tablefmt="github", floatfmt=".3g", disable_numparse=[1, 2]) if rows else ""


def draw(record: dict[str, dict[str, Any]], options: Options, path: Path) -> None:
    """The curves, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    clock, shown = ("wall", "wall seconds") if options.clock == 0 else ("cpu", "CPU seconds")
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, found in record.items():
        axes.loglog(found["sizes"], found[clock], marker=".", label=f"{name} ({found['exponent']:.2f})")
    axes.set(xlabel="size", ylabel=shown)
    if record:
        axes.legend(fontsize="x-small")
    figure.savefig(path, dpi=80)


def areas(frames: int, options: Options) -> Callable[[], Any]:
    """AUC and AP of rows of one frame each."""
    from vadbench.metrics.ranking import average_precision, roc_auc

    rng = np.random.default_rng(0)
    positive = np.arange(frames) % 10 == 0
    scores = rng.random(frames) + 0.3 * positive
    return lambda: (roc_auc(scores, positive, ~positive), average_precision(scores, positive, ~positive))


def classes(number: int, options: Options) -> Callable[[], Any]:
    """All ranking metrics of 20,000 rows with so many classes."""
    from vadbench.metrics.evaluation import evaluate
    from vadbench.scoring.rows import ScoredRows

    rng = np.random.default_rng(0)
    label = rng.integers(number, size=20_000)
    truth = (label[:, None] == np.arange(number)).astype(np.int64)
    scores = rng.random((len(label), number)).astype(np.float32)
    video, ones = np.arange(len(label)) // 200, np.ones(len(label), np.int64)
    names = tuple(map(str, range(100)))
    rows = ScoredRows(video, names, 1.0 - scores[:, 0], ones, 1 - truth[:, 0], scores, truth, names[:number], 0)
    return lambda: evaluate(rows)


def resamples(number: int, options: Options) -> Callable[[], Any]:
    """So many bootstrap resamples of AUC and AP of a split of UCF-Crime's size."""
    from metrics import VIDEOS, split

    from vadbench.metrics.bootstrap import draw_videos, resampled_metrics

    rows, _ = split(16)
    return lambda: resampled_metrics(rows, ("AUC", "AP"), draw_videos(VIDEOS, number))


def videos(number: int, options: Options) -> Callable[[], Any]:
    """All metrics of a run with their intervals, for a split with this number of videos."""
    from metrics import scored, split

    from vadbench.metrics.measurement import measure as of_split

    run = scored(*split(16, number), 16)
    return lambda: of_split(replace(run))


def seeds(number: int, options: Options) -> Callable[[], Any]:
    """So many seeds of a run brought into one row of a table: metrics of each, resamples of each, mean and interval."""
    from metrics import VIDEOS, split

    from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
    from vadbench.metrics.carriers import Carriers
    from vadbench.metrics.comparison import seed_mean_interval
    from vadbench.metrics.evaluation import evaluate

    rows, _ = split(16)
    rng = np.random.default_rng(0)
    runs = [replace(rows, scores=rows.scores + 0.1 * rng.random(len(rows.scores))) for _ in range(number)]

    def run() -> list[tuple[float | None, float | None]]:
        draws = draw_videos(VIDEOS, RESAMPLES)
        for seed in runs:
            evaluate(seed)
        found = [resampled_metrics(seed, ("AUC", "AP"), draws) for seed in runs]
        carried = Carriers(VIDEOS // 2)
        return [seed_mean_interval(np.stack([f[key] for f in found]), carried) for key in ("AUC", "AP")]

    return run


def score(name: str, one: bool, number: int, options: Options) -> Callable[[], Any]:
    """A method on one video of so many rows, or on so many videos of 512 rows."""
    from works.scoring import Drawn, built

    method = built(name, replace(options, quick=True))
    drawn = Drawn([number] if one else [512] * number, method.config.rows.stride, method.task.dim)
    return partial(drawn.scored_by, method, options.precision)


def step(name: str, videos: int, options: Options) -> Callable[[], Any]:
    """A training step of so many videos."""
    import torch
    from works.scoring import built

    import methods

    method = built(name, replace(options, quick=True))
    batch = methods.batch_of(method, videos)
    return methods.step(method, lambda: torch.stack(list(method.loss(batch).values())).sum(), options.precision)


CURVES: dict[str, tuple[list[int], Callable[[int, Options], Callable[[], Any]]]] = {
    "AUC and AP, frames": ([10**n for n in range(1, 8)], areas),
    "metrics, classes": ([2, 4, 8, 16, 32, 64], classes),
    "AUC and AP, resamples": ([250, 500, 1000, 2000, 4000], resamples),
    "metrics with intervals, videos": ([73, 145, 290, 725, 2900, 8700, 29_000], videos),
    "a row of a table, seeds": ([1, 2, 4, 8, 16], seeds),
    **{
        f"{name}, {what}": (sizes, make)
        for name in ("anomalyclip", "vadclip")
        for what, sizes, make in (
            ("rows of a video", [512 * 4**n for n in range(5)], partial(score, name, True)),
            ("videos scored", [1, 4, 16, 64], partial(score, name, False)),
            ("videos in a step", [2, 4, 8, 16, 32], partial(step, name)),
        )
    },
}
