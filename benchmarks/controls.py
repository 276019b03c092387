"""Controls on ``synthetic``, and the tables of results that the READMEs show.

    OMP_NUM_THREADS=1 python benchmarks/controls.py             measures all controls again
    OMP_NUM_THREADS=1 python benchmarks/controls.py --only mil  measures those of a method
    python benchmarks/controls.py --tables                      only writes the tables into the READMEs

The controls go to ``results/vadbench_results/controls.json``; the results come from ``quick.json`` beside it, which
``vadbench leaderboard --format json`` wrote.

The controls ask whether a score can come from anywhere but the labels and the pretraining:

- labels shuffled: each trained method on permuted training labels, ten seeds, beside its own untrained scores, with its
  text and without: text chooses what is learnt from, so with it some of what CLIP knows survives any labels;
- untrained CLIP: zero-shot prompts through ten CLIPs of the embedded one's shape with random weights.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from marked import between
from tabulate import tabulate

from vadbench.base.files import read_json, write_json, write_text
from vadbench.base.locations import cache_root
from vadbench.clip import ClipSource, load_clip
from vadbench.features.encoders import FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.source import FeatureSource
from vadbench.features.store import FeatureStore
from vadbench.harness.experiment import Experiment, open_experiment
from vadbench.harness.request import Request
from vadbench.harness.run import run
from vadbench.harness.training import build
from vadbench.harness.video_inputs import training_data
from vadbench.metrics.evaluation import evaluate
from vadbench.plugins.registry import installed
from vadbench.scoring.alignment import align
from vadbench.scoring.opened import open_videos
from vadbench.scoring.scoring import score_videos
from vadbench.tables.formats import render
from vadbench.tables.table import Table, tables_from_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "vadbench_results"
QUICK, CONTROLS = RESULTS / "quick.json", RESULTS / "controls.json"
SEEDS = range(10)
SHUFFLED = {
    "anomalyclip": ("anomalyclip", ()),
    "anomalyclip without text": ("anomalyclip", ("directions=free", "text_encoder=none")),
    "vadclip": ("vadclip", ()),
    "vadclip, coarse branch alone": ("vadclip", ("branches=coarse", "score_branch=coarse")),
    **{name: (name, ()) for name in ("clip-linear", "clip-temporal-linear", "mil")},
    **{name: (name, ()) for name in ("descriptions-frame", "descriptions-video")},
}
BEGIN, END = "<!-- results: written by benchmarks/controls.py -->", "<!-- end of results -->"
PROVEN = "<!-- proven: written by benchmarks/controls.py -->", "<!-- end of proven -->"
PARITY = {
    "anomalyclip": "6e58b6e",
    "vadclip": "f643c91",
    "rtfm": "cf938f4",
    "clip-tsa": "a58353c",
    "urdmu": "40cfdf5",
}
"""Methods whose outputs are compared with those of the authors' code in ``tests/parity``, and the code's commit."""
ELSEWHERE = "layouts of real data sets"
"""On small files in these, tests run every installed method: ``tests/cli/test_cli_official_layouts.py``,
``test_cli_ubnormal.py`` and ``test_cli_msad.py``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    methods = sorted({"zero-shot", *(method for method, _ in SHUFFLED.values())})
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "runs" / "controls", help="for run folders")
    parser.add_argument("--only", nargs="+", choices=methods, default=methods, help="methods to measure")
    parser.add_argument("--tables", action="store_true", help="only write the tables again")
    options = parser.parse_args()
    if not options.tables:
        measured = read_json(CONTROLS) if CONTROLS.is_file() else {}
        write_json(CONTROLS, measured | _controls(options.only, options.out))
    for path, text in tables().items():
        write_text(path, text)


def _controls(only: Collection[str], out: Path) -> dict[str, list[float]]:
    controls: dict[str, list[float]] = {}
    for name, (method, settings) in SHUFFLED.items():
        if method not in only:
            continue
        request = Request(method, "synthetic", settings, device="cpu", out=out)
        experiment = open_experiment(request, installed())
        controls[f"{name}, labels shuffled"] = [
            _value(run(_shuffled(experiment, seed), seed).record.metrics["AUC"].value) for seed in SEEDS
        ]
        controls[f"{name}, untrained"] = [_untrained(experiment, seed) for seed in SEEDS]
    if "zero-shot" in only:
        controls["zero-shot, untrained CLIP"] = [_zero_shot(f"random:{seed}", out) for seed in SEEDS]
        controls["zero-shot, embedded CLIP"] = [_zero_shot("", out)]
    for name, values in controls.items():
        print(name, _spread(values), flush=True)
    return controls


