"""Measure the committed results again: every method on ``synthetic`` and ``ucsdped2``, and the controls.

    OMP_NUM_THREADS=1 python benchmarks/measure.py --ped2 DIR

writes ``results/vadbench_results/measured.json`` and, from it, the tables in ``results/README.md`` and ``README.md``.
Without ``--ped2`` the figures of ``ucsdped2`` stay as they are; with ``--only`` those of all other methods do.
``--tables`` only writes the tables again.

The controls ask whether a score can come from anywhere but the labels and the pretraining:

- labels shuffled: each trained method on permuted training labels, ten seeds, beside its own untrained scores, with its
  text and without: text chooses what is learnt from, so with it some of what CLIP knows survives any labels;
- untrained CLIP: zero-shot prompts through ten CLIPs of the embedded one's shape with random weights.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from vadbench import environment
from vadbench.clip import ClipSource, load_clip
from vadbench.experiment import Experiment, Request, open_experiment
from vadbench.features.extract import extract_features
from vadbench.features.source import FeatureSource
from vadbench.features.store import FeatureStore
from vadbench.files import read_json, write_json, write_text
from vadbench.harness import build, run
from vadbench.locations import cache_root
from vadbench.metrics.ranking import evaluate
from vadbench.plugins import installed
from vadbench.scored import align
from vadbench.scoring import score_videos

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "results" / "vadbench_results" / "measured.json"
METHODS = (
    *("random", "zero-shot", "clip-linear", "clip-temporal-linear", "mil"),
    *("descriptions-frame", "descriptions-video", "anomalyclip", "vadclip"),
)
METRICS = ("AUC", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR")
SEEDS, CONTROL_SEEDS = range(3), range(10)
SHUFFLED = {
    "anomalyclip": ("anomalyclip", ()),
    "anomalyclip without text": ("anomalyclip", ("directions=free", "text_encoder=none")),
    "vadclip": ("vadclip", ()),
    "vadclip, coarse branch alone": ("vadclip", ("branches=coarse", "score_branch=coarse")),
    **{name: (name, ()) for name in ("clip-linear", "clip-temporal-linear", "mil")},
    **{name: (name, ()) for name in ("descriptions-frame", "descriptions-video")},
}
BEGIN, END = "<!-- results: written by benchmarks/measure.py -->", "<!-- end of results -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ped2", type=Path, help="folder of UCSD Ped2")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "runs", help="where run folders go")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=METHODS, help="methods to measure")
    parser.add_argument("--tables", action="store_true", help="only write the tables again")
    options = parser.parse_args()
    measured = read_json(MEASURED) if MEASURED.is_file() else {"results": {}, "controls": {}}
    if not options.tables:
        roots = {"synthetic": None} | ({"ucsdped2": options.ped2} if options.ped2 else {})
        for dataset, root in roots.items():
            found = measured["results"].setdefault(dataset, {})
            for method in options.only:
                found[method] = _seeds(Request(method, dataset, data_root=root, device="cpu", out=options.out))
            measured["results"][dataset] = {m: found[m] for m in METHODS if m in found}
        measured["controls"] |= _controls(options.only, options.out)
        measured["made"] = datetime.now(UTC).date().isoformat()
        measured["environment"] = environment.describe(torch.device("cpu"))
        write_json(MEASURED, measured)
    for path, text in tables(measured).items():
        write_text(path, text)


def _seeds(request: Request) -> list[dict[str, Any]]:
    experiment = open_experiment(request, installed())
    records = [run(experiment, seed).record for seed in SEEDS]
    print(request.dataset, request.method, [r.metrics["AUC"].value for r in records], flush=True)
    return [
        {
            "seed": r.seed,
            "key": r.key,
            "metrics": {k: v.model_dump() for k, v in r.metrics.items()},
            "seconds": r.seconds,
        }
        for r in records
    ]


def _controls(only: Collection[str], out: Path) -> dict[str, list[float]]:
    controls: dict[str, list[float]] = {}
    for name, (method, settings) in SHUFFLED.items():
        if method not in only:
            continue
        request = Request(method, "synthetic", settings, device="cpu", out=out / "controls")
        experiment = open_experiment(request, installed())
        controls[f"{name}, labels shuffled"] = [
            _value(run(_shuffled(experiment, seed), seed).record.metrics["AUC"].value) for seed in CONTROL_SEEDS
        ]
        controls[f"{name}, untrained"] = [_untrained(experiment, seed) for seed in CONTROL_SEEDS]
    if "zero-shot" in only:
        controls["zero-shot, untrained CLIP"] = [_zero_shot(f"random:{seed}", out) for seed in CONTROL_SEEDS]
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
    normal = [v for v in experiment.provision.videos["train"] if experiment.dataset.is_normal(v)]
    features = experiment.provision.features
    method.prepare(features.crop_rows(v.name, "center") for v in normal)
    return _auc(experiment, method, features)


def _zero_shot(weights: str, out: Path) -> float:
    """AUC of the prompts through a CLIP; only the test videos are encoded."""
    experiment = open_experiment(Request("zero-shot", "synthetic", device="cpu", out=out), installed())
    clip = load_clip(ClipSource(weights=weights))
    folder = cache_root() / "controls" / clip.weights_sha256[:12]
    extract_features(experiment.provision.videos["test"], clip, folder, stride=1, pooling="mean")
    other = dataclasses.replace(experiment, clip=clip)
    return _auc(other, build(other, other.dataset.classes, 0), FeatureStore(folder))


def _auc(experiment: Experiment, method: Any, features: FeatureSource) -> float:
    provision = experiment.provision
    videos = {v.name: v for v in provision.videos["test"]}
    scores = score_videos(method, features, provision.scored, provision.frames)
    rows = align(scores, videos, features.fingerprint.stride, experiment.dataset.classes, experiment.protocol)
    return _value(evaluate(rows)["AUC"]["value"])


def _value(value: float | None) -> float:
    if value is None:
        raise ValueError("a control needs anomalous and normal frames")
    return value


def tables(measured: dict[str, Any]) -> dict[Path, str]:
    """The files that show the measured figures, with their tables made new."""
    shown = {dataset: _result_table(methods) for dataset, methods in measured["results"].items()}
    where = measured["environment"]
    packages = where["packages"]
    made = (
        f"Measured {measured['made']} on {where['processor']}, {where['threads']} of them used, no GPU,"
        f" torch {packages['torch']}, open_clip {packages['open_clip_torch']}. Mean ± standard deviation of three"
        " seeds, in percent; in brackets the 95 % interval of seed 0 from resampling test videos."
    )
    blocks = [f"**{dataset}**\n\n{table}" for dataset, table in shown.items()]
    controls = tabulate(
        [[name, len(v), *_spread(v)] for name, v in measured["controls"].items()],
        ["control on synthetic", "runs", "mean AUC", "std", "lowest", "highest"],
        tablefmt="github",
        disable_numparse=True,
    )
    everything = "\n\n".join([made, *blocks, "**Controls**", controls])
    return {
        ROOT / "README.md": _between(ROOT / "README.md", "\n\n".join([*blocks, made])),
        ROOT / "results" / "README.md": _between(ROOT / "results" / "README.md", everything),
    }


def _result_table(methods: dict[str, list[dict[str, Any]]]) -> str:
    rows = []
    for method, seeds in methods.items():
        cells = []
        for name in METRICS:
            values = [s["metrics"][name]["value"] for s in seeds]
            first = seeds[0]["metrics"][name]
            mean, deviation = _spread(values)[:2]
            cells.append(f"{mean} ± {deviation} [{100 * first['low']:.1f}, {100 * first['high']:.1f}]")
        rows.append([method, *cells])
    return tabulate(rows, ["method", *METRICS], tablefmt="github", disable_numparse=True)


def _spread(values: Sequence[float]) -> list[str]:
    several = stdev(values) if len(values) > 1 else 0.0
    return [f"{100 * x:.1f}" for x in (fmean(values), several, min(values), max(values))]


def _between(path: Path, content: str) -> str:
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} must hold the lines '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


if __name__ == "__main__":
    main()
