"""Released checkpoints: read as tensors, refused where they hold code, made runs that can be evaluated."""

import json
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from vadbench_anomalyclip.checkpoint import _frozen, reference_names
from vadbench_vadclip.checkpoint import reference_names as vadclip_names

from method_inputs import as_videos
from places import DIVIDED, PLUGIN
from vadbench.base.errors import CheckpointError
from vadbench.harness.experiment import open_experiment
from vadbench.harness.import_checkpoint import read_reference
from vadbench.harness.request import Request
from vadbench.harness.training import build
from vadbench.plugins.registry import Registry

STATE = {"net.a": torch.arange(6.0).reshape(2, 3), "net.b": torch.tensor(1)}


@pytest.fixture
def foreign(monkeypatch):
    """A class of a package that is not installed where the file is read."""

    def make(package, name="Thing"):
        kind = type(name, (), {"__module__": package})
        parts = package.split(".")
        for end in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        setattr(sys.modules[package], name, kind)
        return kind

    return make


@pytest.fixture
def lightning(tmp_path, foreign):
    """A file as a training framework writes it: tensors among objects of the authors' classes."""

    def write(state, path=tmp_path / "last.ckpt"):
        loss = foreign("src.models.loss", "ComputeLoss")()
        loss.weights = {"top": 1.0}
        extra = {"loss": loss, "solver": foreign("omegaconf.dictconfig", "DictConfig")(), "kind": type(loss)}
        torch.save({"epoch": 49, "state_dict": state, "hyper_parameters": extra, "callbacks": {}}, path)
        return path

    return write


def test_tensors_are_read_from_among_foreign_objects(lightning):
    path = lightning(STATE)
    for name in [n for n in sys.modules if n.split(".")[0] in ("src", "omegaconf")]:
        del sys.modules[name]
    found = read_reference(path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[k], v) for k, v in STATE.items())
    assert "src" not in sys.modules and "src.models.loss" not in sys.modules


@pytest.mark.parametrize("wrapping", [None, "state_dict", "model_state_dict"])
def test_bare_and_wrapped_state_dicts_are_the_same(tmp_path, wrapping):
    path = tmp_path / "model.pth"
    torch.save({wrapping: STATE, "epoch": 3} if wrapping else STATE, path)
    assert read_reference(path).keys() == STATE.keys()


class Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "argument"),
    [(os.system, "touch {}"), (eval, "open('{}', 'w')"), (exec, "open('{}', 'w')"), (os.mkdir, "{}")],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_an_attackers_pickle_is_refused_and_nothing_runs(tmp_path, function, argument, zipped):
    trace = tmp_path / "trace"
    path = tmp_path / "model.pth"
    attack = Attack(function, argument.format(trace))
    torch.save({"state_dict": STATE, "x": attack}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError):
        read_reference(path)
    assert not trace.exists()
    with pytest.raises((TypeError, pickle.UnpicklingError, EOFError, AttributeError)):
        pickle.loads(b"")  # the module is there: the refusal above is not for want of it


def test_an_attack_is_named(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"x": Attack(os.system, "true")}, path)
    with pytest.raises(CheckpointError, match=r"names posix.system, which no checkpoint needs"):
        read_reference(path)


def test_calls_of_known_packages_make_nothing_happen(tmp_path):
    trace = tmp_path / "trace"
    path = tmp_path / "model.pth"
    torch.save({"state_dict": STATE, "x": Attack(np.save, str(trace), np.ones(3))}, path)
    assert read_reference(path).keys() == STATE.keys()
    assert not list(tmp_path.glob("trace*"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "cannot read"),
        (b"", "cannot read"),
        (b"PK\x03\x04 and no more", "cannot read"),
        (None, "found no file"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, content, reason):
    path = tmp_path / "model.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=reason) as refused:
        read_reference(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="cannot read"):
        read_reference(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {1: torch.ones(2)}, {"state_dict": {}}])
