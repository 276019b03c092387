"""CPU seconds of the metrics in turns with another checkout of vadbench, so that a busy machine slows both alike.

    git worktree add ../former COMMIT
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/speed/beside.py ../former [--work NAME ...] [--rounds 5]

Each checkout has a process of its own, which waits while the other one works. Both are given the splits of
``metrics.py``. What is printed is the least, the median and the greatest of all rounds, and the same of the ratios of
rounds. Without a name everything is measured; names are those of :data:`WORKS`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measuring import alone
from tabulate import tabulate

RESAMPLES = 1000


def per_frame(videos: int) -> Callable[[], Any]:
    """All ranking metrics of a row for each frame, scores in float32: AUC, AP, mAUC and mAP are most of the work."""
    from metrics import split

    from vadbench.metrics.evaluation import evaluate

    rows, _ = split(1, videos)
    rows = replace(rows, scores=rows.scores.astype(np.float32))
    return lambda: evaluate(rows)


def run(videos: int) -> Callable[[], Any]:
    """All metrics of a run with 1,000 resamples."""
    from metrics import scored, split

    from vadbench.metrics.measurement import measure

    made = scored(*split(16, videos), 16)
    return lambda: measure(replace(made))


def compared(videos: int) -> Callable[[], Any]:
    """The resamples of two runs as ``vadbench compare`` draws them, of all metrics that it shows."""
    from metrics import scored, split

    from vadbench.metrics.bootstrap import draw_videos
    from vadbench.metrics.carriers import carriers
    from vadbench.metrics.comparison import paired_difference
    from vadbench.metrics.definitions import COMPARED
    from vadbench.metrics.measurement import resampled
    from vadbench.results.compare import RESAMPLES as DRAWN

    sides = [scored(*split(16, videos), 16) for _ in range(2)]

    def work() -> None:
        draws = draw_videos(videos, DRAWN)
        a, b = (resampled(replace(side), COMPARED, draws) for side in sides)
        for key in COMPARED:
            assert paired_difference(a[key][None], b[key][None], 0.0, 0.0, carriers(sides[0].rows, key)).p == 1

    return work


def one_auc(videos: int) -> Callable[[], Any]:
    """1,000 resamples of one AUC, in videos of 120 rows."""
    from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
    from vadbench.scoring.rows import ScoredRows

    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(videos), 120)
    frames = np.full(len(video), 16)
    positives = frames * ((video % 2 > 0) & (rng.random(len(video)) < 0.3))
    names = tuple(map(str, range(videos)))
    rows = ScoredRows(video, names, rng.random(len(video)), frames, positives, None, None, ("Normal", "Abuse"), 0)
    return lambda: resampled_metrics(rows, ("AUC",), draw_videos(videos, RESAMPLES))


WORKS: dict[str, Callable[[], Callable[[], Any]]] = {
    "a row per frame, 290 videos": partial(per_frame, 290),
    "a run, 290 videos": partial(run, 290),
    "a run, 2,900 videos": partial(run, 2900),
    "two runs compared, 290 videos": partial(compared, 290),
    "two runs compared, 1,450 videos": partial(compared, 1450),
    "one AUC, 5,000 videos": partial(one_auc, 5000),
    "one AUC, 5,001 videos": partial(one_auc, 5001),
}


def serve(names: list[str]) -> None:
    """Do a piece of work each time that its number is read, and answer with its CPU seconds."""
    made: dict[int, Callable[[], Any]] = {}
    for line in sys.stdin:
        number = int(line)
        if number not in made:
            made.clear()  # one split at a time
            made[number] = WORKS[names[number]]()
            run(29)()  # whatever is imported on first use
        before = time.process_time()
        made[number]()
        print(json.dumps(time.process_time() - before), flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS), help="what to measure")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of calls")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.work)
        return
    table = []
    trees = (arguments.other.resolve(), Path(__file__).resolve().parents[2])
    processes = [_started(tree, arguments.work) for tree in trees]
    for number, name in enumerate(arguments.work):
        pairs = np.array([[_asked(process, number) for process in processes] for _ in range(arguments.rounds)])
        columns = (*pairs.T, pairs[:, 1] / pairs[:, 0])
        table.append([name, *(f"{min(c):.3g}, {median(c):.3g}, {max(c):.3g}" for c in columns)])
        print(name, file=sys.stderr)
    print(alone(1, _machine), end="\n\n")
    print(tabulate(table, ["CPU seconds", "other", "this", "ratio"], tablefmt="github"))


def _machine() -> str:
    import torch
    from machine import environment, words

    return words(environment(torch.device("cpu")))


def _started(tree: Path, names: list[str]) -> subprocess.Popen[str]:
    paths = os.pathsep.join(str(tree / part) for part in ("", "methods", "datasets", "benchmarks", "results"))
    command = [sys.executable, __file__, str(tree), "--serve", "--work", *names]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | {"PYTHONPATH": paths})


def _asked(process: subprocess.Popen[str], number: int) -> float:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    return float(json.loads(process.stdout.readline()))


if __name__ == "__main__":
    main()
