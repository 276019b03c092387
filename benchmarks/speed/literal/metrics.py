"""The metrics as their definitions read: every frame a row, scikit-learn for areas, one proposal after another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Floats = NDArray[np.floating]
Segments = list[tuple[int, int, int]]


def areas(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """AUC and AP of frames."""
    return float(roc_auc_score(positive, scores)), float(average_precision_score(positive, scores))


def ranking(scores: Floats, classes: Floats, truth: NDArray[np.int64], normal: int) -> dict[str, float]:
    """AUC and AP of abnormal frames, and their means over the abnormal classes, one against the rest."""
    auc, ap = areas(scores, truth != normal)
    each = [areas(classes[:, c], truth == c) for c in range(classes.shape[1]) if c != normal]
    return {
        "AUC": auc,
        "AP": ap,
        "mAUC": float(np.mean([a for a, _ in each])),
        "mAP": float(np.mean([p for _, p in each])),
    }


def localisation(videos: list[tuple[Floats, Segments]], thresholds: tuple[float, ...]) -> list[float]:
    """VadCLIP's mAP@IoU (spec 5.4) of frames' class probabilities ``(T, C)``, at each threshold from the beginning."""
    return [_mean_ap(videos, threshold) for threshold in thresholds]


def _mean_ap(videos: list[tuple[Floats, Segments]], threshold: float) -> float:
    classes = videos[0][0].shape[1]
    aps = []
    for c in range(classes):
        found: list[tuple[float, int, int, int]] = []
        for v, (frames, _) in enumerate(videos):
            column = frames[:, c]
            whole = float(np.sort(column)[::-1][: max(1, len(column) // 16)].mean())
            high, low = column.max(), column.min()
            above = np.concatenate([[0], (column > high - 0.6 * (high - low)).astype(int), [0]])
            edges = np.flatnonzero(np.diff(above))
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                if end - start >= 2:
                    found.append((float(column[start:end].max()) + 0.7 * whole, v, int(start), int(end)))
        if not found:
            return 0.0
        left = {v: [(s, e) for label, s, e in segments if label == c] for v, (_, segments) in enumerate(videos)}
        total = sum(map(len, left.values()))
        hits, ap = 0, 0.0
        for rank, (_, v, start, end) in enumerate(sorted(found, key=lambda f: -f[0]), start=1):
            best, chosen = 0.0, None
            for segment in left[v]:
                shared = max(0, min(end, segment[1]) - max(start, segment[0]))
                iou = shared / (end - start + segment[1] - segment[0] - shared)
                if iou >= threshold and iou > best:
                    best, chosen = iou, segment
            if chosen is not None:
                left[v].remove(chosen)
                hits += 1
                ap += hits / rank
        aps.append(ap / total if total else 0.0)
    return float(np.mean(aps))
