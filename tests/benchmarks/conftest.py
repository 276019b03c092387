"""Shared pieces of the tests of benchmarks."""

import pytest

from places import PLUGIN
from vadbench.plugins.registry import Registry
from vadbench.records.folders import write_record
from vadbench.records.keys import EDITION
from vadbench.records.record import RunRecord


@pytest.fixture(scope="module")
def registry():
    return Registry(files=[PLUGIN])


@pytest.fixture
def write(tmp_path):
    def call(text):
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        return str(tmp_path / "mine.toml")

    return call


@pytest.fixture
def record(tmp_path):
    def make(name, **changes):
        content = RunRecord(
            status=changes.pop("status", "finished"),
            method="linear",
            method_version=changes.pop("version", "1"),
            dataset="tiny",
            trained_on="tiny",
            seed=changes.pop("seed", 0),
            key=name,
            evaluation="e",
            protocol={"name": "native"},
            config={"width": changes.pop("width", 5)},
            changed=changes.pop("changed", []),
            fingerprint={},
            clip={"model": "small", "weights": "random:0"},
            data={},
            environment={},
            created=changes.pop("created", "2026-01-01T00:00:00+00:00"),
            edition=changes.pop("edition", EDITION),
            **changes,
        )
        folder = tmp_path / "runs" / "tiny" / "linear" / name
        write_record(folder, content)
        (folder / "scores.npz").touch()
        return folder

    return make
