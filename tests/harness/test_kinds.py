"""Methods of several kinds from a run to its results: bags of crops, drawing, company, look-ahead, other classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from places import KINDS, PLUGIN
from vadbench.base.errors import FeatureError
from vadbench.features.crops import require_bags
from vadbench.features.layouts import open_features
from vadbench.features.store import FeatureStore
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("tiny_at_hand")
NAMES = ("bag-of-crops", "stochastic", "transductive", "causal")
PLUGINS = [x for file in (PLUGIN, *(KINDS / f"{n.replace('-', '_')}.py" for n in NAMES)) for x in ("--plugin", file)]
CLIP = ("--clip", "small", "--clip-weights", "random:0")


@pytest.fixture
def run(vadbench, tmp_path):
    def call(method, *more, dataset=("-d", "tiny"), status=0):
        base = ("run", *PLUGINS, *CLIP, "--device", "cpu", "--json", "--out", tmp_path / "runs")
        found = vadbench(*base, *(("-m", method) if method else ()), *dataset, *more, status=status)
        return found.json[0] if status == 0 else found.err

    return call


@pytest.fixture
def crops(vadbench, tmp_path):
    """Features of five crops of every video."""
    folder = tmp_path / "crops"
    vadbench("extract", "--plugin", PLUGIN, "-d", "tiny", *CLIP, "--stride", "2", "--crops", "5", "--out", folder)
    return folder


def anomaly(record):
    return {s.name: s.anomaly for s in load_split(Path(record["folder"])).scores}


def test_all_crops_are_given_at_once_in_training_and_scoring(run, crops):
    features = ("--features", crops)
    bag = run("bag-of-crops", *features, "--crop", "mean")
    store, scores = FeatureStore(crops), anomaly(bag)
    with safe_open(Path(bag["folder"]) / "checkpoint.safetensors", "np") as file:
        weight, bias = file.get_tensor("layer.weight"), file.get_tensor("layer.bias")
    for name, found in scores.items():
        logits = store.rows(name).mean(0) @ weight[0] + bias
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-4)
    # A bag of one crop, and a method that is given crop by crop, of the same weights.
    center = run("bag-of-crops", *features)
    assert center["key"] != bag["key"] or center["evaluation"] != bag["evaluation"]
    logits = store.rows("test-0")[0] @ weight[0] + bias
    assert not np.allclose(anomaly(center)["test-0"], scores["test-0"])
    assert len(anomaly(center)["test-0"]) == len(logits)


def test_bags_of_different_sizes_are_refused_before_anything_starts(tmp_path):
    for file in ("one__0", "one__1", "two__0", "two__1", "three__0"):
        np.save(tmp_path / f"{file}.npy", np.zeros((3, 8), np.float32))
    features = open_features(tmp_path, {"one", "two", "three"}, {})
    with pytest.raises(FeatureError, match="a bag needs as many crops of every video: 'one' has 2, 'three' has 1"):
        require_bags(features, {name: features.crops(name) for name in ("one", "two", "three")})
    require_bags(features, {"one": ("0",), "three": ("0",)})


def test_a_drawn_score_belongs_to_the_seed_and_the_video(run, monkeypatch):
    found = run("stochastic", "--seeds", "0")
    again = run("stochastic", "--seeds", "0", "--again")
    other = run("stochastic", "--seeds", "1")
    first, second, third = (anomaly(r) for r in (found, again, other))
    assert all(np.array_equal(first[n], second[n]) for n in first)
    assert any(not np.array_equal(first[n], third[n]) for n in first)
    # Scored one by one instead of together.
    monkeypatch.setattr("vadbench.scoring.scoring.ROWS_AT_ONCE", 1)
    alone = anomaly(run("stochastic", "--seeds", "0", "--again"))
    assert all(np.array_equal(first[n], alone[n]) for n in first)


def test_scores_in_company_are_those_of_the_whole_split(run, crops):
    found, store = run("transductive", "--features", crops), FeatureStore(crops)
    assert found["company"] == "split"
    rows = {name: store.rows(name)[0] for name in store.names if name.startswith("test")}
    scores = anomaly(found)
    assert scores.keys() == rows.keys() and len(scores) == 6
    center = np.concatenate(list(rows.values())).mean(0, dtype=np.float64)
    for name, own in rows.items():
        np.testing.assert_allclose(scores[name], np.linalg.norm(own - center, axis=1), rtol=1e-4)


def test_a_causal_method_is_marked_with_its_look_ahead(run):
    found = run("causal")
    assert found["lookahead"] == 1


def test_other_classes_are_asked_of_a_method_that_can_score_them(run):
    trained = run("zero-shot")
    other = run(None, "--from", trained["folder"], dataset=("-d", "other"))
    alone = run("zero-shot", dataset=("-d", "other"))
    assert any("asked for those of other" in note for note in other["notes"])
    assert not any("in common" in note or "class metrics are undefined" in note for note in other["notes"])
    assert other["metrics"].keys() == alone["metrics"].keys()
    for name, value in anomaly(other).items():
        np.testing.assert_array_equal(value, anomaly(alone)[name])
    # Another evaluation than the one that took the columns in common.
    assert other["evaluation"] != alone["evaluation"]
    assert json.dumps(other["metrics"]) == json.dumps(alone["metrics"])
