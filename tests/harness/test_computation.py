"""What a run took beside seconds and memory: the encoder's operations, and the training that was only evaluated."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from places import PLUGIN
from vadbench.base.errors import StorageError
from vadbench.base.locations import STAGES
from vadbench.features.fingerprint import Fingerprint
from vadbench.harness import computation, execution, training
from vadbench.harness.computation import row_gflop
from vadbench.harness.environment import SPENT

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
IMAGE = 3e9


@pytest.fixture
def opened(monkeypatch):
    """An experiment on features of two videos, as far as the count looks at it."""
    monkeypatch.setattr(computation, "image_flop", lambda clip: IMAGE)

    def make(crops=("center",), weights="0" * 64, clip="0" * 64, streams=(), **fingerprint):
        made_by = Fingerprint("vit", weights, "gelu", "resized", 16, fingerprint.pop("pooling", "middle"), 4)
        provision = SimpleNamespace(
            fingerprint=made_by, streams=dict.fromkeys(streams), scored={"a": crops, "b": crops}, regions=False
        )
        return SimpleNamespace(provision=provision, clip=None if clip is None else SimpleNamespace(weights_sha256=clip))

    return make


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({}, 1),
        ({"pooling": "first"}, 1),
        ({"pooling": "mean"}, 16),
        ({"crops": ("center", "top-left")}, 2),
        ({"crops": ("center", "top-left"), "pooling": "mean"}, 32),
        ({"pooling": "unknown"}, None),
        ({"weights": "unknown-abc"}, None),
        ({"clip": "1" * 64}, None),
        ({"clip": None}, None),
        ({"streams": ("audio",)}, None),
    ],
    ids=str,
)
def test_a_row_takes_its_frames_and_crops(opened, changes, images):
    assert row_gflop(opened(**changes)) == (None if images is None else images * IMAGE / 1e9)


def test_nothing_is_said_of_regions_and_without_features(opened):
    experiment = opened()
    experiment.provision.regions = True
    assert row_gflop(experiment) is None
    experiment.provision.regions, experiment.provision.fingerprint = False, None
    assert row_gflop(experiment) is None


@pytest.fixture
def run(vadbench, tmp_path):
    base = ("run", "--plugin", PLUGIN, "--device", "cpu", "--out", tmp_path / "runs", "--json")
    base += ("--clip", "small", "--clip-weights", "random:0")

    def call(*arguments, status=0):
        printed = vadbench(*base, *arguments, status=status)
        return printed.json[0] if printed.out else None

    return call


LINEAR = ("-m", "linear", "-d", "tiny", "--set", "recipe.epochs=2")


def test_a_run_records_what_it_took(run, vadbench, tmp_path):
    record = run(*LINEAR)
    compute = record["compute"]
    assert compute["parameters"] == compute["trainable"] == 64 + 1
    assert compute["cpu_seconds"].keys() == record["seconds"].keys() == {"training", "threshold", "scoring", "metrics"}
    assert (compute["training_parts"], compute["training_seconds"], compute["training_machine"]) == (1, None, "")
    # The small CLIP, of whose frames there is a row for each.
    assert compute["encoder_gflop"] == pytest.approx(0.02074368)
    shown = vadbench("show", "run", record["key"], "--out", tmp_path / "runs")
    assert "took: 65 parameters, 65 of them trained\n" in shown.out
    found = vadbench("show", "run", record["key"], "--out", tmp_path / "runs", "--json").json
    assert found["compute"] == compute and found["cost_figures"]["parameters"] == 65
    assert found["cost_figures"]["training_seconds"] == record["seconds"]["training"]


def test_a_method_without_training_has_no_parameter_that_is_trained(run):
    found = run("-m", "random", "-d", "tiny")["compute"]
    assert (found["parameters"], found["trainable"]) == (0, 0)


@pytest.mark.parametrize("last", ["save_training", "evaluate_method"])
def test_an_interrupted_run_adds_up(run, tmp_path, monkeypatch, last):
    """Interrupted after the training: before its weights are written, or after that."""

    def interrupted(*_, **__):
        raise StorageError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(training if last == "save_training" else execution, last, interrupted)
        assert run(*LINEAR, status=None) is None
    (spent,) = (tmp_path / "runs").rglob(f"{STAGES}/{SPENT}")
    content = json.loads(spent.read_text())
    assert content["parts"]["training"] == 1
    content |= {"seconds": {"training": 1000.0}, "cpu_seconds": {"training": 2000.0}}
    spent.write_text(json.dumps(content))
    record = run(*LINEAR)
    assert 1000 <= record["seconds"]["training"] < 2000
    assert record["compute"]["cpu_seconds"]["training"] >= 2000
    assert record["compute"]["training_parts"] == (2 if last == "save_training" else 1)
    assert not (Path(record["folder"]) / STAGES).exists()
    again = run(*LINEAR, "--again")
    assert again["seconds"]["training"] < 1000 and again["compute"]["training_parts"] == 1


def test_an_evaluation_alone_has_the_seconds_of_its_training(run):
    trained = run(*LINEAR)
    folder = Path(trained["folder"])
    result = folder / "result.json"
    found = run("--from", folder, "-d", "other")
    assert "training" not in found["seconds"]
    assert found["compute"]["training_seconds"] == trained["seconds"]["training"]
    assert (found["compute"]["training_parts"], found["compute"]["training_machine"]) == (None, "")
    assert found["compute"]["parameters"] == 65
    # As if it had been trained elsewhere.
    record = json.loads(result.read_text())
    record["environment"] |= {"processor": "another machine", "device": "a GPU"}
    result.write_text(json.dumps(record))
    found = run("--from", folder, "-d", "other", "--again")
    assert found["compute"]["training_machine"] == "another machine, a GPU"


@pytest.mark.parametrize("content", [None, "{", '{"schema_version": 3}'])
def test_a_training_without_a_sound_record_says_nothing_of_its_seconds(run, content):
    trained = run(*LINEAR)
    result = Path(trained["folder"]) / "result.json"
    if content is None:
        result.unlink()
    else:
        record = json.loads(result.read_text()) | {"seconds": {}}
        result.write_text(json.dumps(record | {"key": "another"}))
    found = run("--from", trained["folder"], "-d", "other")
    assert found["compute"]["training_seconds"] is None
