"""The committed figures and the tables that show them belong together."""

import importlib.util
from importlib.resources import files
from pathlib import Path

import pytest

from vadbench.files import read_json

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def measure():
    spec = importlib.util.spec_from_file_location("measure", ROOT / "benchmarks" / "measure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured():
    return read_json(Path(str(files("vadbench_results") / "measured.json")))


def test_the_tables_are_those_of_the_measured_figures(measure, measured):
    tables = measure.tables(measured)
    assert {p.relative_to(ROOT).as_posix() for p in tables} == {"README.md", "results/README.md"}
    for path, text in tables.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python benchmarks/measure.py --tables"


def test_every_method_was_measured_on_both_data_sets_under_three_seeds(measure, measured):
    for dataset in ("synthetic", "ucsdped2"):
        for method in measure.METHODS:
            runs = measured["results"][dataset][method]
            assert [r["seed"] for r in runs] == [0, 1, 2]
            for metric in ("AUC", "AP", "mAUC", "mAP", "mAP@IoU"):
                values = [r["metrics"][metric] for r in runs]
                assert all(v["low"] <= v["value"] <= v["high"] for v in values)


def test_random_is_at_chance_and_training_beats_the_prompts(measured):
    def mean(method):
        values = [r["metrics"]["AUC"]["value"] for r in measured["results"]["synthetic"][method]]
        return sum(values) / len(values)

    assert abs(mean("random") - 0.5) < 0.02
    assert mean("anomalyclip") > mean("zero-shot") > 0.7
    assert mean("vadclip") > mean("zero-shot")
