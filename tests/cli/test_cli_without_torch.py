"""Commands that only look at methods, runs and benchmarks are quick: they import no torch, open_clip or MLflow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from places import KINDS

ALONE, THREE = KINDS / "testing_only.py", KINDS / "three_splits.py"
CODE = """
import sys
from vadbench.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code or 0
heavy = [name for name in ("torch", "open_clip", "mlflow") if name in sys.modules]
sys.exit(f"imported {heavy}" if heavy else status)
"""


def light(*arguments, status=0):
    """What a command prints in a process of its own, in which nothing heavy is imported."""
    words = [sys.executable, "-c", CODE, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "methods"),
        ("list", "datasets"),
        ("show", "method", "anomalyclip", "--dataset", "ucfcrime"),
        ("show", "method", "descriptions-frame"),
        ("show", "dataset", "synthetic"),
        ("plugins",),
        ("bench", "quick", "--dry-run", "--only", "synthetic"),
    ],
    ids=" ".join,
)
def test_a_look_takes_no_torch(arguments):
    assert light(*arguments)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--clip", "none"), "unknown CLIP model 'none'"),
        (("--clip-weights", "gone.pt"), "found no file 'gone.pt'"),
        (("--features", "gone"), "cannot list gone"),
    ],
)
def test_a_wrong_clip_or_folder_of_features_is_told_without_torch(options, said, tmp_path):
    """In a cache without anything."""
    line = light("run", "-m", "zero-shot", "-d", "synthetic", "--out", tmp_path, *options, status=2)
    assert said in line and line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{video}",), "score needs --run"),
        (("gone.mp4", "--run", "1f0c"), "no such video: gone.mp4"),
        (("{video}", "--run", "nowhere"), "no single run called 'nowhere'"),
        (("{video}", "-m", "random", "--out", "{video}"), "expected a folder for results, {video} is a file"),
        (("{video}", "-m", "random", "--out", "{video}/a/b"), "expected a folder for results, {video} is a file"),
        (("{video}", "-m", "random", "--threshold-end", "0.4"), "give --threshold as well"),
    ],
)
def test_a_score_that_cannot_be_meant_is_refused_without_torch(arguments, said, tmp_path):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"of no use")
    line = light("score", *(a.format(video=video) for a in arguments), status=2)
    assert said.format(video=video) in line and line.count("\n") == 1


@pytest.fixture
def base(tmp_path):
    def call(method, dataset="three-splits", plugin=THREE):
        return ("run", "-m", method, "-d", dataset, "--plugin", plugin, "--out", tmp_path / "runs", "--json")

    return call


SHORT = ("--set", "recipe.epochs=1", "--set", "recipe.batch_size=2", "--set", "rows.stride=1")


@pytest.mark.usefixtures("mlflow_on")
def test_a_finished_run_is_returned_and_a_dry_run_shows_it_without_torch(vadbench, base, tmp_path):
    arguments = (*base("mil"), *SHORT)
    first = vadbench(*arguments)
    assert "logged to MLflow at sqlite:///" in first.err
    (record,) = first.json
    assert json.loads(light(*arguments)) == [{"folder": record["folder"], **record}]
    planned = json.loads(light(*arguments, "--seeds", "0-1", "--dry-run"))
    assert [r["state"] for r in planned["runs"]] == ["finished", "to do"]
    assert planned["runs"][0]["folder"] == record["folder"] and planned["runs"][0]["key"] == record["key"]
    assert planned["changed"] == record["changed"] and planned["config"] == record["config"]
    assert not Path(planned["runs"][1]["folder"]).exists()
    (other,) = vadbench(*arguments, "--seeds", "1").json
    assert other["folder"] == planned["runs"][1]["folder"]


@pytest.mark.usefixtures("quick_runs")
def test_features_that_were_compared_with_texts_once_are_known_without_torch(vadbench, base):
    arguments = base("zero-shot", "testing-only", ALONE)
    (record,) = vadbench(*arguments).json
    assert "mean cosine with the class names" in " ".join(record["notes"])
    assert json.loads(light(*arguments))[0]["created"] == record["created"]


@pytest.mark.usefixtures("quick_runs")
def test_a_dry_run_tells_what_is_left_of_a_run(vadbench, base):
    arguments = (*base("mil"), *SHORT)

    def state():
        (planned,) = vadbench(*arguments, "--dry-run").json["runs"]
        return planned["state"]

    assert state() == "to do"
    folder = Path(vadbench(*arguments).json[0]["folder"])
    assert state() == "finished"
    text = vadbench(*arguments[:-7], *SHORT, "--dry-run").out
    assert f"finished  {folder}" in text
    record = folder / "result.json"
    content = record.read_text()
    record.unlink()
    assert state() == "to evaluate"
    (folder / "checkpoint.safetensors").unlink()
    (folder / "stages").mkdir()
    assert state() == "to continue"
    (folder / "stages").rmdir()
    record.write_text(content.replace('"finished"', '"failed"'))
    assert state() == "failed before"


@pytest.mark.usefixtures("tiny_at_hand")
def test_a_dry_run_extracts_nothing(vadbench, tmp_path):
    from places import PLUGIN

    out = tmp_path / "runs"
    arguments = ("run", "-m", "linear", "-d", "tiny", "--plugin", PLUGIN, "--out", out, "--clip", "small", "--dry-run")
    cache = Path(os.environ["VADBENCH_CACHE"])

    def stores():
        return sorted(p.name for p in (cache / "features" / "tiny").iterdir() if p.is_dir())

    before = stores()
    said = vadbench(*arguments, "--clip-weights", "random:9").out
    assert "features of 14 of 14 videos of tiny are still to be extracted" in said
    assert vadbench(*arguments, "--clip-weights", "random:9", "--json").json["runs"] == []
    assert stores() == before and not out.exists()
