"""The splits of a data set: for testing alone, and with a validation split of its own."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import average_precision_score, roc_auc_score

import broken_datasets as broken
from places import BROKEN_DATASETS, KINDS, PLUGIN
from vadbench.base.errors import DataError, PluginError
from vadbench.dataset import Dataset
from vadbench.harness.extraction_request import ExtractionRequest, open_extraction
from vadbench.harness.participants import participants
from vadbench.plugins.registry import Registry
from vadbench.scoring.protocol import NATIVE

pytestmark = pytest.mark.usefixtures("quick_runs")
FILES = (PLUGIN, *(KINDS / f"{name}.py" for name in ("testing_only", "three_splits", "two_streams")))
PLUGINS = [x for file in FILES for x in ("--plugin", file)]
SHORT = ("-m", "linear", "--set", "recipe.learning_rate=0.1", "--clip", "small", "--clip-weights", "random:0")
VALIDATED = (*SHORT, "-d", "three-splits", "--selection", "validation")


@pytest.fixture
def run(vadbench, tmp_path):
    def call(*arguments, status=0):
        found = vadbench(
            "run", *PLUGINS, "--device", "cpu", "--json", "--out", tmp_path / "runs", *arguments, status=status
        )
        return found.json[0] if status == 0 else found.err

    return call


@pytest.fixture
def features(run, tmp_path):
    """A copy of the features of ``three-splits``."""
    run("-m", "random", "-d", "three-splits")
    return Path(shutil.copytree(Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "three-splits", tmp_path / "rows"))


def epochs(record):
    return [json.loads(line) for line in (Path(record["folder"]) / "training.jsonl").read_text().splitlines()]


def scored(record, split, features):
    """Scores of a split by the weights of a run, computed beside the harness."""
    state = load_file(Path(record["folder"]) / "checkpoint.safetensors")
    rows = {p.stem: np.load(p).astype(np.float64) for p in sorted(features.glob(f"{split}-*.npy"))}
    logits = {n: (x - state["center"]) @ state["layer.weight"][0] + state["layer.bias"] for n, x in rows.items()}
    return {n: 1 / (1 + np.exp(-x)) for n, x in logits.items()}


# --- for testing alone ---------------------------------------------------------------------------------------------


def test_a_method_without_training_runs_where_there_is_nothing_to_train_on(run, vadbench):
    found = run("-m", "random", "-d", "testing-only")
    assert list(found["data"]) == ["test"] and found["data"]["test"]["videos"] == 6
    assert found["metrics"]["AUC"]["value"] is not None
    assert run("-m", "random", "-d", "testing-only")["created"] == found["created"], "it is returned, not repeated"
    assert not problems(found, vadbench)


def test_a_method_that_must_be_trained_is_refused_in_a_line_before_anything_is_made(vadbench, tmp_path):
    found = vadbench("run", *PLUGINS, *SHORT, "-d", "testing-only", "--out", tmp_path / "runs", status=2)
    (line,) = found.err.splitlines()
    assert "must be trained" in line and "has no train split" in line and "--from RUN" in line
    assert not (tmp_path / "runs").exists() and not (Path(os.environ["VADBENCH_CACHE"]) / "datasets").exists()


def test_one_that_was_trained_elsewhere_is_evaluated(run, vadbench):
    trained = run(*SHORT, "-d", "three-splits")
    found = run("--from", trained["folder"], "--dataset", "testing-only")
    assert (found["trained_on"], found["dataset"], found["key"]) == ("three-splits", "testing-only", trained["key"])
    assert found["data"]["train"] == trained["data"]["train"] and found["data"]["test"]["videos"] == 6
    assert not problems(found, vadbench)


def test_other_test_features_of_unknown_origin_are_other_features(run, tmp_path):
    first = run("-m", "random", "-d", "testing-only")
    copy = shutil.copytree(Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "testing-only", tmp_path / "rows")
    np.save(copy / "normal-0.npy", np.load(copy / "normal-0.npy") + 1)
    other = run("-m", "random", "-d", "testing-only", "--features", copy)
    assert other["fingerprint"]["weights"] != first["fingerprint"]["weights"]


def problems(record, vadbench):
    """What the check of results finds, but for the commit of a changed tree."""
    found = vadbench("results", "check", record["folder"], *PLUGINS, status=None).out
    return [line for line in found.splitlines() if "result.json: " in line and "environment: " not in line]


def test_the_check_of_results_knows_which_splits_a_record_must_describe(run, vadbench):
    trained = run(*VALIDATED)
    assert not problems(trained, vadbench)
    path = Path(trained["folder"]) / "result.json"
    record = json.loads(path.read_text())
    del record["data"]["train"]
    record["data"]["validation"]["videos"] = 5
    path.write_text(json.dumps(record))
    lack, few = problems(trained, vadbench)
    assert "does not describe the train split" in lack and "5 of 6 validation videos" in few


# --- a validation split --------------------------------------------------------------------------------------------


def test_weights_are_those_that_rank_the_frames_of_the_validation_split_best(run, features):
    found = run(*VALIDATED)
    looks = [look for epoch in epochs(found) for look in epoch["looks"]]
    scores = scored(found, "validation", features)
    truth = [[10 <= t < 20 and int(name[-1]) % 2 == 0 for t in range(30)] for name in scores]
    auc = roc_auc_score(np.concatenate(truth), np.concatenate(list(scores.values())))
    assert max(looks) == pytest.approx(auc, abs=1e-6) and len(set(looks)) > 1
    (note,) = [n for n in found["notes"] if n.startswith("weights selected")]
    assert note.startswith(f"weights selected on the validation split by the AUC of frames ({len(looks)} looks")
    assert found["data"]["validation"]["videos"] == 6 and list(found["data"]) == ["train", "validation", "test"]


def test_the_frames_are_ranked_by_the_metric_that_papers_report_first(run, features, monkeypatch):
    monkeypatch.setattr(Dataset, "headline", "AP")
    found = run(*VALIDATED)
    scores = scored(found, "validation", features)
    truth = [[10 <= t < 20 and int(name[-1]) % 2 == 0 for t in range(30)] for name in scores]
    value = average_precision_score(np.concatenate(truth), np.concatenate(list(scores.values())))
    assert max(look for epoch in epochs(found) for look in epoch["looks"]) == pytest.approx(value, abs=1e-6)
    assert any("by the AP of frames" in note for note in found["notes"])


def test_without_segments_whole_validation_videos_are_ranked(run, features, monkeypatch):
    framed = run(*VALIDATED)
    monkeypatch.setenv("VALIDATION_WITHOUT_SEGMENTS", "1")
    found = run(*VALIDATED)
    assert found["key"] != framed["key"]
    tops = {
        name: np.sort(own)[-(len(own) // 16 + 1) :].mean()
        for name, own in scored(found, "validation", features).items()
    }
    auc = roc_auc_score([int(name[-1]) % 2 == 0 for name in tops], list(tops.values()))
    assert max(look for epoch in epochs(found) for look in epoch["looks"]) == pytest.approx(auc, abs=1e-6)
    assert any("on the validation split by the AUC of whole videos" in note for note in found["notes"])


def test_all_training_videos_are_trained_on(run):
    """The losses of an epoch before a look matters are those of a training without selection."""
    last, chosen = run(*SHORT, "-d", "three-splits"), run(*VALIDATED)
    assert [e["loss"] for e in epochs(chosen)] == [e["loss"] for e in epochs(last)]


def test_the_validation_split_belongs_to_the_key_and_the_test_split_does_not(run, features):
    given = ("--features", features)
    before, last = run(*VALIDATED, *given), run(*SHORT, "-d", "three-splits", *given)
    np.save(features / "test-0.npy", np.load(features / "test-0.npy") + 1)
    changed = run(*VALIDATED, *given)
    assert changed["key"] == before["key"] and changed["evaluation"] != before["evaluation"]
    np.save(features / "validation-0.npy", np.load(features / "validation-0.npy") + 1)
    assert run(*VALIDATED, *given)["key"] not in (before["key"], last["key"])
    assert run(*SHORT, "-d", "three-splits", *given)["key"] == last["key"]


def test_the_test_split_is_not_looked_at_while_weights_are_selected(run, features, monkeypatch):
    """Looks and weights are the same, whatever the test videos are."""
    given = ("--features", features)
    first = run(*VALIDATED, *given)
    looks, before = epochs(first), load_file(Path(first["folder"]) / "checkpoint.safetensors")
    for path in features.glob("test-*.npy"):
        np.save(path, np.random.default_rng(7).standard_normal(np.load(path).shape).astype(np.float32))
    second = run(*VALIDATED, *given, "--again")
    after = load_file(Path(second["folder"]) / "checkpoint.safetensors")
    assert epochs(second) == looks and second["metrics"] != first["metrics"]
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_how_a_look_measures_belongs_to_the_key(run):
    keys = {p: run(*VALIDATED, "--protocol", p)["key"] for p in ("native", "vadclip")}
    assert keys["native"] != keys["vadclip"]


def test_validation_videos_are_needed_only_where_weights_are_selected(run, features):
    for path in features.glob("validation-*.npy"):
        path.unlink()
    found = run(*SHORT, "-d", "three-splits", "--features", features)
    assert list(found["data"]) == ["train", "test"] and not any("incomplete" in n for n in found["notes"])
    assert "6 of 20 videos lack features" in run(*VALIDATED, "--features", features, status=2)
    elsewhere = run("--from", found["folder"], "--features", features, "--protocol", "vadclip")
    assert list(elsewhere["data"]) == ["train", "test"]


def test_an_evaluation_elsewhere_says_on_what_weights_were_selected(run):
    found = run("--from", run(*VALIDATED)["folder"], "--dataset", "testing-only")
    assert found["data"]["validation"]["videos"] == 6
    assert any("selected on the validation split by the AUC of frames" in note for note in found["notes"])


def test_a_leaderboard_says_on_what_weights_were_selected(run, vadbench, tmp_path):
    run(*VALIDATED)
    table = vadbench("leaderboard", "--format", "md", "--out", tmp_path / "runs").out
    assert "Weights selected on the validation split (validation)" in table and "held out" not in table


def test_validation_videos_of_one_kind_are_refused(run, monkeypatch):
    monkeypatch.setenv("VALIDATION_WITHOUT_SEGMENTS", "1")
    monkeypatch.setattr(Dataset, "is_normal", lambda self, video: video.labels == ("Normal",) or "valid" in video.name)
    assert "needs normal and abnormal validation videos, three-splits has one kind" in run(*VALIDATED, status=2)


def test_streams_beside_the_first_are_read_in_every_split(run, tmp_path):
    """Of the validation split where weights are selected, and of test videos where there is nothing else."""
    sound, rng = tmp_path / "sound", np.random.default_rng(0)
    sound.mkdir()
    kinds = [("train", 8), ("validation", 6), ("test", 6), ("normal", 3), ("abnormal", 3)]
    for name in (f"{kind}-{i}" for kind, count in kinds for i in range(count)):
        np.save(sound / f"{name}.npy", rng.standard_normal((15, 4)).astype(np.float32))
    given = ("--features", f"audio={sound}")
    selects = ("-m", "two-streams", "-d", "three-splits", "--selection", "validation")
    found = run(*selects, *given)
    assert list(found["data"]) == ["train", "validation", "test"]
    elsewhere = run("--from", found["folder"], "--dataset", "testing-only", *given)
    assert elsewhere["data"]["test"]["videos"] == 6 and elsewhere["trained_on"] == "three-splits"
    (sound / "validation-3.npy").unlink()
    assert "1 of 20 videos lack features of stream 'audio'" in run(*selects, *given, status=2)


# --- lists ---------------------------------------------------------------------------------------------------------


def test_no_video_may_be_in_two_splits_even_where_one_of_them_is_not_used(tmp_path):
    dataset = broken.SelectsOnTest(broken.make_root(tmp_path / "root"))
    for splits in (("train", "test"), ("train", "validation", "test")):
        with pytest.raises(DataError, match="once in one split, found test-0 more than once"):
            participants(dataset, NATIVE.rules, splits)


def test_splits_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(PluginError, match=r"may name train and validation, and names train, val, test; .* OddSplit"):
        broken.OddSplit(tmp_path).read()


def test_features_are_extracted_of_every_split(tmp_path):
    root = broken.make_root(tmp_path / "root")
    registry = Registry(files=[BROKEN_DATASETS])
    for name, splits in (("three-parts", ["train", "validation", "test"]), ("for-testing", ["test"])):
        request = ExtractionRequest(tmp_path / "store", dataset=name, data_root=root, device="cpu")
        videos = open_extraction(request, registry).videos
        assert [v.name for v in videos] == [f"{split}-{i}" for split in splits for i in range(4)]
