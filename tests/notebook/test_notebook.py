"""The Python interface: the same as the commands, with arrays and frames that other libraries take."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import vadbench
from command_line import succeed
from places import PLUGIN
from vadbench.base.errors import ConfigError, RunError, UnknownNameError

OPTIONS = {"plugins": [PLUGIN], "log": False, "device": "cpu"}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook") / "runs"


@pytest.fixture(scope="module")
def trained(out):
    return [
        vadbench.run("linear", "tiny", seed=seed, settings={"recipe": {"epochs": 1}}, out=out, **OPTIONS)
        for seed in range(2)
    ]


@pytest.fixture(scope="module")
def other(out):
    return vadbench.run("random", "tiny", out=out, **OPTIONS)


def test_a_run_is_that_of_the_command(trained, out, capsys):
    words = (
        "run",
        "-m",
        "linear",
        "-d",
        "tiny",
        "--set",
        "recipe.epochs=1",
        "--out",
        out,
        "--plugin",
        PLUGIN,
        "--json",
    )
    succeed(*words)
    (told,) = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(trained[0].folder)
    assert trained[0].record.config["recipe"]["epochs"] == 1
    assert vadbench.load(trained[0].folder).record == trained[0].record
    assert vadbench.load(trained[0].record.key, out).record == trained[0].record


@pytest.mark.parametrize("which", ["linear", "random"])
def test_frames_give_the_metrics_by_scikit_learn(trained, other, which):
    run = trained[0] if which == "linear" else other
    scores, truth = (np.concatenate([part[name] for name in run.truth]) for part in (run.scores, run.truth))
    assert run.metrics.loc["AUC", "value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
    assert run.metrics.loc["AP", "value"] == pytest.approx(average_precision_score(truth, scores), abs=1e-9)
    assert np.isnan(run.metrics.loc["AUC", "low"])  # of too few videos
    assert run.metrics.loc["AUC", "unit"] == "%" and run.metrics["value"].dtype == float
    assert sum(map(len, run.truth.values())) == run.record.data["test"].frames
    found = vadbench.evaluate(run.scores, run.truth, stride=1)
    assert found["AUC"].value == pytest.approx(run.record.metrics["AUC"].value, abs=1e-9)


def test_probabilities_have_a_column_for_each_class(trained, other):
    run = trained[0]
    for name, table in run.class_scores.items():
        assert list(table.columns) == list(run.split.classes.names)
        np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)
        assert name in run.truth


def test_runs_are_a_table(trained, other, out):
    table = vadbench.runs(out)
    assert set(table["method"]) == {"linear", "random"} and list(table["status"].unique()) == ["finished"]
    row = table[table["key"] == trained[1].record.key].iloc[0]
    assert row["seed"] == 1 and row["settings"] == "recipe.epochs=1"
    assert row["AUC"] == trained[1].record.metrics["AUC"].value
    assert vadbench.runs(out / "nothing").empty


def test_sides_are_runs_or_names(trained, other, out):
    found = vadbench.compare(trained, other, ["AUC"])
    mean = np.mean([run.record.metrics["AUC"].value for run in trained])
    assert found.loc["AUC", "A"] == pytest.approx(mean, abs=1e-12)
    assert found.loc["AUC", "difference"] == pytest.approx(mean - other.record.metrics["AUC"].value, abs=1e-12)
    by_name = vadbench.compare("tiny/linear", "tiny/random", ["AUC"], out=out)
    assert by_name.equals(found)
    with pytest.raises(RunError, match="seed"):
        vadbench.compare([trained[0], trained[0], other], other)


def test_the_leaderboard_is_shown_and_a_frame(trained, other, out):
    board = vadbench.leaderboard("tiny", out=out, plugins=[PLUGIN])
    assert "<table" in board._repr_html_() and "linear" in str(board)
    frame = board.frame
    auc = frame[frame["metric"] == "AUC"].set_index("row")["reproduced"]
    assert auc["random"] == pytest.approx(other.record.metrics["AUC"].value, abs=1e-4)
    alone = vadbench.leaderboard("tiny", methods=["random"], out=out, plugins=[PLUGIN]).frame
    assert set(alone["row"]) == {"random"} | {row for row in frame["row"] if row.startswith("blind-")}
    with pytest.raises(UnknownNameError, match="tiny"):
        vadbench.leaderboard("tyni", out=out)


def test_plots_are_figures_of_matplotlib(trained, other, tmp_path):
    for kind in ("roc", "pr", "place", "operating", "per-class", "reliability"):
        figure = trained[0].plot(kind)
        figure.savefig(tmp_path / f"{kind}.png")
    both = trained[0].plot("roc", beside=[other])
    assert len(both.axes[0].lines) > len(trained[0].plot("roc").axes[0].lines)
    name = next(iter(trained[0].truth))
    assert trained[0].plot(video=name).axes[0].get_title() == name
    with pytest.raises(UnknownNameError, match="did you mean"):
        trained[0].plot("rock")
    with pytest.raises(UnknownNameError, match="video"):
        trained[0].plot(video="nosuch")


def test_a_notebook_shows_a_run_escaped(trained):
    run = trained[0]
    shown = run._repr_html_()
    assert f"{100 * run.record.metrics['AUC'].value:.2f} %" in shown and str(run.folder) in shown
    assert "AUC" in repr(run)
    spoiled = type(run)(run.folder, run.record.model_copy(update={"notes": ["<script>alert(1)</script>"]}))
    assert "<script>" not in spoiled._repr_html_()


def test_bad_requests_say_what_is_wrong(trained, out):
    with pytest.raises(UnknownNameError, match="linear"):
        vadbench.run("linaer", "tiny", out=out, **OPTIONS)
    with pytest.raises(ConfigError, match=r"recipe\.epochs"):
        vadbench.run("linear", "tiny", settings={"recipe.epoch": 2}, out=out, **OPTIONS)
    with pytest.raises(ConfigError, match="seed"):
        vadbench.run(trained=trained[0], seed=3, out=out, **OPTIONS)
    with pytest.raises(RunError, match="no single run"):
        vadbench.load("0000", out)


def test_weights_of_a_run_are_evaluated_again(trained, out):
    found = vadbench.run(trained=trained[0], post="gaussian(2)", out=out, **OPTIONS)
    assert found.record.key == trained[0].record.key
    assert found.record.post == "gaussian(2)" and found.folder != trained[0].folder


def test_progress_is_told_to_a_function(out, tmp_path):
    told = []
    vadbench.run("linear", "tiny", seed=5, out=tmp_path, progress=lambda *words: told.append(words), **OPTIONS)
    assert any("training" in stage for stage, *_ in told)


def test_a_run_is_logged_and_a_failure_to_log_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    options = {k: v for k, v in OPTIONS.items() if k != "log"}
    monkeypatch.delenv("VADBENCH_MLFLOW", raising=False)
    with pytest.warns(UserWarning, match="not logged"):
        run = vadbench.run("random", "tiny", seed=7, out=tmp_path, **options)
    assert run.record.status == "finished"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vadbench.run("random", "tiny", seed=7, out=tmp_path, **OPTIONS)


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys, vadbench; assert vadbench.run is not None and 'run' in dir(vadbench);"
        "print([n for n in ('torch', 'open_clip', 'mlflow', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="nosuch"):
        _ = vadbench.nosuch


def test_own_videos_are_scored(trained, clips, tmp_path):
    run, videos = trained[0], clips
    found = vadbench.score(*videos, run=run, out=tmp_path, device="cpu", plugins=[PLUGIN])
    for result, expected in zip(found, run.split.scores, strict=False):
        assert result.folder.name == expected.name
        np.testing.assert_allclose(result.scores["score"], expected.anomaly, atol=1e-6)
        assert len(result.events) == len(result.video.events)
        assert "data:image/png;base64," in result._repr_html_()
    with pytest.raises(ConfigError, match="method"):
        vadbench.score(videos[0], out=tmp_path)


def test_a_video_without_events_has_their_columns(trained, clips, tmp_path):
    options = {"run": trained[0], "out": tmp_path, "device": "cpu", "plugins": PLUGIN}
    (quiet,) = vadbench.score(clips[0], threshold=2, **options)
    (loud,) = vadbench.score(clips[0], threshold=-1, min_length=0, **options)
    assert len(quiet.events) == 0 < len(loud.events)
    assert list(quiet.events.columns) == list(loud.events.columns)
    assert quiet.events["start"].tolist() == []
