"""What a run keeps for its events: the frame rates of its videos, and a threshold that no test label fixed."""

import json
from pathlib import Path

import numpy as np
import pytest

from places import KINDS, PLUGIN
from vadbench.metrics.event_counts import KEYS
from vadbench.metrics.measurement import measure
from vadbench.records.folders import read_record
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
CLIP = ("--clip", "small", "--clip-weights", "random:0")
CHOSEN = "events are counted above a threshold chosen on the normal test videos"


@pytest.fixture
def run(vadbench, tmp_path):
    def call(*arguments, plugins=(PLUGIN, KINDS / "transductive.py")):
        files = [part for plugin in plugins for part in ("--plugin", plugin)]
        base = ("run", *files, *CLIP, "--device", "cpu", "--json", "--out", tmp_path / "runs")
        return vadbench(*base, *arguments).json[0]

    return call


def told(record):
    return [note for note in record["notes"] if note.startswith(CHOSEN)]


def of_training(record):
    folder = Path(record["folder"])
    folder = folder.parent.parent if folder.parent.name == "evaluations" else folder
    return json.loads((folder / "checkpoint.json").read_text())["threshold"]


def events(metrics):
    return {key: metrics[key] for key in KEYS}


def test_a_trained_run_counts_events_from_the_threshold_of_its_training_on(run):
    record = run("-m", "linear", "-d", "tiny")
    folder = Path(record["folder"])
    assert record["threshold"] == of_training(record) is not None and not told(record)
    with np.load(folder / "scores.npz") as file:
        assert file["rates"].tolist() == [10.0] * 6
    split = load_split(folder)
    assert split.threshold == record["threshold"] and {s.rate for s in split.given} == {10.0}
    # Frame by frame: a bright square from frame 10 to 20 of every other video.
    curves = [np.repeat(s.anomaly.astype(np.float64), split.stride) >= record["threshold"] for s in split.given]
    hits = [np.flatnonzero(curve[10:20]) for curve in curves[::2]]
    metrics = record["metrics"]
    assert metrics["hit"]["value"] == np.mean([len(hit) > 0 for hit in hits])
    delays = [hit[0] for hit in hits if len(hit)]
    assert delays and metrics["delay"]["value"] == np.median(delays)
    assert metrics["delay/seconds"]["value"] == pytest.approx(np.median(delays) / 10)
    false = sum(int((np.diff(curve.astype(int), prepend=0) == 1).sum()) for curve in curves[1::2])
    assert metrics["false-alarms-per-hour"]["value"] == pytest.approx(false / (3 * 30 / 10 / 3600))
    again = {key: value.model_dump() for key, value in measure(split).items()}
    assert events(again) == events(metrics)


def test_another_data_set_is_measured_with_the_threshold_of_the_training(run):
    trained = run("-m", "linear", "-d", "tiny")
    moved = run("--from", trained["folder"], "-d", "other")
    assert moved["threshold"] == trained["threshold"] and not told(moved)
    assert events(moved["metrics"]) == events(trained["metrics"])


@pytest.mark.parametrize("method", ["zero-shot", "transductive"])
def test_where_none_could_be_measured_the_record_says_that_one_was_chosen_on_the_test_videos(run, method):
    record = run("-m", method, "-d", "tiny")
    assert record["threshold"] is None and of_training(record) is None
    (note,) = told(record)
    assert "the run has none of its own" in note
    assert record["metrics"]["hit"]["value"] is not None


def test_scores_for_other_classes_are_not_those_that_a_threshold_was_measured_for(run, tmp_path):
    (tmp_path / "adapts.py").write_text(
        "from dataclasses import replace\n"
        "from vadbench import MethodSpec, hookimpl\n"
        "from vadbench.base.method_config import Recipe\n"
        "from tiny_plugin import Config, Linear\n"
        "class Settings(Config):\n    @property\n    def open_vocabulary(self):\n        return True\n"
        "class Adapts(Linear):\n    Config = Settings\n"
        "@hookimpl\ndef vadbench_methods():\n    return [MethodSpec('adapts', 'adapts', 'adapts:Adapts')]\n"
    )
    plugins = (PLUGIN, tmp_path / "adapts.py")
    trained = run("-m", "adapts", "-d", "tiny", plugins=plugins)
    assert trained["threshold"] is not None
    moved = run("--from", trained["folder"], "-d", "other", plugins=plugins)
    assert any("asked for those of other" in note for note in moved["notes"])
    assert moved["threshold"] is None and told(moved)
    # Nor is it found in the folder of the training when the scores are measured again.
    assert load_split(Path(moved["folder"])).threshold is None
    assert events({k: v.model_dump() for k, v in measure(load_split(Path(moved["folder"]))).items()}) == events(
        moved["metrics"]
    )


def test_a_record_made_before_takes_the_threshold_of_its_training(run):
    record = run("-m", "linear", "-d", "tiny")
    again = run("--from", record["folder"], "-d", "tiny", "--protocol", "anomalyclip")
    for folder in map(Path, (record["folder"], again["folder"])):
        content = json.loads((folder / "result.json").read_text())
        del content["threshold"]
        (folder / "result.json").write_text(json.dumps(content))
        assert read_record(folder).threshold is None
        assert load_split(folder).threshold == record["threshold"]
    assert Path(again["folder"]).parent.name == "evaluations"


def test_a_rate_that_no_file_states_is_that_of_the_data_set(run, monkeypatch):
    monkeypatch.setattr("vadbench.harness.evaluate.stated_rates", lambda videos: {"test-0": 25.0})
    record = run("-m", "random", "-d", "tiny")
    assert [s.rate for s in load_split(Path(record["folder"])).given] == [25.0, *[None] * 5]
    reason = record["metrics"]["false-alarms-per-hour"]["reason"]
    assert reason == "the frame rate of 3 normal videos is unknown, the first is 'test-1'"
    monkeypatch.setattr("vadbench.dataset.Dataset.frame_rate", 5)
    record = run("-m", "random", "-d", "tiny", "--again")
    assert [s.rate for s in load_split(Path(record["folder"])).given] == [25.0, *[5.0] * 5]
    assert record["metrics"]["false-alarms-per-hour"]["value"] is not None
