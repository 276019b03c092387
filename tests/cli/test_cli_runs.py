"""``vadbench runs`` and ``run --name``: what is listed, named and deleted."""

import io
import re
from pathlib import Path

import pytest

from kept_runs import keep_run
from places import PLUGIN
from vadbench.base.errors import RunError
from vadbench.metrics.definitions import MetricValue
from vadbench.records.folders import read_record, read_records
from vadbench.records.stored_runs import delete_run


@pytest.fixture
def out(tmp_path):
    """A finished run with a further evaluation, an ablation, a failed and an interrupted run."""
    out = tmp_path / "runs"
    first = keep_run(out, "1f0c", seed=0)
    keep_run(out, "1f0c", place=first / "evaluations" / "7ab2", evaluation="7ab2", metrics={})
    keep_run(out, "2aaa", recipe={"epochs": 5}, created="2020-01-01")
    keep_run(out, "3bbb", "other", status="failed", error="no\nmemory")
    (out / "d" / "mil" / "4ccc" / "stages").mkdir(parents=True)
    (out / "d" / "mil" / "4ccc" / "training.jsonl").write_text("x" * 100)
    return out


@pytest.fixture
def listed(vadbench, out):
    return lambda *options: {run["key"]: run for run in vadbench("runs", "--out", out, "--json", *options).json}


def test_every_run_is_listed_with_its_state(vadbench, out, listed):
    runs = listed()
    states = {key: run["state"] for key, run in runs.items()}
    assert states == {
        "1f0c": "finished", "1f0c/7ab2": "finished", "2aaa": "finished", "3bbb": "failed", "4ccc": "interrupted",
    }  # fmt: skip
    assert runs["1f0c"] | {"bytes": 0} == {
        "folder": str(out / "d" / "mil" / "1f0c"), "key": "1f0c", "dataset": "d", "method": "mil", "label": "",
        "settings": "", "seed": 0, "protocol": "native", "trained_on": "d", "state": "finished", "error": "",
        "value": 0.75, "made": "2026-01-02T03:04:05+00:00", "bytes": 0,
    }  # fmt: skip
    assert runs["1f0c"]["bytes"] == (out / "d/mil/1f0c/result.json").stat().st_size
    assert runs["4ccc"]["bytes"] == 100 and runs["4ccc"]["seed"] is None and runs["3bbb"]["error"] == "no\nmemory"
    text = vadbench("runs", "--out", out).out
    assert "recipe.epochs=5" in text and "75.00" in text and "5 runs" in text


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (["--method", "other"], {"3bbb"}),
        (["--state", "interrupted", "--state", "failed"], {"3bbb", "4ccc"}),
        (["--setting", "recipe.epochs=5"], {"2aaa"}),
        (["--setting", "recipe.epochs=9", "--setting", "seed=0", "-m", "mil"], {"1f0c", "1f0c/7ab2"}),
        (["--since", "2026-01-01"], {"1f0c", "1f0c/7ab2", "3bbb"}),
        (["--since", "1h"], set()),
        (["--dataset", "d", "--setting", "recipe.epochs=77"], set()),
    ],
)
def test_filters_choose(listed, options, keys):
    assert listed(*options).keys() == keys


def test_what_cannot_be_filtered_by_is_refused(refused, out):
    assert "expected an age such as 30d" in refused("runs", "--since", "yesterday")
    assert "belongs to the list" in refused("runs", "--method", "mil", "delete", "1f0c")
    assert "did you mean 'AUC'" in refused("runs", "--metric", "AUCC", "--out", out)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "e"], "unknown data set with runs 'e'; known: d"),
        (["--method", "mill"], "unknown method with runs 'mill'; did you mean 'mil'?"),
        (["--name", "second"], "unknown label of these runs 'second'; known: none"),
        (["--setting", "foo"], "a setting to choose by is KEY=VALUE, such as recipe.epochs=5, found 'foo'"),
        (["--setting", "recipe.epoch=5"], "unknown setting of these runs 'recipe.epoch'; did you mean 'recipe.epochs'"),
        (["--metric", "AUC[Nosuch]"], "unknown metric of these runs 'AUC[Nosuch]'; known: AUC"),
        (["--metric", "FAR", "-m", "mil"], "unknown metric of these runs 'FAR'; known: AUC"),
        (["--metric", "FAR", "--since", "1h"], "unknown metric of these runs 'FAR'; known: AUC"),
    ],
)
def test_a_filter_by_what_no_run_has_is_refused(refused, out, options, said):
    assert said in refused("runs", "--out", out, *options)


