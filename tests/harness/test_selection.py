"""Which weights are evaluated: looks while training, held-out videos, and what a result says of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from places import PLUGIN
from vadbench.base.errors import ConfigError
from vadbench.dataset import ClassTable, Video, VideoClass
from vadbench.harness.selection import video_auc
from vadbench.harness.watched_videos import hold_out
from vadbench.scoring.video_scores import VideoScores

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")


class Listed:
    """As much of a data set as holding out asks for."""

    name = "listed"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Fire"), VideoClass("Riot")), normal=0)

    def is_normal(self, video):
        return video.labels == ("Normal",)


def videos(**counts):
    return [Video(f"{label}-{i}", (label,)) for label, n in counts.items() for i in range(n)]


def test_a_fifth_of_every_class_is_held_out_and_nothing_is_lost():
    everything = videos(Normal=50, Fire=10, Riot=3)
    kept, held = hold_out(Listed(), everything, seed=0)
    assert sorted(v.name for v in kept + held) == sorted(v.name for v in everything)
    counts = {label: sum(v.labels == (label,) for v in held) for label in ("Normal", "Fire", "Riot")}
    assert counts == {"Normal": 10, "Fire": 2, "Riot": 1}


def test_the_seed_decides_what_is_held_out_and_a_lone_video_never_is():
    everything = videos(Normal=50, Fire=10, Riot=1)
    draws = [hold_out(Listed(), everything, seed)[1] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert all(v.labels != ("Riot",) for held in draws for v in held)


def test_too_few_videos_to_hold_out_are_counted():
    with pytest.raises(ConfigError, match="listed has 1 Fire, 9 Normal"):
        hold_out(Listed(), videos(Normal=9, Fire=1), 0)


def test_video_auc_ranks_videos_by_the_mean_of_their_top_rows():
    rng = np.random.default_rng(0)
    scores = [
        VideoScores(str(i), 100, rng.random(int(rng.integers(1, 90))).astype(np.float32), None) for i in range(30)
    ]
    abnormal = {s.name: i % 3 == 0 for i, s in enumerate(scores)}
    tops = []
    for s in scores:
        ranked = sorted((float(x) for x in s.anomaly), reverse=True)
        count = int(len(ranked) / 16) + 1
        tops.append(sum(ranked[:count]) / count)
    expected = roc_auc_score([abnormal[s.name] for s in scores], tops)
    assert video_auc(scores, abnormal) == pytest.approx(expected, abs=1e-6)


@pytest.fixture
def run(vadbench, tmp_path):
    base = ["run", "--plugin", PLUGIN, "--clip", "small", "--clip-weights", "random:0", "--device", "cpu", "--json"]

    def call(*arguments, status=0):
        found = vadbench(*base, "--out", tmp_path / "runs", *arguments, status=status)
        return found.json[0] if status == 0 else found.err

    return call


TINY = ("-m", "linear", "-d", "tiny", "--set", "recipe.learning_rate=0.1")


def test_best_on_test_keeps_the_best_look_and_says_so(run):
    last = run(*TINY)
    best = run(*TINY, "--selection", "best-on-test", "--set", "recipe.look_every=1")
    assert best["key"] != last["key"]
    assert best["protocol"]["selection"] == "best-on-test"
    lines = [json.loads(x) for x in (Path(best["folder"]) / "training.jsonl").read_text().splitlines()]
    looks = [look for line in lines for look in line["looks"]]
    # Four epochs of two steps each; the first step of an epoch is not looked at, as in VadCLIP's loop.
    assert [len(line["looks"]) for line in lines] == [line["steps"] - 1 for line in lines]
    assert best["metrics"]["AUC"]["value"] == pytest.approx(max(looks), abs=1e-12)
    (note,) = [n for n in best["notes"] if "selected on the test split" in n]
    assert f"{len(looks)} looks" in note and "not comparable" in note
    assert not any("looks" in json.loads(x) for x in (Path(last["folder"]) / "training.jsonl").read_text().splitlines())


@pytest.mark.parametrize("judge", ["AUC", "AP", "AP/trapezoid"])
def test_the_protocol_may_name_the_metric_that_judges(run, judge):
    best = run(*TINY, "--selection", "best-on-test", "--set", f"protocol.judge={judge}")
    lines = [json.loads(x) for x in (Path(best["folder"]) / "training.jsonl").read_text().splitlines()]
    looks = [look for line in lines for look in line["looks"]]
    assert best["metrics"][judge]["value"] == pytest.approx(max(looks), abs=1e-12)
    assert best["protocol"]["judge"] == judge and "protocol.judge" in best["changed"]
    (note,) = [n for n in best["notes"] if n.startswith("weights selected")]
    where = "the test split" if judge == "AUC" else f"the test split by the {judge} of frames"
    assert note.startswith(f"weights selected on {where} ({len(looks)} looks, the best {max(looks):.4f})")
    # Evaluated again, it is still that metric which chose them.
    again = run("--from", best["folder"], "--set", "protocol.tail=zero")
    assert again["protocol"]["judge"] == judge and again["protocol"]["tail"] == "zero"
    said = run("--from", best["folder"], "--set", "protocol.judge=AUC", status=2)
    assert "--from evaluates a finished training with its own settings" in said


def test_a_protocol_may_select_by_itself_and_selects_nothing_of_what_is_not_trained(run, vadbench):
    trained, untrained = (run(*TINY, "--protocol", "segments16"), run("-m", "random", "-d", "tiny"))
    selected = run("-m", "random", "-d", "tiny", "--protocol", "segments16")
    assert trained["protocol"]["selection"] == "best-on-test" and "protocol.selection" not in trained["changed"]
    assert selected["protocol"]["selection"] == untrained["protocol"]["selection"] == "last"
    assert not selected["changed"] and not any("weights selected" in note for note in selected["notes"])
    for record in (trained, selected):
        found = vadbench("results", "check", record["folder"], "--plugin", PLUGIN, status=None).out
        assert "protocol: " not in found
    last = run(*TINY, "--protocol", "segments16", "--selection", "last")
    assert last["key"] == run(*TINY)["key"] and "protocol.selection" in last["changed"]


def test_weights_chosen_on_the_test_split_depend_on_how_it_is_evaluated(run):
    keys = {
        (selection, protocol): run(*TINY, "--selection", selection, "--protocol", protocol)["key"]
        for selection in ("last", "best-on-test")
        for protocol in ("native", "vadclip")
    }
    assert keys["last", "native"] == keys["last", "vadclip"]
    assert len(set(keys.values())) == 3


def test_validation_trains_on_fewer_videos_and_never_sees_the_test_split(run, monkeypatch):
    found = run(*TINY, "--selection", "validation")
    assert any("selected on training videos held out" in n for n in found["notes"])
    monkeypatch.setenv("TINY_TEST", "4")
    other = run(*TINY, "--selection", "validation")
    assert other["key"] == found["key"], "the test split changed and the training must not have noticed"


def test_an_evaluation_of_selected_weights_says_how_they_were_selected(run):
    best = run(*TINY, "--selection", "best-on-test")
    again = run("--from", best["folder"], "--protocol", "vadclip")
    assert again["protocol"]["selection"] == "best-on-test"
    assert any("selected on the test split" in n for n in again["notes"])
    assert "leave out --set" in run("--from", best["folder"], "--selection", "last", status=2)


def test_what_is_not_trained_has_no_weights_to_select(run):
    assert "is not trained" in run("-m", "zero-shot", "-d", "tiny", "--selection", "validation", status=2)


@pytest.mark.parametrize("setting", ["recipe.rollback=true", "recipe.look_every=3", "recipe.look_ties=last"])
def test_settings_of_looks_are_refused_where_nothing_looks(run, setting):
    err = run("-m", "linear", "-d", "tiny", "--set", setting, status=2)
    name = setting.partition("=")[0]
    assert f"{name} has no effect with --selection last; choose another rule, or leave it out" in err
    run("-m", "linear", "-d", "tiny", "--set", setting, "--set", "recipe.epochs=1", "--selection", "validation")
