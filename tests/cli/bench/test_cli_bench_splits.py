"""Grids with a data set for testing alone."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from grids import HEAD
from places import KINDS

pytestmark = pytest.mark.usefixtures("quick_runs")
PLUGINS = ("--plugin", KINDS / "testing_only.py", "--plugin", KINDS / "three_splits.py")
ROWS = """rows = [
  { label = "linear", method = "linear", set = { recipe.epochs = 1 } },
  { label = "random", method = "random" },
]
"""
ELSEWHERE = f"""{HEAD}seeds = [0]
[[tables]]
id = "elsewhere"
title = "Trained elsewhere"
columns = [{{ dataset = "testing-only", train = "three-splits", metric = "AUC" }}]
{ROWS}"""
SELECTED = ELSEWHERE.replace("recipe.epochs = 1", 'recipe.epochs = 1, protocol.selection = "validation"')


def states(found):
    return [(c["label"], c["state"]) for c in found["cells"]]


def test_a_training_made_elsewhere_is_tested_where_nothing_can_be_trained(bench, write):
    found, _ = bench(write(ELSEWHERE), *PLUGINS)
    assert states(found) == [
        ("linear recipe.epochs=1 on three-splits, seed 0", "done"),
        ("linear recipe.epochs=1 trained on three-splits on testing-only, seed 0", "done"),
        ("random on three-splits, seed 0", "done"),
        ("random trained on three-splits on testing-only, seed 0", "done"),
    ]
    record = json.loads((Path(found["cells"][1]["folder"]) / "result.json").read_text())
    assert (record["dataset"], record["trained_on"]) == ("testing-only", "three-splits")
    assert bench(write(ELSEWHERE), *PLUGINS, "--dry-run")[0]["counts"] == {"done": 4}


def test_weights_selected_on_a_validation_split_are_tested_there_too(bench, write):
    file = write(SELECTED)
    found, _ = bench(file, *PLUGINS)
    assert {state for _, state in states(found)} == {"done"}
    for cell in found["cells"][:2]:
        record = json.loads((Path(cell["folder"]) / "result.json").read_text())
        assert record["data"]["validation"]["videos"] == 6
    assert bench(file, *PLUGINS, "--dry-run")[0]["counts"] == {"done": 4}


def test_other_validation_videos_make_stale_what_was_selected_on_them_and_nothing_else(bench, write, tmp_path):
    columns = '[{ dataset = "three-splits", metric = "AUC" }]'
    last, selected = (write(x.replace(line(x), columns), f"{i}.toml") for i, x in enumerate((ELSEWHERE, SELECTED)))
    bench(last, *PLUGINS)
    rows = shutil.copytree(Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "three-splits", tmp_path / "rows")
    given = (*PLUGINS, "--features", f"three-splits={rows}")
    for file in (last, selected):
        bench(file, *given)
        assert bench(file, *given, "--dry-run")[0]["counts"] == {"done": 2}
    np.save(rows / "validation-0.npy", np.load(rows / "validation-0.npy") + 1)
    assert bench(last, *given, "--dry-run")[0]["counts"] == {"done": 2}
    assert bench(selected, *given, "--dry-run")[0]["counts"] == {"done": 1, "to do": 1}


def line(text):
    return next(x for x in text.splitlines() if x.startswith("columns")).removeprefix("columns = ")


def test_what_must_be_trained_is_impossible_where_nothing_can_be_trained_and_no_failure(bench, write):
    file = write(ELSEWHERE.replace('train = "three-splits", ', ""))
    for options in (("--dry-run",), (), ("--dry-run",)):
        found, _ = bench(file, *PLUGINS, *options)
        linear, random = found["cells"]
        assert linear["state"] == "impossible" and random["state"] in ("to do", "done")
        assert "testing-only has no train split" in linear["reason"]
    assert random["state"] == "done"


def test_a_training_where_nothing_can_be_trained_makes_its_test_elsewhere_impossible_too(bench, write):
    swapped = 'columns = [{ dataset = "three-splits", train = "testing-only", metric = "AUC" }]'
    file = write(ELSEWHERE.replace(f"columns = {line(ELSEWHERE)}", swapped))
    found, _ = bench(file, *PLUGINS)
    assert [state for _, state in states(found)] == ["impossible", "impossible", "done", "done"]
