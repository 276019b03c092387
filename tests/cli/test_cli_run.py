"""``vadbench run`` as a user types it: real videos, real sqlite, a process of its own where it matters."""

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from places import PLUGIN
from vadbench.base.files import locked

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
BASE = ["run", "--plugin", str(PLUGIN), "--clip-weights", "random:0", "--clip", "small", "--device", "cpu"]


@pytest.fixture
def run(vadbench, tmp_path):
    """``vadbench run`` on the tiny data set, its results as JSON."""

    def call(*arguments, status=0, plugin=True):
        base = BASE if plugin else ["run", *BASE[3:]]
        if "--clip-weights" in arguments:
            base = [word for word in base if word not in ("--clip-weights", "random:0")]
        out, err = vadbench(*base, "--out", tmp_path / "runs", "--json", *arguments, status=status)
        return json.loads(out) if out else None, err

    return call


def test_a_run_trains_scores_and_records(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VADBENCH_CACHE", str(tmp_path / "cache"))
    found, err = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=8", "--set", "recipe.learning_rate=0.1")
    (record,) = found
    folder = Path(record["folder"])
    assert folder.parent == tmp_path / "runs" / "tiny" / "linear"
    assert folder.name == record["key"]
    names = {p.name for p in folder.iterdir() if p.name != ".lock"}
    assert names == {
        "result.json", "scores.npz", "checkpoint.safetensors", "checkpoint.json", "training.jsonl", "roc.png", "pr.png",
        "per-class.png", "reliability.png",
    }  # fmt: skip
    assert record["metrics"]["AUC"]["value"] > 0.9
    assert record["config"]["width"] == 5
    assert record["config"]["recipe"]["epochs"] == 8
    assert record["data"]["test"] == record["data"]["test"] | {
        "videos": 6,
        "frames": 180,
        "positives": 30,
        "abnormal": 3,
    }
    assert record["metrics"]["prevalence"]["value"] == pytest.approx(30 / 180)
    assert any("untrained CLIP" in n for n in record["notes"])
    assert "logged to MLflow" in err


def test_the_scores_kept_give_the_metrics_reported(run):
    from sklearn.metrics import average_precision_score, roc_auc_score

    from vadbench.records.scores import load_split

    found, _ = run("-m", "linear", "-d", "tiny")
    split = load_split(Path(found[0]["folder"]))
    scores, stride = split.scores, split.stride
    assert stride == 1 * found[0]["config"]["rows"]["stride"]
    frames = np.concatenate([np.repeat(s.anomaly, stride)[: s.frames] for s in scores])
    truth = np.concatenate([[int(i in ("0", "2", "4") and 10 <= t < 20) for t in range(30)] for i in "012345"])
    assert [s.name for s in scores] == [f"test-{i}" for i in range(6)]
    assert found[0]["metrics"]["AUC"]["value"] == pytest.approx(roc_auc_score(truth, frames), abs=1e-12)
    assert found[0]["metrics"]["AP"]["value"] == pytest.approx(average_precision_score(truth, frames), abs=1e-12)


def test_a_finished_run_is_returned_not_repeated(run):
    first, _ = run("-m", "linear", "-d", "tiny")
    before = (Path(first[0]["folder"]) / "result.json").stat().st_mtime_ns
    second, _ = run("-m", "linear", "-d", "tiny")
    assert second == first
    assert (Path(first[0]["folder"]) / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("busy", [False, True])
def test_what_a_call_leaves_that_is_killed_right_after_its_record_goes_at_the_next(run, monkeypatch, busy):
    with monkeypatch.context() as patch:
        patch.setattr("vadbench.harness.execution.shutil.rmtree", lambda *arguments, **options: None)
        first, _ = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=2")
    folder = Path(first[0]["folder"])
    stages = folder / "stages"
    kept = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert stages.is_dir() and json.loads(kept["result.json"])["status"] == "finished"
    with locked(folder, "another process") if busy else nullcontext():
        second, _ = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=2")
    assert second == first and stages.is_dir() is busy
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == kept


def test_again_discards_a_finished_run_with_its_evaluations_and_makes_the_same_bits(run):
    asked = ("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=2")
    first = run(*asked)[0][0]
    folder = Path(first["folder"])
    elsewhere = run("--from", folder, "-d", "other")[0][0]
    assert (Path(elsewhere["folder"]) / "result.json").is_file()
    weights = (folder / "checkpoint.safetensors").read_bytes()
    # What the record says is not looked at, or yesterday's number would be back.
    record = json.loads((folder / "result.json").read_text())
    record["metrics"]["AUC"]["value"] = 0.123
    (folder / "result.json").write_text(json.dumps(record))
    assert run(*asked)[0][0]["metrics"]["AUC"]["value"] == 0.123
    made = run(*asked, "--again")[0][0]
    assert made["key"] == first["key"] and made["metrics"] == first["metrics"]
    assert (folder / "checkpoint.safetensors").read_bytes() == weights
    assert not Path(elsewhere["folder"]).exists()
    # With --from only the evaluation that is asked for is made again, not the training.
    elsewhere = run("--from", folder, "-d", "other")[0][0]
    stamp = (folder / "checkpoint.safetensors").stat().st_mtime_ns
    made = run("--from", folder, "-d", "other", "--again")[0][0]
    assert made["metrics"] == elsewhere["metrics"]
    assert (folder / "checkpoint.safetensors").stat().st_mtime_ns == stamp
    assert json.loads((folder / "result.json").read_text())["dataset"] == "tiny"


def test_weights_that_are_absent_lose_no_result(run):
    found = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1")[0][0]
    folder = Path(found["folder"])
    (folder / "checkpoint.safetensors").unlink()
    assert run("--from", folder)[0][0]["metrics"] == found["metrics"]
    for more in (("--again",), ("-d", "other")):
        _, err = run("--from", folder, *more, status=2)
        assert "no weights in" in err and "copy them there or train again" in err
    assert json.loads((folder / "result.json").read_text())["metrics"] == found["metrics"]
    assert not (folder / "evaluations").exists()


def test_an_evaluation_stays_where_it_is_when_the_first_one_is_gone(run):
    folder = Path(run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1")[0][0]["folder"])
    moved = run("--from", folder, "-d", "other")[0][0]["folder"]
    (folder / "result.json").unlink()
    assert run("--from", folder, "-d", "other")[0][0]["folder"] == moved
    assert not (folder / "result.json").exists()


def test_what_changes_weights_changes_the_key_and_nothing_else_does(run):
    keys = {
        name: run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1", *more)[0][0]["key"]
        for name, more in {
            "same": [],
            "again": [],
            "seed": ["--seeds", "1"],
            "setting": ["--set", "width=6"],
            "clip": ["--clip-weights", "random:1"],
        }.items()
    }
    assert keys["same"] == keys["again"]
    assert len(set(keys.values())) == 4


def test_several_seeds_print_mean_and_deviation(vadbench, tmp_path):
    arguments = [*BASE, "--out", tmp_path, "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1", "--seeds", "0-2"]
    out, _ = vadbench(*arguments)
    assert "seed 0" in out and "seed 2" in out and "mean ± std" in out


def test_an_edited_scratch_plugin_is_another_method(run, tmp_path):
    source = PLUGIN.read_text().replace("tiny_plugin:", "tiny_edited:")
    keys = []
    for change in ("", "\n# a change\n"):
        file = tmp_path / "tiny_edited.py"
        file.write_text(source + change)
        sys.modules.pop("tiny_edited", None)
        found, _ = run("--plugin", file, "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1", plugin=False)
        keys.append(found[0]["key"])
    assert keys[0] != keys[1]


def test_the_words_of_the_classes_are_part_of_the_key(run, monkeypatch):
    before, _ = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1")
    monkeypatch.setenv("TINY_WORDS", "other words")
    after, _ = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1")
    assert before[0]["key"] != after[0]["key"]
    assert before[0]["evaluation"] != after[0]["evaluation"]


def test_features_that_are_given_never_pass_for_those_of_the_cache(run, vadbench, tmp_path):
    arguments = ["-m", "linear", "-d", "tiny", "--set", "rows.stride=4", "--set", "width=2", "--set", "recipe.epochs=1"]
    vadbench("extract", *BASE[1:], "-d", "tiny", "--stride", 1, "--out", tmp_path / "store")
    (rows,) = (tmp_path / "store").glob("rows-*.bin")
    values = np.memmap(rows, np.float32, "r+")
    values[:] = np.random.default_rng(0).normal(size=values.shape)
    values.flush()
    given, _ = run(*arguments, "--features", tmp_path / "store")
    own, _ = run(*arguments)
    again, _ = run(*arguments, "--features", tmp_path / "store")
    assert given == again
    assert given[0]["key"] != own[0]["key"]
    assert given[0]["metrics"]["AUC"] != own[0]["metrics"]["AUC"]


@pytest.mark.slow
def test_a_second_run_that_needs_the_same_features_waits_for_them(tmp_path, monkeypatch):
    monkeypatch.setenv("VADBENCH_CACHE", str(tmp_path / "cache"))
    command = [
        sys.executable,
        "-m",
        "vadbench",
        *BASE,
        "-d",
        "tiny",
        "--set",
        "recipe.epochs=1",
        "--out",
        tmp_path,
        "-m",
    ]
    processes = [
        subprocess.Popen([*command, m], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for m in ("linear", "diverges")
    ]
    assert [p.communicate()[1] and p.returncode for p in processes] == [0, 0]


def test_rows_are_pooled_to_what_a_method_wants(run):
    found, _ = run("-m", "linear", "-d", "tiny", "--set", "rows.stride=16", "--set", "width=2")
    assert found[0]["fingerprint"]["stride"] == 16
    assert found[0]["data"]["test"]["frames"] == 180


def test_from_evaluates_without_training_and_names_both_data_sets(run):
    trained, _ = run("-m", "linear", "-d", "tiny")
    folder = trained[0]["folder"]
    again, _ = run("--from", folder)
    assert again == trained
    moved, _ = run("--from", folder, "-d", "other")
    assert (moved[0]["trained_on"], moved[0]["dataset"]) == ("tiny", "other")
    assert Path(moved[0]["folder"]).parent == Path(folder) / "evaluations"
    assert moved[0]["metrics"]["AUC"]["value"] == trained[0]["metrics"]["AUC"]["value"]
    assert moved[0]["metrics"]["mAUC"]["value"] is None
    assert moved[0]["data"]["train"] == trained[0]["data"]["train"]
    assert any("other classes" in n for n in moved[0]["notes"])
    assert json.loads((Path(folder) / "result.json").read_text())["dataset"] == "tiny"


@pytest.mark.parametrize("method", ["zero-shot", "random"])
def test_a_training_free_run_can_be_evaluated_elsewhere(run, method):
    trained, _ = run("-m", method, "-d", "tiny")
    moved, _ = run("--from", trained[0]["folder"], "-d", "other")
    assert (moved[0]["trained_on"], moved[0]["dataset"]) == ("tiny", "other")


def test_one_failing_seed_is_recorded_and_the_others_go_on(run, tmp_path):
    found, err = run("-m", "diverges", "-d", "tiny", "--seeds", "0-2", status=2)
    assert [r["seed"] for r in found] == [0, 2]
    assert "loss term bce is not finite" in err
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs").rglob("result.json")]
    assert sorted((r["seed"], r["status"]) for r in records) == [(0, "finished"), (1, "failed"), (2, "finished")]


def test_a_method_with_a_bug_does_not_take_the_other_seeds_along(run, monkeypatch):
    monkeypatch.setenv("TINY_BUG", "1")
    found, err = run("-m", "diverges", "-d", "tiny", "--seeds", "0-2", status=2)
    assert [r["seed"] for r in found] == [0, 2]
    assert "seed 1: ZeroDivisionError: a bug (see --debug)" in err


def test_a_method_that_breaks_its_contract_is_named(run):
    _, err = run("-m", "wrong-shape", "-d", "tiny", status=2)
    assert "WrongShape: anomaly scores of train-1 must be (30,), found (29,)" in err


@pytest.mark.usefixtures("mlflow_on")
def test_a_run_survives_mlflow_being_away_and_is_logged_later(run, vadbench, monkeypatch, tmp_path):
    good = os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found, err = run("-m", "linear", "-d", "tiny")
    assert found[0]["status"] == "finished"
    assert f"vadbench log {found[0]['folder']}" in err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", good)
    out, _ = vadbench("log", found[0]["folder"])
    assert good in out


KILL = [*BASE, "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=12", "--set", "pause=0.1"]


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_bit_identical(tmp_path):
    environment = os.environ | {"VADBENCH_CACHE": str(tmp_path / "cache-a")}
    command = [sys.executable, "-m", "vadbench", *KILL]
    subprocess.run([*command, "--out", tmp_path / "a"], env=environment, check=True, capture_output=True)
    environment["VADBENCH_CACHE"] = str(tmp_path / "cache-b")

    def epochs():
        return sum(len(p.read_text().splitlines()) for p in (tmp_path / "b").rglob("training.jsonl"))

    rng = np.random.default_rng(0)
    reached = []
    for kill in range(5):
        process = subprocess.Popen(
            [*command, "--out", tmp_path / "b"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # The first kill falls anywhere in start-up, rendering and extraction, the others into the training.
        before = epochs()
        while kill and epochs() == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.5, 4) if kill == 0 else rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        reached.append(epochs())
    assert 0 < reached[-1] < 12 and reached[1] < reached[-1]
    subprocess.run([*command, "--out", tmp_path / "b"], env=environment, check=True, capture_output=True)
    for name in ("checkpoint.safetensors", "scores.npz"):
        a, b = (next((tmp_path / side).rglob(name)) for side in "ab")
        x, y = (load_file(p) if name.endswith("s") else dict(np.load(p)) for p in (a, b))
        assert x.keys() == y.keys()
        for key in x:
            assert np.array_equal(x[key], y[key]), (name, key)
    assert not list((tmp_path / "b").rglob("training.safetensors"))


def test_two_processes_on_one_run_folder_cannot_mix(run, held_by_another_process):
    found, _ = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1")
    folder = Path(found[0]["folder"])
    (folder / "result.json").unlink()
    with held_by_another_process(folder):
        _, err = run("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1", status=2)
    assert f"run {folder.name} is in use by another process" in err


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A current folder of one's own, and no store named."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def experiments(database):
    with sqlite3.connect(database) as opened:
        found = {name for (name,) in opened.execute("select name from experiments")}
    opened.close()
    return found - {"Default"}


@pytest.mark.parametrize(
    ("out", "store"),
    [((), "results/mlflow.db"), (("--out", "mine"), "mine/mlflow.db"), (("--out", "a/b"), "a/b/mlflow.db")],
)
@pytest.mark.usefixtures("mlflow_on")
def test_the_store_lies_with_the_runs_and_every_command_finds_it(vadbench, elsewhere, out, store):
    found, _ = vadbench(*BASE, "-m", "random", "-d", "tiny", *out)
    assert f"logged to MLflow at sqlite:///{store}" in found
    assert experiments(elsewhere / store) == {"tiny"}
    assert [p for p in elsewhere.rglob("mlflow.db")] == [elsewhere / store]
    assert f"sqlite:///{store}" in vadbench("doctor", *out)[0]
    (folder,) = (p.parent for p in elsewhere.rglob("result.json") if "mlflow-artifacts" not in p.parts)
    assert f"to sqlite:///{store}" in vadbench("log", folder.name[:6], *out)[0]
    # MLflow's own copies are no results.
    top = Path(store).parent
    # Of a checkout with changes it has something to say, and of a clean one nothing.
    assert "1 results checked" in vadbench("results", "check", top, "--plugin", PLUGIN, status=None)[0]
    assert vadbench("rescore", top)[0].count("metrics") == 1
    # Its copy of a record lies in a folder called artifacts.
    assert "found none" in vadbench("show", "run", "artifacts", "--out", top, status=2)[1]


def test_mlflow_can_be_left_out(vadbench, elsewhere, monkeypatch):
    monkeypatch.setenv("VADBENCH_MLFLOW", "off")
    found, _ = vadbench(*BASE, "-m", "random", "-d", "tiny")
    assert "not logged to MLflow: VADBENCH_MLFLOW is off" in found
    monkeypatch.delenv("VADBENCH_MLFLOW")
    assert "not logged to MLflow: --no-mlflow" in vadbench(*BASE, "-m", "random", "-d", "tiny", "--no-mlflow")[0]
    monkeypatch.setenv("VADBENCH_MLFLOW", "off")
    assert not list(elsewhere.rglob("mlflow.db"))
    assert "VADBENCH_MLFLOW is off" in vadbench("doctor")[0]
    (folder,) = (p.parent for p in elsewhere.rglob("result.json"))
    # Asked for by name.
    said = [{"folder": f"results/runs/tiny/random/{folder.name}", "store": "sqlite:///results/mlflow.db"}]
    assert vadbench("log", folder.name, "--json").json == said
    assert experiments(elsewhere / "results" / "mlflow.db") == {"tiny"}
    monkeypatch.setenv("VADBENCH_MLFLOW", "none")
    _, err = vadbench(*BASE, "-m", "random", "-d", "tiny", "--out", "other", status=2)
    assert err.strip() == "vadbench: VADBENCH_MLFLOW must be on or off, found 'none'"
    assert not (elsewhere / "other").exists()


@pytest.mark.usefixtures("mlflow_on")
def test_what_could_not_be_logged_is_logged_by_the_command_that_is_shown(vadbench, elsewhere, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found, _ = vadbench(*BASE, "-m", "random", "-d", "tiny", "--out", "my runs")
    command = shlex.split(found.splitlines()[-1].partition("log it later with: ")[2])
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "to sqlite:///my runs/mlflow.db" in vadbench(*command[1:])[0]


def test_memory_that_is_short_while_features_are_made_is_one_line(refused, tmp_path, monkeypatch):
    from failing_devices_plugin import FULL

    def full(clip, images, arithmetic):
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr("vadbench.clip.Clip.encode_images", full)
    # No features of this CLIP are at hand.
    other = [text.replace("random:0", "random:5") for text in BASE]
    line = refused(*other, "-m", "linear", "-d", "tiny", "--out", tmp_path / "runs")
    assert line.startswith("vadbench: the GPU's memory does not suffice (tried to allocate 2.50 GiB, ")
    assert line.endswith("; extract the features beforehand with vadbench extract, whose batch size can be set")


def test_precision_is_reduced_only_where_it_was_asked_for(run, vadbench, tmp_path):
    """No value lets the harness choose; record and ``show run`` name what was computed in."""
    asked = ("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1")
    _, err = run(*asked, "--set", "recipe.precision=auto", status=2)
    assert "should be 'fp32', 'tf32' or 'bf16', found 'auto'" in err
    shown = {}
    for precision, more in (("fp32", []), ("bf16", ["--set", "recipe.precision=bf16"])):
        (record,), _ = run(*asked, *more)
        assert record["config"]["recipe"]["precision"] == precision
        shown[precision] = vadbench("show", "run", record["folder"]).out
    assert "settings: recipe.epochs=1\n" in shown["fp32"]
    assert "settings: recipe.epochs=1 recipe.precision=bf16\n" in shown["bf16"]
