"""Run folders to compare."""

import pytest

from vadbench.metrics.measurement import measure
from vadbench.records.folders import write_record
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.records.scores import save_split


@pytest.fixture
def keep(tmp_path):
    """Write a run folder as the harness does; its path."""

    def call(split, method="good", seed=0, key=None, **changes):
        folder = tmp_path / "runs" / "d" / method / (key or f"{method}{seed}")
        values = dict(
            status="finished", method=method, method_version="1", dataset="d", trained_on="d", seed=seed,
            key=folder.name, evaluation="e", protocol=split.rules.model_dump(mode="json"), config={"width": 4},
            changed=[], fingerprint={"encoder": "small", "stride": 8}, clip={"model": "small"},
            data={s: SplitRecord(videos=9, expected=9, abnormal=3, manifest=s) for s in ("train", "test")},
            metrics=measure(split), environment={}, created="2026-01-01",
        )  # fmt: skip
        write_record(folder, RunRecord(**(values | changes)))
        save_split(split, folder / "scores.npz")
        return folder

    return call


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"
