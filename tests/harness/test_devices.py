"""Runs on a GPU, here a pretended one: what a method assigns is placed, and a change of device is said."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from places import PLUGIN, SUPPORT
from vadbench.harness import import_checkpoint
from vadbench.records.scores import load_split
from vadbench.testing.pretend import pretend
from vadbench.training.stage_state import StageState
from vadbench.training.stages import TrainingLoop

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
PLUGINS = ("--plugin", PLUGIN, "--plugin", SUPPORT / "assigning_plugin.py")
CLIP = ("--clip", "small", "--clip-weights", "random:0")
CPU = f"cpu with torch {torch.__version__}"
GPU = f"Pretended GPU with torch {torch.__version__}"


class Stopped(BaseException):
    """An interruption."""


@pytest.fixture
def on(vadbench, tmp_path):
    """Call a command with ``--device``, on a machine with a GPU where that is ``cuda``."""

    def call(device, command, *arguments, out="runs", status=0):
        there = (*PLUGINS, *CLIP, "--device", device, "--json", "--out", tmp_path / out)
        if device == "cpu":
            return vadbench(command, *there, *arguments, status=status)
        with pretend():
            return vadbench(command, *there, *arguments, status=status)

    return call


@pytest.fixture
def stopped(on, monkeypatch):
    """Call a command whose training is interrupted after its first epoch."""
    monkeypatch.setattr("vadbench.training.stages.SAVE_SECONDS", 0)
    write = StageState.write

    def stopping(state, path):
        write(state, path)
        raise Stopped

    def call(*arguments):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(StageState, "write", stopping)
            on(*arguments)

    return call


def scores(folder):
    return {s.name: s.anomaly for s in load_split(Path(folder)).scores}


def said_of_devices(record):
    return [note for note in record["notes"] if " with torch " in note]


def require_equal(here, there):
    assert here.keys() == there.keys()
    for name, expected in here.items():
        np.testing.assert_allclose(there[name], expected, rtol=0, atol=1e-3, err_msg=name)


def test_a_fit_computes_as_its_recipe_says_between_the_steps_as_well(on, monkeypatch):
    run, seen = TrainingLoop.run, []

    def looking(loop, *arguments, **options):
        seen.append((torch.backends.cudnn.conv.fp32_precision, torch.are_deterministic_algorithms_enabled()))
        run(loop, *arguments, **options)

    monkeypatch.setattr(TrainingLoop, "run", looking)
    arguments = ("run", "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=1")
    on("cpu", *arguments, out="cpu")
    on("cuda", *arguments, out="cuda")
    on("cuda", *arguments, "--set", "recipe.deterministic=false", out="cuda")
    assert seen == [("ieee", False), ("ieee", True), ("ieee", False)]


def test_what_a_method_assigns_on_the_cpu_is_placed_wherever_it_was_assigned(on):
    records = {
        device: on(device, "run", "-m", "assigning", "-d", "tiny", out=device).json[0] for device in ("cpu", "cuda")
    }
    require_equal(*(scores(record["folder"]) for record in records.values()))
    assert records["cuda"]["environment"]["device"] == "Pretended GPU"
    assert {"cuda", "cudnn", "driver"} <= records["cuda"]["environment"].keys()
    assert not {"cuda", "cudnn", "driver"} & records["cpu"]["environment"].keys()
    assert records["cuda"]["key"] == records["cpu"]["key"] and not said_of_devices(records["cuda"])
    # Its checkpoint is loaded, which calls resize().
    (again,) = on("cuda", "run", "--from", records["cpu"]["folder"], "-d", "other", out="cpu").json
    assert said_of_devices(again) == [f"trained on {CPU}, scored on {GPU}"]


def test_what_is_prepared_for_imported_weights_is_placed(on, tmp_path, monkeypatch):
    save, found = import_checkpoint.save_training, {}

    def looking(experiment, training, method, *more, **named):
        found.update({name: buffer.device.type for name, buffer in method.named_buffers()})
        save(experiment, training, method, *more, **named)

    monkeypatch.setattr(import_checkpoint, "save_training", looking)
    torch.save({"weight": torch.ones(1, 64)}, tmp_path / "theirs.pth")
    made = on("cuda", "import-checkpoint", "-m", "assigning", "-d", "tiny", tmp_path / "theirs.pth")
    assert found == {"center": "cuda", "scale": "cuda", "bank": "cuda"}
    (record,) = on("cuda", "run", "--from", json.loads(made.out)["folder"]).json
    assert record["status"] == "finished" and not said_of_devices(record)


@pytest.mark.parametrize("where", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_training_that_goes_on_on_another_device_says_so(on, stopped, where):
    arguments = ("run", "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=3")
    stopped(where[0], *arguments)
    found = on(where[1], *arguments)
    words = {"cpu": CPU, "cuda": GPU}
    said = f"trained on {words[where[0]]}, then on {words[where[1]]}: their roundings and random draws differ"
    assert said_of_devices(found.json[0]) == [said]
    assert f"note: {said}" in found.err
    # An evaluation of these weights says it as well.
    (again,) = on(where[1], "run", "--from", found.json[0]["folder"], "-d", "other").json
    assert said_of_devices(again) == [said]


def test_a_training_that_goes_on_where_it_began_says_nothing(on, stopped):
    arguments = ("run", "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=3")
    stopped("cpu", *arguments)
    found = on("cpu", *arguments)
    assert not said_of_devices(found.json[0]) and "note: trained" not in found.err


def test_a_state_of_before_devices_were_noted_goes_on_as_ever(on, stopped, tmp_path):
    arguments = ("run", "-m", "linear", "-d", "tiny", "--set", "recipe.epochs=3")
    whole = on("cpu", *arguments, out="whole").json[0]
    stopped("cpu", *arguments)
    (path,) = (tmp_path / "runs").rglob("1.safetensors")
    with safe_open(path, "pt") as file:
        facts, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    older = json.loads(facts["facts"])
    del older["devices"]
    save_file(tensors, path, {"stage": facts["stage"], "facts": json.dumps(older)})
    found = on("cpu", *arguments).json[0]
    assert not said_of_devices(found)
    kept = [load_file(Path(record["folder"]) / "checkpoint.safetensors") for record in (whole, found)]
    assert all(torch.equal(kept[1][name], value) for name, value in kept[0].items())
