"""``vadbench table`` and ``vadbench leaderboard`` as a user types them, on runs that were really made."""

import csv
import io
import json

import pytest

from command_line import heavy_imports
from places import PLUGIN

BENCHMARK = """
title = "Tiny"
seeds = [0, 1]
clip_weights = "random:0"

[[tables]]
id = "1"
title = "Widths"
columns = [{ dataset = "tiny", metric = "AUC" }, { dataset = "tiny", metric = "FAR" }]
rows = [
  { label = "usual", method = "linear" },
  { label = "narrow", method = "linear", set = { width = 2 } },
  { label = "chosen", method = "linear", set = { protocol.selection = "best-on-test" } },
]

[[tables]]
id = "2"
title = "Another"
columns = [{ dataset = "other", metric = "AUC" }]
rows = [{ label = "usual", method = "linear" }]
"""


@pytest.fixture
def benchmark_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BENCHMARK)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, prepare):
    """Real runs: a method under two seeds, with another width, and with weights chosen on the test set."""
    out = tmp_path_factory.mktemp("runs")
    base = ["run", "--plugin", PLUGIN, "--clip-weights", "random:0", "--clip", "small", "--device", "cpu"]
    base += ["--out", out, "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=4"]
    for more in (["--seeds", "0-1"], ["--set", "width=2"], ["--selection", "best-on-test"]):
        prepare(*base, *more)
    return out


def test_the_formats_offered_are_those_there_are():
    from vadbench.cli.table import FORMATS
    from vadbench.tables import formats

    assert FORMATS == formats.FORMATS


def labels(table):
    return [row["label"] for row in table["rows"]]


def test_a_table_of_the_users_own_file_is_filled_from_runs(vadbench, runs, benchmark_file):
    out, err = vadbench("table", f"{benchmark_file}/1", "--out", runs, "--plugin", PLUGIN, "--json")
    (table,) = json.loads(out)["tables"]
    usual, narrow, chosen = (row["cells"][0].get("reproduced") for row in table["rows"])
    assert usual["seeds"] == [0, 1] and narrow["seeds"] == [0] and chosen["seeds"] == [0]
    records = [json.loads(p.read_text()) for p in runs.rglob("result.json")]
    values = [r["metrics"]["AUC"]["value"] for r in records if r["changed"] == []]
    assert usual["mean"] == pytest.approx(sum(values) / 2, abs=1e-6)
    assert "weights selected on the test set (best-on-test)" in table["rows"][2].get("notes", [])
    assert f"vadbench bench {benchmark_file} --only 1 --out {runs}" in table["missing"]
    assert not err


def test_all_tables_of_a_benchmark_are_printed(vadbench, runs, benchmark_file):
    out, _ = vadbench("table", benchmark_file, "--out", runs, "--plugin", PLUGIN)
    assert out.index("Widths") < out.index("Another")
    assert "2 of 2 runs are missing" in out


@pytest.mark.parametrize("format", ["text", "md", "latex", "html", "csv", "json"])
def test_printed_and_written_twice_it_is_the_same(vadbench, runs, benchmark_file, tmp_path, format):
    base = ["table", benchmark_file, "--out", runs, "--plugin", PLUGIN, "--format", format]
    printed, _ = vadbench(*base)
    for name in ("a", "b"):
        out, err = vadbench(*base, "--output", tmp_path / name)
        assert out == "" and "wrote" in err
        assert (tmp_path / name).read_text() == printed
    assert printed == vadbench(*base)[0]


def test_a_papers_table_needs_no_data(vadbench, tmp_path):
    out, err = vadbench("table", "anomalyclip/2", "--out", tmp_path / "none")
    assert "86.36" in out and "90.66" in out
    assert "vadbench bench anomalyclip --only 2" in out.splitlines()[-1]
    assert err == ""


@pytest.mark.parametrize(
    "name",
    [
        *("quick", "anomalyclip", "vadclip", "icpram2024", "cross-dataset", "lagovad", "more-datasets"),
        *("rtfm", "urdmu", "cliptsa", "training-free"),
    ],
)
@pytest.mark.parametrize("format", ["text", "md", "latex", "html", "csv", "json"])
def test_every_shipped_benchmark_is_drawn_without_runs(vadbench, tmp_path, name, format):
    out, _ = vadbench("table", name, "--out", tmp_path, "--format", format)
    assert len(out) > 500


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table", "anomalyclop/2"], "did you mean 'anomalyclip'"),
        (["table", "anomalyclip/99"], "unknown table of anomalyclip '99'"),
        (["table", "no/such.toml"], "cannot read the benchmark file"),
        (["table", "quick", "--format", "pdf"], "pdf"),
        (["leaderboard", "--out", "nowhere"], "no finished run under nowhere"),
    ],
)
def test_bad_input_is_one_line(vadbench, arguments, words):
    _, err = vadbench(*arguments, status=2)
    assert words in err