def test_a_folder_that_is_not_there_is_refused_and_an_empty_one_is_not(vadbench, refused, tmp_path):
    for command in (["runs"], ["runs", "delete", "--failed"]):
        assert "no runs in" in refused(*command, "--out", tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert "0 runs" in vadbench("runs", "--out", tmp_path / "empty").out


def test_a_metric_is_asked_for_as_mlflow_shows_it(vadbench, tmp_path):
    keep_run(tmp_path, "1f0c", metrics={"AUC[Fire]": MetricValue(value=0.25)})
    (found,) = vadbench("runs", "--metric", "AUC/class Fire", "--json", "--out", tmp_path).json
    assert found["value"] == 0.25


def test_a_run_that_is_locked_is_running_and_stays(vadbench, out, listed, held_by_another_process):
    with held_by_another_process(out / "d" / "mil" / "4ccc"):
        assert listed()["4ccc"]["state"] == "running"
        told = vadbench("runs", "delete", "4ccc", "--yes", "--out", out, status=2).err
        assert "run 4ccc is in use by another process" in told
    assert (out / "d" / "mil" / "4ccc" / "stages").is_dir()


def test_runs_are_named_and_found_by_their_name(vadbench, out, listed, refused):
    before = (out / "d/mil/2aaa/result.json").read_text()
    vadbench("runs", "name", "d/mil[recipe.epochs=5]", "longer", "--out", out)
    assert listed("--name", "longer").keys() == {"2aaa"}
    shown = vadbench("show", "run", "longer", "--out", out).out
    assert "label: longer" in shown and "settings: recipe.epochs=5" in shown
    vadbench("runs", "name", "longer", "", "--out", out)
    assert (out / "d/mil/2aaa/result.json").read_text() == before
    assert "must have none of" in refused("runs", "name", "2aaa", "a/b", "--out", out)


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
@pytest.mark.parametrize("where", ["trained_method", "evaluate_method"])
def test_what_was_interrupted_is_listed_found_and_deleted_by_its_settings(
    vadbench, tmp_path, monkeypatch, where, held_by_another_process
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def run(*options, status=0):
        arguments = ["--plugin", PLUGIN, "-m", "linear", "-d", "tiny", "--out", tmp_path, "--no-mlflow", "--json"]
        return vadbench("run", *arguments, *options, status=status)

    def listed(*options):
        return vadbench("runs", "--out", tmp_path, "--json", *options).json

    (usual,) = run().json
    with monkeypatch.context() as patch:
        patch.setattr(f"vadbench.harness.execution.{where}", interrupted)
        run("--set", "recipe.epochs=2", "--seeds", "3", "--name", "short", status=130)
    (found,) = listed("--setting", "recipe.epochs=2", "--state", "interrupted", "--since", "1h")
    expected = {"label": "short", "settings": "recipe.epochs=2", "seed": 3, "protocol": "native", "value": None}
    assert {name: found[name] for name in expected} == expected
    with held_by_another_process(Path(found["folder"])):
        assert [run["key"] for run in listed("--state", "running", "--name", "short")] == [found["key"]]
    told = vadbench("compare", "tiny/linear[recipe.epochs=2]", "tiny/linear", "--out", tmp_path, status=2).err
    assert "chooses no run" in told or "left out" in told
    vadbench("runs", "delete", "tiny/linear[recipe.epochs=2]", "--yes", "--out", tmp_path)
    assert [run["key"] for run in listed()] == [usual["key"]]
    assert sorted(p.name for p in Path(usual["folder"]).parent.iterdir()) == [usual["key"]]


def test_a_folder_with_a_lock_alone_is_listed_and_deleted(vadbench, out, listed):
    left = out / "d" / "mil" / "5eee"
    left.mkdir()
    (left / ".lock").touch()
    assert listed("--state", "interrupted").keys() == {"4ccc", "5eee"}
    vadbench("runs", "delete", "5eee", "--yes", "--out", out)
    assert not left.exists()
    left.mkdir()
    (left / "notes.txt").touch()
    assert "5eee" not in listed()


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
def test_a_run_that_went_on_leaves_no_trace_of_its_beginning(vadbench, tmp_path, monkeypatch):
    def failing(*_, **__):
        raise RunError("no more")

    arguments = ["--plugin", PLUGIN, "-m", "linear", "-d", "tiny", "--out", tmp_path, "--no-mlflow", "--json"]
    with monkeypatch.context() as patch:
        patch.setattr("vadbench.harness.execution.trained_method", failing)
        vadbench("run", *arguments, status=2)
    assert not list(tmp_path.rglob("begun.json"))
    (made,) = vadbench("run", *arguments).json
    assert made["status"] == "finished" and not list(tmp_path.rglob("begun.json"))
    (Path(made["folder"]) / "begun.json").write_text("{}")  # as a call leaves it that is killed right after its record
    vadbench("run", *arguments)
    assert not list(tmp_path.rglob("begun.json"))


class Terminal(io.StringIO):
    """A terminal at which somebody answers."""

    def isatty(self):
        return True


def test_a_deletion_asks_and_takes_evaluations_along(vadbench, out, listed, monkeypatch):
    told = vadbench("runs", "delete", "1f0c", "--out", out, status=2).err
    assert "add --yes" in told and "7ab2: mil on d, a further evaluation" in told and len(listed()) == 5
    for answer in ("n", "y"):
        assert len(listed()) == 5
        monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
        told = vadbench("runs", "delete", "1f0c", "--out", out).err
    assert "Delete 2 runs" in told and re.search(r"deleted 2 runs, .* kB", told)
    assert listed().keys() == {"2aaa", "3bbb", "4ccc"}
    assert [p.name for p in out.iterdir()] == ["d"]  # nothing is left of it


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["1f0c/7ab2"], {"1f0c", "2aaa", "3bbb", "4ccc"}),
        (["4cc"], {"1f0c", "1f0c/7ab2", "2aaa", "3bbb"}),
        (["--failed"], {"1f0c", "1f0c/7ab2", "2aaa", "4ccc"}),
        (["d/mil[recipe.epochs=5]", "--failed"], {"1f0c", "1f0c/7ab2", "4ccc"}),
    ],
)
def test_what_is_named_goes_and_nothing_else(vadbench, out, listed, names, left):
    vadbench("runs", "delete", *names, "--yes", "--out", out)
    assert listed().keys() == left


