"""The speed benchmarks run, print what they promise and write it to files; of the metrics it is asked how fast."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from places import ROOT

pytestmark = pytest.mark.slow
SPEED = ROOT / "benchmarks" / "speed"


def run(script: str, *arguments: str) -> str:
    """What a benchmark prints, in a process of its own where warnings are errors."""
    # A shell between: Linux counts to a process's peak memory what it was before exec, here a copy of pytest.
    shell = ["sh", "-c", '"$@" || exit', "sh"]
    command = [*shell, sys.executable, "-W", "error", str(SPEED / script), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(printed: str) -> list[list[list[str]]]:
    """Cells of each table that was printed, heads first, without the rule below them."""
    blocks = [block.splitlines() for block in printed.strip().split("\n\n") if block.startswith("|")]
    cells = [[[cell.strip() for cell in line.split("|")[1:-1]] for line in block] for block in blocks]
    return [[block[0], *block[2:]] for block in cells]


METHOD_WORKS = [
    "training step",
    "16 videos from files",
    "training epoch",
    "score 5,000 frames",
    "score a test split",
    "score a 24-hour video",
]

OTHERS = ["urdmu:", "rtfm:", "clip-tsa:"]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["vadclip:"], [f"vadclip: {work}" for work in METHOD_WORKS]),
        (["metrics", "resamples"], ["all metrics", "1,000 resamples"]),
        (
            ["vadbench --help", "UCF", "608", "ViT", "anomalyclip: training step", "anomalyclip: score 5", *OTHERS],
            [
                *("vadbench --help", "list UCF-Crime's videos", "check UCF-Crime's files", "decode 608 frames"),
                *("prepare 608 frames", "extract 608 frames, small CLIP", "extract frames, ViT-B/16"),
                *("anomalyclip: training step", "anomalyclip: score 5,000 frames"),
                *(f"{method} training step" for method in OTHERS),
            ],
        ),
    ],
    ids=["every work of a method", "metrics", "the others"],
)
def test_all(tmp_path, only, expected):
    """The script itself fails where the literal versions give other numbers."""
    file = tmp_path / "figures.json"
    printed = run("all.py", "--quick", "--threads", "1", "--only", *only, "--json", str(file))
    record = json.loads(file.read_text())
    heads, *rows = tables(printed)[0]
    assert heads == ["work", "wall s", "CPU s", "literal CPU s", "share", "floor CPU s", "times floor", "peak GB"]
    line = printed.splitlines()[0]
    assert line.startswith("Made in ") and "small sizes that are not to be compared" in line and "oneDNN" in line
    assert [row[0] for row in rows] == [figures["work"] for figures in record["figures"]] == expected
    for figures in record["figures"]:
        assert min(figures["wall"], figures["cpu"], figures["floor"]) > 0
        assert figures["gpu_gb"] == 0, "nothing was done on a GPU"
        if figures["work"].endswith("24-hour video"):
            assert figures["literal"] is None
            assert figures["frames"] == 50_000
            assert figures["growth_gb"] < 0.3, "bounded memory"
        else:
            assert 0 <= figures["literal"]["difference_over_tolerance"] <= 1
            assert figures["literal"]["cpu"] > 0
            assert len(figures["calls"]) == len(figures["literal"]["calls"]) == 1, "as it was quick"
    assert record["settings"] == {"full": False, "quick": True, "device": "cpu", "precision": "fp32"}
    assert record["environment"]["threads"] == 1
    assert record["environment"]["device"] == "cpu"
    curves = ["metrics, classes", "metrics with intervals, videos", "AUC and AP, resamples"]
    assert sorted(record["growth"]) == (sorted(curves) if "metrics" in only else [])


def test_all_in_bfloat16(tmp_path):
    """What a GPU is asked for, where there is none; the literal version stays in float32."""
    file = tmp_path / "figures.json"
    only = "vadclip: training step"
    run("all.py", "--quick", "--threads", "1", "--precision", "bf16", "--only", only, "--json", str(file))
    record = json.loads(file.read_text())
    assert [figures["work"] for figures in record["figures"]] == [only]
    assert record["settings"]["precision"] == "bf16"


def test_a_record_is_of_everything():
    with pytest.raises(AssertionError, match=r"--record is of everything"):
        run("all.py", "--quick", "--record")


def test_all_names_what_there_is():
    with pytest.raises(AssertionError, match=r"there are vadbench --help, .*; growth"):
        run("all.py", "--only", "nothing")


def test_growth(tmp_path):
    only = ["growth, a row", "growth, vadclip, v"]
    scored = {"vadclip, videos scored": [1, 8], "vadclip, videos in a step": [2, 8]}
    curves = {"a row of a table, seeds": [1, 2, 4]} | scored
    file, plot = tmp_path / "growth.json", tmp_path / "growth.png"
    printed = run("all.py", "--quick", "--threads", "1", "--only", *only, "--json", str(file), "--plot", str(plot))
    record = json.loads(file.read_text())
    assert record["figures"] == []
    found = record["growth"]
    assert {name: curve["sizes"] for name, curve in found.items()} == curves
    heads, *rows = tables(printed)[0]
    memory = ["inputs, GB", "peak above them, GB"]
    assert heads == ["growth with", "sizes", "exponent", "CPU s at the largest", *memory]
    assert [row[0] for row in rows] == list(found)
    assert [row[2] for row in rows] == [f"{curve['exponent']:.2f}" for curve in found.values()]
    for curve in found.values():
        a, b = (np.log(curve[key][-2:]) for key in ("sizes", "cpu"))
        assert curve["exponent"] == pytest.approx((b[1] - b[0]) / (a[1] - a[0])), "of the upper two"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_long_video(tmp_path):
    file = tmp_path / "long.json"
    printed = run("long_video.py", "--rows", "8192", "--method", "rtfm", "--json", str(file))
    (line,) = [line for line in printed.splitlines() if "rtfm" in line]
    method, rows, cpu, kilobytes = (cell.strip() for cell in line.strip("|").split("|"))
    assert (method, rows) == ("rtfm", "8,192") and float(cpu) > 0
    found = json.loads(file.read_text())["methods"]["rtfm"]
    assert found[0] == pytest.approx(float(cpu), abs=0.05) and 0 < found[1] < 12 and float(kilobytes) > 0


def test_tricks(tmp_path):
    file = tmp_path / "tricks.json"
    printed = run("tricks.py", "dropout", "one head", "--pairs", "2", "--json", str(file))
    heads, *rows = tables(printed.split("\n", 1)[1])[0]
    assert heads[-1] == "gain" and [row[0] for row in rows] == ["dropout", "one head"]
    found = json.loads(file.read_text())["tricks"]
    for row in rows:
        gains = [plain / ours for ours, plain in zip(*found[row[0]].values(), strict=True)]
        assert len(gains) == 2 and f"({min(gains):.2f}-{max(gains):.2f})" in row[-1]


def test_metrics(tmp_path):
    file = tmp_path / "figures.json"
    printed = run("metrics.py", "--json", str(file))
    record = json.loads(file.read_text())
    names = ["ranking metrics", "mAP@IoU", "all metrics", "all metrics, 1,000 resamples"]
    names.append("a run's metrics, 1,000 resamples")
    assert list(record["seconds"]) == names
    assert re.findall(r"^(.+?) +[\d.]+ s wall +[\d.]+ s CPU$", printed, re.M) == names
    found = re.search(r"peak memory (\d+) MB; largest difference from scikit-learn (\S+)$", printed.rstrip())
    assert found and int(found[1]) < 500 and float(found[2]) < 1e-9
    assert "machine" in record["environment"]
    assert record["seconds"]["all metrics"]["cpu"] < 2, "UCF-Crime's size, 20 times what it takes"


def test_metrics_beside_another_checkout():
    """This one beside itself."""
    work = ["one AUC, 5,000 videos", "one AUC, 5,001 videos"]
    ((heads, *rows),) = tables(run("beside.py", str(ROOT), "--rounds", "2", "--work", *work))
    assert heads == ["CPU seconds", "other", "this", "ratio"]
    assert [row[0] for row in rows] == work
    figures = [[[float(n) for n in cell.split(", ")] for cell in row[1:]] for row in rows]
    assert all(0 < least <= middle <= most for row in figures for least, middle, most in row)
    assert all(0.25 < ratio[1] < 4 for *_, ratio in figures)
    assert figures[1][1][0] < 4 * figures[0][1][0], "ten times as much, where there was a cliff"


def test_datacheck():
    machine, printed = run("datacheck.py", "--rows", "4", "--dim", "4").split("\n", 1)
    assert "oneDNN" in machine
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
        assert 0 < figures["similarity"] < figures["total"]
    assert record["ms"]["frame-based"]["feature"] < record["ms"]["object-centric"]["feature"], "1 image against 20"


def test_products():
    """A step takes no less than its floor, and its operations by themselves no less either."""
    heads, row = tables(run("products.py", "clip-tsa", "--quick"))[0]
    found = dict(zip(heads[1:], map(float, row[1:]), strict=True))
    assert row[0] == "clip-tsa" and found["floor"] > 0 and found["other operations"] > 100
    parts = found["products"] + found["draws, optimiser"] + found["bytes"]
    assert found["at least"] == pytest.approx(parts, rel=0.02)
    assert found["ms / floor"] == pytest.approx(found["ms"] / found["floor"], rel=0.02)