def test_the_leaderboard_groups_and_ranks(vadbench, runs):
    out, err = vadbench("leaderboard", "--out", runs, "--json")
    usual, chosen = json.loads(out)["tables"]
    assert sorted(labels(usual)) == ["linear", "linear width=2"]
    assert [row["rank"] for row in usual["rows"]] == [1, 2]
    assert {row["label"]: row["seeds"] for row in usual["rows"]} == {"linear": 2, "linear width=2": 1}
    assert labels(chosen) == ["linear"] and "selected on the test set" in chosen["title"]
    assert "Protocol native." in usual["note"] and "selection best-on-test" in chosen["note"]
    assert not err
    same, _ = vadbench("leaderboard", "--out", runs, "--format", "json", "-d", "tiny", "--metric", "AUC")
    assert same == out


@pytest.mark.parametrize("asked", [["weak, one-class"], ["one-class", "--supervision", "weak,weak"]], ids=str)
def test_the_leaderboard_shows_what_learns_from_what_is_asked(vadbench, runs, asked):
    tables = json.loads(vadbench("leaderboard", "--out", runs, "--supervision", *asked, "--json").out)["tables"]
    assert {row["supervision"] for table in tables for row in table["rows"]} == {"weak"}
    page = vadbench("leaderboard", "--out", runs, "--supervision", *asked, "--format", "html").out
    assert "glance" not in page and "glance" in vadbench("leaderboard", "--out", runs, "--format", "html").out


def test_the_leaderboard_shows_the_methods_that_are_asked(vadbench, runs):
    whole, chosen = (
        json.loads(vadbench("leaderboard", "--out", runs, *asked, "--json").out)["tables"]
        for asked in ((), ("--method", "linear, linear"))
    )
    assert chosen == whole


def test_the_leaderboard_can_rank_by_another_metric(vadbench, runs):
    out, _ = vadbench("leaderboard", "--out", runs, "--metric", "AUC/Square", "--format", "csv")
    rows = [r for r in csv.DictReader(io.StringIO(out)) if r["metric"] == "AUC[Square]" and r["rank"]]
    (group,) = {r["group"] for r in rows if "best-on-test" not in r["group"]}
    assert group.startswith("native-") and {r["unit"] for r in rows} == {"fraction"}
    ranked = sorted((r for r in rows if r["group"] == group), key=lambda r: int(r["rank"]))
    values = [float(r["reproduced"]) for r in ranked]
    assert values == sorted(values, reverse=True) and len(values) == 2 and max(values) <= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["-d", "tinny"], "did you mean 'tiny'"), (["--metric", "AUCC"], "unknown metric"),
     (["--supervision", "weak,oricle"], "did you mean 'oracle'"),
     (["--supervision", "one-class"], "no finished run has supervision one-class"),
     (["--method", "linear,linaer"], "did you mean 'linear'"),
     (["--metric", "prevalence"], "property of the data"), (["--metric", "FAR"], "runs cannot be ranked by FAR")],
)  # fmt: skip
def test_the_leaderboard_says_what_it_does_not_know(vadbench, runs, arguments, words):
    _, err = vadbench("leaderboard", "--out", runs, *arguments, status=2)
    assert words in err and err.count("\n") == 1


def test_damaged_runs_are_named_and_the_others_ranked(vadbench, runs, tmp_path):
    import shutil

    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    records = {p: json.loads(p.read_text()) for p in copy.rglob("result.json")}
    (narrow,) = (p for p, r in records.items() if r["changed"] == ["width"])
    one, two = sorted(p for p, r in records.items() if r["changed"] == [])
    narrow.write_text(narrow.read_text()[:300])
    one.write_text(json.dumps(records[one] | {"schema_version": 99}))
    (two.parent / "scores.npz").unlink()
    out, err = vadbench("leaderboard", "--out", copy, "--json")
    assert [labels(t) for t in json.loads(out)["tables"]] == [["linear"], ["linear"]]
    assert len(err.splitlines()) == 3
    assert all(str(p) in err for p in (narrow, one, two.parent))


@pytest.mark.parametrize("arguments", [["table", "quick"], ["leaderboard"]])
def test_drawing_imports_nothing_heavy(runs, arguments):
    assert heavy_imports(*arguments, "--out", runs) <= {"numpy"}