def test_nothing_outside_of_the_results_is_deleted(out, tmp_path, refused):
    away = keep_run(tmp_path / "away", "5ddd")
    assert "is no run under" in refused("runs", "delete", str(away), "--yes", "--out", out)
    (out / "d" / "mil" / "5ddd").symlink_to(away)
    assert "no single run" in refused("runs", "delete", "5ddd", "--yes", "--out", out)
    assert "is a link" in refused("runs", "delete", "d/mil/5ddd", "--yes", "--out", out)
    (out / "linked").symlink_to(away.parent.parent)
    assert "is no run folder under" in refused("runs", "delete", str(out / "linked/mil/5ddd"), "--yes", "--out", out)
    for place in (out, out / "d", out / "d" / "mil" / "5ddd", Path("/tmp")):
        with pytest.raises(RunError, match=r"is a link|is no run folder"):
            delete_run(place, out)
    assert (away / "result.json").is_file() and (out / "d/mil/1f0c/result.json").is_file()


def test_a_killed_deletion_leaves_no_run(vadbench, out, listed, monkeypatch):
    def killed(path, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vadbench.records.stored_runs.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_run(out / "d" / "mil" / "1f0c", out)
    assert listed().keys() == {"2aaa", "3bbb", "4ccc"}
    assert {o.folder.name for o in read_records(out)[0]} == {"2aaa", "3bbb"}
    vadbench("runs", "delete", "2aaa", "--yes", "--out", out)
    assert not (out / ".deleted").exists()


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
def test_a_run_is_named_as_it_is_made_and_renamed_without_a_training(vadbench, tmp_path, refused):
    def run(*options):
        arguments = ["--plugin", PLUGIN, "-m", "linear", "-d", "tiny", "--out", tmp_path, "--no-mlflow", "--json"]
        (found,) = vadbench("run", *arguments, *options).json
        return found

    first = run("--name", "first try")
    assert first["label"] == "first try" and read_record(Path(first["folder"])).label == "first try"
    assert run()["label"] == "first try"
    again = run("--name", "second")
    assert again | {"label": "first try"} == first
    evaluation = run("--post", "gaussian(10)", "--name", "smooth")
    assert (
        read_record(Path(first["folder"])).label == "second" and Path(evaluation["folder"]).parent.name == "evaluations"
    )
    (evaluated,) = vadbench(
        "run", "--plugin", PLUGIN, "--from", "second", "-d", "other", "--out", tmp_path, "--json"
    ).json
    assert evaluated["label"] == "" and evaluated["key"] == first["key"]
    assert run("--again")["label"] == "second"
    assert run("--name", "")["label"] == ""
    assert "taken for a key" in refused("run", "-m", "linear", "-d", "tiny", "--name", "abc")


def test_a_deletion_speaks_of_mlflow_where_it_may_have_the_run(vadbench, out, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    told = vadbench("runs", "delete", "1f0c", "--yes", "--out", out).err
    assert "deleted 2 runs" in told and "MLflow" not in told
    vadbench("log", "2aaa", "--out", out)
    assert "MLflow keeps" in vadbench("runs", "delete", "2aaa", "--yes", "--out", out).err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "MLflow" not in vadbench("runs", "delete", "3bbb", "--yes", "--out", out).err  # failed: never logged