def test_what_holds_no_tensors_is_refused(tmp_path, content):
    path = tmp_path / "model.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"dictionary of tensors|names to tensors"):
        read_reference(path)


CLIP = ("--clip", "small", "--clip-weights", "random:0")
SMALLER = (
    "emb_size=16", "depth=1", "segments=4", "segment_length=4",
    "recipe.epochs=1", "recipe.batch_size=4",
)  # fmt: skip
SETTINGS = [part for s in SMALLER for part in ("--set", s)]


@pytest.fixture
def released(tmp_path, lightning, tiny_at_hand):
    """Weights of the authors' names for the tiny data set, and the method they belong to."""
    request = Request("anomalyclip", "tiny", SMALLER, clip_model="small", clip_weights="random:0", device="cpu")
    experiment = open_experiment(request, Registry(files=(PLUGIN,)))
    method = build(experiment, experiment.dataset.classes, seed=7)
    state = {}
    for ours, theirs in reference_names(experiment.config).items():
        value = method.state_dict()[ours]
        if ours.endswith("_position"):
            value = value.movedim(-1, 1)
        elif ".feed_" in ours and ".norm." in ours:
            value = value.reshape(1, -1, 1, 1)
        state[f"net.{theirs}"] = value.clone()
    state |= {f"net.{k}": v.clone() for k, v in _frozen(method.directions).items()}
    return state | {"net.image_encoder.proj": torch.ones(2, 2)}, method


def test_a_released_checkpoint_becomes_a_run_that_can_be_evaluated(released, lightning, vadbench, tmp_path):
    state, method = released
    base = ["--plugin", PLUGIN, *CLIP, "--device", "cpu", "--out", tmp_path / "runs", "--json"]
    found = vadbench("import-checkpoint", "-m", "anomalyclip", "-d", "tiny", *SETTINGS, *base, lightning(state))
    folder = Path(json.loads(found.out)["folder"])
    kept = load_file(folder / "checkpoint.safetensors")
    assert torch.equal(kept["directions.ctx"], method.state_dict()["directions.ctx"])
    assert kept["centroid"].abs().sum() > 0, "the centroid is not in the file and must have been computed"
    (record,) = vadbench("run", "--from", folder, *base).json
    assert record["status"] == "finished"
    assert any("imported from the authors' file last.ckpt, sha256 " in n for n in record["notes"])


def test_another_data_sets_checkpoint_is_refused(released, lightning, vadbench, tmp_path, monkeypatch):
    state, _ = released
    monkeypatch.setenv("TINY_WORDS", "a dark circle")
    base = ["--plugin", PLUGIN, *CLIP, "--device", "cpu", "--out", tmp_path / "runs"]
    path = lightning(state)
    found = vadbench("import-checkpoint", "-m", "anomalyclip", "-d", "tiny", *SETTINGS, *base, path, status=2)
    assert "is not that of this CLIP and these classes" in found.err
    assert not list((tmp_path / "runs").rglob("checkpoint*"))


@pytest.mark.parametrize("damage", ["missing", "extra", "shape"])
def test_every_key_and_shape_is_matched(released, lightning, vadbench, tmp_path, damage):
    state, _ = released
    if damage == "missing":
        del state["net.prompt_learner.ctx"]
    elif damage == "extra":
        state["net.head.weight"] = torch.ones(1)
    else:
        state["net.prompt_learner.ctx"] = torch.ones(2, 3, 4)
    base = ["--plugin", PLUGIN, *CLIP, "--device", "cpu", "--out", tmp_path / "runs"]
    found = vadbench(
        "import-checkpoint", "-m", "anomalyclip", "-d", "tiny", *SETTINGS, *base, lightning(state), status=2
    )
    words = {"missing": "missing prompt_learner.ctx", "extra": "unexpected head.weight", "shape": "(2, 3, 4)"}
    assert words[damage] in found.err


