"""A run of a method that says more than its scores, and all that comes after it."""

import json
from pathlib import Path

import pytest

from grids import HEAD
from places import KINDS, PLUGIN
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
PLUGINS = ("--plugin", PLUGIN, "--plugin", KINDS / "remarks.py")


@pytest.fixture
def run(vadbench, tmp_path):
    def call(*more, status=0):
        base = ("run", *PLUGINS, "--device", "cpu", "--json", "--out", tmp_path / "runs", "-m", "remarks", "-d", "tiny")
        found = vadbench(*base, "--clip", "small", "--clip-weights", "random:0", *more, status=status)
        return found.json[0] if status == 0 else found.err

    return call


def test_everything_is_kept_and_restored(run):
    found = run()
    folder = Path(found["folder"])
    split = load_split(folder, remarks=True)
    calls = [-(-len(s.anomaly) // 2) for s in split.scores]
    assert [s.costs for s in split.scores] == [{"calls": c, "tokens": 100.5 * c} for c in calls]
    assert found["costs"]["calls"] == {"total": sum(calls), "per_video": sum(calls) / 6}
    for s in split.scores:
        assert list(s.extras) == ["size"] and len(s.extras["size"]) == len(s.anomaly)
        assert [s.video[rule].tolist() for rule in ("one", "many")] == [[0.5, 0.5]] * 2
        large = [s.remarks.texts[w] == "a large row <b> & more" for w in s.remarks.which]
        texts = [any(f <= i < e for f, e, of in zip(s.remarks.first, s.remarks.end, large, strict=True) if of)
                 for i in range(len(s.anomaly))]  # fmt: skip
        assert texts == [score >= 0.5 for score in s.anomaly.tolist()]
    assert run() == found, "it is returned, not repeated"


def test_all_commands_that_read_a_run_know_of_them(run, vadbench, tmp_path):
    found = run()
    folder = Path(found["folder"])
    said = vadbench("show", "run", folder).out
    assert f"costs: calls {int(found['costs']['calls']['total'])} (" in said
    assert f"remarks: {folder / 'remarks.jsonl'}" in said
    shown = vadbench("show", "run", folder, "--json").json
    assert shown["remarks"] == str(folder / "remarks.jsonl") and shown["costs"] == found["costs"]
    vadbench("report", folder, "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "a large row \\u003cb\\u003e \\u0026 more" in page
    assert vadbench("rescore", folder, "--json").json is not None
    problems = vadbench("results", "check", folder, *PLUGINS, status=None).out
    assert "costs" not in problems and "remarks.jsonl" not in problems
    with (folder / "remarks.jsonl").open("a") as file:
        first = load_split(folder).scores[0].name
        file.write(json.dumps({"video": first, "first_row": 0, "end_row": 1, "text": "as in /home/anna/notes"}) + "\n")
    record = json.loads((folder / "result.json").read_text())
    record["costs"]["calls"]["total"] += 1
    (folder / "result.json").write_text(json.dumps(record))
    problems = vadbench("results", "check", folder, *PLUGINS, status=None).out
    assert "remarks.jsonl: a remark on" in problems and "/home/anna/notes" in problems
    assert "costs: the record states" in problems and "of 'calls'" in problems


def test_a_run_made_again_leaves_no_remark_of_before(run):
    folder = Path(run()["folder"])
    before = (folder / "remarks.jsonl").read_bytes()
    (folder / "remarks.jsonl").write_text("old\n")
    run("--again")
    assert (folder / "remarks.jsonl").read_bytes() == before


def test_a_run_without_them_has_no_file_and_no_cost(vadbench, tmp_path):
    base = ("run", *PLUGINS, "--device", "cpu", "--json", "--out", tmp_path / "runs", "-m", "motion-energy")
    (found,) = vadbench(*base, "-d", "tiny").json
    assert found["costs"] == {} and not (Path(found["folder"]) / "remarks.jsonl").exists()
    said = vadbench("show", "run", found["folder"]).out
    assert "costs" not in said and "remarks" not in said
    assert "remarks" not in vadbench("show", "run", found["folder"], "--json").json


def test_a_run_that_the_method_stops_is_recorded_so_and_goes_on_where_it_was(run, vadbench, tmp_path):
    calls = 6 * 15  # of rows of one frame
    for videos in (2, 4):
        said = run("--set", "most_calls=40", status=2)
        assert len(said.strip().splitlines()) == 1 and f"before test-{videos}; run it again" in said
        (folder,) = (tmp_path / "runs" / "tiny" / "remarks").iterdir()
        record = json.loads((folder / "result.json").read_text())
        assert record["status"] == "stopped" and "most_calls=40 are used up" in record["error"]
        assert "seed 0: stopped" in vadbench("show", "run", folder).out
        assert "not finished" in vadbench("rescore", folder).err
        assert "the run was stopped: most_calls" in vadbench("results", "check", folder, *PLUGINS, status=None).out
        assert "has a stopped run; run it again" in vadbench("log", folder, status=2).err
    found = run("--set", "most_calls=40")
    assert found["status"] == "finished" and found["folder"] == str(folder)
    assert found["costs"]["calls"]["total"] == calls


def test_a_grid_tries_a_stopped_run_again(vadbench, tmp_path):
    (tmp_path / "mine.toml").write_text(f"""{HEAD}seeds = [0]
[[tables]]
id = "table"
title = "One"
columns = [{{ dataset = "tiny", metric = "AUC" }}]
rows = [{{ label = "remarks", method = "remarks", set = {{ most_calls = 50 }} }}]
""")

    def bench(*more, status=0):
        base = ("bench", tmp_path / "mine.toml", *PLUGINS, "--out", tmp_path / "runs", "--device", "cpu", "--json")
        return vadbench(*base, *more, status=status)

    found = bench(status=1)
    assert "[1/1] stopped remarks" in found.err
    (cell,) = found.json["cells"]
    assert cell["state"] == "to do" and "most_calls=50 are used up" in cell["reason"]
    (cell,) = bench("--dry-run").json["cells"]
    assert cell["state"] == "to do" and "most_calls=50 are used up" in cell["reason"]
    (cell,) = bench().json["cells"]
    assert (cell["state"], cell["reason"]) == ("done", "")
