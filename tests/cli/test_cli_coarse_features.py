"""Features with a row for several frames: methods that do not mind take their rows as they are."""

import json

import pytest

from places import PLUGIN

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
CLIP = ("--plugin", PLUGIN, "--clip", "small", "--clip-weights", "random:0")
GRID = """title = "Two that do not mind"
clip = "small"
clip_weights = "random:0"
seeds = [0]

[[tables]]
id = "1"
title = "Rows as they are"
columns = [{ dataset = "tiny", metric = "AUC" }]
rows = [{ label = "floor", method = "random" }, { label = "clip", method = "zero-shot" }]
"""


@pytest.fixture
def coarse(vadbench, tmp_path):
    """Features of every fourth frame."""
    store = tmp_path / "coarse"
    vadbench("extract", *CLIP, "-d", "tiny", "--stride", 4, "--pooling", "first", "--out", store)
    return store


@pytest.fixture
def run(vadbench, tmp_path):
    def call(method, *more, out="runs", status=0):
        arguments = ("run", *CLIP, "-m", method, "-d", "tiny", "--out", tmp_path / out, "--json", *more)
        out, err = vadbench(*arguments, status=status)
        return json.loads(out)[0] if out else err

    return call


@pytest.mark.parametrize("method", ["random", "zero-shot"])
def test_methods_without_an_opinion_take_the_rows_that_there_are(run, coarse, method):
    features = ("--features", coarse)
    found = run(method, *features)
    assert found["config"]["rows"] == {"stride": 4, "pooling": "first", "crops": "one"} and found["changed"] == []
    assert found["fingerprint"]["stride"] == 4 and found["metrics"]["AUC"]["value"] is not None
    assert "rows as they are given: one every 4 frames (first)" in found["notes"]
    # The same run as with these settings by hand, and another than the one on rows of every frame.
    asked = ("--set", "rows.stride=4", "--set", "rows.pooling=first")
    by_hand = run(method, *features, *asked, out="others")
    assert by_hand["key"] == found["key"] and by_hand["metrics"]["AUC"] == found["metrics"]["AUC"]
    fine = run(method)
    assert fine["config"]["rows"]["stride"] == 1 and fine["key"] != found["key"]


def test_rows_that_are_asked_for_are_a_wish(run, coarse):
    for rows in ("rows.stride=2", "rows.pooling=middle"):
        assert "wants a row every" in run("random", "--features", coarse, "--set", rows, status=2)
    # Rows that can be pooled are.
    more = ("--set", "rows.stride=8", "--set", "rows.pooling=first")
    assert run("random", "--features", coarse, *more)["config"]["rows"]["stride"] == 8
    assert "wants a row every frame " in run("linear", "--features", coarse, status=2)


def test_a_benchmark_fills_their_rows_once(vadbench, coarse, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(GRID)
    command = ("bench", "--plugin", PLUGIN, grid, "--out", tmp_path / "runs", "--features", f"tiny={coarse}", "--json")
    assert vadbench(*command).json["counts"] == {"done": 2}
    assert vadbench(*command, "--dry-run").json["counts"] == {"done": 2}
    drawn = vadbench("table", "--plugin", PLUGIN, f"{grid}/1", "--out", tmp_path / "runs").out
    assert "runs are missing" not in drawn and "2 runs, made" in drawn
