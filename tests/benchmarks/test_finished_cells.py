"""Which runs are those of a cell: whatever the spelling of its settings, and only what is of today."""

import json

import pytest

from cells import cell
from vadbench.base.config import resolve
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.naming import changed_names
from vadbench.benchmarks.parser import assignments
from vadbench.benchmarks.schema import Benchmark
from vadbench.benchmarks.site import Site
from vadbench.benchmarks.staleness import Today
from vadbench.benchmarks.state import finished, look, usable, with_trainings
from vadbench.records.folders import read_record, read_records


def test_the_newest_finished_run_of_the_same_version_counts(record, tmp_path):
    record("old")
    newest = record("new", created="2026-02-01T00:00:00+00:00")
    record("failed", status="failed", created="2026-03-01T00:00:00+00:00")
    record("version", version="2", created="2026-03-01T00:00:00+00:00")
    record("other", changed=["width"], width=6, created="2026-03-01T00:00:00+00:00")
    record("authors", notes=["weights imported from the authors' file x.pth"], created="2026-03-01T00:00:00+00:00")
    runs, problems = read_records(tmp_path / "runs")
    assert len(runs) == 6 and not problems
    assert finished(cell(), Today("1"), runs).folder == newest
    assert finished(cell(settings=(("width", 6),)), Today("1"), runs).folder.name == "other"
    assert finished(cell(), Today("3"), runs) is None
    assert finished(cell(seed=1), Today("1"), runs) is None


@pytest.mark.parametrize(
    ("asked", "config", "changed", "expected"),
    [
        # An untrained row, as the recipe of a method records it.
        ({"recipe.epochs": 0}, {"recipe": {"epochs": 0, "batch_size": 64}}, ["recipe.epochs"], True),
        ({"recipe.epochs": 0}, {"recipe": None}, ["recipe"], False),
        ({"a": [1, 2]}, {"a": [1.0, 2.0]}, ["a"], True),
        ({"a": 1}, {"a": True}, ["a"], False),
        ({"a": 1}, {"a": 1}, ["a", "b"], False),
        ({"bank": "site"}, {"bank": {"title": "site", "normal": ["a"]}}, ["bank.title", "bank.normal"], True),
        ({"bank": "site"}, {"bank": {"title": "other", "normal": ["a"]}}, ["bank.title", "bank.normal"], False),
        ({}, {"bank": {"title": "other", "normal": ["a"]}}, ["bank.title"], False),
    ],
)
def test_a_record_is_that_of_a_cell_that_asks_for_what_it_changed(record, asked, config, changed, expected):
    folder = record("a", changed=changed)
    content = read_record(folder).model_copy(update={"config": config})
    assert cell(settings=tuple(asked.items())).matches(content) == expected


def test_regions_in_records_of_the_first_edition_match_what_asked_for_no_crop(record):
    made = read_record(record("a", changed=["protocol.crop"]))
    assert not cell().matches(made)
    assert cell().matches(made.model_copy(update={"fingerprint": {"regions": "boxes 0123"}}))


def test_states_tell_done_failed_before_and_impossible(record, tmp_path, registry):
    version = registry.version("linear")
    record("done", version=version)
    record("failed", version=version, seed=1, status="failed", error="it was late")
    runs, _ = read_records(tmp_path / "runs")
    cells = [
        cell(),
        cell(seed=1),
        cell(seed=2),
        cell(dataset="ucfcrime", trained_on="ucfcrime"),
        cell(dataset="tiny", trained_on="ucfcrime"),
        cell(clip="ViT-B-16", clip_weights="openai"),
    ]
    found = look(cells, Site(tmp_path / "runs"), registry, runs)
    assert [(s.cell, s.state) for s in found] == list(
        zip(cells, ["done", "to do", "to do", "impossible", "impossible", "impossible"], strict=True)
    )
    assert [s.reason for s in found[:3]] == ["", "it was late", ""]
    assert "--data-root ucfcrime=DIR" in found[3].reason and found[4].reason == found[3].reason
    assert "use the model name 'ViT-B-16-quickgelu'" in found[5].reason


