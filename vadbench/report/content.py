"""Content of a page about one or several runs, as plain data from their folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import isnan
from typing import Any

import numpy as np

from vadbench.base.errors import DataError, cut
from vadbench.base.metric_keys import MetricKey
from vadbench.base.remarks import Remarks
from vadbench.base.types import Progress, silent
from vadbench.dataset import Video
from vadbench.metrics.curves import pr_curve, roc_curve, thinned
from vadbench.metrics.definitions import COMPARED, definition
from vadbench.metrics.recognition import recognise
from vadbench.metrics.scenarios import SCENARIO_METRICS
from vadbench.metrics.within import within
from vadbench.records.cost_figures import cost_words
from vadbench.records.record import RunRecord, costs_words, features_words
from vadbench.report.packing import joined, joined_rows, pack
from vadbench.report.page_runs import PageRun, rules_words, standings_of
from vadbench.report.place import POINTS, blind_figures, place_data, place_of_run
from vadbench.report.thumbnails import Strip
from vadbench.scoring.rows import ScoredRows
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores
from vadbench.tables.blind_rows import BlindFigures
from vadbench.tables.layout import legend

MOST_REMARKS, LONGEST_SHOWN = 200, 300
"""Number of remarks on a video, the first ones, and of characters of one that are on the page."""
BINS = 40
"""Number of bars of the distribution of scores."""


def report_data(runs: Sequence[PageRun], strips: Mapping[str, Strip], progress: Progress = silent) -> dict[str, Any]:
    """Return the data that the page's script shows.

    Args:
        runs: from :func:`read_runs`, at least one.
        strips: thumbnails of videos by name; videos may lack them.
        progress: called with the number of runs whose figures are compared.
    """
    first = runs[0]
    rows, blind = first.split.rows, blind_figures(first.split)
    standings, notes = standings_of(runs, progress)
    return {
        "dataset": first.record.dataset,
        "split": {
            "videos": len(rows.names),
            "abnormal": int(rows.abnormal.sum()),
            "frames": rows.total,
            "prevalence": rows.prevalence,
            "byClass": first.split.by_class,
        },
        "metrics": [_definition(key) for key in COMPARED],
        "ranking": {"legend": legend("Bold", "underlined"), "notes": notes} if len(runs) > 1 else None,
        "videos": [
            _video(scores, video, strips.get(video.name))
            for scores, video in zip(first.split.scores, first.split.videos, strict=True)
        ],
        "place": place_data(blind),
        "runs": [{**_run(run, blind), "standing": own} for run, own in zip(runs, standings, strict=True)],
    }


def _definition(key: str) -> dict[str, Any]:
    means = definition(key)
    return {"key": key, "title": means.title, "text": means.text, "better": means.better}


def _video(scores: VideoScores, video: Video, strip: Strip | None) -> dict[str, Any]:
    return {
        "name": video.name,
        "labels": video.labels,
        "frames": scores.frames,
        "runs": video.runs,
        "segments": [(s.label, s.start, s.end) for s in video.segments],
        "strip": None if strip is None else strip._asdict(),
    }


def _run(run: PageRun, blind: BlindFigures) -> dict[str, Any]:
    split, record = run.split, run.record
    rows = split.rows
    classes = [name for i, name in enumerate(split.classes.names) if i != split.classes.normal]
    return {
        "label": run.label,
        "facts": list(_facts(record)),
        "notes": record.notes,
        "metrics": {key: record.metrics[key].model_dump() for key in COMPARED if key in record.metrics},
        "perClass": [
            [name, *(_value(record, str(MetricKey(metric, of_class=name))) for metric in ("AUC", "AP"))]
            for name in classes
            if rows.class_positives is not None
        ],
        "scenarios": [
            [name, result.abnormal, *((v := result.metrics.get(key)) and v.model_dump() for key in SCENARIO_METRICS)]
            for name, result in record.scenarios.items()
        ],
        "roc": _curve(roc_curve, rows),
        "pr": _curve(pr_curve, rows),
        **place_of_run(record, split, blind),
        "histogram": _histogram(rows),
        "confusion": _confusion(rows),
        "videos": list(_per_video(rows)),
        **_curves(split),
        **({"costs": costs_words(record)} if record.costs else {}),
        **_remarks(split),
    }


def _remarks(split: ScoredSplit) -> dict[str, Any]:
    """Return the first remarks on each video with their frames, each text once; an empty dict if there are none."""
    texts: dict[str, int] = {}
    videos = []
    for s in split.scores:
        found = s.remarks if s.remarks is not None else Remarks.of_rows([])
        order = np.argsort(found.first, kind="stable")[:MOST_REMARKS]
        videos.append(
            {
                "shown": [
                    [
                        int(found.first[i]) * split.stride,
                        s.frames if found.end[i] == len(s.anomaly) else int(found.end[i]) * split.stride,
                        texts.setdefault(cut(found.texts[found.which[i]], LONGEST_SHOWN), len(texts)),
                    ]
                    for i in order
                ],
                "more": len(found) - len(order),
            }
        )
    return {"remarks": {"texts": list(texts), "videos": videos}} if texts else {}


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    yield "method", f"{record.method}, version {record.method_version}"
    yield from (told for told in (("label", record.label), ("settings", record.settings)) if told[1])
    yield "trained on", f"{record.trained_on}, seed {record.seed}"
    yield "protocol", rules_words(record)
    yield "supervision", record.supervision
    of_features = record.reads == "features"
    clip = " ".join(record.clip.get(k, "") for k in ("model", "weights")).strip()
    yield "CLIP", clip or ("unknown" if of_features else "none")
    asked = {k: record.fingerprint[k] for k in ("stride", "pooling", "crops", "dtype") if k in record.fingerprint}
    words = (f"{k} {' '.join(map(str, v)) if isinstance(v, list) else v}" for k, v in asked.items())
    yield "features", (", ".join(words) or "unknown") if of_features else features_words(record)
    for name, stream in record.streams.items():
        yield f"stream {name}", f"{stream.fingerprint.get('encoder')}, {stream.dim} wide, a row every {stream.spacing}"
    yield "made", f"{record.created} on {record.environment.get('device', 'an unknown device')}"
    yield from (("took", phrase) for phrase in cost_words(record))
    yield from (("commit", str(record.environment.get("commit", "unknown"))), ("key", record.key))


def _value(record: RunRecord, key: str) -> dict[str, Any] | None:
    return record.metrics[key].model_dump() if key in record.metrics else None


def _curve(curve: Any, rows: ScoredRows) -> list[list[float]] | None:
    points = curve(rows.scores, rows.positives, rows.frames - rows.positives)
    return None if points is None else [np.round(axis, 4).tolist() for axis in thinned(points.x, points.y, POINTS)]


def _histogram(rows: ScoredRows) -> dict[str, Any]:
    """Return the shares of normal and of anomalous frames in equal bins of the score."""
    low, high = float(rows.scores.min()), float(rows.scores.max())
    low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    edges = np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, high + 0.5])
    shares = {}
    for kind, frames in (("normal", rows.frames - rows.positives), ("anomalous", rows.positives)):
        counts, _ = np.histogram(rows.scores, edges, weights=frames)
        shares[kind] = np.round(counts / max(1, counts.sum()), 5).tolist()
    return {"low": float(edges[0]), "high": float(edges[-1]), **shares}


def _confusion(rows: ScoredRows) -> dict[str, Any] | None:
    try:
        found = recognise(rows)
    except DataError:  # no classes, or frames of one kind only
        return None
    assert rows.class_positives is not None
    return {
        "threshold": found.threshold,
        "classes": rows.class_names,
        "frames": rows.class_positives.sum(0).tolist(),
        "shares": np.round(found.confusion, 4).tolist(),
    }


def _per_video(rows: ScoredRows) -> Iterator[list[float | None]]:
    """Yield the AUC within each video, its mean and its highest score."""
    for own, auc in zip(_slices(rows), within(rows).aucs.tolist(), strict=True):
        scores, frames = rows.scores[own], rows.frames[own]
        mean = float(scores @ frames / max(1, frames.sum()))
        yield [None if isnan(auc) else round(auc, 4), float(f"{mean:.3g}"), float(f"{scores.max():.3g}")]


def _slices(rows: ScoredRows) -> Iterator[slice]:
    """Yield the rows of each video."""
    bounds = np.searchsorted(rows.video, np.arange(len(rows.names) + 1)).tolist()
    return (slice(start, end) for start, end in pairwise(bounds))


def _curves(split: ScoredSplit) -> dict[str, Any]:
    """Return the score, the class probabilities and the extras of every row, or their means over 16 frames."""
    together = joined_rows(sum(len(s.anomaly) for s in split.scores), split.stride)
    anomaly = [joined(s.anomaly, together) for s in split.scores]
    classes = [joined(s.classes, together) for s in split.scores if s.classes is not None]
    extras = {
        name: pack(np.concatenate([joined(s.extras[name], together) for s in split.scores]))._asdict()
        for name in split.scores[0].extras
    }
    return {
        "stride": split.stride * together,
        "mean": together > 1,
        "rows": [len(values) for values in anomaly],
        "scores": pack(np.concatenate(anomaly))._asdict(),
        "classNames": split.classes.names,
        "classes": pack(np.concatenate(classes))._asdict() if classes else None,
        **({"extras": extras} if extras else {}),
    }
