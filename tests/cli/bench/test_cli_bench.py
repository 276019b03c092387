"""``vadbench bench`` as a user types it: grids and options, damaged records and wrong files, and what is logged."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from grids import HEAD, ONE, SMALL, logged
from vadbench.benchmarks.engines import LostTask

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")


def states(found):
    return [(c["label"], c["state"]) for c in found["cells"]]


def test_a_grid_is_run_once_and_what_fails_is_said_again_and_again(bench, write):
    file = write(SMALL.replace("[0, 2]", "[0, 1]"))
    planned, _ = bench(file, "--dry-run")
    assert planned["counts"] == {"to do": 4}
    found, err = bench(file, status=1)
    expected = [
        ("linear recipe.epochs=2 on tiny, seed 0", "done"),
        ("linear recipe.epochs=2 on tiny, seed 1", "done"),
        ("diverges recipe.epochs=2 on tiny, seed 0", "done"),
        ("diverges recipe.epochs=2 on tiny, seed 1", "failed"),
    ]
    assert states(found) == expected
    assert "loss term bce is not finite" in found["cells"][3]["reason"]
    assert "[3/4] done diverges recipe.epochs=2 on tiny, seed 0: AUC " in err
    for cell in found["cells"][:3]:
        record = json.loads((Path(cell["folder"]) / "result.json").read_text())
        assert record["metrics"]["AUC"]["value"] == cell["metrics"]["AUC"]
        assert (record["seed"], record["config"]["recipe"]["epochs"]) == (cell["seed"], 2)
    before = {c["folder"]: (Path(c["folder"]) / "result.json").stat().st_mtime_ns for c in found["cells"][:3]}
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"done": 3, "to do": 1}
    assert "loss term bce is not finite" in looked["cells"][3]["reason"]
    again, err = bench(file, status=1)
    assert again == found
    assert "[1/1] failed" in err
    assert {f: (Path(f) / "result.json").stat().st_mtime_ns for f in before} == before


def test_a_row_names_its_runs_and_renames_those_that_are_there(bench, write, vadbench, tmp_path):
    linear = '  { label = "linear", method = "linear"'
    assert linear in SMALL
    text = SMALL.replace('  { label = "diverges", method = "diverges" },\n', "")
    folders = set()
    for name in ("", "first", "second"):
        named = text.replace(linear, f'{linear}, name = "{name}"') if name else text
        found, _ = bench(write(named))
        for cell in found["cells"]:
            assert json.loads((Path(cell["folder"]) / "result.json").read_text())["label"] == name
            folders.add(cell["folder"])
    assert len(folders) == 2
    listed = vadbench("runs", "--name", "second", "--out", tmp_path / "runs", "--json").json
    assert {run["folder"] for run in listed} == folders


@pytest.mark.usefixtures("mlflow_on")
def test_the_text_counts_runs_and_gives_each_reason_once(bench, write):
    file = write(SMALL.replace("[0, 2]", "[0, 1]"))
    out, err = bench(file, status=1, as_json=False)
    assert "Two methods: 4 runs, 4 to do" in err
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()[2:5]]
    assert rows == [
        ["linear recipe.epochs=2", "tiny", "native", "0, 1", "done"],
        ["diverges recipe.epochs=2", "tiny", "native", "0", "done"],
        ["diverges recipe.epochs=2", "tiny", "native", "1", "failed"],
    ]
    assert out.count("not finite") == 1
    assert "logged to MLflow at sqlite" in out


class LostCluster:
    """An engine that is lost after its first task."""

    def run_all(self, groups, work, started, ended):
        for i, task in enumerate(task for group in groups for task in group):
            lost = LostTask("the Ray cluster at head:6379 no longer answers", engine=True)
            ended(task, lost if i else work(task))


def test_a_cluster_that_is_lost_is_one_line_and_the_same_command_goes_on(bench, write, monkeypatch):
    diverges = '  { label = "diverges", method = "diverges" },\n'
    file = write(SMALL.replace(diverges, "").replace("[0, 2]", "[0, 1, 2, 3]"))
    with monkeypatch.context() as patch:
        patch.setattr("vadbench.cli.bench._engine", lambda *arguments: LostCluster())
        found, err = bench(file, status=1)
    assert found["counts"] == {"done": 1, "to do": 3}
    (line,) = [text for text in err.splitlines() if "no longer answers" in text]
    assert line == (
        "vadbench: the Ray cluster at head:6379 no longer answers: 4 runs, 1 done, 3 to do; the same command does"
        " what is left"
    )
    found, err = bench(file)
    assert found["counts"] == {"done": 4} and "no longer answers" not in err


FEATURELESS = f"""{HEAD}seeds = [0]
[[tables]]
id = "1"
title = "Without features"
columns = [{{ dataset = "tiny", metric = "AUC" }}]
rows = [
  {{ label = "motion", method = "motion-energy", set = {{ rows.stride = 3 }} }},
  {{ label = "random", method = "random" }},
]
"""


def test_methods_without_features_stand_in_a_grid_with_others(bench, write, monkeypatch):
    file = write(FEATURELESS)
    found, _ = bench(file)
    assert [c["state"] for c in found["cells"]] == ["done", "done"]
    records = [json.loads((Path(c["folder"]) / "result.json").read_text()) for c in found["cells"]]
    assert (records[0]["clip"], records[0]["reads"]) == ({}, "frames") and records[1]["clip"]
    # Done is done, whatever the other files of the grid are; another video file makes it stale.
    assert bench(file, "--dry-run")[0]["counts"] == {"done": 2}
    monkeypatch.setenv("TINY_END", "19")
    assert bench(file, "--dry-run")[0]["counts"] == {"to do": 2}


UNTRAINED = f"""{HEAD}seeds = [0]
[[tables]]
id = "1"
title = "Words alone"
columns = [{{ dataset = "tiny", metric = "AUC" }}]
rows = [
  {{ label = "words", method = "descriptions-frame", set = {{ recipe.epochs = 0 }} }},
  {{ label = "trained", method = "descriptions-frame", set = {{ recipe.batch_size = 4, recipe.epochs = 1 }} }},
]
"""


def test_a_row_without_training_runs_once_and_is_done(bench, write):
    file = write(UNTRAINED)
    assert bench(file, "--dry-run")[0]["counts"] == {"to do": 2}
    found, _ = bench(file)
    words, trained = found["cells"]
    assert (words["label"], words["state"]) == ("descriptions-frame recipe.epochs=0 on tiny, seed 0", "done")
    assert trained["state"] == "done" and trained["folder"] != words["folder"]
    assert "training" not in json.loads((Path(words["folder"]) / "result.json").read_text())["seconds"]
    assert bench(file, "--dry-run")[0]["counts"] == {"done": 2}
    assert bench(file)[0] == found


CROSS = f"""{HEAD}seeds = [0]
[[tables]]
id = "1"
title = "Elsewhere"
columns = [{{ dataset = "other", train = "tiny", metric = "AUC" }}]
rows = [
  {{ label = "linear", method = "linear", set = {{ recipe.epochs = 1, width = 3 }} }},
  {{ label = "zero-shot", method = "zero-shot" }},
]
"""


def test_what_is_tested_elsewhere_is_trained_first_with_the_same_settings(bench, write):
    found, _ = bench(write(CROSS))
    assert states(found) == [
        ("linear recipe.epochs=1 width=3 on tiny, seed 0", "done"),
        ("linear recipe.epochs=1 width=3 trained on tiny on other, seed 0", "done"),
        ("zero-shot on tiny, seed 0", "done"),
        ("zero-shot trained on tiny on other, seed 0", "done"),
    ]
    trained, moved = (Path(found["cells"][i]["folder"]) for i in (0, 1))
    assert moved.parent == trained / "evaluations"
    record = json.loads((moved / "result.json").read_text())
    assert (record["dataset"], record["trained_on"], record["config"]["width"]) == ("other", "tiny", 3)
    assert bench(write(CROSS), "--dry-run")[0]["counts"] == {"done": 4}


def test_what_cannot_be_trained_is_not_tested_elsewhere(bench, write):
    file = write(CROSS.replace('method = "zero-shot"', 'method = "diverges"').replace("[0]", "[1]"))
    found, _ = bench(file, status=1)
    assert [s for _, s in states(found)] == ["done", "done", "failed", "failed"]
    assert found["cells"][3]["reason"].startswith("not trained on tiny: loss term bce is not finite")


def test_a_benchmark_without_its_data_says_what_to_do_and_succeeds(bench, write):
    text = SMALL.replace('{ dataset = "tiny", metric = "AP" }', '{ dataset = "ucfcrime", metric = "AUC" }')
    found, _ = bench(write(text.replace('"diverges"', '"random"').replace("recipe.epochs = 2", "")))
    assert found["counts"] == {"done": 4, "impossible": 4}
    (reason,) = {c["reason"] for c in found["cells"] if c["state"] == "impossible"}
    assert "--data-root ucfcrime=DIR" in reason and "VADBENCH_DATA" in reason


def test_a_clip_without_weights_is_said_before_anything_is_run(bench, write):
    found, _ = bench(write(SMALL.replace('"random:0"', '"nowhere.safetensors"')))
    assert found["counts"] == {"impossible": 4}
    assert "nowhere.safetensors" in found["cells"][0]["reason"]


def test_only_adds_up_within_a_kind_and_restricts_across_kinds(bench, write):
    second = SMALL[SMALL.index("[[tables]]") :].replace('"first"', '"second"').replace('"tiny"', '"other"')
    file = write(SMALL + second)

    def chosen(*names, **options):
        found, err = bench(file, "--dry-run", *(a for n in names for a in ("--only", n)), **options)
        return Counter((c["method"], c["dataset"]) for c in found["cells"]) if found else err

    assert sum(chosen().values()) == 8
    assert chosen("first") == {("linear", "tiny"): 2, ("diverges", "tiny"): 2}
    assert chosen("linear") == {("linear", "tiny"): 2, ("linear", "other"): 2}
    assert chosen("linear", "diverges", "other") == {("linear", "other"): 2, ("diverges", "other"): 2}
    assert chosen("second", "tiny") == {}
    assert "did you mean 'linear'" in chosen("linaer", status=2)
    assert bench(file, "--dry-run", "--seeds", "5", "--only", "first")[0]["cells"][0]["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data-root", "tiny"], "--data-root expects NAME=DIR"),
        (["--data-root", "ucfcrim=."], "unknown dataset 'ucfcrim'; did you mean 'ucfcrime'?"),
        (["--features", "tiny=/nowhere"], "no such folder"),
        (["--features", "tiny.audio=/nowhere"], "no such folder"),
        (["--features", "tinny.audio=."], "unknown dataset 'tinny'; did you mean 'tiny'?"),
        (["--address", "auto"], "add --engine ray"),
        (["--jobs", "2", "--engine", "ray"], "--jobs is for --engine local"),
        (["--jobs", "0"], "--jobs"),
        (["--seeds", "x"], "expected 0, 0-2 or 0,3,5"),
    ],
)
def test_wrong_options_are_one_line(bench, write, arguments, message):
    _, err = bench(write(SMALL), *arguments, status=2)
    assert message in err


def test_settings_from_the_environment_have_no_say(bench, write, monkeypatch):
    monkeypatch.setenv("VADBENCH_SET__WIDTH", "3")
    assert "unset VADBENCH_SET__WIDTH" in bench(write(SMALL), status=2)[1]


def test_an_unknown_method_is_said_with_its_line(bench, write):
    file = write(SMALL.replace('method = "diverges"', 'method = "diverge"'))
    _, err = bench(file, status=2)
    assert err.strip() == f"vadbench: {file}, line 11: unknown method 'diverge'; did you mean 'diverges'?"


def test_an_unknown_benchmark_is_said(bench):
    assert "unknown benchmark 'quik'; did you mean 'quick'?" in bench("quik", status=2)[1]
    assert "cannot read the benchmark file" in bench("nothing.toml", status=2)[1]


def test_damaged_records_are_named_and_harm_no_other(bench, write):
    file = write(SMALL)
    found, _ = bench(file)
    folders = [Path(c["folder"]) for c in found["cells"]]
    newer, cut, scoreless, whole = folders
    record = json.loads((newer / "result.json").read_text())
    (newer / "result.json").write_text(json.dumps(record | {"schema_version": 99}))
    (cut / "result.json").write_text((cut / "result.json").read_text()[:500])
    (scoreless / "scores.npz").unlink()
    looked, err = bench(file, "--dry-run")
    assert [s for _, s in states(looked)] == ["to do", "to do", "done", "done"]
    notes = {f: [n for n in err.splitlines() if str(f) in n] for f in folders}
    assert "has schema 99" in notes[newer][0] and "cannot read" in notes[cut][0]
    assert "has no scores.npz" in notes[scoreless][0] and not notes[whole]
    again, _ = bench(file, status=1)
    assert [s for _, s in states(again)] == ["failed", "failed", "done", "done"]
    assert "upgrade vadbench" in again["cells"][0]["reason"]
    assert "delete this file and run again" in again["cells"][1]["reason"]


def test_a_cell_at_work_elsewhere_is_waited_for(bench, write, tmp_path):
    file = write(SMALL)
    first = bench(file, "--dry-run")[0]["cells"][0]["id"]
    # Held until the three others are done, and a while more.
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom vadbench.base.files import locked\n"
        "with locked(Path(sys.argv[1]), 'it'):\n    print('held', flush=True)\n"
        "    while len(list(Path(sys.argv[2]).rglob('result.json'))) < 3:\n        time.sleep(0.05)\n    time.sleep(1)"
    )
    runs = tmp_path / "runs"
    arguments = [sys.executable, "-c", code, runs / ".cells" / first, runs]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            found, err = bench(file)
        finally:
            holder.kill()
    assert found["counts"] == {"done": 4}
    assert err.splitlines()[-2].startswith("[4/4] done linear recipe.epochs=2 on tiny, seed 0")


@pytest.mark.usefixtures("mlflow_on")
def test_mlflow_away_harms_nothing_and_the_same_command_logs_later(bench, write, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found, err = bench(write(SMALL))
    assert found["counts"] == {"done": 4}
    assert "not logged (MLflow at http://127.0.0.1:9" in err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/later.db")
    bench(write(SMALL))
    assert logged(tmp_path / "later.db") == {"parents": 1, "cells": 4, "seeds": 4, "unfinished": 0}


@pytest.mark.usefixtures("mlflow_on")
def test_a_benchmark_has_one_parent_in_mlflow_with_a_child_a_cell(bench, write, monkeypatch, tmp_path):
    from mlflow import MlflowClient

    address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    bench(write(SMALL), "--only", "linear")
    found, _ = bench(write(SMALL))
    assert logged(tmp_path / "mlflow.db") == {"parents": 1, "cells": 4, "seeds": 4, "unfinished": 0}
    client = MlflowClient(tracking_uri=address)
    runs = client.search_runs([client.get_experiment_by_name("benchmarks").experiment_id])
    (parent,) = (r for r in runs if "mlflow.parentRunId" not in r.data.tags)
    assert parent.info.run_name == "mine"
    assert parent.data.params == parent.data.params | {"title": "Two methods", "seeds": "[0, 2]", "clip": "small"}
    children = {r.data.tags["vadbench.folder"]: r for r in runs if r is not parent}
    assert {c["folder"] for c in found["cells"]} == set(children)
    for cell in found["cells"]:
        child = children[cell["folder"]]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.metrics["AUC"] == cell["metrics"]["AUC"]


def test_a_grid_goes_on_without_some_videos_where_that_is_allowed(bench, write, tmp_path):
    file = write(ONE.replace("random:0", "random:7"))  # of this CLIP nothing is in the cache
    (damaged,) = Path(os.environ["VADBENCH_CACHE"]).glob("datasets/tiny/test-1.mp4")
    damaged.write_bytes(damaged.read_bytes()[:900])
    found, _ = bench(file, status=1)
    assert "test-1.mp4" in found["cells"][0]["reason"]
    found, _ = bench(file, "--allow-incomplete")
    assert states(found) == [("random on tiny, seed 0", "done")]
    notes = json.loads((Path(found["cells"][0]["folder"]) / "result.json").read_text())["notes"]
    assert any(note.startswith("incomplete: 5 of 6 test videos") for note in notes)
    assert bench(file, "--dry-run", "--allow-incomplete")[0]["counts"] == {"done": 1}
    assert bench(file, "--dry-run")[0]["counts"] == {"to do": 1}


def features_of(folder, rows):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for split, count in (("train", 8), ("test", 6)):
        for i in range(count):
            np.save(folder / f"{split}-{i}.npy", rng.normal(size=(rows, 64)).astype(np.float32))
    return folder


def test_the_layout_of_given_features_can_be_named(bench, write, tmp_path):
    doubtful, plain = features_of(tmp_path / "doubtful", 7), features_of(tmp_path / "plain", 30)
    file = write(ONE)
    found, _ = bench(file, "--features", f"tiny={doubtful}", status=1)
    assert "name it with --features-layout tiny=anomalyclip or vadclip" in found["cells"][0]["reason"]
    given = ("--features", f"tiny={plain}")
    # Held to another layout than theirs, 30 rows of 16 frames are too many for these videos.
    found, _ = bench(file, *given, "--features-layout", "tiny=vadclip", status=1)
    assert "30 feature rows of 16 frames" in found["cells"][0]["reason"]
    found, _ = bench(file, *given, "--features-layout", "tiny=anomalyclip")
    assert found["counts"] == {"done": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--features-layout", "anomalyclip"], "--features-layout expects NAME=LAYOUT"),
        (["--features-layout", "tiny=anomalyclipp"], "did you mean 'anomalyclip'"),
        (["--features-layout", "tinny=anomalyclip"], "did you mean 'tiny'"),
        (["--features-layout", "tiny=anomalyclip"], "=DIR; give both"),
    ],
)
def test_a_layout_that_cannot_be_meant_is_one_line(bench, write, arguments, message):
    _, err = bench(write(ONE), *arguments, status=2)
    assert message in err and err.count("\n") == 1


def test_advice_of_a_cell_speaks_of_what_a_benchmark_has(bench, write, tmp_path):
    given = features_of(tmp_path / "wide", 30)
    for path in given.iterdir():
        np.save(path, np.load(path)[:, :32])
    # A CLIP is named, and the features are not its.
    file = write(ONE)
    found, _ = bench(file, "--features", f"tiny={given}", status=1)
    reason = found["cells"][0]["reason"]
    assert "such as clip = ViT-B-16-quickgelu clip_weights = openai" in reason
    assert reason.endswith("(in the benchmark's file)")
    looked, _ = bench(file, "--features", f"tiny={given}", "--dry-run")
    assert looked["cells"][0]["state"] == "to do" and "--clip" not in looked["cells"][0]["reason"]


def test_features_of_any_encoder_do_for_a_method_without_text(bench, write, tmp_path):
    given = features_of(tmp_path / "wide", 30)
    for path in given.iterdir():
        np.save(path, np.load(path)[:, :32])
    file = write(ONE.replace(HEAD, 'title = "No CLIP is named"\n'))
    for _ in range(2):
        found, _ = bench(file, "--features", f"tiny={given}")
        assert found["counts"] == {"done": 1}


STREAMS = """
title = "one stream and two"
seeds = [0]
[[tables]]
id = "1"
title = "a table"
columns = [{dataset = "tiny", metric = "AUC"}]
set = {"recipe.epochs" = 1, "recipe.batch_size" = 4}
rows = [
    {label = "seeing", method = "mil"},
    {label = "hearing", method = "mil", set = {streams = ["clip", "audio"]}},
]
"""


def test_a_cell_is_given_the_streams_that_its_method_reads(bench, write, tmp_path):
    file, audio = write(STREAMS), features_of(tmp_path / "audio", 6)
    (seeing, hearing) = bench(file, "--dry-run")[0]["cells"]
    assert (seeing["state"], hearing["state"]) == ("to do", "impossible")
    assert "found clip; give features of audio (--features tiny.audio=DIR)" in hearing["reason"]
    found, _ = bench(file)
    assert [c["state"] for c in found["cells"]] == ["done", "impossible"]
    given = ("--features", f"tiny.audio={audio}")
    found, _ = bench(file, *given)
    assert [c["state"] for c in found["cells"]] == ["done", "done"]
    assert bench(file, *given, "--dry-run")[0]["counts"] == {"done": 2}
    np.save(audio / "test-0.npy", np.load(audio / "test-0.npy") + 1)
    assert bench(file, *given, "--dry-run")[0]["counts"] == {"done": 1, "to do": 1}


def test_a_grid_logs_beside_its_runs_or_not_at_all(bench, write, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VADBENCH_MLFLOW", "off")
    file = write(ONE)
    assert "not logged to MLflow: VADBENCH_MLFLOW is off" in bench(file, as_json=False)[0]
    monkeypatch.delenv("VADBENCH_MLFLOW")
    assert "not logged to MLflow: --no-mlflow" in bench(file, "--no-mlflow", as_json=False)[0]
    assert not list(tmp_path.rglob("mlflow.db"))
    assert f"logged to MLflow at sqlite:///{tmp_path}/runs/mlflow.db" in bench(file, as_json=False)[0]
    assert [*tmp_path.rglob("mlflow.db")] == [tmp_path / "runs" / "mlflow.db"]
    assert logged(tmp_path / "runs" / "mlflow.db") == {"parents": 1, "cells": 1, "seeds": 1, "unfinished": 0}
