"""``vadbench bench`` as processes that are killed, and two at once on one folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from grids import SMALL, logged
from places import PLUGIN

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "mlflow_on")

SLOW = SMALL.replace("recipe.epochs = 2", "recipe.epochs = 2\npause = 0.4")


def alone(home, *arguments, cache=None):
    """The command and environment of a benchmark with a cache, a store and folders of its own."""
    home.mkdir(exist_ok=True)
    if cache:
        shutil.copytree(cache, home / "cache")
    file = home / "mine.toml"
    file.write_text(SLOW)
    environment = os.environ | {
        "VADBENCH_CACHE": str(home / "cache"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
    }
    command = [sys.executable, "-m", "vadbench", "bench", file, "--plugin", PLUGIN, "--device", "cpu", "--json"]
    return {"args": [*command, "--out", home / "runs", *arguments], "env": environment}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_cache):
    home = tmp_path_factory.mktemp("whole")
    subprocess.run(**alone(home, cache=tiny_cache), check=True, capture_output=True)
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
def test_two_at_once_on_one_folder_share_the_work(tmp_path, uninterrupted, tiny_cache):
    home, call = tmp_path / "shared", alone(tmp_path / "shared", cache=tiny_cache)
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
def test_a_killed_worker_costs_nothing_but_time(tmp_path, uninterrupted, tiny_cache, engine, request):
    if "ray" in engine:
        request.getfixturevalue("real_ray")
    home, call = tmp_path / "workers", alone(tmp_path / "workers", *engine, cache=tiny_cache)
    process = subprocess.Popen(**call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not (training := list((home / "runs").rglob("training.jsonl"))) and process.poll() is None:
            time.sleep(0.01)
        assert training, "it ended before a run began"
        victims = workers(process.pid, training[0].parent)
        assert victims, "no worker holds the run's lock"
        os.kill(victims[0], signal.SIGKILL)
        out, err = process.communicate()
    finally:
        process.kill()
        process.communicate()
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
