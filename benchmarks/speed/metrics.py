"""How fast the metrics of a UCF-Crime-sized test split are, without torch in the process.

    python benchmarks/speed/metrics.py [--stride 16] [--videos 290] [--json FILE]

290 videos, 1,111,808 frames, 14 classes; scores are drawn, tied here and there. Ranking metrics and mAP@IoU are timed
apart and together, then 1,000 bootstrap resamples of all of them, then all that is measured of a run: the same with
events, from scores of videos and their segments. Each value is checked against scikit-learn on frames.
Last comes what statistics cost for AUC and AP: the intervals of a run, and two runs compared as by vadbench compare.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.metrics.bootstrap import RESAMPLES, draw_videos, resampled_metrics, with_intervals
from vadbench.metrics.carriers import Carriers
from vadbench.metrics.comparison import paired_difference
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.localization import Localisation, LocalisedVideo, localise
from vadbench.metrics.measurement import measure as of_split
from vadbench.results.compare import RESAMPLES as COMPARED
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.rows import ScoredRows
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

VIDEOS, FRAMES, CLASSES, NORMAL = 290, 1_111_808, 14, 0
REPEATS = 5


def split(stride: int, number: int = VIDEOS) -> tuple[ScoredRows, list[LocalisedVideo]]:
    """A split of UCF-Crime's size: half of the videos with one segment, scores that know a little of it.

    Other numbers of videos are as long on average.
    """
    rng = np.random.default_rng(0)
    total = FRAMES * number // VIDEOS
    lengths = rng.dirichlet(np.full(number, 0.7)) * (total - 160 * number)
    lengths = lengths.astype(int) + 160
    lengths[-1] += total - lengths.sum()
    names = tuple(f"v{i}" for i in range(number))
    parts: dict[str, list[Any]] = {"video": [], "frames": [], "positives": [], "classes": [], "truth": []}
    videos = []
    for i, length in enumerate(lengths):
        starts = np.arange(0, length, stride)
        frames = np.minimum(starts + stride, length) - starts
        inside = np.zeros(len(starts), np.int64)
        truth = np.zeros((len(starts), CLASSES), np.int64)
        segments = []
        if i % 2:
            first = int(rng.integers(length // 2))
            last = first + int(rng.integers(32, max(33, length // 3)))
            last, label = min(last, int(length)), 1 + i % (CLASSES - 1)
            inside = np.clip(np.minimum(starts + frames, last) - np.maximum(starts, first), 0, None)
            truth[:, label] = inside
            segments = [(label, first, last)]
        truth[:, NORMAL] = frames - inside
        logits = rng.normal(size=(len(starts), CLASSES)) + 2 * (truth > 0)
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        parts["video"].append(np.full(len(starts), i))
        parts["frames"].append(frames)
        parts["positives"].append(inside)
        parts["classes"].append(probabilities.astype(np.float32))
        parts["truth"].append(truth)
        videos.append(LocalisedVideo(names[i], probabilities.astype(np.float32), int(length), segments))
    joined = {k: np.concatenate(v) for k, v in parts.items()}
    rows = ScoredRows(
        video=joined["video"],
        names=names,
        scores=1.0 - joined["classes"][:, NORMAL].astype(np.float64),
        frames=joined["frames"],
        positives=joined["positives"],
        class_scores=joined["classes"],
        class_positives=joined["truth"],
        class_names=tuple(f"c{i}" for i in range(CLASSES)),
        normal=NORMAL,
    )
    return rows, videos


def scored(rows: ScoredRows, videos: Sequence[LocalisedVideo], stride: int) -> ScoredSplit:
    """The same as a run has it, at 30 frames a second."""
    table = ClassTable(tuple(map(VideoClass, rows.class_names)), rows.normal)
    own = np.split(rows.scores, np.flatnonzero(np.diff(rows.video)) + 1)
    given = [VideoScores(v.name, v.frames, s, v.probabilities, rate=30.0) for v, s in zip(videos, own, strict=True)]
    truth = [
        Video(v.name, (), segments=tuple(Segment(rows.class_names[c], a, b) for c, a, b in v.segments)) for v in videos
    ]
    return ScoredSplit(given, truth, stride, table, NATIVE.rules, threshold=0.9)


def measure(work: Callable[[], Any]) -> tuple[float, float]:
    """Median wall and CPU seconds of several repeats."""
    wall, cpu = [], []
    for _ in range(REPEATS):
        before = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - before[0])
        cpu.append(time.process_time() - before[1])
    return float(np.median(wall)), float(np.median(cpu))


def peak_mb() -> float:
    """Most memory this process has had; getrusage would count what its parent had when it was started, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def check(rows: ScoredRows) -> float:
    """Largest difference from scikit-learn on frames, over all classes."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    found = evaluate(rows)
    inside = np.concatenate([np.arange(f) < p for f, p in zip(rows.frames, rows.positives, strict=True)])
    held = np.repeat(rows.scores, rows.frames)
    auc, ap = found["AUC"].value, found["AP"].value
    assert auc is not None and ap is not None
    return max(abs(auc - roc_auc_score(inside, held)), abs(ap - average_precision_score(inside, held)))


def _environment() -> dict[str, Any]:
    """The machine, which is printed; only when all is measured, as it needs torch."""
    import torch
    from machine import environment, words

    made_on = environment(torch.device("cpu"))
    print(words(made_on))
    return made_on


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=16, help="frames a row stands for")
    parser.add_argument("--videos", type=int, default=VIDEOS, help="videos of the split")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    number = arguments.videos
    rows, videos = split(arguments.stride, number)
    names, stride = rows.class_names, arguments.stride

    def found() -> Localisation:
        return localise(videos, stride, names, NORMAL)

    def resampled(resamples: int) -> dict[str, NDArray[np.float64]]:
        return resampled_metrics(rows, ("AUC", "AP"), draw_videos(number, resamples))

    def compared() -> None:
        a, b = resampled(COMPARED), resampled(COMPARED)
        for key in ("AUC", "AP"):
            assert paired_difference(a[key][None], b[key][None], 0.0, 0.0, Carriers(VIDEOS // 2)).p == 1

    run = scored(rows, videos, stride)
    both = {**evaluate(rows), **found().metrics()}
    figures = {
        "ranking metrics": measure(lambda: evaluate(rows)),
        "mAP@IoU": measure(lambda: found().metrics()),
        "all metrics": measure(lambda: (evaluate(rows), found().metrics())),
        "all metrics, 1,000 resamples": measure(lambda: with_intervals(rows, both, others=found().resampled)),
        "a run's metrics, 1,000 resamples": measure(lambda: of_split(replace(run))),
    }
    statistics = {
        f"AUC and AP, {RESAMPLES:,} resamples": measure(lambda: resampled(RESAMPLES)),
        f"two runs compared, {COMPARED:,} resamples": measure(compared),
    }
    peak = peak_mb()
    assert "torch" not in sys.modules
    difference = check(rows)
    made_on = _environment()
    print(f"{number} videos, {rows.total:,} frames, {len(rows.scores):,} rows, {CLASSES} classes; medians of {REPEATS}")
    for name, (wall, cpu) in figures.items():
        print(f"{name:32s} {wall:8.3f} s wall {cpu:8.3f} s CPU")
    print("; ".join(f"{name}: {wall:.3f} s, {cpu:.3f} s CPU" for name, (wall, cpu) in statistics.items()))
    print(f"peak memory {peak:.0f} MB; largest difference from scikit-learn {difference:.1e}")
    if arguments.json:
        record: dict[str, Any] = {"peak_mb": peak, "stride": stride, "videos": number, "environment": made_on}
        for what, measured in (("seconds", figures), ("statistics", statistics)):
            record[what] = {name: {"wall": wall, "cpu": cpu} for name, (wall, cpu) in measured.items()}
        arguments.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