def _shuffled(experiment: Experiment, seed: int) -> Experiment:
    """The same experiment with the labels of the training videos permuted."""
    train = experiment.provision.videos["train"]
    order = np.random.default_rng(seed).permutation(len(train))
    videos = [dataclasses.replace(v, labels=train[i].labels) for v, i in zip(train, order, strict=True)]
    provision = dataclasses.replace(experiment.provision, videos={**experiment.provision.videos, "train": videos})
    return dataclasses.replace(experiment, provision=provision)


def _untrained(experiment: Experiment, seed: int) -> float:
    method = build(experiment, experiment.dataset.classes, seed)
    provision, classes = experiment.provision, experiment.dataset.classes
    method.prepare(training_data(provision, provision.videos["train"], classes, "one", seed))
    return _auc(experiment, method, provision.features)


def _zero_shot(weights: str, out: Path) -> float:
    """AUC of the prompts through a CLIP; only the test videos are encoded."""
    experiment = open_experiment(Request("zero-shot", "synthetic", device="cpu", out=out), installed())
    clip = load_clip(ClipSource(weights=weights))
    folder = cache_root() / "controls" / clip.weights_sha256[:12]
    encoder = FrameEncoder(clip, clip_fingerprint(clip, stride=1, pooling="mean"))
    extract_features(experiment.provision.videos["test"], encoder, folder)
    other = dataclasses.replace(experiment, clip=clip)
    return _auc(other, build(other, other.dataset.classes, 0), FeatureStore(folder))


def _auc(experiment: Experiment, method: Any, features: FeatureSource) -> float:
    provision = experiment.provision
    videos = {v.name: v for v in provision.videos["test"]}
    scores = score_videos(method, open_videos(features, provision.scored, provision.frames))
    rows = align(scores, videos, features.fingerprint.stride, experiment.dataset.classes, experiment.protocol)
    return _value(evaluate(rows)["AUC"].value)


def _value(value: float | None) -> float:
    if value is None:
        raise ValueError("a control needs anomalous and normal frames")
    return value


def tables() -> dict[Path, str]:
    """The files that show committed figures, with their tables made new."""
    boards = tables_from_json(QUICK.read_text(encoding="utf-8"))
    results = render(boards, "md")
    controls = tabulate(
        [[name, len(v), *_spread(v)] for name, v in read_json(CONTROLS).items()],
        ["control on synthetic, AUC in percent", "runs", "mean", "std", "lowest", "highest"],
        tablefmt="github",
        disable_numparse=True,
    )
    readme, other = ROOT / "README.md", ROOT / "results" / "README.md"
    shown = f"{results}\n**Controls**\n\n{controls}\n"
    return {readme: between(readme, _proven(boards), PROVEN), other: between(other, shown, (BEGIN, END))}


def _proven(boards: Sequence[Table]) -> str:
    """Return the README's table of methods and data sets: parity with the authors' code, and what has been run."""
    names = list(dict.fromkeys(column.dataset for board in boards for column in board.columns))
    found: dict[str, dict[str, str]] = {}
    for board in boards:
        place = [column.metric for column in board.columns].index("AUC")
        for row in board.rows:
            mean = row.cells[place].reproduced
            if mean is not None and mean.mean is not None:
                found.setdefault(row.label, {})[board.columns[place].dataset] = f"{100 * mean.mean:.1f}"
    tested = installed().specs("method")  # which is where the tests of those layouts take their methods from
    rows = [
        [
            f"`{method}`",
            PARITY.get(method, ""),
            *(auc.get(name, "") for name in names),
            "runs" if method in tested else "not run",
        ]
        for method, auc in sorted(found.items(), key=lambda item: (item[0] not in PARITY, item[0]))
    ]
    heads = ["method", "parity with the authors' code at", *(f"`{name}`, AUC" for name in names), ELSEWHERE]
    aligned = ("left", "left", *("right" for _ in names), "left")
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True, colalign=aligned) + "\n"


def _spread(values: Sequence[float]) -> list[str]:
    several = stdev(values) if len(values) > 1 else 0.0
    return [f"{100 * x:.1f}" for x in (fmean(values), several, min(values), max(values))]


if __name__ == "__main__":
    main()
