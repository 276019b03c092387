"""Metrics of a split of UCF-Crime's size, and their resamples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from literal import metrics as literal
from measuring import bandwidth
from metrics import NORMAL, split
from works.work import Options, Work

from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.glossary import IOU_THRESHOLDS
from vadbench.metrics.localization import KEYS, localise

RESAMPLES, LITERALLY = 1000, 20


def metrics(options: Options, folder: Path) -> Work:
    """All of them; literally every frame is a row."""
    rows, videos = split(16)
    scores, truth = _frames(rows)
    classes = np.repeat(rows.class_scores, rows.frames, 0)
    whole = [(np.repeat(v.probabilities, 16, 0), v.segments) for v in videos]

    def ours() -> dict[str, float]:
        localised = localise(videos, 16, rows.class_names, NORMAL, "vadclip")
        found = evaluate(rows) | localised.metrics()
        return {key: value.value for key, value in found.items()}

    def one_by_one() -> dict[str, float]:
        found = literal.ranking(scores, classes, truth, NORMAL)
        return found | dict(zip(KEYS, literal.localisation(whole, IOU_THRESHOLDS), strict=False))

    def difference() -> float:
        found, expected = ours(), one_by_one()
        return max(abs(found[key] - value) for key, value in expected.items()) / 1e-6

    return Work(ours, one_by_one, lambda: _bytes(rows) / bandwidth(), difference)


def resamples(options: Options, folder: Path) -> Work:
    """1,000 resamples of AUC and AP; literally, 20 of them one after another, counted 50 times."""
    rows, videos = split(16)
    scores, truth = _frames(rows)
    borders = np.cumsum(rows.video_frames)[:-1]
    parts = list(zip(np.split(scores, borders), np.split(truth != NORMAL, borders), strict=True))
    draws = draw_videos(len(videos), RESAMPLES)

    def ours() -> dict[str, Any]:
        return resampled_metrics(rows, ("AUC", "AP"), draws)

    def one_by_one() -> list[tuple[float, float]]:
        found = []
        for draw in draws[:LITERALLY].astype(int):
            drawn = [parts[v] for v in np.repeat(np.arange(len(videos)), draw)]
            found.append(literal.areas(*(np.concatenate(arrays) for arrays in zip(*drawn, strict=True))))
        return found

    def difference() -> float:
        found = ours()
        both = np.stack([found["AUC"][:LITERALLY], found["AP"][:LITERALLY]], 1)
        return float(np.abs(both - one_by_one()).max() / 1e-6)

    return Work(ours, one_by_one, lambda: _bytes(rows) / bandwidth(), difference, RESAMPLES // LITERALLY)


def _frames(rows: Any) -> tuple[Any, Any]:
    """Score and class of every frame."""
    abnormal = rows.class_positives[:, 1:].argmax(1) + 1
    within = np.concatenate([np.arange(n) for n in rows.frames])
    truth = np.where(within < np.repeat(rows.positives, rows.frames), np.repeat(abnormal, rows.frames), NORMAL)
    return np.repeat(rows.scores, rows.frames), truth


def _bytes(rows: Any) -> int:
    arrays = (rows.scores, rows.frames, rows.positives, rows.class_scores, rows.class_positives)
    return sum(a.nbytes for a in arrays)
