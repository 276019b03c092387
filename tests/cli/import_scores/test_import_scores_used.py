"""``vadbench import-scores``: what other commands make of the result."""

import json
import sqlite3

import numpy as np
import pytest

from filmed_plugin import drawn
from imported_scores import value, without
from places import DIVIDED, FILMED, PLUGIN


@pytest.fixture
def two(load, save):
    """Two recorded methods on the same videos."""
    return load(save(drawn(0, quality=2)), name="good"), load(save(drawn(1, quality=0)), name="bad")


def test_two_recorded_methods_are_compared_on_the_same_videos(two, vadbench, out):
    found = vadbench("compare", "filmed/good", "filmed/bad", "--out", out, "--json").json
    auc = found["metrics"]["AUC"]
    assert auc["A"] == value(two[0], "AUC") and auc["difference"] == pytest.approx(auc["A"] - auc["B"])
    assert auc["low"] <= auc["difference"] <= auc["high"] and auc["p"] is not None
    assert not [n for n in found["notes"] if "feature" in n]


def test_a_board_of_recorded_scores(two, vadbench, out):
    (table,) = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    rows = [row for row in table["rows"] if row.get("rank")]
    assert [row["label"] for row in rows] == ["good (recorded)", "bad (recorded)"]
    assert "not known: recorded scores of others" in table["note"]


def test_two_scores_under_one_name_are_two_rows(load, save, vadbench, out):
    keys = [load(save(drawn(seed)))["key"][:8] for seed in (0, 1)]
    (table,) = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    labels = {row["label"] for row in table["rows"] if row.get("rank")}
    assert labels == {f"mine (recorded) (scores {key})" for key in keys}


def test_the_same_scores_under_two_names_are_two_rows(load, save, vadbench, out):
    one, two = load(save(), name="one"), load(save(), name="two")
    assert one["key"] != two["key"] and one["metrics"] == two["metrics"]
    (table,) = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    assert {row["label"] for row in table["rows"] if row.get("rank")} == {"one (recorded)", "two (recorded)"}
    assert vadbench("show", "run", two["key"][:6], "--out", out).out.startswith("two on filmed (recorded)")


def test_every_command_takes_the_folder(two, vadbench, out, tmp_path, tracking_address):
    folders = [record["folder"] for record in two]
    shown = vadbench("show", "run", folders[0])
    assert (
        "good on filmed (recorded), seed 0: finished" in shown.out
        and "the scores are recorded: source not stated" in shown.out
    )
    before = {p: p.read_bytes() for p in out.rglob("result.json")}
    said = vadbench("rescore", out)
    assert {p: p.read_bytes() for p in out.rglob("result.json")} == before, said.out
    vadbench("plot", *folders, "--output", tmp_path / "plots", "--format", "svg", "--kind", "roc", "--kind", "video")
    assert list((tmp_path / "plots").glob("*"))
    vadbench("report", *folders, "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "source not stated" in page and "http://" not in page.replace("http://www.w3.org", "")
    vadbench("log", *folders)
    with sqlite3.connect(tracking_address.removeprefix("sqlite:///")) as database:
        logged = {v for (v,) in database.execute("select value from metrics where key = 'AUC'").fetchall()}
        told = [v for (v,) in database.execute("select value from tags where key = 'vadbench.notes'").fetchall()]
    database.close()
    assert {value(record, "AUC") for record in two} <= logged
    assert any("scores were computed by others: source not stated" in notes for notes in told)


def test_a_submission_of_recorded_scores_is_clean(load, save, vadbench, out):
    commit = "0123456789abcdef0123456789abcdef01234567"
    path = save({name: values for name, values in drawn(rows=lambda f, s: f // s).items()})
    for arguments in ([], ["--post", "gaussian(1)"], ["--set", "protocol.tail=zero"], ["--truth", "late"]):
        load(path, "--source", "github.com/x/y", "--licence", "MIT", *arguments)
    load(save(without("calm")), "--allow-incomplete", name="few")
    for result in out.rglob("result.json"):
        record = json.loads(result.read_text())
        record["environment"]["commit"] = commit
        result.write_text(json.dumps(record))
    assert vadbench("results", "check", out, "--plugin", FILMED, status=None).out.splitlines() == [
        "5 results checked, nothing to fix"
    ]


def test_recorded_scores_are_ranked_beside_runs_only_if_asked(vadbench, tmp_path, out):
    """A method that is run here, and one whose scores are recorded, on the same videos under the same rules."""
    plugins = ("--plugin", DIVIDED, "--plugin", PLUGIN)
    vadbench(
        "run",
        *plugins,
        "-m",
        "random",
        "-d",
        "divided",
        "--clip",
        "small",
        "--clip-weights",
        "random:0",
        "--device",
        "cpu",
        "--out",
        out,
    )
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "all.npz", **{f"test-{i}": rng.random(30) for i in range(16)})
    vadbench("import-scores", *plugins, "--name", "theirs", "-d", "divided", "--out", out, tmp_path / "all.npz")
    apart = vadbench("leaderboard", "--out", out, "--format", "json").json["tables"]
    ranked = [[row["label"] for row in table["rows"] if row.get("rank")] for table in apart]
    assert sorted(ranked) == [["random"], ["theirs (recorded)"]]
    (joined,) = vadbench("leaderboard", "--out", out, "--format", "json", "--with-recorded").json["tables"]
    assert {row["label"] for row in joined["rows"] if row.get("rank")} == {"random", "theirs (recorded)"}
    assert "not known" not in joined["note"]
    found = vadbench("compare", "divided/random", "divided/theirs", "--out", out, "--json").json
    assert found["metrics"]["AUC"]["low"] is not None
