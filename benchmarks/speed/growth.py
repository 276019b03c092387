"""Growth of cost: seconds against the number of frames, rows, videos, classes, resamples and seeds, and the exponent of
each curve.

Methods have their published settings, except that their CLIP is the small one and that VadCLIP has its width, 64.
Scores are random. The exponent is the slope between the logarithms of size and seconds over the upper half of the
sizes, where fixed costs no longer count: 1 means that twice the work takes twice as long. Sorting alone, which is
``n log n``, was measured at 1.15.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alone, gpu_peak_gb, medians, now_gb, once, peak_gb, rounds
from tabulate import tabulate
from works.work import Options

RESAMPLES = 1000
"""Bootstrap resamples of each seed in the curve over seeds."""
BY_SIZE = {"metrics with intervals, videos"}
"""Curves that bend, so that an exponent does not describe them: every size is shown."""
BASE = 290
"""Videos of UCF-Crime's test split; other sizes are given as multiples of it."""


def curve(name: str, options: Options, threads: int) -> dict[str, Any]:
    """Return sizes, seconds, memory and the exponent; each size runs in a new process.

    With ``options.quick``, only the smaller half of the sizes is measured.
    """
    sizes, make = CURVES[name]
    kept = sizes[: len(sizes) // 2 + 1] if options.quick else sizes
    points = [alone(threads, measure, make, size, sizes[0], options, quick=options.quick) for size in kept]
    found = {key: [point[key] for point in points] for key in points[0]}
    upper = slice(min(len(kept) // 2, len(kept) - 2), None)
    seconds = found["wall" if options.clock == 0 else "cpu"]
    exponent = float(np.polyfit(np.log(kept[upper]), np.log(seconds[upper]), 1)[0])
    return {"sizes": kept, **found, "exponent": exponent}


def measure(
    make: Callable[[int, Options], Callable[[], Any]], size: int, least: int, options: Options
) -> dict[str, float]:
    """Return median wall and CPU seconds, memory of the inputs, peak memory above it, and peak memory of the GPU.

    Args:
        make: makes the inputs for a size and returns the work.
        size: of the work.
        least: the smallest size, which is run first, so that imports do not count as inputs.
        options: of the command.
    """
    make(least, options)()
    before = now_gb()
    run = make(size, options)
    inputs = now_gb()
    wall, cpu = medians([s for (s,) in rounds(lambda: [once(run)], options.quick)])
    peak = max(0.0, peak_gb() - inputs)
    return {"wall": wall, "cpu": cpu, "inputs_gb": max(0.0, inputs - before), "peak_gb": peak, "gpu_gb": gpu_peak_gb()}


def table(record: dict[str, Any]) -> str:
    """Return tables of the curves of a record of ``all.py``, and of each size of those in :data:`BY_SIZE`.

    The text is empty if the record has no curves.
    """
    clock, shown = ("wall", "wall s") if record["settings"]["device"] == "cuda" else ("cpu", "CPU s")
    curves = record["growth"]
    rows = [
        [
            name,
            f"{c['sizes'][0]:,} to {c['sizes'][-1]:,}",
            f"{c['exponent']:.2f}",
            *(f"{c[key][-1]:.3g}" for key in (clock, "inputs_gb", "peak_gb")),
        ]
        for name, c in curves.items()
    ]
    heads = ["growth with", "sizes", "exponent", f"{shown} at the largest", "inputs, GB", "peak above them, GB"]
    tables = [tabulate(rows, heads, tablefmt="github", disable_numparse=True)] if rows else []
    for name in BY_SIZE & curves.keys():
        c = curves[name]
        ofs = zip(c["sizes"], c[clock], c["inputs_gb"], c["peak_gb"], strict=True)
        base = dict(zip(c["sizes"], c[clock], strict=True)).get(BASE)
        sizes = [
            [f"{size:,}", f"{s:.3g}", f"{s / base:.3g}" if base else "-", f"{1000 * i:.0f}", f"{1000 * p:.0f}"]
            for size, s, i, p in ofs
        ]
        heads = [name, shown, f"times those of {BASE}", "inputs, MB", "peak above them, MB"]
        tables.append(tabulate(sizes, heads, tablefmt="github", disable_numparse=True))
    return "\n\n".join(tables)


def draw(record: dict[str, Any], path: Path) -> None:
    """Plot the curves of a record of ``all.py`` with both axes logarithmic."""
    import matplotlib
    from machine import title

    matplotlib.use("agg")
    from matplotlib import pyplot

    clock, shown = ("wall", "wall seconds") if record["settings"]["device"] == "cuda" else ("cpu", "CPU seconds")
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for name, found in record["growth"].items():
        axes.loglog(found["sizes"], found[clock], marker=".", label=f"{name} ({found['exponent']:.2f})")
    axes.set(xlabel="size", ylabel=shown, title=title(record["environment"]))
    if record["growth"]:
        figure.legend(fontsize="x-small", loc="outside right upper")
    figure.savefig(path, dpi=80)


def areas(frames: int, options: Options) -> Callable[[], Any]:
    """Return work that computes AUC and AP of rows of one frame each."""
    from vadbench.metrics.ranking import average_precision, roc_auc

    rng = np.random.default_rng(0)
    positive = np.arange(frames) % 10 == 0
    scores = rng.random(frames) + 0.3 * positive
    return lambda: (roc_auc(scores, positive, ~positive), average_precision(scores, positive, ~positive))


def classes(number: int, options: Options) -> Callable[[], Any]:
    """Return work that computes all ranking metrics of 20,000 rows with a number of classes."""
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
    """Return work that computes AUC and AP in a number of resamples of a split of UCF-Crime's size."""
    from metrics import VIDEOS, split

    from vadbench.metrics.bootstrap import draw_videos, resampled_metrics

    rows, _ = split(16)
    return lambda: resampled_metrics(rows, ("AUC", "AP"), draw_videos(VIDEOS, number))


def videos(number: int, options: Options) -> Callable[[], Any]:
    """Return work that computes all metrics and intervals of a run on a split with a number of videos."""
    from metrics import scored, split

    from vadbench.metrics.measurement import measure as of_split

    run = scored(*split(16, number), 16)
    return lambda: of_split(replace(run))


def seeds(number: int, options: Options) -> Callable[[], Any]:
    """Return work that makes one row of a table from a number of seeds: metrics, resamples, mean and interval."""
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
    """Return work that scores one video of a number of rows, or a number of videos of 512 rows."""
    from works.scoring import Drawn, built

    method = built(name, replace(options, quick=True))
    drawn = Drawn([number] if one else [512] * number, method.config.rows.stride, method.task.dim)
    return partial(drawn.scored_by, method, options.precision)


def step(name: str, videos: int, options: Options) -> Callable[[], Any]:
    """Return work that takes one training step on a number of videos."""
    from works import methods
    from works.scoring import built

    return methods.own_step(built(name, replace(options, quick=True)), videos, options.precision)


CURVES: dict[str, tuple[list[int], Callable[[int, Options], Callable[[], Any]]]] = {
    "AUC and AP, frames": ([10, 1000, 100_000, 1_000_000, 10_000_000], areas),
    "metrics, classes": ([2, 4, 16, 64], classes),
    "AUC and AP, resamples": ([250, 1000, 4000], resamples),
    "metrics with intervals, videos": ([73, 145, 290, 2900, 29_000], videos),
    "a row of a table, seeds": ([1, 2, 4, 8], seeds),
    **{
        f"{name}, {what}": (sizes, make)
        for name in ("anomalyclip", "vadclip")
        for what, sizes, make in (
            ("rows of a video", [512, 8192, 32_768, 131_072], partial(score, name, True)),
            ("videos scored", [1, 8, 64], partial(score, name, False)),
            ("videos in a step", [2, 8, 32], partial(step, name)),
        )
    },
}
