"""Reading run folders: one that is damaged is named and harms no other."""

import json

import pytest

from vadbench.tables.evaluations import by_seed, collect


@pytest.fixture
def spoil(make_run):
    """Three runs, one of them damaged in its record."""

    def spoil(change):
        for seed in (0, 1):
            make_run("m", seed=seed, quality=1)
        path = make_run("m", seed=2, quality=1) / "result.json"
        content = json.loads(path.read_text())
        path.write_text(change(content))
        found, notes = collect(make_run.out)
        return [e.record.seed for e in found], notes, path

    return spoil


def with_field(name, value):
    return lambda content: json.dumps(content | {name: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: json.dumps(content)[:200], "cannot read"),
        (lambda content: "", "cannot read"),
        (with_field("schema_version", 99), "has schema 99, this vadbench reads 2 and 3; upgrade vadbench"),
        (with_field("protocol", {"name": "native", "tail": "both"}), "not a run record"),
        (with_field("protocol", {}), "not a run record"),
        (with_field("fingerprint", {}), "not a run record"),
        (with_field("fingerprint", {"encoder": 3}), "not a run record"),
        (with_field("metrics", {"AUC": {"value": float("nan")}}), "metric AUC must be a fraction, found nan"),
        (with_field("metrics", {"AP": {"value": 86.4}}), "metric AP must be a fraction, found 86.4"),
        (with_field("metrics", {"AP": {"value": -0.1}}), "metric AP must be a fraction, found -0.1"),
        (with_field("config", {"x": float("inf")}), "not a run record"),
    ],
)
def test_a_damaged_record_is_named_and_the_others_are_unharmed(spoil, change, words):
    seeds, notes, path = spoil(change)
    assert sorted(seeds) == [0, 1]
    assert len(notes) == 1 and str(path) in notes[0] and words in notes[0] and "\n" not in notes[0]


def test_failed_runs_are_left_out(make_run):
    make_run("m", status="failed", error="a bug")
    assert collect(make_run.out) == ([], [])


def test_no_folder_has_no_runs(tmp_path):
    assert collect(tmp_path / "nothing") == ([], [])


def test_seeds_of_one_experiment_are_found_by_everything_but_the_seed(make_run):
    for seed in (2, 0, 1):
        make_run("m", seed=seed, figures={"AUC": 0.5})
    make_run("m", seed=0, figures={"AUC": 0.5}, config={"width": 3})
    make_run("m", seed=0, figures={"AUC": 0.5}, method_version="2")
    make_run("m", seed=0, figures={"AUC": 0.5}, fingerprint={"stride": 8})
    groups = by_seed(collect(make_run.out)[0])
    assert sorted([e.record.seed for e in group] for group in groups) == [[0], [0], [0], [0, 1, 2]]


def test_of_one_seed_the_newest_counts(make_run):
    make_run("m", figures={"AUC": 0.1}, created="2026-01-01", peak_memory_mb={"x": 1.0})
    other = make_run("m", figures={"AUC": 0.9}, created="2026-01-02")
    copied = other.parent / "copy"
    copied.mkdir()
    (copied / "result.json").write_text((other / "result.json").read_text().replace("2026-01-02", "2026-01-03"))
    (group,) = by_seed(collect(make_run.out)[0])
    assert [e.folder for e in group] == [copied]


def test_evaluations_of_one_training_are_runs_of_their_own(make_run):
    first = make_run("m", figures={"AUC": 0.1})
    other = make_run("m", figures={"AUC": 0.2}, protocol="vadclip")
    (first / "evaluations").mkdir()
    other.rename(first / "evaluations" / "e")
    found = collect(make_run.out)[0]
    assert sorted(e.rules.name for e in found) == ["native", "vadclip"]
