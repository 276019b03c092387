"""The speed benchmarks run, print what they promise and write it to files; of the metrics it is asked how fast."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SPEED = Path(__file__).resolve().parents[1] / "benchmarks" / "speed"


def run(script: str, *arguments: str) -> str:
    """What a benchmark prints, in a process of its own where warnings are errors."""
    # A shell between: Linux counts to a process's peak memory what it was before exec, here a copy of pytest.
    shell = ["sh", "-c", '"$@" || exit', "sh"]
    command = [*shell, sys.executable, "-W", "error", str(SPEED / script), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_methods(tmp_path):
    file = tmp_path / "figures.json"
    printed = run("methods.py", "--quick", "--threads", "1", "--json", str(file))
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line[0] == "|"]
    heads, rows = table[0], table[2:]
    steps = ["training step, published batch", "training step, 8 (8 + 8) videos"]
    scoring = ["score 5,000 frames, text included", "score 5,000 frames, text known", "score the test split"]
    assert [row[:2] for row in rows] == [
        *(["anomalyclip", work] for work in steps + scoring),
        *(["vadclip", work] for work in steps + scoring),
        ["both", "14 prompts of 77 tokens"],
        ["anomalyclip", "four 3 x 3 convolutions, both ways"],
    ]
    assert heads[2:] == ["wall s", "CPU s", "peak GB", "authors' CPU s", "times as fast"]
    assert all(row[5:] == ["", ""] for row in rows), "small sizes are compared with nothing"
    record = json.loads(file.read_text())
    assert [[f["method"], f["work"]] for f in record["figures"]] == [row[:2] for row in rows]
    for figures, row in zip(record["figures"], rows, strict=True):
        assert [f"{figures['wall']:.2f}", f"{figures['cpu']:.2f}", f"{figures['peak_gb']:.1f}"] == row[2:5]
        assert 0 < figures["cpu"] < 1.5 * figures["wall"] + 0.01, "one thread"
        assert 0.1 < figures["peak_gb"] < 4
    assert record["settings"] == {"threads": 1, "full": False, "quick": True}
    assert record["environment"]["threads"] == 1


@pytest.mark.parametrize("only", ["vadclip:", "anomalyclip:", "608", "metrics"])
def test_all(tmp_path, only):
    """The script itself asserts that the literal versions give the same numbers."""
    file = tmp_path / "figures.json"
    printed = run("all.py", "--quick", "--threads", "1", "--only", only, "--json", str(file))
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line[0] == "|"]
    record = json.loads(file.read_text())
    assert [row[0] for row in table[2:]] == [figures["work"] for figures in record["figures"]]
    assert record["figures"]
    for figures in record["figures"]:
        assert only in figures["work"]
        assert 0 <= figures["literal"]["difference_over_tolerance"] <= 1
        assert min(figures["wall"], figures["cpu"], figures["floor"], figures["literal"]["cpu"]) > 0
    assert record["environment"]["threads"] == 1


def test_all_names_what_there_is():
    with pytest.raises(AssertionError, match="there are vadbench --help, "):
        run("all.py", "--only", "nothing")


def test_growth(tmp_path):
    record, plot = tmp_path / "growth.json", tmp_path / "growth.png"
    printed = run("growth.py", "--quick", "--json", str(record), "--plot", str(plot))
    curves = json.loads(record.read_text())
    assert re.findall(r"^(.+?) +exponent +-?[\d.]+; .+ CPU s, [\d.]+ GB$", printed, re.M) == list(curves)
    assert all(len(c["sizes"]) == len(c["cpu"]) for c in curves.values())
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_metrics(tmp_path):
    file = tmp_path / "figures.json"
    printed = run("metrics.py", "--json", str(file))
    record = json.loads(file.read_text())
    names = ["ranking metrics", "mAP@IoU", "all metrics", "all metrics, 1,000 resamples"]
    assert list(record["seconds"]) == names
    assert re.findall(r"^(.+?) +[\d.]+ s wall +[\d.]+ s CPU$", printed, re.M) == names
    found = re.search(r"peak memory (\d+) MB; largest difference from scikit-learn (\S+)$", printed.rstrip())
    assert found and int(found[1]) < 500 and float(found[2]) < 1e-9
    assert record["seconds"]["all metrics"]["cpu"] < 2, "UCF-Crime's size, 20 times what it takes"


def test_datacheck():
    printed = run("datacheck.py", "--rows", "4", "--dim", "4")
    assert re.fullmatch(
        r"listing 1,900 videos: \d+\.\d\d s\nchecking 1,900 files of \(4, 4\): \d+\.\d\d s, complete\n", printed
    )


def test_regions(tmp_path):
    file = tmp_path / "figures.json"
    printed = run("regions.py", "--device", "cpu", "--repeats", "5", "--json", str(file))
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line[0] == "|"]
    ways = ["frame-based", "object-centric"]
    assert table[0] == ["ms a frame", *ways, *(f"paper, {way}" for way in ways)]
    assert [row[0] for row in table[2:]] == ["feature", "similarity", "total"]
    assert [row[3:] for row in table[2:]] == [["4.79", "-"], ["0.19", "-"], ["4.98", "20.69"]]
    record = json.loads(file.read_text())
    for column, way in enumerate(ways, start=1):
        figures = record["ms"][way]
        assert [f"{figures[row[0]]:.2f}" for row in table[2:]] == [row[column] for row in table[2:]]
        assert 0 < figures["similarity"] < figures["total"] < 1000
    assert record["ms"]["frame-based"]["feature"] < record["ms"]["object-centric"]["feature"], "1 image against 20"