@pytest.mark.usefixtures("tiny_at_hand")
def test_a_method_without_released_weights_says_so(vadbench, tmp_path):
    torch.save(STATE, tmp_path / "model.pth")
    base = ["--plugin", PLUGIN, *CLIP, "--device", "cpu", "--out", tmp_path / "runs"]
    found = vadbench("import-checkpoint", "-m", "linear", "-d", "tiny", *base, tmp_path / "model.pth", status=2)
    assert "'linear' has no released checkpoints to import" in found.err


@pytest.mark.usefixtures("tiny_at_hand")
def test_vadclips_released_weights_become_a_run_marked_as_chosen_on_the_test_split(vadbench, tmp_path):
    settings = ("length=16", "window=8", "recipe.epochs=1", "recipe.batch_size=4")
    request = Request("vadclip", "tiny", settings, clip_model="small", clip_weights="random:0", device="cpu")
    experiment = open_experiment(request, Registry(files=(PLUGIN,)))
    method = build(experiment, experiment.dataset.classes, seed=7)
    state = {theirs: method.state_dict()[ours] for ours, theirs in vadclip_names(experiment.config).items()}
    state |= {f"clipmodel.{k}": v for k, v in method.task.text.state_dict().items()}
    path = tmp_path / "model_ucf.pth"
    torch.save(state | {"clipmodel.visual.proj": torch.ones(2, 2), "clipmodel.logit_scale": torch.zeros(())}, path)
    base = ["--plugin", PLUGIN, *CLIP, "--device", "cpu", "--out", tmp_path / "runs", "--json"]
    chosen = [part for s in settings for part in ("--set", s)]
    found = vadbench("import-checkpoint", "-m", "vadclip", "-d", "tiny", *chosen, *base, path)
    folder = json.loads(found.out)["folder"]
    (record,) = vadbench("run", "--from", folder, "--protocol", "vadclip", *base).json
    assert record["protocol"]["selection"] == "best-on-test"
    assert any("weights selected on the test split" in n for n in record["notes"])
    expected = method.eval().score(
        as_videos([torch.from_numpy(experiment.provision.features.crop_rows("test-0", "center").copy())])
    )
    from vadbench.records.scores import load_split

    scores = load_split(Path(record["folder"])).scores
    np.testing.assert_allclose(scores[0].anomaly, expected[0].anomaly.detach().numpy(), rtol=1e-5)
    assert {"AUC(coarse)", "AUC(align)", "AP(coarse)", "AP(align)", "mAP@IoU"} <= record["metrics"].keys()


def test_released_weights_belong_to_the_training_videos_of_a_division(vadbench, tmp_path):
    settings = ("length=16", "window=8", "recipe.epochs=1", "recipe.batch_size=4", "rows.stride=1")
    asked = {"clip_model": "small", "clip_weights": "random:0", "device": "cpu", "out": tmp_path / "runs"}
    experiment = open_experiment(Request("vadclip", "divided", settings, **asked), Registry(files=(DIVIDED,)))
    method = build(experiment, experiment.dataset.classes, seed=7)
    state = {theirs: method.state_dict()[ours] for ours, theirs in vadclip_names(experiment.config).items()}
    torch.save(state | {f"clipmodel.{k}": v for k, v in method.task.text.state_dict().items()}, tmp_path / "model.pth")
    base = ["--plugin", DIVIDED, *CLIP, "--device", "cpu", "--out", tmp_path / "runs", "--json"]
    chosen = [part for s in settings for part in ("--set", s)]
    videos = {}
    for division in ("", "wide"):
        named = ["--partition", division] if division else []
        found = vadbench(
            "import-checkpoint", "-m", "vadclip", "-d", "divided", *chosen, *base, *named, tmp_path / "model.pth"
        )
        info = json.loads((Path(found.json["folder"]) / "checkpoint.json").read_text())
        videos[info["key"]] = info["train"]["videos"]
    assert sorted(videos.values()) == [8, 10]
