"""Records that somebody else wrote: what lacks an entry is shown without it, or refused in one line."""

import json
import shutil

import pytest

from command_line import status_of
from places import PLUGIN

pytestmark = pytest.mark.usefixtures("quick_runs")
FREE = ("environment", "fingerprint", "clip", "protocol", "diagnostics", "data", "seconds", "peak_memory_mb", "metrics")
"""Parts of a record whose entries no schema asks for."""
BENCHMARK = """title = "t"
clip_weights = "random:0"
seeds = [0, 1]
[[tables]]
id = "1"
title = "T"
columns = [{ dataset = "tiny", metric = "AUC" }]
rows = [{ label = "a", method = "linear", set = { recipe.epochs = 1 } }]
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory, prepare):
    """The folder of two seeds of one method."""
    out = tmp_path_factory.mktemp("source")
    command = ["run", "--plugin", PLUGIN, "--clip-weights", "random:0", "--clip", "small", "--device", "cpu"]
    prepare(*command, "--out", out, "-m", "linear", "-d", "tiny", "--seeds", "0-1", "--set", "recipe.epochs=1")
    return out


QUICK = ("show", "table", "log", "bench")
"""Commands that take no time."""


@pytest.fixture
def copied(source, tmp_path):
    """A copy of the runs."""
    return shutil.copytree(source, tmp_path / "runs")


@pytest.fixture
def commands(copied, tmp_path):
    """Every command that reads records."""
    first, second = folders_of(copied)
    (tmp_path / "mine.toml").write_text(BENCHMARK)
    at = ("--out", copied)
    plugin = ("--plugin", PLUGIN)
    return {
        "show": ["show", "run", first, *at],
        "leaderboard": ["leaderboard", *at],
        "leaderboard html": ["leaderboard", *at, "--format", "html"],
        "table": ["table", tmp_path / "mine.toml", *at, *plugin],
        "report": ["report", first, second, *at, "--output", tmp_path / "page.html"],
        "compare": ["compare", first, second, *at],
        "plot": ["plot", first, "--output", tmp_path / "plots", *at],
        "rescore": ["rescore", first, *at],
        "log": ["log", first, *at],
        "check": ["results", "check", copied, *plugin],
        "bench": ["bench", tmp_path / "mine.toml", "--dry-run", *at, *plugin],
    }


@pytest.fixture
def every_command(copied, commands, capsys):
    """Call commands on the runs, whose first record was changed before each."""
    first, _ = folders_of(copied)

    def call(change, only=tuple(commands)):
        said = {}
        original = (first / "result.json").read_text()
        for name in only:
            content = json.loads(original)
            change(content)
            (first / "result.json").write_text(json.dumps(content))
            # Whatever is no VadbenchError comes out here.
            status = status_of(*commands[name])
            found = capsys.readouterr()
            assert status in (0, 1, 2), name
            if status == 2:
                assert found.err.splitlines()[-1].startswith("vadbench: "), (name, found.err)
            assert "Traceback" not in found.out + found.err
            said[name] = found.out + found.err
        (first / "result.json").write_text(original)
        return said

    return call


def folders_of(runs):
    return sorted(p.parent for p in runs.rglob("result.json"))


def entries(runs):
    """The entries of the free parts of a record, by part and name; a metric of several classes once."""
    content = json.loads((folders_of(runs)[0] / "result.json").read_text())
    found = {(part, key.partition("[")[0]): (part, key) for part in FREE for key in content[part]}
    return found.values()


def without(part, key=None):
    def change(content):
        if key is None:
            content[part] = {} if isinstance(content[part], dict) else content[part]
        else:
            content[part].pop(key, None)

    return change


@pytest.mark.parametrize("part", FREE)
def test_a_record_with_an_empty_part_stops_no_command(every_command, part):
    every_command(without(part))


def test_a_record_without_what_may_be_left_out_stops_no_command(every_command):
    def bare(content):
        for name in ("metrics", "diagnostics", "notes", "seconds", "peak_memory_mb"):
            del content[name]

    every_command(bare)

    def all_empty(content):
        bare(content)
        content.update({part: {} for part in ("environment", "fingerprint", "clip", "protocol", "data", "config")})

    every_command(all_empty)


def test_what_a_record_does_not_say_is_called_unknown(every_command):
    said = every_command(without("environment"), ("show",))["show"]
    assert "on unknown" in said and "commit: unknown" in said


def test_no_entry_of_a_record_is_taken_for_granted(every_command, source):
    """Each entry is taken out by itself; commands that take long are left to the next test."""
    for part, key in entries(source):
        every_command(without(part, key), QUICK)


@pytest.mark.slow
def test_no_entry_of_a_record_is_taken_for_granted_by_any_command(every_command, commands, source):
    for part, key in entries(source):
        every_command(without(part, key), commands.keys() - set(QUICK))


@pytest.mark.parametrize(
    "entry", ["{}", '{"epoch": 0}', "[1]", "no json", '{"epoch": "x", "learning_rate": 1, "loss": {}}']
)
def test_a_damaged_training_log_is_named(source, tmp_path, vadbench, entry):
    out = shutil.copytree(source, tmp_path / "runs")
    folder = sorted(p.parent for p in out.rglob("result.json"))[0]
    (folder / "training.jsonl").write_text(entry + "\n")
    content = json.loads((folder / "result.json").read_text()) | {"created": f"2026-01-01T00:00:00+00:00 {entry}"}
    (folder / "result.json").write_text(json.dumps(content))
    assert "training.jsonl" in vadbench("log", folder, "--out", out, status=2).err


def test_a_finished_run_from_elsewhere_is_returned_whatever_it_lacks(
    source, tmp_path, vadbench, tiny_cache, monkeypatch
):
    monkeypatch.setenv("VADBENCH_CACHE", str(tiny_cache))
    out = shutil.copytree(source, tmp_path / "runs")
    for path in out.rglob("result.json"):
        content = json.loads(path.read_text()) | {"data": {}, "protocol": {}, "environment": {}, "seconds": {}}
        path.write_text(json.dumps(content))
    command = ["run", "--plugin", PLUGIN, "--clip-weights", "random:0", "--clip", "small", "--device", "cpu"]
    said = vadbench(*command, "--out", out, "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1").out
    assert "finished earlier" in said and "an unknown number of test videos" in said
