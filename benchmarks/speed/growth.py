"""How cost grows: seconds against the number of frames, rows, videos, classes and resamples, each with its exponent.

    python benchmarks/speed/growth.py [--quick] [--json FILE] [--plot FILE]

Methods are of published size, in two torch threads, their CLIP is the small one; scores are drawn. The exponent is the
slope between the logarithms of size and CPU seconds over the upper half of the sizes: 1 says that twice the work takes
twice as long. Sorting alone, which is ``n log n``, came out as 1.15.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alone, now_gb, peak_gb, timed

REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the smaller half of the sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there")
    options = parser.parse_args()
    record: dict[str, dict[str, Any]] = {}
    for name, (sizes, make) in CURVES.items():
        kept = sizes[: len(sizes) // 2 + 1] if options.quick else sizes
        points = [alone(2, measure, make, size) for size in kept]
        seconds, peaks = zip(*points, strict=True)
        upper = slice(len(kept) // 2, None)
        exponent = float(np.polyfit(np.log(kept[upper]), np.log(seconds[upper]), 1)[0])
        record[name] = {"sizes": kept, "cpu": seconds, "peak_gb": peaks, "exponent": exponent}
        last = f"{kept[-1]:,}: {seconds[-1]:.3g} CPU s, {peaks[-1]:.2f} GB"
        print(f"{name:32s} exponent {exponent:5.2f}; {last}", flush=True)
    if options.json:
        from vadbench.files import write_json

        write_json(options.json, record)
    if options.plot:
        draw(record, options.plot)


def measure(make: Callable[[int], Callable[[], Any]], size: int) -> tuple[float, float]:
    """Median CPU seconds, and peak memory above what the inputs take."""
    run = make(size)
    before = now_gb()
    run()
    return timed(run, REPEATS)[1], max(0.0, peak_gb() - before)


def draw(record: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, curve in record.items():
        axes.loglog(curve["sizes"], curve["cpu"], marker=".", label=f"{name} ({curve['exponent']:.2f})")
    axes.set(xlabel="size", ylabel="CPU seconds")
    axes.legend(fontsize="x-small")
    figure.savefig(path, dpi=80)


def areas(frames: int) -> Callable[[], Any]:
    """AUC and AP of rows of one frame each."""
    from vadbench.metrics.ranking import average_precision, roc_auc

    rng = np.random.default_rng(0)
    positive = np.arange(frames) % 10 == 0
    scores = rng.random(frames) + 0.3 * positive
    return lambda: (roc_auc(scores, positive, ~positive), average_precision(scores, positive, ~positive))


def classes(number: int) -> Callable[[], Any]:
    """All ranking metrics of 20,000 rows with so many classes."""
    from vadbench.metrics.ranking import evaluate
    from vadbench.metrics.rows import ScoredRows

    rng = np.random.default_rng(0)
    label = rng.integers(number, size=20_000)
    truth = (label[:, None] == np.arange(number)).astype(np.int64)
    scores = rng.random((len(label), number)).astype(np.float32)
    video, ones = np.arange(len(label)) // 200, np.ones(len(label), np.int64)
    names = tuple(map(str, range(100)))
    rows = ScoredRows(video, names, 1.0 - scores[:, 0], ones, 1 - truth[:, 0], scores, truth, names[:number], 0)
    return lambda: evaluate(rows)


def resamples(number: int) -> Callable[[], Any]:
    """So many bootstrap resamples of AUC and AP of a split of UCF-Crime's size."""
    from metrics import VIDEOS, split

    from vadbench.metrics.bootstrap import draw_videos, resampled_metrics

    rows, _ = split(16)
    return lambda: resampled_metrics(rows, ("AUC", "AP"), draw_videos(VIDEOS, number))


def score(name: str, number: int, one: bool) -> Callable[[], Any]:
    """A method on one video of so many rows, or on so many videos of 512 rows."""
    import torch

    import methods

    method = methods.build(name, replace(methods.QUICK, settings="ucfcrime")).eval()
    rows = [torch.randn(number if one else 512, method.task.dim) for _ in range(1 if one else number)]
    return torch.inference_mode()(lambda: [method.score([r]) for r in rows])


def step(name: str, videos: int) -> Callable[[], Any]:
    """A training step of so many videos."""
    import torch

    import methods

    method = methods.build(name, replace(methods.QUICK, settings="ucfcrime"))
    batch = methods.batch_of(method, videos)
    return methods.step(method, lambda: torch.stack(list(method.loss(batch).values())).sum())


CURVES: dict[str, tuple[list[int], Callable[[int], Callable[[], Any]]]] = {
    "AUC and AP, frames": ([10**n for n in range(1, 8)], areas),
    "metrics, classes": ([2, 4, 8, 16, 32, 64], classes),
    "AUC and AP, resamples": ([250, 500, 1000, 2000, 4000], resamples),
    **{
        f"{name}, {what}": (sizes, partial(make, name))
        for name in ("anomalyclip", "vadclip")
        for what, sizes, make in (
            ("rows of a video", [512 * 4**n for n in range(5)], partial(score, one=True)),
            ("videos scored", [1, 4, 16, 64], partial(score, one=False)),
            ("videos in a step", [2, 4, 8, 16, 32], step),
        )
    },
}

if __name__ == "__main__":
    main()
