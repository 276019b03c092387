"""Grids whose file names a division or a ground truth of its data sets."""

import json
from pathlib import Path

import pytest

from divided_plugin import Divided
from grids import HEAD
from places import DIVIDED, KINDS, PLUGIN
from vadbench.benchmarks.availability import data_here
from vadbench.plugins.registry import Registry

pytestmark = pytest.mark.usefixtures("quick_runs")
PLUGINS = ("--plugin", DIVIDED, "--plugin", KINDS / "three_splits.py")
ROWS = """rows = [
  { label = "linear", method = "linear", set = { recipe.epochs = 1 } },
  { label = "zero-shot", method = "zero-shot" },
]
"""


def grid(settings, column='{ dataset = "divided", metric = "AUC" }', rows=ROWS):
    table = f'[[tables]]\nid = "1"\ntitle = "One"\ncolumns = [{column}]\n{rows}[tables.set]\n{settings}\n'
    return f"{HEAD}seeds = [0]\n{table}"


def states(found):
    return {c["label"]: (c["state"], c["reason"]) for c in found["cells"]}


def record(cell):
    return json.loads((Path(cell["folder"]) / "result.json").read_text())


def runs_once(bench, file):
    found, _ = bench(file, *PLUGINS)
    assert found["counts"] == {"done": len(found["cells"])}, states(found)
    assert bench(file, *PLUGINS, "--dry-run")[0]["counts"] == found["counts"]
    return found


def test_a_division_and_a_truth_are_settings_of_the_protocol(bench, write):
    found = runs_once(bench, write(grid('protocol.truth = "rows"\nprotocol.partition = "wide"')))
    for cell in found["cells"]:
        protocol = record(cell)["protocol"]
        assert (protocol["truth"], protocol["partition"], protocol["tail"]) == ("rows", "wide", "rows")
        assert record(cell)["data"]["test"]["videos"] == 18
    own = write(grid(""), "own.toml")
    assert bench(own, *PLUGINS, "--dry-run")[0]["counts"] == {"to do": 2}, "other rules, other runs"


def test_a_table_of_such_runs_finds_them_and_says_so(bench, write, vadbench, tmp_path):
    file = write(grid('protocol.truth = "rows"\nprotocol.partition = "wide"'))
    bench(file, *PLUGINS)
    asked = ("table", file, "--out", tmp_path / "runs", "--plugin", DIVIDED, "--plugin", PLUGIN)
    (table,) = vadbench(*asked, "--json").json["tables"]
    assert not table.get("missing")
    assert "differ" not in json.dumps(table)
    said = " ".join(vadbench(*asked).out.split())
    assert "Measured against the ground truth rows." in said and "Videos divided as in wide." in said


def test_rows_under_other_truths_are_in_one_table_and_never_ranked_together(bench, write, vadbench, tmp_path):
    late = 'set = { protocol.truth = "late" }'
    rows = "".join(
        f'  {{ label = "{label}", method = "{method}"{more} }},\n'
        for label, method, more in (
            ("own", "zero-shot", ""),
            ("chance", "random", ", set = { rows.stride = 1 }"),
            ("later", "zero-shot", f", {late}"),
            ("fewer", "zero-shot", ', set = { protocol.partition = "short" }'),
        )
    )
    file = write(grid("", rows=f"rows = [\n{rows}]\n"))
    bench(file, *PLUGINS)
    asked = ("table", file, "--out", tmp_path / "runs", "--plugin", DIVIDED, "--plugin", PLUGIN, "--json")
    (table,) = vadbench(*asked).json["tables"]
    found = {row["label"]: row["cells"][0]["reproduced"].get("notes", []) for row in table["rows"]}
    assert "not ranked with the others: differs in the ground truth" in found["later"]
    assert any(note.startswith("not ranked with the others: differs in the division") for note in found["fewer"])
    assert not any(note.startswith("not ranked") for label in ("own", "chance") for note in found[label])


def test_a_cell_is_stale_where_the_file_of_its_truth_says_something_else(bench, write, tmp_path):
    videos = {
        v.name: {"frames": 30, "segments": [[s.label, s.start, s.end] for s in v.segments]}
        for v in Divided(tmp_path).videos("test")
    }
    path = write(json.dumps({"videos": videos}), "mine.json")
    file = write(grid(f"protocol.truth = {json.dumps(str(path))}"))
    found = runs_once(bench, file)
    assert all(record(cell)["protocol"]["truth"].startswith("mine.json@") for cell in found["cells"])
    path.write_text(json.dumps({"videos": videos | {"test-0": {"frames": 30, "segments": [["Square", 1, 4]]}}}))
    assert bench(file, *PLUGINS, "--dry-run")[0]["counts"] == {"to do": 2}
    again = runs_once(bench, file)
    assert {record(c)["key"] for c in again["cells"]} == {record(c)["key"] for c in found["cells"]}
    path.write_text("{")
    reasons = {reason for state, reason in states(bench(file, *PLUGINS, "--dry-run")[0]).values()}
    assert len(reasons) == 1 and str(path) in reasons.pop()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('protocol.partition = "wid"', "unknown partition of divided 'wid'; did you mean 'wide'?"),
        ('protocol.truth = "lat"', "unknown ground truth of divided, or file, 'lat'; did you mean 'late'?"),
    ],
)
def test_an_unknown_name_makes_a_cell_impossible(bench, write, settings, words):
    found = states(bench(write(grid(settings)), *PLUGINS, "--dry-run")[0])
    assert {state for state, _ in found.values()} == {"impossible"}
    assert all(words in reason for _, reason in found.values())


def test_a_division_without_training_videos_makes_only_what_trains_impossible(bench, write):
    linear, zero = bench(write(grid('protocol.partition = "alone"')), *PLUGINS)[0]["cells"]
    assert (linear["state"], zero["state"]) == ("impossible", "done")
    assert "divided has no train split" in linear["reason"]


def test_weights_trained_elsewhere_are_trained_there_as_ever(bench, write):
    """No other data set has this one's divisions and truths."""
    column = '{ dataset = "divided", train = "three-splits", metric = "AUC" }'
    found = runs_once(bench, write(grid('protocol.partition = "alone"\nprotocol.truth = "late"', column)))
    trained = [record(c) for c in found["cells"] if c["label"].startswith("linear")]
    assert [(r["dataset"], r["protocol"]["partition"], r["protocol"]["truth"]) for r in trained] == [
        ("three-splits", "", ""),
        ("divided", "alone", "late"),
    ]
    assert trained[0]["key"] == trained[1]["key"]


@pytest.mark.parametrize(("partition", "train", "test"), [("", 10, 16), ("wide", 8, 18), ("alone", None, 26)])
def test_what_is_here_is_counted_in_the_division(tmp_path, partition, train, test):
    found = data_here("placed", Registry(files=[DIVIDED]), tmp_path, partition)
    assert not found.absent
    assert found.facts.splits == tuple(split for split in ("train", "test") if split == "test" or train)
    counts = {split: 0 for split in found.facts.splits}
    for (split, _), count in found.facts.videos.items():
        counts[split] += count
    assert counts == {"test": test} | ({"train": train} if train else {})
    assert data_here("placed", Registry(files=[DIVIDED]), tmp_path / "nowhere").absent


def test_a_truth_that_does_not_fit_is_what_is_absent(tmp_path):
    (tmp_path / "mine.json").write_text('{"videos": {"test-0": {"segments": []}}}')
    found = data_here("placed", Registry(files=[DIVIDED]), tmp_path, truth=str(tmp_path / "mine.json"))
    assert "lacks 15 of 16 videos" in found.absent
