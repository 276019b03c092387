"""Run folders made up for tests of tables: scores of a known quality on a small split, measured by vadbench itself."""

from types import SimpleNamespace

import numpy as np
import pytest

from vadbench.base.hashing import digest
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.features.fingerprint import Fingerprint
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.measurement import measure
from vadbench.records.folders import write_record
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.records.scores import save_split
from vadbench.scoring.protocol import protocol as protocol_named
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

CLASSES = ClassTable((VideoClass("Normal"), VideoClass("Fire"), VideoClass("Fight")), 0)
FINGERPRINT = Fingerprint("vit", "0" * 64, "quickgelu", "resized", 16, "middle", dim=4)


@pytest.fixture
def videos():
    """A test split: every second video abnormal, its second half anomalous."""

    def make(count=24, rows=10):
        kinds = ["Normal" if i % 2 else ("Fire", "Fight")[i // 2 % 2] for i in range(count)]
        return [
            Video(f"v{i}", (kind,), segments=() if kind == "Normal" else (Segment(kind, 8 * rows, 16 * rows),))
            for i, kind in enumerate(kinds)
        ]

    return make


@pytest.fixture
def make_run(tmp_path, videos):
    """Write a run folder and return its path. ``quality`` is how far anomalous rows stand out; ``figures`` are given
    as they are, without scores, where there is no ``quality``."""

    def make(
        method="m",
        dataset="d",
        seed=0,
        quality=None,
        figures=None,
        trained_on=None,
        protocol="native",
        rules=None,
        fingerprint=None,
        count=24,
        noise=None,
        **fields,
    ):
        changes = fingerprint or {}
        own = Fingerprint.from_dict(FINGERPRINT.to_dict() | changes)
        setting = protocol_named(protocol).rules.model_copy(update=rules or {})
        metrics = {}
        split = None
        if quality is not None:
            truth = videos(count)
            # Seeds share what is hard about the videos, as real ones do.
            common = np.random.default_rng(7).normal(size=(count, 10))
            own_noise = np.random.default_rng([seed, *(noise or method).encode()]).normal(size=(count, 10))
            scores = []
            for i, video in enumerate(truth):
                anomalous = np.arange(10) >= 5 if video.segments else np.zeros(10, bool)
                logit = quality * anomalous + common[i] + own_noise[i]
                s = (1 / (1 + np.exp(-logit))).astype(np.float32)
                label = CLASSES.id(video.labels[0])
                classes = np.full((10, 3), 0.1, np.float32)
                classes[:, label or 1] += s
                scores.append(VideoScores(video.name, 160, s, classes))
            split = ScoredSplit(scores, truth, 16, CLASSES, setting)
            metrics = measure(split)
        for name, value in (figures or {}).items():
            metrics[name] = MetricValue(**value) if isinstance(value, dict) else MetricValue(value=value)
        changed = [f"protocol.{k}" for k in rules or {}] + fields.pop("changed", [])
        test = SplitRecord(videos=count, expected=24, abnormal=count // 2, manifest="t")
        values = {
            "status": "finished",
            "method": method,
            "method_version": "1",
            "dataset": dataset,
            "trained_on": trained_on or dataset,
            "seed": seed,
            "protocol": setting.model_dump(mode="json"),
            "metrics": metrics,
            "config": {},
            "changed": changed,
            "fingerprint": own.to_dict(),
            "clip": {"model": "ViT-B-16-quickgelu", "weights": "openai", "sha256": "0"},
            "data": {"train": SplitRecord(videos=8, expected=8, abnormal=4, manifest="n"), "test": test},
            "environment": {
                "device": "cpu",
                "processor": "a machine",
                "packages": {"torch": "2"},
                "commit": "abcdef0123",
            },
            "created": "2026-01-02T00:00:00+00:00",
        } | fields
        values["evaluation"] = digest([values["protocol"], dataset, count])
        known = ("method", "method_version", "config", "clip", "seed", "fingerprint", "notes", "evaluation")
        values["key"] = digest({k: values[k] for k in known if k in values})
        folder = tmp_path / "runs" / (trained_on or dataset) / method / values["key"]
        write_record(folder, RunRecord(**values))
        if split is not None:
            save_split(split, folder / "scores.npz")
        return folder

    make.out = tmp_path / "runs"
    return make


@pytest.fixture
def boards(make_run):
    """The leaderboards of the runs made so far, with the notes that are printed beside them."""
    from vadbench.tables.evaluations import collect
    from vadbench.tables.leaderboard import leaderboards

    def draw(metric=None, headline=lambda _: "AUC", **options):
        evaluations, problems = collect(make_run.out)
        tables, lost = leaderboards(evaluations, headline, metric, **options)
        return SimpleNamespace(tables=tables, notes=[*problems, *lost])

    return draw
