"""Post-processing in runs: who decides it, what it is a part of, and what is measured without it."""

import json
from pathlib import Path

import numpy as np
import pytest

from places import PLUGIN, SUPPORT
from vadbench.metrics.measurement import measure
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
PLUGINS = ("--plugin", PLUGIN, "--plugin", SUPPORT / "post_plugin.py")
SMALL = ("--clip", "small", "--clip-weights", "random:0", "--device", "cpu")
LINEAR = ("-m", "linear", "-d", "tiny")


@pytest.fixture
def run(vadbench, tmp_path):
    def call(*arguments, status=0):
        base = ("run", *PLUGINS, *SMALL, "--json", "--out", tmp_path / "runs")
        found = vadbench(*base, *arguments, status=status)
        return found.json[0] if status == 0 else found.err

    return call


def test_the_user_comes_before_the_method_and_none_takes_its_steps_away(run):
    plain, own = run(*LINEAR), run("-m", "smoothed", "-d", "tiny")
    assert (plain["protocol"]["post"], plain["method_post"], plain["changed"]) == ("", "", [])
    assert (own["protocol"]["post"], own["method_post"], own["changed"]) == ("gaussian(2)", "gaussian(2)", [])
    without = run("-m", "smoothed", "-d", "tiny", "--post", "none")
    assert (without["protocol"]["post"], without["method_post"]) == ("", "gaussian(2)")
    given = run("-m", "smoothed", "-d", "tiny", "--post", "median( 3 )")
    assert given["protocol"]["post"] == "median(3)"
    assert without["changed"] == given["changed"] == ["protocol.post"]
    assert own["key"] == without["key"] == given["key"] and own["folder"] != given["folder"] != without["folder"]


def test_another_spelling_of_the_same_steps_is_the_same_run(run):
    one, other = run(*LINEAR, "--post", "gaussian(2),round(4)"), run(*LINEAR, "--post", " gaussian( 2.0 ) , round(4)")
    assert one["folder"] == other["folder"]
    assert run(*LINEAR, "--post", "none")["folder"] == run(*LINEAR)["folder"]


@pytest.mark.parametrize("selection", ["best-on-test", "validation"])
def test_weights_are_chosen_without_it(run, tmp_path, selection):
    posts = ((), ("--post", "gaussian(3)"), ("--post", "centre-weight(0.2), round(2)"))
    found = [run(*LINEAR, "--selection", selection, *post) for post in posts]
    assert len({f["key"] for f in found}) == 1 and len({f["evaluation"] for f in found}) == 3
    assert len(list((tmp_path / "runs").rglob("checkpoint.safetensors"))) == 1


def test_what_is_measured_without_it_is_what_a_run_without_it_measures(run):
    plain, smoothed = run(*LINEAR), run(*LINEAR, "--post", "gaussian(2)")
    for key in ("AUC", "AUC/within", "AP"):
        assert smoothed["metrics"][f"{key}/unprocessed"] == plain["metrics"][key]
        assert f"{key}/unprocessed" not in plain["metrics"]
    assert smoothed["metrics"]["mAP"] == plain["metrics"]["mAP"]  # of class probabilities, which are left as they are


def test_the_scores_are_kept_as_the_method_gave_them(run):
    from scipy.ndimage import gaussian_filter1d

    plain, smoothed = (Path(run(*LINEAR, *post)["folder"]) for post in ((), ("--post", "gaussian(2)")))
    with np.load(plain / "scores.npz") as a, np.load(smoothed / "scores.npz") as b:
        assert a.files == b.files and all((a[name] == b[name]).all() for name in a.files)
    split = load_split(smoothed)
    for given, shown in zip(split.given, split.scores, strict=True):
        assert (shown.anomaly == gaussian_filter1d(given.anomaly, 2)).all()
    metrics = json.loads((smoothed / "result.json").read_text())["metrics"]
    assert {key: value.model_dump() for key, value in measure(split).items()} == metrics


def test_a_finished_training_is_evaluated_after_other_steps_and_measured_again_as_it_was(run, vadbench, tmp_path):
    trained = run(*LINEAR)
    again = run("--from", trained["folder"], "--post", "gaussian(2)")
    assert again["key"] == trained["key"] and "evaluations" in again["folder"]
    assert again["metrics"] == run(*LINEAR, "--post", "gaussian(2)")["metrics"]
    told = vadbench("rescore", trained["key"], "--out", tmp_path / "runs").out
    assert told.count("unchanged") == 2
    contrasts = vadbench("compare", trained["folder"], again["folder"], "--out", tmp_path / "runs")
    assert "post (none, gaussian(2))" in contrasts.out + contrasts.err


def test_its_threshold_is_not_the_one_that_was_measured_before_it(run):
    plain, smoothed = run(*LINEAR), run(*LINEAR, "--post", "gaussian(2)")
    chosen = "events are counted above a threshold chosen on the normal test videos"
    assert [any(n.startswith(chosen) for n in r["notes"]) for r in (plain, smoothed)] == [False, True]


def test_a_method_may_propose_it_and_stays_in_the_ranking_but_a_user_makes_another(run, vadbench, tmp_path):
    run(*LINEAR), run("-m", "smoothed", "-d", "tiny")
    (table,) = vadbench("leaderboard", "--format", "json", "--out", tmp_path / "runs").json["tables"]
    assert [row["label"] for row in table["rows"]] in (["linear", "smoothed"], ["smoothed", "linear"])
    run(*LINEAR, "--post", "gaussian(2)")
    tables = vadbench("leaderboard", "--format", "json", "--out", tmp_path / "runs").json["tables"]
    assert sorted(len(table["rows"]) for table in tables) == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*LINEAR, "--post", "gausian(2)"), "unknown step of post-processing 'gausian'; did you mean 'gaussian'?"),
        ((*LINEAR, "--post", "gaussian"), "step 'gaussian' takes"),
        (("-m", "misread", "-d", "tiny"), "the post() of 'misread' gives no post-processing"),
    ],
)
def test_steps_that_do_not_exist_are_refused_before_anything_is_done(run, tmp_path, arguments, words):
    assert words in run(*arguments, status=2)
    assert not list((tmp_path / "runs").rglob("result.json"))


def test_what_a_method_proposes_is_shown(vadbench):
    assert "post: gaussian(2)" in vadbench("show", "method", "smoothed", *PLUGINS).out
    assert vadbench("show", "method", "smoothed", *PLUGINS, "--json").json["post"] == "gaussian(2)"
    assert "post:" not in vadbench("show", "method", "linear", *PLUGINS).out
