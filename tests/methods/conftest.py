"""What the tests of all methods share: rows, batches and videos to learn from, some of which carry two classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from method_inputs import as_videos, labelled
from vadbench.dataset import ClassTable
from vadbench.inputs import TrainingVideo, VideoInput
from vadbench.method import Batch, Method
from vadbench.training.batches import weak_labels

DIM = 24


@pytest.fixture
def batch():
    """Return a batch of videos of these lengths: the first half abnormal, its classes in turn, the first with two."""

    def make(method: Method, rows: tuple[int, ...] = (40, 5, 16, 1)) -> Batch:
        rng = np.random.default_rng(5)
        drawn = [np.random.default_rng(i).standard_normal((n, DIM)).astype(np.float32) for i, n in enumerate(rows)]
        views = [method.view(VideoInput.of_rows(x), rng) for x in drawn]
        table = method.task.classes
        names = [[table.names[c]] for c in (*table.abnormal, table.normal)]
        half = len(rows) // 2
        carried = [names[i % len(table.abnormal)] for i in range(half)] + [names[-1]] * half
        carried[0] = names[1 % len(table.abnormal)] + names[0]
        labels, first = zip(*(weak_labels(c, table) for c in carried), strict=True)
        stacked = {k: torch.from_numpy(np.stack([v[k] for v in views])) for k in views[0]}
        return Batch(stacked, torch.from_numpy(np.stack(labels)), torch.tensor(first))

    return make


@dataclass(frozen=True)
class ToyVideo:
    """Rows ``(n, DIM)`` of a video and the class of each ``(n,)``; ``sample`` is the video in training."""

    rows: np.ndarray
    classes: np.ndarray
    sample: TrainingVideo


@pytest.fixture
def toy():
    """Makes videos of noise around a mean. Every second one is abnormal: for a third of its rows it leaves the mean
    along its class's direction; every fourth of these does so along another class's in the third that follows."""

    def make(table: ClassTable, count: int, seed: int, rows: tuple[int, int] = (10, 60)) -> list[ToyVideo]:
        rng = np.random.default_rng(seed)
        ways = np.random.default_rng(0).standard_normal((len(table), DIM))
        videos = []
        for i in range(count):
            length = int(rng.integers(*rows))
            x = 1 + 0.5 * rng.standard_normal((length, DIM))
            classes, carried = np.full(length, table.normal), [table.normal]
            if i % 2 == 0:
                carried = [table.abnormal[(i // 2 + j) % len(table.abnormal)] for j in range(1 if i % 8 else 2)]
                part = length // 3
                start = int(rng.integers(0, length - len(carried) * part))
                for place, label in enumerate(carried):
                    classes[start + place * part :][:part] = label
                away = classes != table.normal
                x[away] += 0.7 * ways[classes[away]]
            x = x.astype(np.float32)
            videos.append(ToyVideo(x, classes, labelled(x, [table.names[c] for c in carried], table)))
        return videos

    return make


@pytest.fixture
def learnt():
    """Says how well a method knows toy videos: the AUC of its ``anomaly`` scores and of each branch's, and the share of
    abnormal rows whose likeliest abnormal ``class`` is right."""

    def measure(method: Method, videos: list[ToyVideo]) -> dict[str, float]:
        table = method.task.classes
        with torch.inference_mode():
            scores = method.eval().score(as_videos([torch.from_numpy(v.rows) for v in videos]))
        truth = np.concatenate([v.classes for v in videos])
        abnormal = truth != table.normal
        said = {"anomaly": [s.anomaly for s in scores]}
        said |= {branch: [s.branches[branch] for s in scores] for branch in scores[0].branches}
        found = {name: float(roc_auc_score(abnormal, torch.cat(parts).numpy())) for name, parts in said.items()}
        likeliest = torch.cat([s.classes for s in scores])[:, list(table.abnormal)].argmax(1).numpy()
        return found | {"class": float((np.array(table.abnormal)[likeliest] == truth)[abnormal].mean())}

    return measure
