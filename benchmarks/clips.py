"""Scores of ten surveillance clips that nothing was tuned on: of class texts, and of one-class methods fitted on one.

    python benchmarks/clips.py --clips DIR    measures again
    python benchmarks/clips.py --tables       only writes the table into the README

``--clips`` has ``song248_clip_vitb16_10videos_f16.npz`` (a mean row of CLIP ViT-B/16 for every 16 frames of each clip),
``song248_annotation.json`` (frames and half-open segments) and ``pel4vad_prompt_features.json`` (a text feature of each
class), as they are named below; they are no part of the repository. The figures go to
``results/vadbench_results/clips.json``.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from marked import between
from numpy.typing import NDArray
from tabulate import tabulate
from torch import Tensor, nn

import vadbench
from vadbench.base.files import read_json, write_json, write_text
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import TrainingData, TrainingVideo, VideoInput
from vadbench.method import Method, Task, build_method
from vadbench.metrics.blind import BLIND
from vadbench.plugins.registry import installed
from vadbench.scoring.scoring import score_videos
from vadbench.training.batches import weak_labels

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT / "results" / "vadbench_results" / "clips.json"
ROWS, TRUTH, TEXTS = "song248_clip_vitb16_10videos_f16.npz", "song248_annotation.json", "pel4vad_prompt_features.json"
NORMAL = "normal001"
"""The only clip without an anomaly, which the one-class methods learn from."""
METRICS = ("AUC", "AUC/within", "AP", "prevalence")
MARKS = "<!-- ten clips: written by benchmarks/clips.py -->", "<!-- end of ten clips -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of the files")
    parser.add_argument("--tables", action="store_true", help="only write the table again")
    options = parser.parse_args()
    if not options.tables:
        if options.clips is None:
            parser.error("name the folder of the files with --clips")
        write_json(CLIPS, measured(options.clips))
    for path, text in pages().items():
        write_text(path, text)


class ClassRows(nn.Module):
    """Text features that are known, in place of a text tower: the prompt of a class is its name alone."""

    context_length = 77

    def __init__(self, rows: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        self.rows, self.dim = rows, len(next(iter(rows.values())))

    def forward(self, prompts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([self.rows[prompt] for prompt in prompts]))


def measured(folder: Path) -> dict[str, Any]:
    """Return the metrics of each score, over all clips and over those that the one-class methods did not learn from."""
    with np.load(folder / ROWS, allow_pickle=False) as content:
        rows = {name: content[name].astype(np.float32) for name in content.files}
    truth = read_json(folder / TRUTH)
    texts = _texts(read_json(folder / TEXTS)["ucf"])
    classes = ClassTable(tuple(VideoClass(name) for name in texts), 0)
    task = Task(classes, next(iter(rows.values())).shape[1], torch.device("cpu"), lambda: ClassRows(texts))
    videos = {name: VideoInput.of_rows(own, name, truth["stride"]) for name, own in rows.items()}
    scores = {
        "maximum cosine with an abnormal class": {name: _cosines(own, texts) for name, own in rows.items()},
        "zero-shot": _scored(_method("zero-shot", task, template="{class}"), videos),
    }
    bank = {"normal": [classes.names[0]], "classes": {name: [name] for name in classes.names[1:]}}
    contrast = _method(
        "prompt-contrast", task, descriptions=bank, normals="shared", prefixes={"anomalous": "", "normal": ""}
    )
    scores["prompt-contrast"] = _scored(contrast, videos)
    labels, first = weak_labels([classes.names[classes.normal]], classes)
    learnt = TrainingData([TrainingVideo(**vars(videos[NORMAL]), labels=labels, first_class=first)], classes)
    for name in ("knn", "density"):
        method = _method(name, task)
        method.prepare(learnt)
        scores[name] = _scored(method, videos)
    for name in ("blind-length", "blind-centre"):
        of = BLIND[name].of
        scores[name] = {v: of(t["frames"], bool(t["spans"]))[:: truth["stride"]] for v, t in truth["videos"].items()}
    others = [name for name in rows if name != NORMAL]
    found = []
    for name, own in scores.items():
        fitted = name in ("knn", "density")
        for which in (others,) if fitted else (others, list(rows)):
            for post in ("", contrast.config.post()) if name == "prompt-contrast" else ("",):
                measured_on = {"scores": name, "post": post, "clips": len(which)}
                found.append({**measured_on, "metrics": _metrics(own, which, truth, post)})
    return {"clips": len(rows), "segments": sum(len(v["spans"]) for v in truth["videos"].values()), "scores": found}


def _texts(block: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Return the text feature of each class, the normal one first."""
    features = np.frombuffer(base64.b64decode(block["b64"]), "<f2").reshape(block["shape"]).astype(np.float32)
    return dict(zip(block["labels"], features, strict=True))


def _cosines(rows: NDArray[np.float32], texts: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    of_class = np.stack(list(texts.values()))[1:]
    of_class /= np.linalg.norm(of_class, axis=1, keepdims=True)
    cosines: NDArray[np.float32] = (rows @ of_class.T).max(1) / np.linalg.norm(rows, axis=1)
    return cosines


def _method(name: str, task: Task, **settings: Any) -> Method:
    kind = installed().method(name)
    return build_method(kind, kind.Config.model_validate(settings), task, 0)


def _scored(method: Method, videos: Mapping[str, VideoInput]) -> dict[str, NDArray[Any]]:
    return {scores.name: scores.anomaly for scores in score_videos(method, [[v] for v in videos.values()])}


def _metrics(scores: Mapping[str, Any], names: Sequence[str], truth: Mapping[str, Any], post: str) -> dict[str, Any]:
    """Return metrics of post-processed scores with their intervals from resampling the clips."""
    own = {name: truth["videos"][name] for name in names}
    segments = {name: [tuple(span) for span in video["spans"]] for name, video in own.items()}
    frames = {name: video["frames"] for name, video in own.items()}
    found = vadbench.evaluate({n: scores[n] for n in names}, segments, stride=truth["stride"], frames=frames, post=post)
    return {key: found[key].model_dump(exclude_none=True) for key in METRICS}


def pages() -> dict[Path, str]:
    """The file that shows the committed figures, with its table made new."""
    path, content = ROOT / "results" / "README.md", read_json(CLIPS)
    rows = [
        [row["scores"], row["post"], row["clips"], *(_figure(row["metrics"][key]) for key in METRICS)]
        for row in content["scores"]
    ]
    table = tabulate(
        rows,
        ["scores", "post", "clips", "AUC", "AUC within", "AP", "anomalous frames"],
        tablefmt="github",
        colalign=("left", "left", *["right"] * 5),
        disable_numparse=True,
    )
    return {path: between(path, f"{table}\n", MARKS)}


def _figure(metric: Mapping[str, Any]) -> str:
    if "value" not in metric:
        return ""
    interval = f" [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]" if "low" in metric else ""
    return f"{100 * metric['value']:.2f}{interval}"


if __name__ == "__main__":
    main()