def test_what_a_finished_training_was_trained_on_is_no_longer_needed(record, tmp_path, registry):
    gone = cell(dataset="tiny", trained_on="ucfcrime")
    folder = record("trained", version=registry.version("linear"))
    content = json.loads((folder / "result.json").read_text()) | {"dataset": "ucfcrime", "trained_on": "ucfcrime"}
    config = registry.method("linear").Config().model_dump(mode="json")
    (folder / "result.json").write_text(json.dumps(content | {"config": config}))
    folder.parent.parent.rename(tmp_path / "runs" / "ucfcrime")
    runs, _ = read_records(tmp_path / "runs")
    found = look(with_trainings([gone]), Site(tmp_path / "runs"), registry, runs)
    assert [s.state for s in found] == ["done", "to do"]


def test_a_clip_is_not_looked_for_where_the_data_are_absent(tmp_path, registry, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a CLIP was loaded")

    monkeypatch.setattr("vadbench.clip.load_clip", refuse)
    absent = cell(dataset="ucfcrime", trained_on="ucfcrime", clip="ViT-B-16-quickgelu", clip_weights="openai")
    assert look([absent], Site(tmp_path), registry, [])[0].state == "impossible"
    empty = tmp_path / "ped2"
    empty.mkdir()
    ped2 = cell(dataset="ucsdped2", trained_on="ucsdped2", clip="ViT-B-16-quickgelu", clip_weights="openai")
    (state,) = look([ped2], Site(tmp_path, data_roots=(("ucsdped2", empty),)), registry, [])
    assert state.state == "impossible" and str(empty) in state.reason


def test_a_cell_matches_however_its_settings_are_grouped():
    table = {"id": "1", "title": "t", "columns": [{"dataset": "tiny", "metric": "AUC"}]}
    rows = [{"label": "a", "method": "linear", "set": s} for s in ({"recipe": {"epochs": 2}}, {"recipe.epochs": 2})]
    benchmark = Benchmark.model_validate({"title": "t", "seeds": [0], "tables": [table | {"rows": rows}]})
    assert len(benchmark.cells()) == 1
    assert benchmark.cells()[0].settings == (("recipe.epochs", 2),)


class Various(MethodConfig):
    width: int = 5
    flag: bool | None = None
    either: int | bool = 0
    weights: dict[str, float] = {"fire": 1.0, "Riot": 2.0}
    recipe: Recipe | None = None


@pytest.mark.parametrize(
    "asked",
    [
        {"flag": False},
        {"either": False},
        {"weights": {"fire": 3}},
        {"weights.fire": 3},
        {"weights": {}},
        {"weights": {"a.b": 3}},
        {"recipe": {"epochs": 3}},
        {"recipe.epochs": Recipe().epochs},
    ],
)
def test_a_cell_finds_the_run_of_its_settings_whatever_their_type(record, tmp_path, asked):
    table = {"id": "1", "title": "t", "columns": [{"dataset": "tiny", "metric": "AUC"}]}
    rows = [{"label": "a", "method": "linear", "set": asked}]
    content = {"title": "t", "seeds": [0], "clip_weights": "random:0", "tables": [table | {"rows": rows}]}
    (wanted,) = Benchmark.model_validate(content).cells()
    usual = Various()
    config = resolve(Various, {}, environment={}, assignments=assignments(wanted.settings))
    changed = changed_names(config, usual)
    assert changed
    record("usual").joinpath("result.json").unlink()
    for name, each in (("usual", usual), ("asked", config)):
        folder = record(name, changed=changed_names(each, usual))
        content = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps(content | {"config": each.model_dump(mode="json")}))
    runs, _ = read_records(tmp_path / "runs")
    assert finished(wanted, Today("1"), runs).folder.name == "asked"
    assert finished(cell(), Today("1"), runs).folder.name == "usual"


def test_a_run_without_some_videos_is_done_only_where_that_is_allowed(record, tmp_path):
    record(
        "part", notes=["incomplete: 3 of 6 test videos, the others lack a file"], created="2026-02-01T00:00:00+00:00"
    )
    runs, _ = read_records(tmp_path / "runs")
    assert finished(cell(), Today("1"), usable(Site(tmp_path), runs)) is None
    assert finished(cell(), Today("1"), usable(Site(tmp_path, allow_incomplete=True), runs)).folder.name == "part"
