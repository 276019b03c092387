"""Runs of methods with a fit of their own: stages, one class, selection, workers, and what they leave."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from places import KINDS, PLUGIN

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")

UNSELECTED = """
from vadbench import MethodSpec, hookimpl
from two_stage import TwoStage

class Unselected(TwoStage):
    def fit(self, data, loop):
        loop.run(self, data.videos, self.config.recipe, select=False)

@hookimpl
def vadbench_methods():
    return [MethodSpec("unselected", "selects nothing", "unselected:Unselected")]
"""


@pytest.fixture
def run(vadbench, tmp_path):
    plugins = [PLUGIN, KINDS / "two_stage.py", KINDS / "one_class.py"]
    base = ["run", *(word for file in plugins for word in ("--plugin", file)), "--clip", "small"]
    base += ["--clip-weights", "random:0", "--device", "cpu", "--json", "--out", tmp_path / "runs"]

    def call(*arguments, status=0):
        found = vadbench(*base, *arguments, status=status)
        return found.json[0] if status == 0 else found.err

    return call


STAGED = ("-m", "two-stage", "-d", "tiny", "--set", "recipe.epochs=2", "--set", "refine.epochs=3")


def test_a_training_of_two_stages_leaves_its_weights_and_its_log_alone(run):
    record = run(*STAGED)
    folder = Path(record["folder"])
    names = {p.name for p in folder.iterdir()}
    assert "stages" not in names and {"checkpoint.safetensors", "training.jsonl"} <= names
    lines = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [
        ("mil", 0),
        ("mil", 1),
        ("refine", 0),
        ("refine", 1),
        ("refine", 2),
    ]
    again = run("--from", folder, "-d", "other")
    assert again["metrics"]["AUC"] == record["metrics"]["AUC"]


def test_the_looks_of_a_result_are_those_of_its_last_stage(run):
    record = run(*STAGED, "--selection", "best-on-test")
    (note,) = [n for n in record["notes"] if "weights selected" in n]
    assert "(3 looks, the best " in note


def test_workers_change_no_bit_and_no_key(run):
    weights, keys = [], []
    for arguments in ((), ("--workers", "2", "--again")):
        record = run(*STAGED, *arguments)
        keys.append({name: record[name] for name in ("key", "group", "config", "changed", "metrics")})
        weights.append((Path(record["folder"]) / "checkpoint.safetensors").read_bytes())
    assert keys[0] == keys[1] and weights[0] == weights[1]


def test_a_fit_that_selects_nothing_refuses_a_selection(run, tmp_path):
    (tmp_path / "unselected.py").write_text(UNSELECTED)
    asked = ("--plugin", tmp_path / "unselected.py", "-m", "unselected", "-d", "tiny", "--set", "recipe.epochs=1")
    told = run(*asked, "--selection", "validation", status=2)
    assert "'unselected' lets no rule choose among its weights" in told and "leave --selection out" in told
    assert run(*asked)["status"] == "finished"


def test_one_class_is_learnt_from_normal_videos_alone_and_kept_in_the_checkpoint(run):
    record = run("-m", "nearest", "-d", "tiny")
    folder = Path(record["folder"])
    assert record["status"] == "finished" and not (folder / "training.jsonl").exists()
    bank = load_file(folder / "checkpoint.safetensors")["bank"]
    # Four normal videos of 30 frames, every third row of each.
    assert bank.shape[0] == 4 * 10 and bank.dtype == np.float64
    assert record["metrics"]["AUC"]["value"] > 0.9
    # Measured like that of a method with a recipe.
    assert json.loads((folder / "checkpoint.json").read_text())["threshold"] > 0
    again = run("--from", folder, "-d", "other")
    assert again["metrics"]["AUC"] == record["metrics"]["AUC"]


def test_a_threshold_that_a_method_states_is_recorded(run, tmp_path):
    (tmp_path / "stating.py").write_text(
        "from vadbench import MethodSpec, hookimpl\nfrom one_class import Nearest\n"
        "class Stating(Nearest):\n    threshold = 0.625\n"
        '@hookimpl\ndef vadbench_methods():\n    return [MethodSpec("stating", "states", "stating:Stating")]\n'
    )
    record = run("--plugin", tmp_path / "stating.py", "-m", "stating", "-d", "tiny")
    assert json.loads((Path(record["folder"]) / "checkpoint.json").read_text())["threshold"] == 0.625


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("linear", ["--set", "rows.stride=4"]),  # pooled when they are read
        ("bag-of-crops", ["--crop", "mean"]),
        ("two-streams", ["--features", "audio=audio"]),
        ("brightness", []),
    ],
)
def test_workers_read_every_kind_of_input(run, monkeypatch, tmp_path, method, arguments):
    from vadbench.training import prefetching

    monkeypatch.chdir(tmp_path)
    (tmp_path / "audio").mkdir()
    for i, name in enumerate([f"train-{i}" for i in range(8)] + [f"test-{i}" for i in range(6)]):
        np.save(tmp_path / "audio" / f"{name}.npy", np.random.default_rng(i).normal(size=(6, 128)).astype("f4"))
    opened, open_workers = [], prefetching.open_workers

    def spy(*asked):
        opened.append(open_workers(*asked))
        return opened[-1]

    monkeypatch.setattr(prefetching, "open_workers", spy)
    plugins = [KINDS / "bag_of_crops.py", KINDS / "two_streams.py", KINDS / "brightness.py"]
    asked = [word for file in plugins for word in ("--plugin", file)]
    asked += ["-m", method, "-d", "tiny", "--set", "recipe.epochs=1", *arguments]
    weights = []
    for more in ((), ("--workers", "1", "--again")):
        record = run(*asked, *more)
        weights.append((Path(record["folder"]) / "checkpoint.safetensors").read_bytes())
    assert [found is not None for found in opened] == [True]
    assert weights[0] == weights[1]
