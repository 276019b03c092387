"""The committed figures and the tables that show them belong together."""

import importlib.util
import json
import sys

import pytest

from places import ROOT
from vadbench.metrics.blind import BLIND
from vadbench.plugins.registry import installed
from vadbench.tables.table import tables_from_json

METRICS = ["AUC", "AUC/within", "AUC/flattened", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR"]
OF_CLASSES = {"mAUC", "mAP", "mAP@IoU"}
WITHOUT_CLASSES = {"rtfm", "clip-tsa", "urdmu", "knn", "density"}
APART = {"motion-energy"}  # has a table of its own: no features, no family in common


def script(name):
    """A script of ``benchmarks/`` as a module, which finds others beside it as it does when it is run."""
    if str(ROOT / "benchmarks") not in sys.path:
        sys.path.append(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its data classes look for their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def controls():
    return script("controls")


@pytest.fixture(scope="module")
def quick(controls):
    return {table.columns[0].dataset: table for table in tables_from_json(controls.QUICK.read_text(encoding="utf-8"))}


def test_the_readmes_show_the_committed_figures(controls):
    shown = controls.tables()
    assert {p.relative_to(ROOT).as_posix() for p in shown} == {"README.md", "results/README.md"}
    for path, text in shown.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python benchmarks/controls.py --tables"


def test_the_readmes_show_the_recorded_scores():
    shown = script("recorded").pages()
    assert {p.relative_to(ROOT).as_posix() for p in shown} == {"README.md", "results/README.md"}
    for path, text in shown.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python benchmarks/recorded.py --tables"


def test_the_readme_shows_the_ten_clips():
    for path, text in script("clips").pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python benchmarks/clips.py --tables"


def test_the_figures_of_the_ten_clips_are_found_again(test_data):
    clips = script("clips")
    found, kept = clips.measured(test_data / "clip"), json.loads(clips.CLIPS.read_text(encoding="utf-8"))
    assert (found["clips"], found["segments"]) == (kept["clips"], kept["segments"]) == (10, 31)
    for now, then in zip(found["scores"], kept["scores"], strict=True):
        assert [now[key] for key in ("scores", "post", "clips")] == [then[key] for key in ("scores", "post", "clips")]
        for key, metric in then["metrics"].items():
            assert now["metrics"][key] == pytest.approx(metric, abs=1e-4), (now["scores"], key)
    auc = {(row["scores"], row["clips"]): row["metrics"]["AUC"]["value"] for row in found["scores"]}
    assert auc["maximum cosine with an abnormal class", 10] == pytest.approx(0.750, abs=5e-4)


def test_every_method_was_run_on_both_data_sets_under_three_seeds(quick):
    assert set(quick) == {"synthetic", "ucsdped2"}
    for table in quick.values():
        assert not table.missing
        assert "commit" in table.made and "torch" in table.made
        assert [column.metric for column in table.columns] == METRICS
        # Rows that look at no frame need no run.
        assert {row.label for row in table.rows} == set(installed().specs("method")) - APART - BLIND.keys()
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                found = cell.reproduced
                assert found.seeds == (0, 1, 2)
                if found.mean is None:
                    assert column.metric in OF_CLASSES and row.label in WITHOUT_CLASSES
                else:
                    assert found.low <= found.mean <= found.high


def test_random_is_at_chance_and_training_beats_the_prompts(quick):
    auc = {row.label: row.cells[0].reproduced.mean for row in quick["synthetic"].rows}
    assert abs(auc["random"] - 0.5) < 0.02
    assert min(auc["anomalyclip"], auc["vadclip"]) > auc["zero-shot"] > 0.7
