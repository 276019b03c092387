"""``vadbench bench`` as a user types it: killed, in two processes, on Ray, with damaged folders and wrong files."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from command_line import succeed
from places import PLUGIN

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "pictures_left_blank")
HEAD = 'title = "Two methods"\nclip = "small"\nclip_weights = "random:0"\n'
SMALL = f"""{HEAD}seeds = [0, 2]
[[tables]]
id = "first"
title = "Bright squares"
columns = [{{ dataset = "tiny", metric = "AUC" }}, {{ dataset = "tiny", metric = "AP" }}]
rows = [
  {{ label = "linear", method = "linear" }},
  {{ label = "diverges", method = "diverges" }},
]
[tables.set]
recipe.epochs = 2
"""


@pytest.fixture
def write(tmp_path):
    def call(text, name="mine.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return call


@pytest.fixture
def bench(vadbench, tmp_path):
    """``vadbench bench`` in this process: what it printed as JSON, or as text, and its notes."""

    def call(file, *arguments, status=0, as_json=True):
        base = ["bench", file, "--plugin", PLUGIN, "--out", tmp_path / "runs", "--device", "cpu"]
        found = vadbench(*base, *(["--json"] if as_json else []), *arguments, status=status)
        return (found.json if as_json and found.out else found.out), found.err

    return call


def runs_once(bench, file, *arguments):
    """Run a benchmark, and see that it then counts as done and nothing is run again."""
    planned, _ = bench(file, "--dry-run", *arguments)
    assert planned["counts"] == {"to do": len(planned["cells"])}
    found, _ = bench(file, *arguments)
    assert found["counts"] == {"done": len(planned["cells"])}
    written = {c["folder"]: (Path(c["folder"]) / "result.json").stat().st_mtime_ns for c in found["cells"]}
    looked, _ = bench(file, "--dry-run", *arguments)
    assert looked["counts"] == found["counts"]
    _, err = bench(file, *arguments)
    assert "[1/" not in err
    assert {f: (Path(f) / "result.json").stat().st_mtime_ns for f in written} == written
    return found


SETTINGS = f"""{HEAD}seeds = [0]
[[tables]]
id = "1"
title = "One"
columns = [{{ dataset = "tiny", metric = "AUC" }}]
rows = [{{ label = "a", method = "METHOD", set = {{ SET }} }}]
"""
ONE = SETTINGS.replace("METHOD", "random").replace("SET", "")


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("linear", "recipe.epochs = 0"),
        ("linear", "recipe.epochs = 1, width = 5, recipe.batch_size = 4"),
        ("linear", "recipe.epochs = 1.0, recipe.learning_rate = 1, recipe.betas = [0.5, 0]"),
        ("linear", 'recipe = { epochs = 2, schedule = "steps", milestones = [1.0], gamma = 1 }'),
        ("linear", 'recipe.epochs = 1, protocol.crop = "mean", protocol.subset = "all"'),
        ("linear", 'recipe.epochs = 1, protocol = { crop = "center", selection = "validation" }'),
        ("descriptions-frame", 'recipe.epochs = 1, recipe.batch_size = 8, descriptions = "general"'),
        ("descriptions-frame", 'recipe.epochs = 0, descriptions = "general"'),
        ("descriptions-video", 'recipe.epochs = 1, recipe.batch_size = 8, descriptions = "BANK"'),
    ],
)
def test_a_cell_is_done_however_its_settings_are_written(bench, write, method, settings):
    bank = write('normal = ["a street"]\n[classes]\nSquare = ["a bright square"]\n', "bank.toml")
    file = write(SETTINGS.replace("METHOD", method).replace("SET", settings.replace("BANK", str(bank))))
    runs_once(bench, file)
    if "BANK" in settings:
        bank.write_text(bank.read_text().replace("bright", "white"))
        looked, _ = bench(file, "--dry-run")
        assert looked["counts"] == {"to do": 1}, "other words are another run"


def test_a_cell_is_to_do_again_where_a_default_has_changed_since(bench, write, monkeypatch):
    file = write(SETTINGS.replace("METHOD", "zero-shot").replace("SET", ""))
    runs_once(bench, file)
    from vadbench_baselines.zero_shot import ZeroShot

    monkeypatch.setattr(ZeroShot, "dataset_defaults", {"tiny": {"rows": {"stride": 2}}})
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}


def test_a_cell_is_to_do_again_where_its_data_have_changed_since(bench, write, tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    file = write(ONE)
    where = ("--data-root", f"tiny={root}")
    runs_once(bench, file, *where)
    # Another file of the same length takes the place of a test video.
    replaced, other = root / "test-1.mp4", root / "test-3.mp4"
    kept = replaced.read_bytes()
    replaced.write_bytes(other.read_bytes())
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"to do": 1}
    replaced.write_bytes(kept)
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"done": 1}
    # Another annotation.
    monkeypatch.setenv("TINY_END", "19")
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"to do": 1}
    monkeypatch.delenv("TINY_END")
    # Other features than those that the record was made from.
    given = tmp_path / "given"
    given.mkdir()
    for name in (f"{split}-{i}" for split, n in (("train", 8), ("test", 6)) for i in range(n)):
        np.save(given / f"{name}.npy", np.random.default_rng(0).normal(size=(30, 64)).astype(np.float32))
    options = ("--features", f"tiny={given}", "--features-layout", "tiny=anomalyclip")
    looked, _ = bench(file, "--dry-run", *where, *options)
    assert looked["counts"] == {"to do": 1}
    # What is not here cannot have changed: a table can be drawn on a machine without the data.
    for path in root.iterdir():
        path.unlink()
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"done": 1}


def test_a_cell_is_to_do_again_where_the_rules_of_its_protocol_have_changed_since(bench, write, monkeypatch):
    from vadbench.scoring import protocol as protocols

    file = write(ONE)
    runs_once(bench, file)
    changed = protocols.ProtocolPreset(protocols.Protocol(name="native", tail="rows"))
    monkeypatch.setattr(protocols, "NATIVE", changed)
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}


def test_finished_cells_of_other_files_are_done_with_a_note(bench, write):
    file = write(ONE)
    (cell,) = runs_once(bench, file)["cells"]
    assert "before its files changed" not in bench(file)[1]
    record = Path(cell["folder"]) / "result.json"
    content = json.loads(record.read_text())
    content["code"]["method"]["digest"] = "before"
    record.write_text(json.dumps(content))
    found, err = bench(file)
    assert found["counts"] == {"done": 1}
    assert "some finished cells of random were made before its files changed; vadbench run --again renews one" in err


def test_an_evaluation_of_a_training_that_is_to_do_again_is_so_too(bench, write, monkeypatch):
    columns = '{ dataset = "tiny", metric = "AUC" }'
    text = SETTINGS.replace("METHOD", "linear").replace("SET", "recipe.epochs = 1")
    file = write(text.replace(columns, '{ dataset = "other", train = "tiny", metric = "AUC" }'))
    found, _ = bench(file)
    assert found["counts"] == {"done": 2}
    (training,) = (c for c in found["cells"] if c["dataset"] == "tiny")
    record = Path(training["folder"]) / "result.json"
    content = json.loads(record.read_text())
    content["code"]["dataset"]["identity"] = "what it was before an edit"
    record.write_text(json.dumps(content))
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 2}


def test_runs_of_an_earlier_edition_are_to_do_again(bench, write):
    file = write(ONE)
    (cell,) = runs_once(bench, file)["cells"]
    record = Path(cell["folder"]) / "result.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({k: v for k, v in content.items() if k != "edition"}))
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}


def test_cells_on_features_of_regions_are_done(bench, write, tmp_path):
    names = [f"{split}-{i}" for split, n in (("train", 8), ("test", 6)) for i in range(n)]
    boxes = ["video,frame,x1,y1,x2,y2,confidence", *(f"{n},{t},2,2,30,25,0.4" for n in names for t in (0, 9))]
    file, store = write("\n".join(boxes), "boxes.csv"), tmp_path / "store"
    clip = ["--clip", "small", "--clip-weights", "random:0"]
    extract = ["extract", "--plugin", PLUGIN, "-d", "tiny", *clip, "--stride", 1, "--regions", file, "--out", store]
    succeed(*extract)
    grid = write(SETTINGS.replace("METHOD", "linear").replace("SET", "recipe.epochs = 1"), "grid.toml")
    found = runs_once(bench, grid, "--features", f"tiny={store}")
    (cell,) = found["cells"]
    record = json.loads((Path(cell["folder"]) / "result.json").read_text())
    assert record["protocol"]["crop"] == "max" and record["changed"] == ["recipe.epochs"]


def test_cells_of_a_clip_in_a_file_are_done_until_the_file_is_replaced(bench, write, tmp_path):
    def save(seed):
        torch.manual_seed(seed)
        towers = {"layers": 1, "width": 64}
        images = towers | {"patch_size": 16, "image_size": 32}
        texts = towers | {"context_length": 77, "vocab_size": 49408, "heads": 1}
        save_file(open_clip.CLIP(8, images, texts, quick_gelu=True).state_dict(), tmp_path / "tiny.safetensors")

    save(0)
    head = f'title = "t"\nclip = ""\nclip_weights = "{tmp_path}/tiny.safetensors"\n'
    file = write(SETTINGS.replace(HEAD, head).replace("METHOD", "linear").replace("SET", "recipe.epochs = 1"))
    runs_once(bench, file)
    save(1)
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}


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
        assert holder.stdout.readline() == "held\n"
        found, err = bench(file)
    assert found["counts"] == {"done": 4}
    assert err.splitlines()[-2].startswith("[4/4] done linear recipe.epochs=2 on tiny, seed 0")


def test_mlflow_away_harms_nothing_and_the_same_command_logs_later(bench, write, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found, err = bench(write(SMALL))
    assert found["counts"] == {"done": 4}
    assert "not logged (MLflow at http://127.0.0.1:9" in err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/later.db")
    bench(write(SMALL))
    assert logged(tmp_path / "later.db") == {"parents": 1, "cells": 4, "seeds": 4, "unfinished": 0}


def logged(database):
    """What a sqlite store holds of one benchmark: its parents, its cells, seeds, and what is not finished."""
    with sqlite3.connect(database) as store:
        assert store.execute("pragma integrity_check").fetchall() == [("ok",)]

        def runs(where):
            query = (
                "select count(distinct r.run_uuid) from runs r join experiments e on e.experiment_id = r.experiment_id"
                f" join tags t on t.run_uuid = r.run_uuid where r.lifecycle_stage = 'active' and {where}"
            )
            return store.execute(query).fetchone()[0]

        counts = {
            "parents": runs("t.key = 'vadbench.benchmark'"),
            "cells": runs("e.name = 'benchmarks' and t.key = 'mlflow.parentRunId'"),
            "seeds": runs("e.name = 'tiny' and t.key = 'mlflow.parentRunId'"),
            "unfinished": runs("r.status != 'FINISHED'"),
        }
    store.close()
    return counts


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


# What follows runs in processes of their own.

SLOW = SMALL.replace("recipe.epochs = 2", "recipe.epochs = 2\npause = 0.4")


def alone(home, *arguments):
    """The command and environment of a benchmark with a cache, a store and folders of its own."""
    home.mkdir(exist_ok=True)
    file = home / "mine.toml"
    file.write_text(SLOW)
    environment = os.environ | {
        "VADBENCH_CACHE": str(home / "cache"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
    }
    command = [sys.executable, "-m", "vadbench", "bench", file, "--plugin", PLUGIN, "--device", "cpu", "--json"]
    return {"args": [*command, "--out", home / "runs", *arguments], "env": environment}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    home = tmp_path_factory.mktemp("whole")
    subprocess.run(**alone(home), check=True, capture_output=True)
    return home / "runs"


def records(out):
    """What is finished under a folder: where it lies, and when it was made."""
    found = {}
    for path in out.rglob("result.json"):
        record = json.loads(path.read_text())
        assert record["status"] == "finished"
        found[path.relative_to(out).parent] = record["created"], path.stat().st_mtime_ns
    return found


def require_same(a, b):
    """The same runs with the same scores, bit for bit, each trained over its two epochs once."""
    assert records(a).keys() == records(b).keys() and len(records(a)) == 4
    for folder in records(a):
        x, y = np.load(a / folder / "scores.npz"), np.load(b / folder / "scores.npz")
        assert x.files == y.files
        assert all(np.array_equal(x[name], y[name]) for name in x.files), folder
        x, y = (json.loads((side / folder / "result.json").read_text()) for side in (a, b))
        assert x["metrics"] == y["metrics"]
        epochs = [json.loads(line)["epoch"] for line in (b / folder / "training.jsonl").read_text().splitlines()]
        assert epochs == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_three_times_it_ends_as_if_it_had_not_been(tmp_path, uninterrupted, jobs):
    home, call = tmp_path / "killed", alone(tmp_path / "killed", "--jobs", jobs)
    rng = np.random.default_rng(int(jobs))
    seen = {}

    def epochs():
        return sum(len(p.read_text().splitlines()) for p in (home / "runs").rglob("training.jsonl"))

    for kill in range(3):
        before = epochs()
        process = subprocess.Popen(**call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The first falls anywhere, rendering and extraction included, the others into the cells.
        while kill and epochs() == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(2, 8) if kill == 0 else rng.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        now = records(home / "runs")
        assert seen.items() <= now.items()
        seen = now
    done = subprocess.run(**call, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["counts"] == {"done": 4}
    assert seen.items() <= records(home / "runs").items()
    require_same(uninterrupted, home / "runs")
    assert logged(home / "mlflow.db") == {"parents": 1, "cells": 4, "seeds": 4, "unfinished": 0}


@pytest.mark.slow
def test_two_at_once_on_one_folder_share_the_work(tmp_path, uninterrupted):
    home, call = tmp_path / "shared", alone(tmp_path / "shared")
    both = [subprocess.Popen(**call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [p.communicate() for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert all(json.loads(out)["counts"] == {"done": 4} for out, _ in said)
    own = [line for _, err in said for line in err.splitlines() if "] done" in line and "another process" not in line]
    assert len(own) == 4 and len({line.partition("] ")[2] for line in own}) == 4, own
    require_same(uninterrupted, home / "runs")
    assert logged(home / "mlflow.db") == {"parents": 1, "cells": 4, "seeds": 4, "unfinished": 0}


@pytest.mark.slow
@pytest.mark.parametrize("engine", [["--jobs", "2"], ["--engine", "ray"]])
def test_a_killed_worker_costs_nothing_but_time(tmp_path, uninterrupted, engine):
    if "ray" in engine:
        pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    home, call = tmp_path / "workers", alone(tmp_path / "workers", *engine)
    process = subprocess.Popen(**call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (training := list((home / "runs").rglob("training.jsonl"))) and process.poll() is None:
        time.sleep(0.01)
    victims = workers(process.pid, training[0].parent)
    assert victims, "no worker holds the run's lock"
    os.kill(victims[0], signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out)["counts"] == {"done": 4}
    require_same(uninterrupted, home / "runs")
    assert logged(home / "mlflow.db") == {"parents": 1, "cells": 4, "seeds": 4, "unfinished": 0}


def workers(parent, folder):
    """Processes other than the parent that have a run folder's lock open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = {os.readlink(f) for f in (process / "fd").iterdir()}
        except OSError:
            continue
        if str(folder / ".lock") in opened and int(process.name) != parent:
            found.append(int(process.name))
    return found


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
        (["--features-layout", "tiny=anomalyclip"], "lie; give both"),
    ],
)
def test_a_layout_that_cannot_be_meant_is_one_line(bench, write, arguments, message):
    _, err = bench(write(ONE), *arguments, status=2)
    assert message in err and err.count("\n") == 1


def test_advice_of_a_cell_speaks_of_what_a_benchmark_has(bench, write, tmp_path):
    given = features_of(tmp_path / "wide", 30)
    for path in given.iterdir():
        np.save(path, np.load(path)[:, :32])
    found, _ = bench(write(ONE), "--features", f"tiny={given}", status=1)
    assert (
        "such as clip = ViT-B-16-quickgelu clip_weights = openai (in the benchmark's file)"
        in (found["cells"][0]["reason"])
    )
    looked, _ = bench(write(ONE), "--features", f"tiny={given}", "--dry-run")
    assert looked["cells"][0]["state"] == "to do" and "--clip" not in looked["cells"][0]["reason"]


def test_a_grid_logs_beside_its_runs_or_not_at_all(bench, write, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VADBENCH_MLFLOW", "off")
    file = write(ONE)
    assert "not logged to MLflow: VADBENCH_MLFLOW is off" in bench(file, as_json=False)[0]
    assert not list(tmp_path.rglob("mlflow.db"))
    monkeypatch.delenv("VADBENCH_MLFLOW")
    assert f"logged to MLflow at sqlite:///{tmp_path}/runs/mlflow.db" in bench(file, as_json=False)[0]
    assert [*tmp_path.rglob("mlflow.db")] == [tmp_path / "runs" / "mlflow.db"]
    assert logged(tmp_path / "runs" / "mlflow.db") == {"parents": 1, "cells": 1, "seeds": 1, "unfinished": 0}
